local process = require "mw.process"
local scratch = require "spec.support.scratch"
local watch_scope = require "mw.supervisor.watch_scope"

describe("What is watched", function()
  local folder

  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    folder:remove()
  end)

  it("is the script, and the Lua files in its folder and below", function()
    local scope = watch_scope.of("/srv/app", true)
    assert.same({ ["/srv"] = "all" }, scope.folders)
    for path, expected in pairs {
      ["/srv/app"] = true,
      ["/srv/x.lua"] = true,
      ["/srv/x/y.lua"] = true,
      ["/srv/x.log"] = false,
      ["/srv/lua"] = false,
      ["/srv/x.lua~"] = false,
    } do
      assert.equal(expected, scope.wants(path), path)
    end
  end)

  for script, expected in pairs {
    ["app.lua"] = "",
    ["./app.lua"] = "",
    ["src/app.lua"] = "/src",
    ["./src/./app.lua"] = "/src",
  } do
    it("is found from the current folder: " .. script, function()
      local scope = watch_scope.of(script, true)
      assert.same({ [process.cwd() .. expected] = "all" }, scope.folders)
      assert.is_true(scope.wants(process.cwd() .. expected .. "/app.lua"))
    end)
  end

  it("is found in the root folder", function()
    local scope = watch_scope.of("/app", true)
    assert.same({ ["/"] = "all" }, scope.folders)
    assert.is_true(scope.wants "/app")
  end)

  it("is what a list names: files, and all in folders", function()
    folder:write("settings.json", "{}")
    local deep = folder.path .. "/views"
    assert(require("luv").fs_mkdir(deep, 448))
    local scope = watch_scope.of("app.lua", { folder.path .. "/settings.json", deep .. "/", folder.path .. "/later" })
    assert.same({ [folder.path] = "shallow", [deep] = "all" }, scope.folders)
    for path, expected in pairs {
      ["/settings.json"] = true,
      ["/later"] = true,
      ["/views/x.html"] = true,
      ["/views/a/b/x.html"] = true,
      ["/views2/x.html"] = false,
      ["/app.lua"] = false,
    } do
      assert.equal(expected, scope.wants(folder.path .. path), path)
    end
  end)
end)
