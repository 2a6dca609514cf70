-- SPDX-License-Identifier: MIT
-- Demonstration: many tasks count the words of this project's own files.
--
--   make demo                              or
--   trio-lua examples/demo.lua [FILE...]   with files of your own
--
-- Three rounds: everything goes well; one file is missing; time runs out.

local trio = require "trio"

local SLICE = 512  -- bytes that a task reads before the others get a turn

local MissingFile = trio.Error:subclass("MissingFile")

-- Reads a file slice by slice into `tally`; a checkpoint after each slice lets
-- the other tasks run, and is where a cancellation can stop this one.
local function count(path, tally)
  local file <close>, problem = io.open(path, "rb")
  if not file then error(MissingFile(problem)) end
  local inside = false  -- does the text so far end within a word?
  for slice in function() return file:read(SLICE) end do
    local _, lines = slice:gsub("\n", "")
    local _, words = slice:gsub("%S+", "")
    if inside and slice:find("^%S") then words = words - 1 end
    inside = slice:find("%S$") ~= nil
    tally.lines = tally.lines + lines
    tally.words = tally.words + words
    tally.bytes = tally.bytes + #slice
    tally.slices = tally.slices + 1
    trio.lowlevel.checkpoint()
  end
end

local function new_tally()
  return {lines = 0, words = 0, bytes = 0, slices = 0}
end

-- One task for each file. The tallies are filled as the work goes on, so they
-- are of use even if the nursery raises.
local function count_all(paths, tallies)
  local finished = 0
  trio.open_nursery(function(nursery)
    for _, path in ipairs(paths) do
      local tally = new_tally()
      tallies[path] = tally
      nursery:start_soon({name = path}, function()
        count(path, tally)
        finished = finished + 1
        tally.place = finished
      end)
    end
  end)
end

local function print_row(...)
  local row = ("   %-30s %7s %7s %8s %7s   %s"):format(...)
  print((row:gsub(" +$", "")))
end

local function print_table(paths, tallies)
  local sum = new_tally()
  print_row("file", "lines", "words", "bytes", "slices", "finished as")
  for _, path in ipairs(paths) do
    local t = tallies[path]
    print_row(path, t.lines, t.words, t.bytes, t.slices,
              t.place and "number " .. t.place or "stopped")
    for name in pairs(sum) do sum[name] = sum[name] + t[name] end
  end
  print_row("all together", sum.lines, sum.words, sum.bytes, sum.slices, "")
end

local function indented(text)
  return "   " .. text:gsub("\n+$", ""):gsub("\n", "\n   ")
end

local function round_one(paths)
  print("1. " .. #paths .. " files, a task for each; they take turns\n")
  local tallies = {}
  count_all(paths, tallies)
  print_table(paths, tallies)
end

local function round_two(paths)
  print("\n2. The same with a file that does not exist: its task fails, the " ..
        "nursery\n   stops all others, and nothing is lost on the way\n")
  local with_missing = {table.unpack(paths)}
  table.insert(with_missing, "no/such/file.txt")
  local tallies = {}
  local ok, err = trio.pcall(count_all, with_missing, tallies)
  assert(not ok, "the missing file went unnoticed")
  print(indented(tostring(err)))
  local finished, stopped = 0, 0
  for _, path in ipairs(paths) do
    if tallies[path].place then
      finished = finished + 1
    else
      stopped = stopped + 1
    end
  end
  print(("\n   other tasks stopped on the way: %d, finished before: %d"):format(
    stopped, finished))
end

-- Count one file again and again, as a task that would never end.
local function count_forever(path, tally)
  while true do count(path, tally) end
end

local function round_three(paths)
  print("\n3. Two tasks that would never end, and a deadline: half a " ..
        "second\n")
  local tally = new_tally()
  local started = trio.current_time()
  local scope = trio.move_on_after(0.5, function()
    trio.open_nursery(function(nursery)
      for i = 1, math.min(2, #paths) do
        local path = paths[i]
        nursery:start_soon({name = path}, count_forever, path, tally)
      end
      trio.sleep(0.05)
      local me = trio.lowlevel.current_task()
      print("   after a tenth of the time, the tree of tasks is:")
      print(indented((trio.lowlevel.task_tree(me):gsub(" 0x%x+", ""))))
    end)
  end)
  print(("\n   %d words in %d slices; stopped by the deadline: %s, after " ..
         "%.2f seconds"):format(tally.words, tally.slices,
                                scope.cancelled_caught and "yes" or "no",
                                trio.current_time() - started))
end

-- The files to count: those of the command line, else some of the project.
local function find_files()
  if #arg > 0 then return arg end
  local root = arg[0]:match("^(.*)/examples/[^/]*$")
  local cd = root and ("cd '%s' && "):format(root) or ""
  local paths = {}
  local list <close> = assert(io.popen(cd .. "ls README.md Makefile docs/*.md"))
  for path in list:lines() do
    paths[#paths + 1] = (root and root .. "/" or "") .. path
  end
  return paths
end

trio.run(function()
  local paths = find_files()
  round_one(paths)
  round_two(paths)
  round_three(paths)
end)
