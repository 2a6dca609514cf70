-- SPDX-License-Identifier: MIT
-- Checkpoints counted: what each call takes when it need not wait.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

-- How many schedule and cancel points of this task fn takes.
local function points(fn, ...)
  local s, c = testing._points()
  fn(...)
  local s2, c2 = testing._points()
  return s2 - s, c2 - c
end

local function takes(schedule, cancel, fn, ...)
  local s, c = points(fn, ...)
  assert.equal(schedule, s, "schedule points")
  assert.equal(cancel, c, "cancel points")
end

local function nothing() end

describe("CP-01", function()
  H.trio_it("CP-01 the three checkpoints", function()
    takes(1, 1, lowlevel.checkpoint)
    takes(0, 1, lowlevel.checkpoint_if_cancelled)
    takes(1, 0, lowlevel.cancel_shielded_checkpoint)
  end)

  H.trio_it("CP-01 they return nothing", function()
    assert.equal(0, select("#", lowlevel.checkpoint()))
    assert.equal(0, select("#", lowlevel.checkpoint_if_cancelled()))
    assert.equal(0, select("#", lowlevel.cancel_shielded_checkpoint()))
  end)

  H.trio_it("CP-01 sleeping", function()
    takes(1, 1, trio.sleep, 0)
    takes(1, 1, trio.sleep, 1)
    takes(1, 1, trio.sleep_until, -1)
    takes(1, 1, trio.sleep_until, 0)
    takes(1, 1, trio.sleep_until, trio.current_time())
    takes(1, 1, trio.sleep_until, trio.current_time() + 1)
    assert.equal(2, trio.current_time())
  end)

  H.trio_it("CP-01 memory channels with room", function()
    local send, receive = trio.open_memory_channel(2)
    takes(1, 1, send.send, send, "x")
    takes(1, 1, receive.receive, receive)
    takes(0, 0, send.send_nowait, send, "x")
    takes(0, 0, receive.receive_nowait, receive)
    local clone = send:clone()
    takes(1, 1, clone.aclose, clone)
    takes(1, 1, clone.aclose, clone)
    takes(0, 0, send.close, send)
    takes(1, 1, receive.aclose, receive)
  end)

  H.trio_it("CP-01 an event that is set", function()
    local event = trio.Event()
    takes(0, 0, event.set, event)
    takes(1, 1, event.wait, event)
  end)

  H.trio_it("CP-01 free locks, semaphores, limiters", function()
    for _, make in ipairs{trio.Lock, trio.StrictFIFOLock,
                          function() return trio.Semaphore(1) end,
                          function() return trio.CapacityLimiter(1) end} do
      local lock = make()
      takes(1, 1, lock.acquire, lock)
      takes(0, 0, lock.release, lock)
      takes(0, 0, lock.acquire_nowait, lock)
      takes(0, 0, lock.release, lock)
    end
    local limiter = trio.CapacityLimiter(1)
    takes(1, 1, limiter.acquire_on_behalf_of, limiter, "me")
  end)

  H.trio_it("CP-01 nurseries: entering none, leaving one schedule point",
    function()
      local s, c = testing._points()
      trio.open_nursery(function()
        local inside, inside_c = testing._points()
        assert.equal(s, inside)
        assert.equal(c, inside_c)
      end)
      local after, after_c = testing._points()
      assert.equal(s + 1, after)
      assert.equal(c, after_c)
      assert.is_true(points(trio.open_nursery, function(nursery)
        nursery:start_soon(nothing)
      end) >= 1)
    end)

  H.trio_it("CP-01 start is at least a schedule point", function()
    trio.open_nursery(function(nursery)
      local s = points(nursery.start, nursery, function(task_status)
        task_status:started()
      end)
      assert.is_true(s >= 1)
    end)
  end)

  H.trio_it("CP-01 scopes are no checkpoints", function()
    takes(0, 0, trio.move_on_after, 1, nothing)
    takes(0, 0, trio.move_on_at, 1, nothing)
    takes(0, 0, trio.fail_after, 1, nothing)
    takes(0, 0, trio.fail_at, 1, nothing)
    takes(0, 0, function() trio.CancelScope():run(nothing) end)
    takes(0, 0, trio.move_on_after, 0, nothing)
    takes(1, 1, trio.move_on_after, 5, lowlevel.checkpoint)
  end)

  H.trio_it("CP-01 what never waits is no checkpoint", function()
    takes(0, 0, function()
      trio.current_time()
      trio.current_effective_deadline()
      lowlevel.current_task()
      lowlevel.current_statistics()
      lowlevel.current_trio_token()
      lowlevel.task_tree()
      trio.pcall(error, "x")
      trio.CancelScope():cancel()
    end)
  end)

  H.trio_it("CP-01 other idle waits", function()
    local queue = lowlevel.UnboundedQueue()
    queue:put_nowait(1)
    local s, c = points(queue.get_batch, queue)
    assert.is_true(s >= 1 and c >= 1)
    s, c = points(testing.wait_all_tasks_blocked)
    assert.is_true(s >= 1 and c >= 1)
  end)
end)

