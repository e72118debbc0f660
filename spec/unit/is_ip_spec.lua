local net = require "mw.net"

local fours = { "127.0.0.1", "0.0.0.0", "255.255.255.255", "8.8.8.8" }
local sixes = { "::", "::1", "::ffff:1.2.3.4", "fe80::1%lo", "2001:db8:0:0:0:0:0:1", "FE80::A" }
local others = {
  "",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.256",
  "01.2.3.4",
  "1.2.3.4 ",
  "0x7f.1",
  "localhost",
  ":::1",
  "1::2::3",
  "fe80::1%",
  "::1\0",
  "12345::",
}

describe("is_ip", function()
  for _, text in ipairs(fours) do
    it("is 4 for " .. text, function()
      assert.equal(4, net.is_ip(text))
      assert.is_true(net.is_ipv4(text))
      assert.is_false(net.is_ipv6(text))
    end)
  end

  for _, text in ipairs(sixes) do
    it("is 6 for " .. text, function()
      assert.equal(6, net.is_ip(text))
      assert.is_false(net.is_ipv4(text))
      assert.is_true(net.is_ipv6(text))
    end)
  end

  for _, text in ipairs(others) do
    it(("is 0 for %q"):format(text), function()
      assert.equal(0, net.is_ip(text))
      assert.is_false(net.is_ipv4(text) or net.is_ipv6(text))
    end)
  end

  it("is 0 for what is no text", function()
    for _, value in ipairs { 1, 127.1, true, {}, print } do
      assert.equal(0, net.is_ip(value))
    end
    assert.equal(0, net.is_ip(nil))
  end)
end)
