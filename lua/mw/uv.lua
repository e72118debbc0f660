-- luv for modules that every process loads and that seldom need it: it is opened
-- when one of its functions is first looked at, and not before.

return setmetatable({}, {
  __index = function(self, name)
    self[name] = require("luv")[name]
    return rawget(self, name)
  end,
})
