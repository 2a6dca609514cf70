-- SPDX-License-Identifier: MIT
-- The measures of floor.c, done with trio-lua. Each prints the processor time
-- per operation in nanoseconds, or bytes; run.lua starts it and compares.
--
--   trio-lua bench/tasks.lua MEASURE TASKS ROUNDS
local trio = require "trio"

local checkpoint = trio.lowlevel.checkpoint
local move_on_after = trio.move_on_after
local open_nursery = trio.open_nursery
local clock = os.clock

local FAR = 1000  -- seconds; no deadline here is ever reached

local function report(seconds, operations)
  print(("%.6g"):format(seconds * 1e9 / operations))
end

local function resident_bytes()
  local file = assert(io.open("/proc/self/status"))
  local kilobytes = file:read("a"):match("VmRSS:%s*(%d+) kB")
  file:close()
  return tonumber(kilobytes) * 1024
end

-- All tasks in turn, one operation each per round; this task is one of them.
-- `work(n)` does n operations. Starting and joining is not in the price.
local function measure_steps(tasks, rounds, work)
  open_nursery(function(nursery)
    for _ = 2, tasks do nursery:start_soon(work, rounds + 2) end
    work(1)
    local start = clock()
    work(rounds)
    report(clock() - start, rounds * tasks)
  end)
end

local function sleepers(nursery, tasks)
  for _ = 1, tasks do nursery:start_soon(trio.sleep, FAR) end
  checkpoint()  -- they were scheduled before this task, so now all sleep
end

local measures = {}

function measures.checkpoint(tasks, rounds)
  measure_steps(tasks, rounds, function(n)
    for _ = 1, n do checkpoint() end
  end)
end

function measures.timeout(tasks, rounds)
  measure_steps(tasks, rounds, function(n)
    for _ = 1, n do move_on_after(FAR, checkpoint) end
  end)
end

function measures.spawn(tasks, rounds)
  local function nothing() end
  local function body(nursery)
    for _ = 1, tasks do nursery:start_soon(nothing) end
  end
  collectgarbage()
  local start = clock()
  for _ = 1, rounds do open_nursery(body) end
  report(clock() - start, rounds * tasks)
end

function measures.cancel(tasks, rounds)
  local seconds = 0
  for _ = 1, rounds do
    local start
    open_nursery(function(nursery)
      sleepers(nursery, tasks)
      collectgarbage()
      start = clock()
      nursery.cancel_scope:cancel()
    end)
    seconds = seconds + clock() - start
  end
  report(seconds, rounds * tasks)
end

-- Here the number of tasks is the number of scopes inside each other.
function measures.nested(depth, rounds)
  local function nest(k)
    if k == 0 then return checkpoint() end
    move_on_after(FAR, function() nest(k - 1) end)
  end
  local start = clock()
  for _ = 1, rounds do nest(depth) end
  report(clock() - start, rounds * depth)
end

function measures.memory(tasks)
  open_nursery(function(nursery)
    local before = resident_bytes()
    sleepers(nursery, tasks)
    print(("%.6g"):format((resident_bytes() - before) / tasks))
    nursery.cancel_scope:cancel()
  end)
end

local name, tasks, rounds = ...
local measure = measures[name] or error("no measure " .. tostring(name), 0)
trio.run(measure, math.tointeger(tasks), math.tointeger(rounds))
