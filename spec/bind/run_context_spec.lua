-- SPDX-License-Identifier: MIT
-- What a running program can ask about its run: clock, time, root task,
-- statistics; and what a raw yield, a very long sleep or a broken abort
-- callback does to it.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

describe("time", function()
  it("RUN-10 the real clock moves forward", function()
    H.run(function()
      local before = trio.current_time()
      trio.sleep(0.002)
      local after = trio.current_time()
      assert.is_true(after - before >= 0.002)
    end, {real_clock = true})
  end)

  it("RUN-10 the real clock moves while a task computes", function()
    H.run(function()
      local before, spins = trio.current_time(), 0
      repeat spins = spins + 1 until trio.current_time() > before
      assert.is_true(spins > 0)
    end, {real_clock = true})
  end)

  it("RUN-14 a sleep far beyond any timer is cancelled as usual", function()
    H.run(function()
      local started = trio.current_time()
      local scope
      trio.open_nursery(function(nursery)
        scope = nursery.cancel_scope
        nursery:start_soon(trio.sleep, 1e20)
        trio.sleep(0.01)
        scope:cancel()
      end)
      assert.is_true(scope.cancelled_caught)
      local elapsed = trio.current_time() - started
      assert.is_true(elapsed >= 0.01 and elapsed < 5)
    end, {real_clock = true})
  end)

  it("TIME-17 a deadline on the real clock never fires early", function()
    H.run(function()
      for _ = 1, 5 do
        local started = trio.current_time()
        local scope = trio.move_on_after(0.01, trio.sleep_forever)
        assert.is_true(scope.cancelled_caught)
        local elapsed = trio.current_time() - started
        assert.is_true(elapsed >= 0.01 and elapsed < 1)
      end
    end, {real_clock = true})
  end)

  local clock = testing.MockClock()
  H.trio_it("RUN-23 the run's clock is the one it was given", function()
    assert.equal(clock, lowlevel.current_clock())
    assert.equal(0, trio.current_time())
    clock:jump(3.15)
    assert.equal(3.15, trio.current_time())
    assert.equal(3.15, clock:current_time())
  end, {clock = clock})

  it("RUN-23 a run without a clock has one too", function()
    trio.run(function()
      local own = lowlevel.current_clock()
      assert.equal(own, lowlevel.current_clock())
      local before = trio.current_time()
      local between = own:current_time()
      assert.is_true(before <= between and between <= trio.current_time())
    end)
  end)
end)

describe("the root task", function()
  H.trio_it("RUN-20 has no parents, and is everybody's ancestor", function()
    local root = lowlevel.current_root_task()
    assert.is_not_nil(root)
    assert.is_nil(root.parent_nursery)
    assert.is_nil(root.eventual_parent_nursery)
    local function climb(task)
      local steps = 0
      while task.parent_nursery do
        task, steps = task.parent_nursery.parent_task, steps + 1
      end
      return task, steps
    end
    local top, steps = climb(lowlevel.current_task())
    assert.equal(root, top)
    assert.is_true(steps >= 1)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        local child_top, child_steps = climb(lowlevel.current_task())
        assert.equal(root, child_top)
        assert.equal(steps + 1, child_steps)
      end)
    end)
    local system = lowlevel.spawn_system_task(trio.sleep_forever)
    assert.equal(root, (climb(system)))
  end)
end)

describe("current_statistics", function()
  local clock = testing.MockClock()
  H.trio_it("RUN-21 counts tasks, deadlines and callbacks", function()
    testing.wait_all_tasks_blocked()
    local before = lowlevel.current_statistics()
    assert.equal(0, before.run_sync_soon_queue_size)
    assert.equal(math.huge, before.seconds_to_next_deadline)
    assert.equal("table", type(before.io_statistics))
    assert.is_string(before.io_statistics.backend)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() pcall(trio.sleep_forever) end)
      testing.wait_all_tasks_blocked()
      local token = lowlevel.current_trio_token()
      token:run_sync_soon(function() end)
      token:run_sync_soon({idempotent = true}, function() end)
      local blocked = lowlevel.current_statistics()
      assert.equal(before.tasks_living + 1, blocked.tasks_living)
      assert.equal(0, blocked.tasks_runnable)
      assert.equal(2, blocked.run_sync_soon_queue_size)
      nursery.cancel_scope:cancel()
      assert.equal(1, lowlevel.current_statistics().tasks_runnable)
    end)
    lowlevel.checkpoint()
    lowlevel.checkpoint()
    local deadline = trio.current_time() + 5
    trio.CancelScope({deadline = deadline}):run(function()
      local inside = lowlevel.current_statistics()
      assert.equal(5, inside.seconds_to_next_deadline)
      clock:jump(7)
      inside = lowlevel.current_statistics()
      assert.equal(-2, inside.seconds_to_next_deadline)
    end)
    local after = lowlevel.current_statistics()
    assert.equal(math.huge, after.seconds_to_next_deadline)
    assert.equal(before.tasks_living, after.tasks_living)
    assert.equal(0, after.run_sync_soon_queue_size)
  end, {clock = clock})

  H.trio_it("RUN-21 is a snapshot", function()
    local before = lowlevel.current_statistics()
    local living = before.tasks_living
    trio.open_nursery(function(nursery)
      nursery:start_soon(lowlevel.checkpoint)
      assert.equal(living, before.tasks_living)
      assert.equal(living + 1, lowlevel.current_statistics().tasks_living)
    end)
  end)

  H.trio_it("RUN-21 a sleep is a deadline like a scope's", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.sleep, 3)
      testing.wait_all_tasks_blocked()
      assert.equal(3, lowlevel.current_statistics().seconds_to_next_deadline)
      nursery.cancel_scope:cancel()
    end)
    assert.equal(math.huge,
      lowlevel.current_statistics().seconds_to_next_deadline)
  end)
