-- SPDX-License-Identifier: MIT
-- Runs the measures of tasks.lua and floor.c by turns, each in a process of
-- its own, and prints the medians with their ratio; then those of channels.lua
-- and floor_channel.c. Neighbours in time share whatever else the machine
-- does, so the ratio is taken pair by pair. It judges nothing: a slow machine
-- is no failure. An unfinished measure is.
--
--   build/trio-lua bench/run.lua [MEASURE...]
--
-- Environment: QUICK=1 for a short run, PAIRS=n for the number of turns,
-- FLOOR for the program of floor.c; that of floor_channel.c stands beside it.
-- Ours is the interpreter that runs this.
local ours = arg[-1]
local floor = os.getenv "FLOOR"
  or (ours:match "^(.*)/[^/]*$" or ".") .. "/bench/floor"
local quick = (os.getenv "QUICK" or "") ~= ""
local pairs_wanted = tonumber(os.getenv "PAIRS") or (quick and 3 or 7)
local here = arg[0]:match "^(.*)/[^/]*$" or "."

-- `work`: operations in one process, divided by the number of tasks.
local measures = {
  { name = "checkpoint", title = "checkpoint", unit = "ns",
    tasks = { 10, 1000, 100000 }, work = 4000000, aim = "ratio <= 1.6" },
  { name = "spawn", title = "spawn and join a task", unit = "ns",
    tasks = { 10, 1000, 100000 }, work = 400000, aim = "ratio <= 1.6" },
  { name = "timeout", title = "move_on_after around a checkpoint",
    unit = "ns", tasks = { 10, 1000, 100000 }, work = 1000000 },
  { name = "cancel", title = "cancel a sleeping task", unit = "ns",
    tasks = { 10, 1000, 100000 }, work = 100000 },
  { name = "nested", title = "scope inside others, that many deep",
    unit = "ns", tasks = { 10, 100, 1000 }, work = 400000 },
  { name = "memory", title = "sleeping task", unit = "B",
    tasks = { 1000, 100000 }, work = 1, aim = "<= 2000 B" },
}

-- `work`: operations in one process.
local channels = {
  { name = "pingpong", title = "message, buffer 0, there and back",
    tasks = 2, work = 1000000, aim = "checkpoints <= 3" },
  { name = "throughput", title = "message, buffer 1024", tasks = 2,
    work = 1000000, aim = "checkpoints <= 2" },
  { name = "fan_in", title = "message, 1000 producers", tasks = 1001,
    work = 1000000 },
  { name = "lock", title = "lock, acquire and release", tasks = 1,
    work = 1000000 },
  { name = "contended", title = "lock, contended", tasks = 10,
    work = 1000000 },
}

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- The numbers that a measure prints (one or two), or nil when it failed.
local function measured(program, name, tasks, rounds)
  local command = ("%s %s %d %d"):format(program, name, tasks, rounds)
  local pipe = assert(io.popen(command))
  local value, second = pipe:read("n", "n")
  local good = pipe:close()
  if not good then return nil end
  return value, second
end

local function median(list)
  table.sort(list)
  local middle = #list // 2
  if #list % 2 == 1 then return list[middle + 1] end
  return (list[middle] + list[middle + 1]) / 2
end

local function number(value)
  return (value < 99.95 and "%.1f" or "%.0f"):format(value)
end

-- One line of the table; returns our cost, or nil on failure.
local function compare(measure, tasks, cost_of_few)
  local work = quick and measure.work / 5 or measure.work
  if measure.name == "cancel" and tasks < 100 then work = work / 5 end
  local rounds = math.max(1, math.floor(work / tasks))
  local label = ("%-36s %7d"):format(measure.title, tasks)
  local lists = { ours = {}, floor = {}, ratio = {} }
  for i = 1, pairs_wanted do
    local a = measured(quoted(ours) .. " " .. quoted(here .. "/tasks.lua"),
      measure.name, tasks, rounds)
    local b = measured(quoted(floor), measure.name, tasks, rounds)
    if not a or not b then
      print(label .. "  failed: " .. (a and "floor" or "trio-lua"))
      return nil
    end
    lists.ours[i], lists.floor[i], lists.ratio[i] = a, b, a / b
  end
  local cost = median(lists.ours)
  print(("%s %8s %8s %-2s %6.2f %7.2f  %s"):format(label, number(cost),
    number(median(lists.floor)), measure.unit, median(lists.ratio),
    cost / (cost_of_few or cost), measure.aim or ""))
  return cost
end

-- The same for a measure of channels.lua; returns whether it went well.
local function compare_channels(measure)
  local work = quick and measure.work / 5 or measure.work
  local rounds = math.max(1, math.floor(work / measure.tasks))
  local label = ("%-34s %5d"):format(measure.title, measure.tasks)
  local names = { "ours", "fair", "bare", "fair_ratio", "bare_ratio",
    "checkpoints" }
  local lists = {}
  for _, name in ipairs(names) do lists[name] = {} end
  for i = 1, pairs_wanted do
    local cost, checkpoint = measured(quoted(ours) .. " "
      .. quoted(here .. "/channels.lua"), measure.name, measure.tasks, rounds)
    local fair, bare = measured(quoted(floor .. "_channel"), measure.name,
      measure.tasks, rounds)
    if not checkpoint or not bare then
      print(label .. "  failed: " .. (checkpoint and "floor" or "trio-lua"))
      return false
    end
    lists.ours[i], lists.fair[i], lists.bare[i] = cost, fair, bare
    lists.fair_ratio[i], lists.bare_ratio[i] = cost / fair, cost / bare
    lists.checkpoints[i] = cost / checkpoint
  end
  for _, name in ipairs(names) do lists[name] = median(lists[name]) end
  print(("%s %8s %6s %6s ns %6.2f %6.2f %8.2f  %s"):format(label,
    number(lists.ours), number(lists.fair), number(lists.bare),
    lists.fair_ratio, lists.bare_ratio, lists.checkpoints,
    measure.aim or ""))
  return true
end

local function is_wanted(name)
  for _, wanted in ipairs(arg) do if wanted == name then return true end end
  return #arg == 0
end

io.stdout:setvbuf "line"
print(("Processor time and memory against bare Lua coroutines in C; "
  .. "medians of %d turns."):format(pairs_wanted))
print(("%-36s %7s %8s %8s    %6s %7s  %s"):format("", "tasks", "trio-lua",
  "floor", "ratio", "growth", "aim"))
local failures = 0
for _, measure in ipairs(measures) do
  local cost_of_few
  for _, tasks in ipairs(is_wanted(measure.name) and measure.tasks or {}) do
    local cost = compare(measure, tasks, cost_of_few)
    cost_of_few = cost_of_few or cost
    if not cost then failures = failures + 1 end
  end
end
print("growth: cost with that many tasks over cost with the fewest; "
  .. "flat is 1.00")
print(("\n%-34s %5s %8s %6s %6s    %6s %6s %8s  %s"):format("", "tasks",
  "trio-lua", "fair", "bare", "/fair", "/bare", "/checkp.", "aim"))
for _, measure in ipairs(channels) do
  if is_wanted(measure.name) and not compare_channels(measure) then
    failures = failures + 1
  end
end
print("fair: every operation goes through the queue of ready tasks once; "
  .. "bare: only if it\nhas to wait. checkp.: a checkpoint among as many "
  .. "tasks, measured in the same run")
os.exit(failures == 0)
