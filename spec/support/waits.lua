-- SPDX-License-Identifier: MIT
-- Every way to wait for a synchronization primitive or a channel, as a table
-- for specs that check what all of them promise.

local trio = require "trio"
local assert = require "luassert"
local lowlevel = trio.lowlevel

-- Each entry makes a fresh situation of:
--   call()     the wait under test; undoes at once what it got
--   ready()    the same where it needn't wait (by default `call`; false: it
--              always waits)
--   same()     asserts that ready(), when it was cancelled, changed nothing
--   block()    main makes `call` wait from now on
--   wake()     main lets one waiting call go on
--   waiting()  how many tasks wait
--   fresh()    asserts that all is as it was after block()
local waits = {
  {name = "Event:wait", make = function()
    local event, set = trio.Event(), trio.Event()
    set:set()
    return {
      call = function() event:wait() end,
      ready = function() set:wait() end,
      wake = function() event:set() end,
      waiting = function() return event:statistics().tasks_waiting end,
    }
  end},
  {name = "ParkingLot:park", make = function()
    local lot = lowlevel.ParkingLot()
    return {
      call = function() lot:park() end,
      ready = false,
      wake = function() assert.equal(1, #lot:unpark()) end,
      waiting = function() return #lot end,
    }
  end},
}

local function add(name, make)
  waits[#waits + 1] = {name = name, make = make}
end

for _, kind in ipairs {"Lock", "StrictFIFOLock"} do
  local function situation(lock, call)
    return {
      call = call,
      block = function() lock:acquire_nowait() end,
      wake = function() lock:release() end,
      waiting = function() return lock:statistics().tasks_waiting end,
      same = function() assert.is_false(lock:locked()) end,
      fresh = function()
        assert.equal(lowlevel.current_task(), lock:statistics().owner)
      end,
    }
  end
  add("Lock:acquire", function()
    local lock = trio[kind]()
    return situation(lock, function()
      lock:acquire()
      assert.equal(lowlevel.current_task(), lock:statistics().owner)
      lock:release()
    end)
  end)
  add("Lock:with", function()
    local lock = trio[kind]()
    return situation(lock, function()
      lock:with(function()
        assert.equal(lowlevel.current_task(), lock:statistics().owner)
      end)
    end)
  end)
end

local function counted(semaphore, call)
  return {
    call = call,
    block = function() semaphore:acquire_nowait() end,
    wake = function() semaphore:release() end,
    waiting = function() return semaphore:statistics().tasks_waiting end,
    same = function() assert.equal(1, semaphore.value) end,
    fresh = function() assert.equal(0, semaphore.value) end,
  }
end

add("Semaphore:acquire", function()
  local semaphore = trio.Semaphore(1, {max_value = 1})
  return counted(semaphore, function()
    semaphore:acquire()
    semaphore:release()
  end)
end)

add("Semaphore:with", function()
  local semaphore = trio.Semaphore(1, {max_value = 1})
  return counted(semaphore, function() semaphore:with(function() end) end)
end)

local function borrowed(limiter, call)
  return {
    call = call,
    block = function() limiter:acquire_on_behalf_of_nowait("main") end,
    wake = function() limiter:release_on_behalf_of("main") end,
    waiting = function() return limiter:statistics().tasks_waiting end,
    same = function()
      assert.equal(0, limiter.borrowed_tokens)
      assert.same({}, limiter:statistics().borrowers)
    end,
    fresh = function()
      assert.equal(1, limiter.borrowed_tokens)
      assert.same({"main"}, limiter:statistics().borrowers)
    end,
  }
end

add("CapacityLimiter:acquire", function()
  local limiter = trio.CapacityLimiter(1)
  return borrowed(limiter, function()
    limiter:acquire()
    assert.same({lowlevel.current_task()}, limiter:statistics().borrowers)
    limiter:release()
  end)
end)

add("CapacityLimiter:acquire", function()
  local limiter = trio.CapacityLimiter(1)
  return borrowed(limiter, function()
    local borrower = {}
    limiter:acquire_on_behalf_of(borrower)
    assert.equal(borrower, limiter:statistics().borrowers[1])
    limiter:release_on_behalf_of(borrower)
  end)
end)

add("CapacityLimiter:with", function()
  local limiter = trio.CapacityLimiter(1)
  return borrowed(limiter, function()
    limiter:with(function()
      assert.same({lowlevel.current_task()}, limiter:statistics().borrowers)
    end)
  end)
end)

local function conditional(condition, call)
  return {
    call = call,
    block = function() condition:acquire_nowait() end,
    wake = function() condition:release() end,
    waiting = function()
      return condition:statistics().lock_statistics.tasks_waiting
    end,
    same = function() assert.is_false(condition:locked()) end,
    fresh = function()
      assert.equal(lowlevel.current_task(),
        condition:statistics().lock_statistics.owner)
    end,
  }
end

add("Condition:acquire", function()
  local condition = trio.Condition()
  return conditional(condition, function()
    condition:acquire()
    condition:release()
  end)
end)

add("Condition:with", function()
  local condition = trio.Condition()
  return conditional(condition, function()
    condition:with(function() assert.is_true(condition:locked()) end)
  end)
end)

add("Condition:wait", function()
  local condition = trio.Condition()
  return {
    call = function()
      condition:with(function() condition:wait() end)
    end,
    ready = false,
    wake = function()
      condition:acquire_nowait()
      condition:notify()
      condition:release()
    end,
    waiting = function() return condition:statistics().tasks_waiting end,
    locks = true,
  }
end)

add("MemorySendChannel:send", function()
  local send, receive = trio.open_memory_channel(1)
  return {
    call = function() send:send("call") end,
    block = function() send:send_nowait("block") end,
    wake = function()
      assert.equal("block", receive:receive_nowait())
      assert.equal("call", receive:receive_nowait())
    end,
    waiting = function() return send:statistics().tasks_waiting_send end,
    fresh = function()
      assert.equal(1, send:statistics().current_buffer_used)
    end,
    same = function()
      assert.equal(0, send:statistics().current_buffer_used)
    end,
  }
end)

local function received(name, take)
  add(name, function()
    local send, receive = trio.open_memory_channel(1)
    return {
      call = function() assert.equal("value", take(receive)) end,
      ready = function()
        send:send_nowait("value")
        assert.equal("value", take(receive))
      end,
      wake = function() send:send_nowait("value") end,
      waiting = function() return send:statistics().tasks_waiting_receive end,
      fresh = function()
        assert.equal(0, send:statistics().current_buffer_used)
      end,
      same = function()
        assert.equal("value", receive:receive_nowait())
      end,
    }
  end)
end

received("MemoryReceiveChannel:receive", function(receive)
  return receive:receive()
end)
received("iterating a MemoryReceiveChannel", function(receive)
  return (receive(nil, nil))  -- as `for value in receive do` calls it
end)

local function nothing() end

-- Each entry gets fresh(), a fresh situation, and blocked(), one in which
-- `call` waits.
for _, entry in ipairs(waits) do
  function entry.fresh()
    local it = entry.make()
    it.same, it.fresh = it.same or nothing, it.fresh or nothing
    if it.ready == nil then it.ready = it.call end
    return it
  end

  function entry.blocked()
    local it = entry.fresh()
    if it.block then it.block() end
    return it
  end
end

return waits
