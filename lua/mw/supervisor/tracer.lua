-- Asks a stuck worker where it is. The watchdog in it answers to a signal: once
-- Lua code runs, with all stacks; to a second one, while none does, with where
-- that was called. It may be stopped, and answer to neither.

---@class mw.Tracer
local Tracer = {}
Tracer.__index = Tracer

-- Milliseconds for each answer.
local patience = 500

local silence = "no Lua code runs, and nothing answers: the process is stopped, or stuck in the kernel"

---@param kick fun() sends the signal
---@param clock mw.SupervisorClock
---@return mw.Tracer
function Tracer.new(kick, clock)
  return setmetatable({ _kick = kick, _clock = clock, _pieces = {} }, Tracer)
end

local function answer(self, text)
  local done = self._done
  self._done = nil
  self._timer:close()
  done(text)
end

local function ask(self, give_up)
  self._timer = self._clock:after(patience, give_up)
  self._kick()
end

--- Calls `done` with what the worker says, or that it does not.
---@param done fun(text: string)
function Tracer:ask(done)
  self._done = done
  ask(self, function()
    ask(self, function()
      answer(self, silence)
    end)
  end)
end

--- Takes a piece of what the watchdog writes. A NUL ends an answer.
---@param piece string
function Tracer:push(piece)
  self._pieces[#self._pieces + 1] = piece
  local last = piece:find("\0", 1, true)
  if last then
    local text = table.concat(self._pieces):match "^%Z*"
    self._pieces = {}
    if self._done then
      answer(self, text)
    end
  end
end

--- The worker has ended: there is no more to come.
function Tracer:close()
  if self._done then
    answer(self, silence)
  end
end

return Tracer
