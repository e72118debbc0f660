-- What a call that can't be meant raises.

--- Calls `fn`, which must raise a text with the position of a line of the file
--- that `fn` is written in; returns the text behind that.
---@param fn function
---@return string message
return function(fn)
  local ok, err = pcall(fn)
  if ok then
    error("nothing was raised", 2)
  end
  local file = debug.getinfo(fn, "S").short_src
  local position = file .. ":"
  local message = type(err) == "string" and err:sub(1, #position) == position and err:match("^%d+: (.*)$", #position + 1)
  if not message then
    error(("raised not at a line of %s: %s"):format(file, tostring(err)), 2)
  end
  return message
end
