-- SPDX-License-Identifier: MIT
-- What every wait of a synchronization primitive or a channel promises alike:
-- it is a checkpoint, also when it needn't wait; a cancellation finds it at any
-- moment and leaves no trace; nothing is lost or doubled when both come at
-- once; where nobody can wait it says so by its name.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel, testing = trio.lowlevel, trio.testing
local checkpoint = lowlevel.checkpoint
local settle = testing.wait_all_tasks_blocked

-- Each entry makes a fresh situation of:
--   call()     the wait under test; undoes at once what it got
--   ready()    the same where it needn't wait (by default `call`; false: it
--              always waits)
--   same()     asserts that ready(), when it was cancelled, changed nothing
--   block()    main makes `call` wait from now on
--   wake()     main lets one waiting call go on
--   waiting()  how many tasks wait
--   fresh()    asserts that all is as it was after block()
local entries = {
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
  entries[#entries + 1] = {name = name, make = make}
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

-- What has to be called before.
local needs = {["Condition:wait"] = "Condition:with"}

local function points(fn, ...)
  local s, c = testing._points()
  fn(...)
  local s2, c2 = testing._points()
  return s2 - s, c2 - c
end

local function nothing() end

local function fresh(entry)
  local it = entry.make()
  it.same, it.fresh = it.same or nothing, it.fresh or nothing
  if it.ready == nil then it.ready = it.call end
  return it
end

-- A situation in which `call` waits.
local function blocked(entry)
  local it = fresh(entry)
  if it.block then it.block() end
  return it
end

-- fn() in a scope that is cancelled already: it must raise Cancelled.
local function refused(fn)
  local scope = trio.CancelScope()
  local s = points(function()
    scope:run(function()
      scope:cancel()
      fn()
      error("not reached")
    end)
  end)
  assert.is_true(scope.cancelled_caught)
  assert.is_true(s >= 1)
end

-- `call` in a scope of a task of its own. The result tells how it ended.
local function start(nursery, it)
  local result = {scope = trio.CancelScope()}
  nursery:start_soon(function()
    result.scope:run(function()
      result.s, result.c = points(function()
        local ok, err = pcall(it.call)
        result.ending = ok and "returned" or
          H.is_cancelled(err) and "cancelled" or err
      end)
      checkpoint()
    end)
  end)
  settle()
  assert.is_nil(result.ending)
  return result
end

for i, entry in ipairs(entries) do
  local name = entry.name
  describe(("%d. %s"):format(i, name), function()
    H.trio_it("CP-01 is a checkpoint when it needn't wait", function()
      local it = fresh(entry)
      if not it.ready then return end
      local s, c = points(it.ready)
      assert.equal(1, s)
      assert.equal(1, c)
    end)

    H.trio_it("CP-01 is a checkpoint when it waits", function()
      local it, result = blocked(entry), nil
      trio.open_nursery(function(nursery)
        result = start(nursery, it)
        assert.equal(1, it.waiting())
        it.wake()
        assert.equal(0, it.waiting())
      end)
      assert.equal("returned", result.ending)
      assert.is_true(result.s >= 1)
      assert.is_true(result.c >= 1)
    end)

    H.trio_it("CANCEL-49 in a cancelled scope nothing happens", function()
      local it = fresh(entry)
      if it.ready then
        refused(it.ready)
        it.same()
      end
      it = blocked(entry)
      refused(it.call)
      assert.equal(0, it.waiting())
      it.fresh()
    end)

    H.trio_it("CANCEL-49 cancelled while it waits it leaves no trace",
      function()
        local it, first, second = blocked(entry), nil, nil
        trio.open_nursery(function(nursery)
          first = start(nursery, it)
          first.scope:cancel()
          assert.equal(0, it.waiting())
          it.fresh()
          settle()
          assert.equal("cancelled", first.ending)
          it.fresh()
          second = start(nursery, it)
          assert.equal(1, it.waiting())
          it.wake()
        end)
        assert.is_true(first.scope.cancelled_caught)
        assert.equal("returned", second.ending)
      end)

    H.trio_it("CANCEL-45 woken, then cancelled: it keeps what it was given",
      function()
        local it, result = blocked(entry), nil
        trio.open_nursery(function(nursery)
          result = start(nursery, it)
          it.wake()
          result.scope:cancel()
        end)
        assert.equal("returned", result.ending)
        assert.is_true(result.scope.cancelled_caught)
        assert.equal(0, it.waiting())
      end)

    H.trio_it("CANCEL-45 cancelled, then woken: the next one gets it",
      function()
        local it, first, second, third = blocked(entry), nil, nil, nil
        trio.open_nursery(function(nursery)
          first = start(nursery, it)
          second = start(nursery, it)
          third = start(nursery, it)
          assert.equal(3, it.waiting())
          second.scope:cancel()
          first.scope:cancel()
          if it.locks then settle() end
          it.wake()
          settle()
          assert.equal("cancelled", first.ending)
          assert.equal("cancelled", second.ending)
          assert.equal("returned", third.ending)
        end)
        assert.equal(0, it.waiting())
      end)

    H.trio_it("CANCEL-49 a deadline ends the wait in time", function()
      local it = blocked(entry)
      local began = trio.current_time()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local scope = trio.move_on_after(5, it.call)
          assert.is_true(scope.cancelled_caught)
        end)
      end)
      assert.equal(began + 5, trio.current_time())
      assert.equal(0, it.waiting())
      it.fresh()
    end)

    H.trio_it("CANCEL-49 a failing sibling ends the wait", function()
      local it = blocked(entry)
      local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
        function(nursery)
          for _ = 1, 3 do nursery:start_soon(it.call) end
          settle()
          assert.equal(3, it.waiting())
          error("mine", 0)
        end)
      H.group_of(err, "mine")
      assert.equal(0, it.waiting())
      it.fresh()
    end)

    H.trio_it("CP-01 waits in coroutines of the program", function()
      local it, result = blocked(entry), nil
      local call = it.call
      it.call = function()
        coroutine.wrap(function() coroutine.wrap(call)() end)()
      end
      trio.open_nursery(function(nursery)
        result = start(nursery, it)
        it.wake()
      end)
      assert.equal("returned", result.ending)
    end)

    H.trio_it("CP-01 is cancelled in coroutines of the program", function()
      local it, result = blocked(entry), nil
      local call = it.call
      it.call = function() coroutine.wrap(call)() end
      trio.open_nursery(function(nursery)
        result = start(nursery, it)
        result.scope:cancel()
        assert.equal(0, it.waiting())
      end)
      assert.equal("cancelled", result.ending)
      it.fresh()
    end)

    it("RUN-05 outside of a task it says so, by its name", function()
      local it = fresh(entry)
      local err = H.raises(needs[name] or name, it.ready or it.call)
      assert.matches("called from inside a task", err)
    end)

    H.trio_it("CP-01 where Lua can't suspend it says so, by its name",
      function()
        local it = blocked(entry)
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            H.raises(needs[name] or name, string.gsub, "x", "x",
              function() it.call() end)
            table.sort({2, 1}, function(a, b)
              assert.is_false(pcall(it.call))
              return a < b
            end)
          end)
        end)
        assert.equal(0, it.waiting())
        it.fresh()
      end)

    it("is named by a deadlock, and leaves no trace", function()
      H.run(function()
        local it = blocked(entry)
        local err = select(2, pcall(trio.open_nursery, function(nursery)
          nursery:start_soon(it.call)
        end)).exceptions[1]
        assert.is_true(trio.isinstance(err, trio.DeadlockError))
        assert.truthy(tostring(err):find(name, 1, true), tostring(err))
        assert.equal(0, it.waiting())
        it.fresh()
      end, {on_deadlock = "raise"})
    end)

    it("in the main task it is ended by a deadlock", function()
      H.run(function()
        local it = fresh(entry)
        local err
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            if it.block then it.block() end
            trio.sleep_forever()
          end)
          settle()
          err = select(2, pcall(it.call))
          assert.is_true(trio.isinstance(err, trio.DeadlockError))
          assert.equal(0, it.waiting())
          nursery.cancel_scope:cancel()
        end)
      end, {on_deadlock = "raise"})
    end)
  end)
end
