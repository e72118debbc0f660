-- The ways to spread connections over workers, by their names.

local errors = require "mw.error"
local options = require "mw.options"

---@alias mw.SchedulingPolicy "rr"|"none"|"least"|"reuseport"|"sticky"|fun(workers: table, connection: table): table

local M = {}

local variable = "MW_CLUSTER_SCHED_POLICY"

--- What users write; the values are the names.
M.constants = {
  SCHED_RR = "rr",
  SCHED_NONE = "none",
  SCHED_LEAST = "least",
  SCHED_REUSEPORT = "reuseport",
  SCHED_STICKY = "sticky",
}

local name = options.one_of("rr", "none", "least", "reuseport", "sticky")

--- One of the names, or a function.
---@type mw.Check
function M.check(value)
  local expected = type(value) ~= "function" and name(value)
  return expected and expected .. " or function" or nil
end

--- The policy that the environment names, "rr" where it names none. Raises for
--- an unknown word.
---@return mw.SchedulingPolicy
function M.from_environment()
  local word = os.getenv(variable) or "rr"
  local expected = name(word)
  if expected then
    errors.misuse("%s: unknown policy %s (%s expected)", variable, options.show(word), expected)
  end
  return word
end

return M
