-- Streams that are readable and writable.

local Readable = require "mw.stream.readable"
local Writable = require "mw.stream.writable"
local emitter = require "mw.emitter"

---@class mw.Duplex: mw.Readable, mw.Writable
local Duplex = emitter.class("mw.stream.duplex", Readable)

for key, value in pairs(Writable) do
  if Duplex[key] == nil then
    Duplex[key] = value
  end
end
Duplex._final = Writable._final

function Duplex:_abandon(err)
  if self.readable_side then
    Readable._abandon(self, err)
  end
  if self.writable_side then
    Writable._abandon(self, err)
  end
end

return Duplex
