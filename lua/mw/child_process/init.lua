-- Child processes: the door.

local exec = require "mw.child_process.exec"
local fork = require "mw.child_process.fork"
local spawn = require "mw.child_process.spawn"
local spawn_sync = require "mw.child_process.spawn_sync"

return {
  spawn = spawn.spawn,
  fork = fork.fork,
  exec = exec.exec,
  exec_file = exec.exec_file,
  spawn_sync = spawn_sync.spawn_sync,
  exec_sync = spawn_sync.exec_sync,
  exec_file_sync = spawn_sync.exec_file_sync,
}
