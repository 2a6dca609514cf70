-- SPDX-License-Identifier: MIT
-- The workloads of floor.c and floor_channel.c, done with trio-lua; run.lua
-- starts both, and compares.
--
--   trio-lua bench/tasks.lua WORKLOAD TASKS ROUNDS
--
-- Prints one number: nanoseconds of processor time per operation; for sleep
-- the seconds that went by, for sleep_mem and channel_mem bytes.
local trio = require "trio"

local checkpoint = trio.lowlevel.checkpoint
local move_on_after = trio.move_on_after
local open_channel = trio.open_memory_channel
local open_nursery = trio.open_nursery
local clock = os.clock

local FAR = 1000  -- seconds; no deadline here is ever reached

local function report(seconds, operations)
  print(("%.6g"):format(seconds * 1e9 / operations))
end

local function resident_bytes()
  local file = assert(io.open "/proc/self/statm")
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

-- Without taking the tasks down, which is no part of any workload.
local function finish(value)
  print(("%.6g"):format(value))
  os.exit(true, false)
end

-- All tasks in turn, one operation each per round; this task is one of them.
-- `work(n)` does n operations. Starting and joining is not in the price.
local function run_steps(tasks, rounds, work)
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
  trio.testing.wait_all_tasks_blocked()
end

local workloads = {}

function workloads.checkpoint(tasks, rounds)
  run_steps(tasks, rounds, function(n)
    for _ = 1, n do checkpoint() end
  end)
end

function workloads.timeouts(tasks, rounds)
  run_steps(tasks, rounds, function(n)
    for _ = 1, n do move_on_after(FAR, checkpoint) end
  end)
end

function workloads.timeout(_, rounds)
  local start = clock()
  for _ = 1, rounds do move_on_after(1, checkpoint) end
  report(clock() - start, rounds)
end

-- Started with lua5.4 and without trio.install, this makes a coroutine for
-- each task; trio-lua itself uses those of ended tasks again.
function workloads.spawn(tasks, rounds)
  local function nothing() end
  local function body(nursery)
    for _ = 1, tasks do nursery:start_soon(nothing) end
  end
  collectgarbage()
  local start = clock()
  for _ = 1, rounds do open_nursery(body) end
  report(clock() - start, rounds * tasks)
end

function workloads.cancel_wide(tasks, rounds)
  local seconds = 0
  for _ = 1, rounds do
    local start
    open_nursery(function(nursery)
      sleepers(nursery, tasks)
      start = clock()
      nursery.cancel_scope:cancel()
    end)
    seconds = seconds + clock() - start
  end
  report(seconds, rounds * tasks)
end

-- Here the number of tasks is the number of scopes inside each other.
function workloads.cancel_deep(depth, rounds)
  local function nest(k)
    if k == 0 then return checkpoint() end
    move_on_after(1, function() nest(k - 1) end)
  end
  local start = clock()
  for _ = 1, rounds do nest(depth) end
  report(clock() - start, rounds * depth)
end

function workloads.sleep(tasks)
  math.randomseed(1)
  local random, sleep = math.random, trio.sleep
  local start = trio.current_time()
  open_nursery(function(nursery)
    for _ = 1, tasks do nursery:start_soon(sleep, random() * 0.1) end
  end)
  print(trio.current_time() - start)
end

function workloads.sleep_mem(tasks)
  open_nursery(function(nursery)
    local before = resident_bytes()
    sleepers(nursery, tasks)
    finish((resident_bytes() - before) / tasks)
  end)
end

-- `producers` tasks send `each` numbers, this task receives them.
local function channel(producers, each, limit)
  local send, receive = open_channel(limit)
  local sum, total = 0, producers * each
  local function produce()
    for i = 1, each do send:send(i) end
  end
  local start = clock()
  open_nursery(function(nursery)
    for _ = 1, producers do nursery:start_soon(produce) end
    for _ = 1, total do sum = sum + receive:receive() end
  end)
  assert(sum == producers * each * (each + 1) // 2)
  report(clock() - start, total)
end

function workloads.channel0(producers, each) channel(producers, each, 0) end
function workloads.channel1024(producers, each)
  channel(producers, each, 1024)
end
workloads.fan = workloads.channel0

function workloads.lock(tasks, rounds)
  local lock = trio.Lock()
  run_steps(tasks, rounds, function(n)
    for _ = 1, n do
      lock:acquire()
      lock:release()
    end
  end)
end

-- One task uses that many channels in turn: a value in, a value out.
function workloads.channels(count, rounds)
  local sends, receives = {}, {}
  for i = 1, count do sends[i], receives[i] = open_channel(1) end
  local start = clock()
  for round = 1, rounds do
    for i = 1, count do
      sends[i]:send(round)
      receives[i]:receive()
    end
  end
  report(clock() - start, rounds * count)
end

function workloads.channel_mem(count)
  local before, kept = resident_bytes(), {}
  for i = 1, count do kept[i] = {open_channel(1)} end
  finish((resident_bytes() - before) / #kept)
end

-- What a nursery with one task costs, and a timeout around it, while that many
-- tasks sleep.
function workloads.beside_sleepers(tasks, rounds)
  local function nothing() end
  local function body(nursery) nursery:start_soon(nothing) end
  local function work() open_nursery(body) end
  open_nursery(function(nursery)
    sleepers(nursery, tasks)
    local start = clock()
    for _ = 1, rounds do move_on_after(1, work) end
    finish((clock() - start) * 1e9 / rounds)
  end)
end

-- A message there and back through the kernel, between two tasks.
function workloads.stream(_, rounds)
  local a, b = trio.socket.socketpair()
  local near, far = trio.SocketStream(a), trio.SocketStream(b)
  local start = clock()
  open_nursery(function(nursery)
    nursery:start_soon(function()
      for data in far do far:send_all(data) end
    end)
    for _ = 1, rounds do
      near:send_all "0123456789abcdef"
      near:receive_some()
    end
    near:aclose()
  end)
  report(clock() - start, rounds)
end

local name, tasks, rounds = ...
local work = workloads[name] or error("no workload " .. tostring(name), 0)
trio.run(work, math.tointeger(tasks), math.tointeger(rounds))
