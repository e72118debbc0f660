local mw = require "mw"
local raw = require "spec.support.raw_http"
local uv = require "luv"

local function part(head, data)
  return ("--xy\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n"):format(head, data)
end

describe("An upload", function()
  local folder

  before_each(function()
    folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/mwrun-upload-XXXXXX"))
  end)

  after_each(function()
    mw.child_process.exec_file_sync("rm", { "-r", folder })
  end)

  local function names()
    local list = {}
    for name in uv.fs_scandir_next, assert(uv.fs_scandir(folder)) do
      list[#list + 1] = name
    end
    return list
  end

  -- Sends a form; what the handler got, and the error.
  local function send(body, opts)
    local form, err, left
    local server, port = raw.serve(function(req, res)
      local all = { folder = folder }
      for name, value in pairs(opts or {}) do
        all[name] = value
      end
      form, err = req:multipart(all)
      left = #names()
      res:finish(err and err.code or "taken")
    end)
    local headers = ("Content-Type: multipart/form-data; boundary=xy\r\nContent-Length: %d\r\n"):format(#body)
    raw.request(port, "POST /", headers, body)
    raw.close(server)
    return form, err, left
  end

  it("gives fields, and files on disk", function()
    local data = ("0123456789"):rep(50000)
    local file_part = part('name="b"; filename="../x.txt"', data)
    local form = send(part('name="a"', "1") .. file_part .. part('name="a"', "2") .. "--xy--\r\n")
    assert.same({ a = { "1", "2" } }, form.fields)
    local file = form.files[1]
    assert.equal("b", file.name)
    assert.equal("../x.txt", file.filename)
    assert.equal(#data, file.size)
    assert.equal(folder, file.path:match "^(.*)/")
    local stream <close> = assert(io.open(file.path, "rb"))
    assert.is_true(stream:read "a" == data)
  end)

  it("leaves nothing where it is too large", function()
    local large = part('name="a"; filename="b"', ("x"):rep(2000))
    for _, case in ipairs {
      { large .. "--xy--", { max_file_size = 1000 } },
      { large .. large .. "--xy--", { max_files = 1 } },
      { large .. part('name="a"', ("x"):rep(100)) .. "--xy--", { max_field_size = 99 } },
      { large .. part('name="a"', "") .. "--xy--", { max_fields = 0 } },
    } do
      local form, err, left = send(case[1], case[2])
      assert.is_nil(form)
      assert.equal("ERR_HTTP_UPLOAD_TOO_LARGE", err.code)
      assert.equal(0, left)
    end
  end)

  it("leaves nothing where it does not come whole", function()
    local form, err, left = send(part('name="a"; filename="b"', "x"))
    assert.is_nil(form)
    assert.equal("ERR_HTTP_MULTIPART_INVALID", err.code)
    assert.equal(0, left)
  end)

  it("is an error where there is no folder for it", function()
    local _, err = send(part('name="a"; filename="b"', "x") .. "--xy--", { folder = folder .. "/none" })
    assert.equal("ENOENT", err.code)
  end)
end)
