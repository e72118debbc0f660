local multipart = require "mw.http.multipart"

local text = table.concat({
  "preamble\r\n--xy\r\n",
  'Content-Disposition: form-data; name="a"\r\nX: y\r\n\r\n',
  "one\r\n--xz\r\ntwo",
  "\r\n--xy\r\n\r\n",
  "\r\n--xy\r\nA: b\r\n\r\n",
  "\r\n\r\n",
  "\r\n--xy--\r\nepilogue",
})

-- The parts of a text that comes in pieces of a size.
local function parse(bytes, size)
  local parts = {}
  local parser = multipart.new("xy", {
    on_part = function(headers)
      parts[#parts + 1] = { headers = headers, data = "" }
    end,
    on_data = function(piece)
      parts[#parts].data = parts[#parts].data .. piece
    end,
    on_end = function()
      parts[#parts].ended = true
    end,
  })
  for index = 1, #bytes, size do
    local err = parser:feed(bytes:sub(index, index + size - 1))
    if err then
      return nil, err
    end
  end
  return parts, parser:finish()
end

describe("A body of many parts", function()
  it("is the same in any pieces", function()
    for size = 1, #text do
      assert.same({
        { headers = { ["content-disposition"] = 'form-data; name="a"', x = "y" }, data = "one\r\n--xz\r\ntwo", ended = true },
        { headers = {}, data = "", ended = true },
        { headers = { a = "b" }, data = "\r\n\r\n", ended = true },
      }, (parse(text, size)))
    end
  end)

  it("has an end", function()
    assert.equal("ERR_HTTP_MULTIPART_INVALID", select(2, parse(text:sub(1, -20), 7)).code)
    assert.equal("ERR_HTTP_MULTIPART_INVALID", select(2, parse("", 1)).code)
  end)

  it("is refused where it is none", function()
    for _, bad in ipairs {
      "--xyz\r\n\r\n", "--xy\r\nno header\r\n\r\n--xy--", "--xy\r\nA: " .. ("b"):rep(10000),
    } do
      local parts, err = parse(bad, 100)
      assert.is_nil(parts)
      assert.equal("ERR_HTTP_MULTIPART_INVALID", err.code)
    end
  end)

  it("is known by its type", function()
    assert.equal("a b", multipart.boundary_of 'multipart/form-data; charset=x; boundary="a b"')
    assert.equal("ab", multipart.boundary_of "Multipart/Form-Data;Boundary=ab; x=y")
    assert.is_nil(multipart.boundary_of "multipart/mixed; boundary=ab")
    assert.is_nil(multipart.boundary_of "multipart/form-data")
    assert.is_nil(multipart.boundary_of(nil))
    assert.equal('a"b;c', multipart.parameter('; name="a\\"b;c"; filename=x', "name"))
    assert.equal("x", multipart.parameter('; name="a\\"b;c"; filename=x', "filename"))
  end)
end)
