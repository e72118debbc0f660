-- What this process has done so far. Who does it counts it here; who watches
-- the process reads it, and needs none of those modules for that.

---@class mw.Counters
---@field requests integer HTTP requests that have reached a handler
return { requests = 0 }
