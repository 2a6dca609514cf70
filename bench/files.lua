-- SPDX-License-Identifier: MIT
-- Reads a 256-MiB file in 64-KiB pieces through trio.open_file, through Lua's
-- io, and with plain read(2) in C (floor_files.c), by turns, and prints the
-- medians and the ratios to C.
--
--   build/trio-lua bench/files.lua
--
-- Environment: QUICK=1 for 32 MiB, TURNS=n, TMPDIR for the place of the file.
local trio = require "trio"

local SIZE = 65536
local quick = (os.getenv "QUICK" or "") ~= ""
local pieces = (quick and 32 or 256) * 1048576 // SIZE
local turns = tonumber(os.getenv "TURNS") or (quick and 3 or 7)
local floor = os.getenv "FLOOR_FILES"
  or (arg[-1]:match "^(.*)/[^/]*$" or ".") .. "/bench/floor_files"
local path = (os.getenv "TMPDIR" or "/tmp") .. "/trio-bench-" .. os.time()

local function make_file()
  local file = assert(io.open(path, "wb"))
  local piece = ("0123456789abcdef"):rep(SIZE // 16)
  for _ = 1, pieces do assert(file:write(piece)) end
  file:close()
end

local function check(count)
  assert(count == pieces, "the file was not read to its end")
end

local measures = {}

function measures.trio()
  local start, count = trio.current_time(), 0
  local file <close> = trio.open_file(path, "rb")
  while file:read(SIZE) do count = count + 1 end
  check(count)
  return trio.current_time() - start
end

function measures.io()
  local start, count = trio.current_time(), 0
  local file <close> = assert(io.open(path, "rb"))
  while file:read(SIZE) do count = count + 1 end
  check(count)
  return trio.current_time() - start
end

function measures.c()
  local pipe = assert(io.popen(("%s '%s' %d"):format(floor, path, SIZE)))
  local seconds = pipe:read "n"
  assert(pipe:close() and seconds, "the floor failed")
  return seconds
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function main()
  make_file()
  local names = {"c", "io", "trio"}
  local times = {c = {}, io = {}, trio = {}}
  for turn = 1, turns do
    for _, name in ipairs(names) do
      collectgarbage()
      times[name][turn] = measures[name]()
    end
  end
  local base = median(times.c)
  print(("read %d MiB in %d-KiB pieces, medians of %d turns"):format(
    pieces * SIZE // 1048576, SIZE // 1024, turns))
  for _, name in ipairs(names) do
    local seconds = median(times[name])
    print(("%-24s %8.1f ms  ratio %.2f"):format(
      ({c = "read(2) in C", io = "Lua's io", trio = "trio.open_file"})[name],
      seconds * 1000, seconds / base))
  end
end

local ok, err = pcall(trio.run, main)
os.remove(path)
if not ok then error(err, 0) end
