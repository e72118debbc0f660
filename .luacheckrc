std = "lua54"
max_line_length = 130
self = false
-- `not (x >= 0)` is how a check refuses NaN too.
ignore = { "581" }
files["spec"] = { std = "lua54+busted" }
exclude_files = { "build" }
