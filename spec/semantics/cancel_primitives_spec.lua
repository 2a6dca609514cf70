-- SPDX-License-Identifier: MIT
-- Cancellation against the things that tasks wait for: who wins a race, and
-- that an operation which raised Cancelled did not happen.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint = lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local function check(scope, called, caught)
  assert.equal(called, scope.cancel_called)
  assert.equal(caught, scope.cancelled_caught)
end

-- A task that waits in a scope, one to wake it, and its traces.
local waits = {
  ["ParkingLot:park"] = function()
    local lot = lowlevel.ParkingLot()
    return {
      wait = function() lot:park() end,
      wake = function() lot:unpark() end,
      waiting = function() return lot:statistics().tasks_waiting end,
    }
  end,
  ["Event:wait"] = function()
    local event = trio.Event()
    return {
      wait = function() event:wait() end,
      wake = function() event:set() end,
      waiting = function() return event:statistics().tasks_waiting end,
    }
  end,
  ["Lock:acquire"] = function()
    local lock = trio.Lock()
    lock:acquire_nowait()
    return {
      wait = function()
        lock:acquire()
        lock:release()
      end,
      wake = function() lock:release() end,
      waiting = function() return lock:statistics().tasks_waiting end,
    }
  end,
  ["receive()"] = function()
    local send, receive = trio.open_memory_channel(0)
    return {
      wait = function() assert.equal("value", receive:receive()) end,
      wake = function() send:send_nowait("value") end,
      waiting = function()
        return send:statistics().tasks_waiting_receive
      end,
    }
  end,
}

for name, make in pairs(waits) do
  describe("a task waiting in " .. name, function()
    -- Runs the waiter, then act(kit, scope) in the main task. Gives the scope
    -- and what the waiter saw.
    local function race(act)
      local kit = make()
      local trace, log = H.trace()
      local scope = trio.CancelScope()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          scope:run(function()
            local ok, err = pcall(kit.wait)
            log(ok and "woken" or err)
            checkpoint()
            log("not reached")
          end)
        end)
        wait_all_tasks_blocked()
        assert.equal(1, kit.waiting())
        act(kit, scope)
      end)
      assert.equal(1, #trace)
      check(scope, true, true)
      return trace[1]
    end

    H.trio_it("CANCEL-45 keeps what it was given before the cancel", function()
      assert.equal("woken", race(function(kit, scope)
        kit.wake()
        scope:cancel()
      end))
    end)

    H.trio_it("CANCEL-45 gets Cancelled, at once out of the queue, before",
      function()
        local seen = race(function(kit, scope)
          scope:cancel()
          assert.equal(0, kit.waiting())
        end)
        assert.is_true(H.is_cancelled(seen))
      end)
  end)
end

describe("a wake-up that comes with the deadline", function()
  H.trio_it("CANCEL-77 by a callback of the token: the deadline wins",
    function()
      wait_all_tasks_blocked()  -- the callbacks' own task is at its place
      local lot = lowlevel.ParkingLot()
      local scope = trio.CancelScope({deadline = 1})
      scope:run(function()
        lowlevel.current_trio_token():run_sync_soon(function()
          lot:unpark_all()
        end)
        lowlevel.current_clock():jump(2)
        lot:park()
        error("not reached")
      end)
      check(scope, true, true)
    end, {clock = trio.testing.MockClock()})

  H.trio_it("CANCEL-77 and the same with an Event", function()
    wait_all_tasks_blocked()
    local event = trio.Event()
    local scope = trio.CancelScope({deadline = 1})
    scope:run(function()
      lowlevel.current_trio_token():run_sync_soon(function() event:set() end)
      lowlevel.current_clock():jump(2)
      event:wait()
      error("not reached")
    end)
    check(scope, true, true)
  end, {clock = trio.testing.MockClock()})

  H.trio_it("CANCEL-47 a send with room does not look at the clock", function()
    local send = trio.open_memory_channel(10)
    local scope = trio.CancelScope({deadline = 5})
    scope:run(function()
      lowlevel.current_clock():jump(10)
      send:send("first")
      send:send("second")
      error("not reached")
    end)
    check(scope, true, true)
    assert.equal(1, send:statistics().current_buffer_used)
  end, {clock = trio.testing.MockClock()})
end)

describe("an operation in a cancelled scope", function()
  -- Calls f(...) in one: it must raise Cancelled.
  local function refused(f, ...)
    local arguments = table.pack(...)
    local scope = trio.CancelScope()
    scope:run(function()
      scope:cancel()
      f(table.unpack(arguments, 1, arguments.n))
      error("not reached")
    end)
    check(scope, true, true)
  end

  H.trio_it("CANCEL-49 did not happen: send and receive", function()
    local send, receive = trio.open_memory_channel(2)
    send:send_nowait("kept")
    refused(send.send, send, "lost")
    refused(receive.receive, receive)
    assert.equal(1, send:statistics().current_buffer_used)
    assert.equal("kept", receive:receive_nowait())
  end)

  H.trio_it("CANCEL-49 did not happen: Lock and Semaphore", function()
    local lock, semaphore = trio.Lock(), trio.Semaphore(3)
    refused(lock.acquire, lock)
    refused(semaphore.acquire, semaphore)
    assert.is_false(lock:locked())
    assert.equal(3, semaphore.value)
    local ran = false
    refused(lock.with, lock, function() ran = true end)
    assert.is_false(ran)
    assert.is_false(lock:locked())
  end)

  H.trio_it("CANCEL-49 did not happen: CapacityLimiter", function()
    local limiter = trio.CapacityLimiter(2)
    refused(limiter.acquire, limiter)
    refused(limiter.acquire_on_behalf_of, limiter, "somebody")
    assert.equal(0, limiter.borrowed_tokens)
    assert.equal(2, limiter.available_tokens)
  end)

  H.trio_it("CANCEL-49 did not happen: waits for what is already there",
    function()
      local event = trio.Event()
      event:set()
      refused(event.wait, event)
      refused(trio.sleep, 0)
      refused(trio.sleep_until, -1)
      refused(checkpoint)
      refused(lowlevel.checkpoint_if_cancelled)
    end)

  H.trio_it("CANCEL-49 aclose is the exception: it closes, then raises",
    function()
      local send, receive = trio.open_memory_channel(1)
      refused(send.aclose, send)
      H.raises_class(trio.ClosedResourceError, send.send_nowait, send, 1)
      H.raises_class(trio.EndOfChannel, receive.receive_nowait, receive)
      refused(receive.aclose, receive)
      H.raises_class(trio.ClosedResourceError, receive.receive_nowait,
        receive)
    end)

  H.trio_it("CANCEL-49 a stuck send is taken back", function()
    local send, receive = trio.open_memory_channel(0)
    local scope = trio.move_on_after(1, function() send:send("lost") end)
    check(scope, true, true)
    assert.equal(0, send:statistics().tasks_waiting_send)
    H.raises_class(trio.WouldBlock, receive.receive_nowait, receive)
  end)
end)
