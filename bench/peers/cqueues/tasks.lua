-- SPDX-License-Identifier: MIT
-- The workloads of tasks.lua with cqueues. Prints what that prints.
--
--   lua5.4 tasks.lua WORKLOAD TASKS ROUNDS
local cqueues = require "cqueues"
local condition = require "cqueues.condition"

local clock, sleep = os.clock, cqueues.sleep
local controller = cqueues.new()

-- Runs fn(i) in `count` coroutines and waits for all.
local function together(count, fn)
  local left, none = count, condition.new()
  for i = 1, count do
    controller:wrap(function()
      fn(i)
      left = left - 1
      if left == 0 then none:signal() end
    end)
  end
  while left > 0 do none:wait() end
end

local function resident_bytes()
  local file = assert(io.open "/proc/self/statm")
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

local function finish(value)
  print(value)
  io.stdout:flush()
  os.exit(true, false)
end

local function report(start, operations)
  finish((clock() - start) * 1e9 / operations)
end

-- A buffer and two conditions; it can't be smaller than one value.
local function channel(producers, each, limit)
  limit = math.max(limit, 1)
  local values, first, count, sum = {}, 0, 0, 0
  local has_value, has_room = condition.new(), condition.new()
  local start = clock()
  local function produce()
    for k = 1, each do
      while count == limit do has_room:wait() end
      values[(first + count) % limit] = k
      count = count + 1
      has_value:signal(1)
    end
  end
  local function consume()
    for _ = 1, producers * each do
      while count == 0 do has_value:wait() end
      sum = sum + values[first]
      first, count = (first + 1) % limit, count - 1
      has_room:signal(1)
    end
  end
  together(producers + 1, function(i)
    if i == 1 then consume() else produce() end
  end)
  assert(sum == producers * each * (each + 1) // 2)
  report(start, producers * each)
end

local workloads = {}

function workloads.checkpoint(tasks, rounds)
  local start = clock()
  together(tasks, function()
    for _ = 1, rounds do sleep(0) end
  end)
  report(start, tasks * rounds)
end

function workloads.spawn(tasks, rounds)
  local function nothing() end
  local start = clock()
  for _ = 1, rounds do together(tasks, nothing) end
  report(start, tasks * rounds)
end

function workloads.sleep(tasks)
  math.randomseed(1)
  local start = cqueues.monotime()
  together(tasks, function() sleep(math.random() * 0.1) end)
  finish(cqueues.monotime() - start)
end

function workloads.sleep_mem(tasks)
  local before, asleep = resident_bytes(), 0
  for _ = 1, tasks do
    controller:wrap(function()
      asleep = asleep + 1
      sleep(1000)
    end)
  end
  repeat sleep(0.01) until asleep == tasks
  finish((resident_bytes() - before) / tasks)
end

-- By hand: all wait for a condition too, and raise an error when it comes.
function workloads.cancel_wide(tasks)
  local cancelled, none = condition.new(), condition.new()
  local asleep, left = 0, tasks
  for _ = 1, tasks do
    controller:wrap(function()
      local ok, err = pcall(function()
        asleep = asleep + 1
        if cqueues.poll(cancelled, 1000) == cancelled then
          error("Cancelled", 0)
        end
      end)
      assert(not ok and err == "Cancelled")
      left = left - 1
      if left == 0 then none:signal() end
    end)
  end
  repeat sleep(0.01) until asleep == tasks
  local start = clock()
  cancelled:signal()
  while left > 0 do none:wait() end
  report(start, tasks)
end

function workloads.channel0(tasks, rounds) channel(tasks, rounds, 0) end
function workloads.channel1024(tasks, rounds) channel(tasks, rounds, 1024) end
workloads.fan = workloads.channel0

local name, tasks, rounds = ...
tasks, rounds = math.tointeger(tasks), math.tointeger(rounds)
controller:wrap(function() workloads[name](tasks, rounds) end)
assert(controller:loop())
