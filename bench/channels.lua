-- SPDX-License-Identifier: MIT
-- The measures of floor_channel.c, done with trio-lua. Each prints the
-- processor time of a message, or of taking and giving back a lock, and that
-- of a checkpoint among as many tasks, in nanoseconds; run.lua starts it.
--
--   trio-lua bench/channels.lua MEASURE TASKS ROUNDS
local trio = require "trio"

local checkpoint = trio.lowlevel.checkpoint
local open = trio.open_memory_channel
local clock = os.clock

-- fn(n) in that many tasks; the time that n rounds of all take together, per
-- round of one task.
local function timed(tasks, rounds, fn)
  local start
  trio.open_nursery(function(nursery)
    for i = 1, tasks do nursery:start_soon(fn, rounds, i) end
    start = clock()
  end)
  return (clock() - start) * 1e9 / (rounds * tasks)
end

local function checkpoints(n)
  for _ = 1, n do checkpoint() end
end

local measures = {}

-- Two tasks, two channels: a message there, and one back.
function measures.pingpong(_, rounds)
  local there, here = open(0)
  local back, answer = open(0)
  return timed(2, rounds, function(n, i)
    if i == 1 then
      for _ = 1, n do
        there:send(1)
        answer:receive()
      end
    else
      for _ = 1, n do
        here:receive()
        back:send(2)
      end
    end
  end)
end

-- tasks - 1 producers, one consumer, a buffer of 1,024.
function measures.throughput(tasks, rounds)
  local send, receive = open(1024)
  local producers = tasks - 1
  local each = rounds * tasks // producers
  local start
  trio.open_nursery(function(nursery)
    for _ = 1, producers do
      nursery:start_soon(function()
        for i = 1, each do send:send(i) end
      end)
    end
    start = clock()
    for _ = 1, each * producers do receive:receive() end
  end)
  return (clock() - start) * 1e9 / (each * producers)
end

measures.fan_in = measures.throughput

function measures.lock(tasks, rounds)
  local lock = trio.Lock()
  return timed(tasks, rounds, function(n)
    for _ = 1, n do
      lock:acquire()
      lock:release()
    end
  end)
end

measures.contended = measures.lock

local name, tasks, rounds = ...
local measure = measures[name] or error("no measure " .. tostring(name), 0)
tasks, rounds = math.tointeger(tasks), math.tointeger(rounds)
trio.run(function()
  local before = timed(tasks, rounds, checkpoints)
  local cost = measure(tasks, rounds)
  local after = timed(tasks, rounds, checkpoints)
  print(("%.6g %.6g"):format(cost, (before + after) / 2))
end)
