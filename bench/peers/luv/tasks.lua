-- SPDX-License-Identifier: MIT
-- The workloads of tasks.lua with luv, which has callbacks but no tasks: with
-- the few lines of scheduler and channel that one writes on top of it.
--
--   lua5.4 tasks.lua WORKLOAD TASKS ROUNDS      prints what tasks.lua prints
local uv = require "luv"

local yield, running = coroutine.yield, coroutine.running
local clock = os.clock

-- Coroutines that may go on, run by an idle handle while there are any.
local ready, last, idle = {}, 0, uv.new_idle()

local function turn()
  local now, count = ready, last
  ready, last = {}, 0
  for i = 1, count do
    local ok, message = coroutine.resume(now[i])
    if not ok then error(message, 0) end
  end
  if last == 0 then idle:stop() end
end

local function wake(co)
  last = last + 1
  ready[last] = co
  if last == 1 then idle:start(turn) end
end

local function checkpoint()
  wake(running())
  yield()
end

-- Runs fn(i) in `count` coroutines and waits for all.
local function together(count, fn)
  local waiter, left = running(), count
  for i = 1, count do
    wake(coroutine.create(function()
      fn(i)
      left = left - 1
      if left == 0 then wake(waiter) end
    end))
  end
  yield()
end

-- Returns what it is woken with; `sleepers` notes who sleeps, if it is there.
local function sleep(seconds, sleepers, i)
  local co, timer = running(), uv.new_timer()
  timer:start(math.ceil(seconds * 1000), 0, function()
    timer:close()
    wake(co)
  end)
  if sleepers then sleepers[i] = {co = co, timer = timer} end
  return yield()
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

local function new_line()
  local items, first, after = {}, 1, 1
  local line = {}
  function line.add(value)
    items[after] = value
    after = after + 1
  end
  function line.take()
    local value = items[first]
    if value == nil then return nil end
    items[first] = nil
    first = first + 1
    return value
  end
  return line
end

local function new_channel(free)
  local held, senders, receivers = new_line(), new_line(), new_line()
  local function send(value)
    local receiver = receivers.take()
    if receiver then
      receiver.value = value
      wake(receiver.co)
    elseif free > 0 then
      free = free - 1
      held.add(value)
    else
      senders.add {co = running(), value = value}
      yield()
    end
  end
  local function receive()
    local value, sender = held.take(), senders.take()
    if sender then
      wake(sender.co)
      if value == nil then return sender.value end
      held.add(sender.value)
      return value
    end
    if value ~= nil then
      free = free + 1
      return value
    end
    local receiver = {co = running()}
    receivers.add(receiver)
    yield()
    return receiver.value
  end
  return send, receive
end

local function channel(producers, each, limit)
  local send, receive = new_channel(limit)
  local sum, total = 0, producers * each
  local start = clock()
  together(producers + 1, function(i)
    if i > 1 then
      for k = 1, each do send(k) end
    else
      for _ = 1, total do sum = sum + receive() end
    end
  end)
  assert(sum == producers * each * (each + 1) // 2)
  report(start, total)
end

local workloads = {}

function workloads.checkpoint(tasks, rounds)
  local start = clock()
  together(tasks, function()
    for _ = 1, rounds do checkpoint() end
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
  local start = uv.hrtime()
  together(tasks, function() sleep(math.random() * 0.1) end)
  finish((uv.hrtime() - start) / 1e9)
end

function workloads.sleep_mem(tasks)
  local before = resident_bytes()
  for _ = 1, tasks do
    wake(coroutine.create(function() sleep(1000) end))
  end
  checkpoint()
  finish((resident_bytes() - before) / tasks)
end

-- By hand: all are woken with an error to raise.
function workloads.cancel_wide(tasks)
  local sleepers, waiter, left = {}, running(), tasks
  for i = 1, tasks do
    wake(coroutine.create(function()
      local ok, err = pcall(function()
        if sleep(1000, sleepers, i) then error("Cancelled", 0) end
      end)
      assert(not ok and err == "Cancelled")
      left = left - 1
      if left == 0 then wake(waiter) end
    end))
  end
  checkpoint()
  local start = clock()
  for i = 1, tasks do
    sleepers[i].timer:close()
    assert(coroutine.resume(sleepers[i].co, true))
  end
  yield()
  report(start, tasks)
end

-- One timer, started and stopped around each checkpoint.
function workloads.timeout(_, rounds)
  local timer = uv.new_timer()
  local function late() error "late" end
  local start = clock()
  for _ = 1, rounds do
    timer:start(1000, 0, late)
    checkpoint()
    timer:stop()
  end
  report(start, rounds)
end

function workloads.channel0(tasks, rounds) channel(tasks, rounds, 0) end
function workloads.channel1024(tasks, rounds) channel(tasks, rounds, 1024) end
workloads.fan = workloads.channel0

local name, tasks, rounds = ...
tasks, rounds = math.tointeger(tasks), math.tointeger(rounds)
wake(coroutine.create(function() workloads[name](tasks, rounds) end))
uv.run()
