local eventually = require "spec.support.eventually"
local look_up = require "mw.look_up"

-- Waits for the answer.
local function ask(host, family)
  local answer
  look_up.look_up(host, family, function(...)
    answer = table.pack(...)
  end)
  assert.is_nil(answer)
  return eventually(function()
    return answer
  end)
end

describe("look_up", function()
  it("gives a numeric address back, of whatever family it is", function()
    assert.same({ n = 3, nil, "127.0.0.1", 4 }, ask("127.0.0.1", 4))
    assert.same({ n = 3, nil, "::1", 6 }, ask("::1", 4))
  end)

  it("finds this machine", function()
    assert.same({ n = 3, nil, "127.0.0.1", 4 }, ask("localhost", 4))
  end)

  it("tells which name has no address", function()
    local err = ask("no-such-host.invalid", 4)[1]
    assert.is_true(err.code == "ENOTFOUND" or err.code == "EAI_AGAIN", err.code)
    assert.equal("getaddrinfo", err.syscall)
    assert.equal("no-such-host.invalid", err.hostname)
    assert.matches("getaddrinfo no-such-host.invalid", tostring(err), 1, true)
  end)

  it("refuses a name that is too long to be one", function()
    local err = ask(("a"):rep(300), 4)[1]
    assert.equal("EINVAL", err.code)
  end)
end)

describe("family", function()
  it("is that of a numeric address", function()
    for text, family in pairs {
      ["127.0.0.1"] = 4,
      ["255.255.255.255"] = 4,
      ["::"] = 6,
      ["::1"] = 6,
      ["fe80::1%lo"] = 6,
      ["::ffff:1.2.3.4"] = 6,
      ["1:2:3:4:5:6:7:8"] = 6,
    } do
      assert.equal(family, look_up.family(text), text)
    end
  end)

  it("is that of no other text", function()
    local texts = { "", "localhost", "1.2.3", "1.2.3.256", "01.2.3.4", ":::", "::1::", "::12345", "::%", "127.0.0.1\0" }
    for _, text in ipairs(texts) do
      assert.is_nil(look_up.family(text), text)
    end
  end)
end)
