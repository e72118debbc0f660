-- What a worker may use before it is replaced: memory, requests, time.

local M = {}

-- By how much of itself a limit may be lower, so that not all workers reach
-- theirs at the same moment.
local spread = 0.1

local function lowered(limit, random)
  return limit and math.max(1, math.floor(limit * (1 - spread * random())))
end

---@class mw.WorkerLimits
---@field memory? integer bytes
---@field requests? integer
---@field lifetime? integer milliseconds

--- Draws the limits of one worker.
---@param opts { max_memory?: integer, max_requests?: integer, max_lifetime?: integer }
---@param random fun(): number from 0 to 1
---@return mw.WorkerLimits
function M.draw(opts, random)
  return {
    memory = opts.max_memory,
    requests = lowered(opts.max_requests, random),
    lifetime = lowered(opts.max_lifetime, random),
  }
end

local function over(use, limit)
  return use and limit and use >= limit
end

--- Why a worker is to be replaced; nil where it may go on.
---@param limits mw.WorkerLimits
---@param use { memory?: integer, requests?: integer, age: integer }
---@return string?
function M.reason(limits, use)
  if over(use.memory, limits.memory) then
    return ("max_memory: %d bytes of %d"):format(use.memory, limits.memory)
  elseif over(use.requests, limits.requests) then
    return ("max_requests: %d of %d"):format(use.requests, limits.requests)
  elseif over(use.age, limits.lifetime) then
    return ("max_lifetime: %d ms of %d"):format(use.age, limits.lifetime)
  end
end

return M
