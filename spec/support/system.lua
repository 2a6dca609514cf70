-- SPDX-License-Identifier: MIT
-- system.lua: what specs of processes and signals share: they look at this
-- process from outside and prove that neither a child, dead or alive, nor a
-- descriptor is left behind.

local busted = require "busted"
local H = require "spec.support.helper"
local trio = require "trio"

local M = {}

-- What a shell command prints. The shell's parent, $PPID, is this process.
function M.output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  pipe:close()
  return text
end

--- Send this process a signal, by a shell.
function M.raise(name)
  M.output_of("kill -" .. name:gsub("^SIG", "") .. " $PPID")
end

M.pid = M.output_of("printf %s $PPID")

--- The ids of the children of this process, zombies included.
function M.children()
  local file = io.open(("/proc/%s/task/%s/children"):format(M.pid, M.pid))
  if not file then return "" end
  local list = file:read("a")
  file:close()
  return list
end

--- How many descriptors this process has open. (No shell looks: it could see
--- both ends of the pipe to itself.)
function M.descriptors()
  local count = 0
  for fd = 0, 1023 do
    local info = io.open("/proc/self/fdinfo/" .. fd)
    if info then
      count = count + 1
      info:close()
    end
  end
  return count
end

-- What is opened once and stays: libuv's pipes for signals.
local warmed_up = false
local function warm_up()
  if warmed_up then return end
  warmed_up = true
  H.run(function() trio.run_process({"true"}) end)
end

--- In a describe: after each test there must be as many children and
--- descriptors as before it.
function M.guard()
  local children, descriptors
  busted.before_each(function()
    warm_up()
    children, descriptors = M.children(), M.descriptors()
  end)
  busted.after_each(function()
    collectgarbage()
    collectgarbage()
    local text = "%s: %s before, %s after"
    assert(M.children() == children,
      text:format("children", children, M.children()))
    assert(M.descriptors() == descriptors,
      text:format("descriptors", descriptors, M.descriptors()))
  end)
end

--- H.trio_it in real time.
function M.real_it(name, fn, opts)
  local options = {real_clock = true}
  for key, value in pairs(opts or {}) do options[key] = value end
  return H.trio_it(name, fn, options)
end

--- Wait until a process, whose output is a pipe, has printed a line.
function M.line_of(process)
  local text = ""
  repeat
    local more = process.stdout:receive_some(1)
    text = text .. (more or "")
  until more == "\n" or not more
  return text:sub(1, -2)
end

return M
