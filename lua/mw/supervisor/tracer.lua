-- Asks a stuck worker where it is. The watchdog in it answers to a signal: once
-- Lua code runs, with all stacks; to a second one, while none does, with where
-- that was called. It may be stopped, and answer to neither.

---@class mw.Tracer
local Tracer = {}
Tracer.__index = Tracer

-- Milliseconds for each answer.
local patience = 500

local silence = "no Lua code runs, and nothing answers: the process is stopped, or stuck in the kernel"
local closed = "its script has not begun, or is over"

---@param kick fun() sends the signal
---@param clock mw.SupervisorClock
---@return mw.Tracer
function Tracer.new(kick, clock)
  return setmetatable({ _kick = kick, _clock = clock, _pieces = {}, _is_open = false }, Tracer)
end

local function answer(self, text)
  local done = self._done
  self._done = nil
  self._timer:close()
  done(text)
end

local function answer_in(self, ms, text)
  self._timer = self._clock:after(ms, function()
    answer(self, text)
  end)
end

--- Calls `done` with what the worker says, or that it does not.
---@param done fun(text: string)
function Tracer:ask(done)
  self._done = done
  if not self._is_open then
    return answer_in(self, 0, closed)
  end
  self._timer = self._clock:after(patience, function()
    answer_in(self, patience, silence)
    self._kick()
  end)
  self._kick()
end

local function take_report(self, text)
  if not self._is_open then
    self._is_open = true
  elseif self._done then
    answer(self, text)
  end
end

--- Takes a piece of what the watchdog writes. A NUL ends each report; the first
--- one is empty, and tells that it is there.
---@param piece string
function Tracer:push(piece)
  local first = 1
  local last = piece:find("\0", 1, true)
  while last do
    local text = table.concat(self._pieces) .. piece:sub(first, last - 1)
    self._pieces = {}
    take_report(self, text)
    first = last + 1
    last = piece:find("\0", first, true)
  end
  self._pieces[#self._pieces + 1] = piece:sub(first)
end

--- Whether an answer is awaited.
---@return boolean
function Tracer:is_asking()
  return self._done ~= nil
end

--- What the next image of this process needs to go on.
---@return { is_open: boolean, rest: string }
function Tracer:heritage()
  return { is_open = self._is_open, rest = table.concat(self._pieces) }
end

---@param from { is_open: boolean, rest: string }
function Tracer:adopt(from)
  self._is_open, self._pieces = from.is_open, { from.rest }
end

--- Takes note that the worker has ended.
function Tracer:close()
  self._is_open = false
  if self._done then
    answer(self, closed)
  end
end

return Tracer