end)

describe("a raw yield to the scheduler", function()
  -- Every `yield` a program may hold: the global one, the library's, Lua's.
  local yields = {coroutine.yield, trio.coroutine.yield}
  for _, lib in ipairs{package.loaded.coroutine, package.loaded._G.coroutine} do
    yields[#yields + 1] = lib.yield
  end

  it("RUN-19 raises in that task, at that point, and is catchable", function()
    for _, yield in ipairs(yields) do
      local reached, after
      H.run(function()
        local message = usage("yield", function()
          yield("foreign")
          reached = true
        end)
        assert.is_true(#message > 20)
        lowlevel.checkpoint()
        after = true
      end)
      assert.is_nil(reached)
      assert.is_true(after)
    end
  end)

  H.trio_it("RUN-19 a caught one leaves the siblings alone", function()
    for _, yield in ipairs(yields) do
      local slept
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.sleep(1)
          slept = true
        end)
        nursery:start_soon(function()
          assert.is_false((pcall(function() yield() return 1 end)))
        end)
      end)
      assert.is_true(slept)
    end
  end)

  H.trio_it("RUN-19 one that nobody catches is an ordinary error", function()
    for _, yield in ipairs(yields) do
      local cancelled
      local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
        function(nursery)
          nursery:start_soon(function()
            local ok, e = pcall(trio.sleep_forever)
            cancelled = not ok and H.is_cancelled(e)
            error(e)
          end)
          nursery:start_soon(function()
            lowlevel.checkpoint()
            yield(1, 2, 3)
            return 0
          end)
        end)
      assert.is_true(cancelled)
      assert.equal(1, #err.exceptions)
      assert.matches("yield", err.exceptions[1])
    end
  end)

  it("RUN-19 it comes out of run as it is when main makes it", function()
    for _, yield in ipairs(yields) do
      usage("yield", trio.run, function()
        yield()
        return 1
      end)
      assert.is_false(lowlevel.in_trio_run())
    end
  end)
end)

describe("a broken run", function()
  -- Blocks main in an operation whose abort callback is abort_fn.
  local function blocked_in(abort_fn)
    return function()
      trio.CancelScope():run(function(scope)
        scope:cancel()
        lowlevel.wait_task_rescheduled(abort_fn)
      end)
    end
  end

  it("RUN-09 an abort callback that returns garbage", function()
    for _, garbage in ipairs{false, true, 0, "SUCCEEDED", {}} do
      H.raises_class(trio.TrioInternalError, H.run,
        blocked_in(function() return garbage end))
      assert.is_false(lowlevel.in_trio_run())
    end
    H.raises_class(trio.TrioInternalError, H.run,
      blocked_in(function() end))
    assert.equal(1, H.run(function() return 1 end))
  end)

  it("RUN-09 an abort callback that raises is the cause", function()
    for _, E in ipairs{{}, "text", trio.WouldBlock("x")} do
      local err = H.raises_class(trio.TrioInternalError, H.run,
        blocked_in(function() error(E, 0) end))
      assert.equal(E, err.cause)
      assert.is_false(lowlevel.in_trio_run())
    end
    assert.equal(1, H.run(function() return 1 end))
  end)

  it("RUN-09 an abort callback that fails when a deadline fires", function()
    local E = {}
    local err = H.raises_class(trio.TrioInternalError, H.run, function()
      trio.move_on_after(3, function()
        lowlevel.wait_task_rescheduled(function() error(E) end)
      end)
    end)
    assert.equal(E, err.cause)
    assert.is_false(lowlevel.in_trio_run())
    assert.equal(1, H.run(function() return 1 end))
  end)
end)
