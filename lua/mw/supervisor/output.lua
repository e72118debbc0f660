-- What a worker writes to its standard streams: whole lines, passed on in a
-- form, so many bytes a second at most, of which the last are remembered.

local LineSplitter = require "mw.supervisor.line_splitter"
local json = require "mw.json"

---@class mw.WorkerOutput
local Output = {}
Output.__index = Output

-- So much is remembered for who asks for the last words.
local most_lines, most_bytes = 50, 8192

local forms = {}

function forms.plain(_, _, line)
  return line
end

function forms.prefix(label, _, line)
  return ("[%d] %s"):format(label.slot, line)
end

-- Bytes that are no text are shown by their numbers.
function forms.json(label, stream, line)
  if not utf8.len(line) then
    line = line:gsub("[\x80-\xff]", function(byte)
      return ("\\x%02x"):format(byte:byte())
    end)
  end
  return json.encode { id = label.id, slot = label.slot, pid = label.pid, stream = stream, line = line }
end

---@class mw.WorkerOutputOptions
---@field form "plain"|"prefix"|"json"
---@field budget integer bytes of each second that are passed on
---@field write fun(stream: "stdout"|"stderr", text: string)
---@field now fun(): integer milliseconds

--- Takes the output of one worker.
---@param label { id: integer, slot: integer, pid: integer }
---@param opts mw.WorkerOutputOptions
---@return mw.WorkerOutput
function Output.new(label, opts)
  local self = setmetatable({ _label = label, _opts = opts, _kept = {}, _kept_bytes = 0 }, Output)
  self._spent, self._dropped = 0, 0
  self._splitters = {}
  for _, stream in ipairs { "stdout", "stderr" } do
    self._splitters[stream] = LineSplitter.new(function(line)
      self:_line(stream, line)
    end)
  end
  return self
end

function Output:_remember(line)
  local kept = self._kept
  table.insert(kept, line:sub(1, most_bytes))
  self._kept_bytes = self._kept_bytes + #kept[#kept]
  while #kept > most_lines or self._kept_bytes > most_bytes do
    self._kept_bytes = self._kept_bytes - #table.remove(kept, 1)
  end
end

function Output:_write(stream, line)
  self._opts.write(stream, forms[self._opts.form](self._label, stream, line) .. "\n")
end

function Output:_tell_dropped()
  if self._dropped > 0 then
    self:_write("stderr", ("(%d lines more were dropped)"):format(self._dropped))
    self._dropped = 0
  end
end

function Output:_begin_second(now)
  if not self._second or now - self._second >= 1000 then
    self._second, self._spent = now, 0
    self:_tell_dropped()
  end
end

function Output:_line(stream, line)
  self:_remember(line)
  self:_begin_second(self._opts.now())
  self._spent = self._spent + #line + 1
  if self._spent > self._opts.budget then
    self._dropped = self._dropped + 1
  else
    self:_write(stream, line)
  end
end

--- Takes a piece of what a stream gives.
---@param stream "stdout"|"stderr"
---@param piece string
function Output:push(stream, piece)
  self._splitters[stream]:push(piece)
end

--- Takes note that nothing follows.
function Output:finish()
  self._splitters.stdout:finish()
  self._splitters.stderr:finish()
  self:_tell_dropped()
end

--- What the next image of this process needs to go on.
---@return { kept: string[], stdout: string, stderr: string } the beginnings of lines
function Output:heritage()
  return { kept = self:last_lines(), stdout = self._splitters.stdout:rest(), stderr = self._splitters.stderr:rest() }
end

---@param from { kept: string[], stdout: string, stderr: string }
function Output:adopt(from)
  for _, line in ipairs(from.kept) do
    self:_remember(line)
  end
  self:push("stdout", from.stdout)
  self:push("stderr", from.stderr)
end

--- The last lines of both streams.
---@return string[]
function Output:last_lines()
  return table.move(self._kept, 1, #self._kept, 1, {})
end

return Output