describe("CP-02", function()
  H.trio_it("CP-02 what raises at once need not yield", function()
    local send, receive = trio.open_memory_channel(0)
    local lock = trio.Lock()
    lock:acquire()
    send:close()
    local function raising(Class, fn, ...)
      local args = table.pack(...)
      local s = points(function()
        local ok, err = pcall(fn, table.unpack(args, 1, args.n))
        assert.is_false(ok)
        if Class then assert.is_true(trio.isinstance(err, Class)) end
      end)
      assert.equal(0, s)
    end
    raising(trio.ClosedResourceError, send.send, send, 1)
    raising(trio.EndOfChannel, receive.receive, receive)
    raising(nil, lock.acquire, lock)
    receive:close()
    raising(trio.ClosedResourceError, receive.receive, receive)
    lock:release()
  end)
end)

describe("checkpoint_if_cancelled", function()
  H.trio_it("CP-03 lets others run before it raises", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      trio.CancelScope():run(function(scope)
        nursery:start_soon(log, "other")
        scope:cancel()
        local ok, err = pcall(lowlevel.checkpoint_if_cancelled)
        assert.is_false(ok)
        assert.is_true(H.is_cancelled(err))
        log("cancelled")
        error(err)
      end)
    end)
    assert.same({"other", "cancelled"}, t)
  end)

  H.trio_it("CP-03 returns normally if a shield comes meanwhile", function()
    trio.CancelScope():run(function(outer)
      local inner = trio.CancelScope()
      inner:run(function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function() inner.shield = true end)
          outer:cancel()
          lowlevel.checkpoint_if_cancelled()
        end)
        lowlevel.checkpoint()
        inner.shield = false
      end)
    end)
  end)

  H.trio_it("CP-04 with a shielded checkpoint makes a checkpoint",
    function()
      takes(1, 1, function()
        lowlevel.checkpoint_if_cancelled()
        lowlevel.cancel_shielded_checkpoint()
      end)
      testing.assert_checkpoints(function()
        lowlevel.checkpoint_if_cancelled()
        lowlevel.cancel_shielded_checkpoint()
      end)
    end)
end)

describe("cancel_shielded_checkpoint", function()
  H.trio_it("CANCEL-29 never raises", function()
    local scope = trio.CancelScope()
    scope:run(function()
      scope:cancel()
      for _ = 1, 3 do lowlevel.cancel_shielded_checkpoint() end
    end)
    assert.is_false(scope.cancelled_caught)
  end)
end)

describe("CP-05", function()
  H.trio_it("CP-05 each step of an iteration is a checkpoint", function()
    local send, receive = trio.open_memory_channel(3)
    for i = 1, 3 do send:send_nowait(i) end
    send:close()
    local s, c = testing._points()
    local steps = 0
    local function step()
      local s2, c2 = testing._points()
      assert.is_true(s2 > s)
      assert.is_true(c2 > c)
      s, c = s2, c2
    end
    for value in receive do
      steps = steps + 1
      assert.equal(steps, value)
      step()
    end
    step()
    assert.equal(3, steps)
  end)

  H.trio_it("CP-05 iterating an empty, closed channel is one", function()
    local send, receive = trio.open_memory_channel(0)
    send:close()
    testing.assert_checkpoints(function()
      for _ in receive do error("there is nothing") end
    end)
  end)
end)

describe("CP-09", function()
  H.trio_it("CP-09 holding a channel in a variable that closes it",
    function()
      takes(0, 0, function()
        local a, b = trio.open_memory_channel(1)
        local send <close> = a
        local receive <close> = b
        send:send_nowait(1)
        assert.equal(1, receive:receive_nowait())
      end)
    end)

  H.trio_it("CP-09 lock:with checks at entry only", function()
    for _, make in ipairs{trio.Lock, trio.StrictFIFOLock,
                          function() return trio.Semaphore(1) end,
                          function() return trio.CapacityLimiter(1) end} do
      local lock = make()
      takes(1, 1, lock.with, lock, function()
        takes(0, 0, nothing)
      end)
    end
  end)
end)
