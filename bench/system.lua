-- SPDX-License-Identifier: MIT
-- The workloads of floor_system.c, done with trio-lua: processes, threads,
-- files. Prints what that does; file_io reads with Lua's own io instead.
--
--   trio-lua bench/system.lua process COUNT
--   trio-lua bench/system.lua thread COUNT
--   trio-lua bench/system.lua file|file_io PATH
local trio = require "trio"

local PIECE = 65536
local now = trio.current_time

local workloads = {}

function workloads.process(count)
  local start = now()
  for _ = 1, count do trio.run_process {"/bin/true"} end
  return (now() - start) * 1e6 / count
end

function workloads.thread(count)
  local run_sync = trio.to_thread.run_sync
  local function same(x) return x end
  run_sync(same, 0)
  local start = now()
  for i = 1, count do assert(run_sync(same, i) == i) end
  return (now() - start) * 1e6 / count
end

local function read_all(open, path)
  local start, bytes = now(), 0
  local file <close> = assert(open(path, "rb"))
  local piece = file:read(PIECE)
  while piece do
    bytes = bytes + #piece
    piece = file:read(PIECE)
  end
  return bytes / 1e6 / (now() - start)
end

function workloads.file(path) return read_all(trio.open_file, path) end
function workloads.file_io(path) return read_all(io.open, path) end

local name, argument = ...
local work = workloads[name] or error("no workload " .. tostring(name), 0)
print(trio.run(work, tonumber(argument) or argument))
