-- SPDX-License-Identifier: MIT
-- trio.Condition: waiting for news under a lock. A notified task goes on when
-- the lock reaches it; a cancelled one takes the lock back first.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint, current_task = lowlevel.checkpoint, lowlevel.current_task
local settle = trio.testing.wait_all_tasks_blocked

-- n tasks that wait one after another; each logs its number when it goes on.
local function start_waiters(nursery, condition, n, log)
  for i = 1, n do
    nursery:start_soon(function()
      condition:with(function() condition:wait() end)
      log(i)
    end)
    settle()
  end
end

local function notify(condition, n)
  condition:with(function() condition:notify(n) end)
end

local function notify_all(condition)
  condition:with(function() condition:notify_all() end)
end

describe("a condition", function()
  H.trio_it("SYNC-12 is made over a plain Lock only", function()
    for _, wrong in ipairs {trio.Semaphore(1), trio.StrictFIFOLock(),
        trio.Lock, 1, "x", {}, false, trio.CapacityLimiter(1),
        trio.Condition()} do
      P.usage("bad argument #1 to 'Condition' %(trio%.Lock expected, got ",
        "local trio, wrong = ... trio.Condition(wrong)", trio, wrong)
    end
    trio.Condition(nil)
  end)

  H.trio_it("SYNC-12 shares its lock", function()
    local lock = trio.Lock()
    local one, two = trio.Condition(lock), trio.Condition(lock)
    assert.is_false(one:locked())
    P.is_checkpoint(one.acquire, one)
    assert.is_true(lock:locked())
    assert.is_true(two:locked())
    assert.equal(current_task(), lock:statistics().owner)
    two:release()
    assert.is_false(one:locked())
  end)

  H.trio_it("SYNC-12 has the verbs of a lock", function()
    local condition = trio.Condition()
    condition:acquire_nowait()
    assert.is_true(condition:locked())
    for _, method in ipairs {"acquire", "acquire_nowait"} do
      P.usage("the task already holds this lock",
        "local condition = ... condition:" .. method .. "()", condition)
    end
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        P.would_block(condition.acquire_nowait, condition)
        P.usage("only the task that holds a lock can release it",
          "local condition = ... condition:release()", condition)
      end)
    end)
    P.is_no_checkpoint(condition.release, condition)
    assert.is_false(condition:locked())
  end)

  H.trio_it("SYNC-13 needs its lock for wait and notify", function()
    local condition = trio.Condition()
    local function refused()
      for _, method in ipairs {"wait", "notify", "notify_all"} do
        P.usage("the task must hold the condition's lock",
          "local condition = ... condition:" .. method .. "()", condition)
      end
    end
    refused()
    condition:acquire()
    trio.open_nursery(function(nursery) nursery:start_soon(refused) end)
    condition:notify()
    condition:notify_all()
    condition:release()
  end)

  H.trio_it("SYNC-14 wakes in the order of waiting", function()
    local condition = trio.Condition()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      start_waiters(nursery, condition, 4, log)
      notify(condition, 2)
      settle()
      assert.same({1, 2}, trace)
      notify_all(condition)
    end)
    assert.same({1, 2, 3, 4}, trace)
  end)

  H.trio_it("SYNC-14 notify() wakes one, notify(0) none", function()
    local condition = trio.Condition()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      start_waiters(nursery, condition, 3, log)
      notify(condition, 0)
      settle()
      assert.same({}, trace)
      notify(condition)
      assert.is_true(condition:locked())  -- handed over already
      settle()
      assert.same({1}, trace)
      notify(condition, 100)
    end)
    assert.same({1, 2, 3}, trace)
    notify(condition)  -- to nobody
    assert.equal(0, condition:statistics().tasks_waiting)
  end)

  H.trio_it("SYNC-14 refuses wrong numbers", function()
    local condition = trio.Condition()
    condition:acquire()
    local code = "local condition, n = ... condition:notify(n)"
    local prefix = "bad argument #1 to 'notify' %("
    P.usage(prefix .. "must not be negative", code, condition, -1)
    P.usage(prefix .. "number has no integer rep", code, condition, 1.5)
    P.usage(prefix .. "number expected, got string", code, condition, "x")
    P.usage(prefix .. "number expected, got table", code, condition, {})
    condition:release()
  end)

  H.trio_it("SYNC-15 notified tasks queue for the lock", function()
    local condition = trio.Condition()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      start_waiters(nursery, condition, 3, log)
      condition:with(function()
        condition:notify(2)
        local statistics = condition:statistics()
        assert.equal(1, statistics.tasks_waiting)
        assert.equal(2, statistics.lock_statistics.tasks_waiting)
        assert.equal(current_task(), statistics.lock_statistics.owner)
        checkpoint()
        assert.same({}, trace)
      end)
      assert.equal(1, condition:statistics().lock_statistics.tasks_waiting)
      settle()
      assert.same({1, 2}, trace)
      notify_all(condition)
    end)
    assert.same({1, 2, 3}, trace)
    assert.same({tasks_waiting = 0,
      lock_statistics = {locked = false, tasks_waiting = 0}},
      condition:statistics())
  end)

  H.trio_it("SYNC-15 behind those who wait for the lock already", function()
    local condition = trio.Condition()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      start_waiters(nursery, condition, 1, log)
      condition:acquire()
      nursery:start_soon(function() condition:with(function() log("q") end) end)
      settle()
      condition:notify()
      condition:release()
    end)
    assert.same({"q", 1}, trace)
  end)

  H.trio_it("SYNC-16 a cancelled wait takes the lock back first", function()
    local condition = trio.Condition()
    local raised_at
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        local scope = trio.move_on_after(1, function()
          condition:with(function()
            local ok, err = pcall(condition.wait, condition)
            raised_at = trio.current_time()
            assert.is_false(ok)
            assert.is_true(H.is_cancelled(err))
            assert.equal(current_task(),
              condition:statistics().lock_statistics.owner)
            error(err)
          end)
        end)
        assert.is_true(scope.cancelled_caught)
      end)
      settle()
      condition:with(function() trio.sleep(5) end)
    end)
    assert.equal(5, raised_at)
    assert.is_false(condition:locked())
    assert.equal(0, condition:statistics().tasks_waiting)
  end)

  H.trio_it("SYNC-16 also if the lock is free, and if the scope is cancelled",
    function()
      local condition = trio.Condition()
      local scope = trio.CancelScope()
      scope:run(function()
        condition:with(function()
          scope:cancel()
          local ok, err = pcall(condition.wait, condition)
          assert.is_false(ok)
          assert.is_true(condition:locked())
          error(err)
        end)
      end)
      assert.is_true(scope.cancelled_caught)
      assert.is_false(condition:locked())
    end)

  H.trio_it("SYNC-16 many cancelled at once come out one by one", function()
    local condition = trio.Condition()
    local inside, out = 0, 0
    trio.open_nursery(function(nursery)
      for _ = 1, 20 do
        nursery:start_soon(function()
          trio.move_on_after(1, function()
            condition:with(function()
              local _ <close> = trio.defer(function()
                inside = inside + 1
                assert.equal(1, inside)
                checkpoint()
                inside = inside - 1
                out = out + 1
              end)
              condition:wait()
            end)
          end)
        end)
      end
    end)
    assert.equal(20, out)
    assert.is_false(condition:locked())
  end)

  H.trio_it("SYNC-17 a notification is used up by a cancelled task", function()
    local condition, scope = trio.Condition(), trio.CancelScope()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function()
          condition:with(function()
            local ok = pcall(condition.wait, condition)
            log("a " .. tostring(ok))
            checkpoint()
          end)
        end)
      end)
      settle()
      nursery:start_soon(function()
        condition:with(function() condition:wait() end)
        log("b")
      end)
      settle()
      condition:acquire()
      condition:notify()
      scope:cancel()
      assert.equal(1, condition:statistics().tasks_waiting)
      assert.equal(0, condition:statistics().lock_statistics.tasks_waiting)
      condition:release()
      settle()
      assert.same({"a false"}, trace)
      notify_all(condition)
    end)
    assert.same({"a false", "b"}, trace)
    assert.is_true(scope.cancelled_caught)
  end)

  H.trio_it("SYNC-17 given the lock, then cancelled: it goes on", function()
    local condition, scope = trio.Condition(), trio.CancelScope()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function()
          condition:with(function()
            condition:wait()
            log("woken")
            checkpoint()
            log("not reached")
          end)
        end)
      end)
      settle()
      notify(condition)
      scope:cancel()
    end)
    assert.same({"woken"}, trace)
    assert.is_false(condition:locked())
  end)

  H.trio_it("a queue with two conditions over one lock", function()
    local lock = trio.Lock()
    local not_empty, not_full = trio.Condition(lock), trio.Condition(lock)
    local items, got = {}, {}
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for i = 1, 50 do
          lock:with(function()
            while #items == 3 do not_full:wait() end
            items[#items + 1] = i
            not_empty:notify()
          end)
        end
      end)
      nursery:start_soon(function()
        for _ = 1, 50 do
          lock:with(function()
            while #items == 0 do not_empty:wait() end
            got[#got + 1] = table.remove(items, 1)
            not_full:notify()
          end)
        end
      end)
    end)
    assert.equal(50, #got)
    for i = 1, 50 do assert.equal(i, got[i]) end
  end)

  H.trio_it("SYNC-16 waits in vain for a lock whose owner ends", function()
    local condition, scope = trio.Condition(), trio.CancelScope()
    local seen = {}
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function()
          condition:acquire()
          seen.cancelled = select(2, pcall(condition.wait, condition))
        end)
      end)
      settle()
      nursery:start_soon(function()
        condition:acquire()
        seen.notified = select(2, pcall(condition.wait, condition))
      end)
      settle()
      nursery:start_soon({name = "thief"}, function()
        condition:acquire()
        condition:notify(2)
        scope:cancel()
        checkpoint()
      end)
    end)
    for _, what in ipairs {"cancelled", "notified"} do
      assert.is_true(trio.isinstance(seen[what], trio.BrokenResourceError))
      assert.matches("thief", tostring(seen[what]))
    end
    H.raises_class(trio.BrokenResourceError, condition.acquire, condition)
  end)

  it("serves several runs", function()
    local condition = trio.Condition()
    for _ = 1, 2 do
      local trace, log = H.trace()
      H.run(function()
        trio.open_nursery(function(nursery)
          start_waiters(nursery, condition, 2, log)
          notify_all(condition)
        end)
      end)
      assert.same({1, 2}, trace)
    end
    for _, method in ipairs {"wait", "notify", "notify_all"} do
      P.usage("called from inside a task",
        "local condition = ... condition:" .. method .. "()", condition)
    end
  end)

  H.trio_it("keeps its lock alive", function()
    local weak = setmetatable({}, {__mode = "v"})
    weak[1] = trio.Lock()
    local condition = trio.Condition(weak[1])
    assert.equal(1, P.left_of(weak))
    trio.open_nursery(function(nursery)
      nursery:start_soon(function(c)
        c:with(function() c:wait() end)
      end, condition)
      settle()
      weak[2], condition = condition, nil
      assert.equal(2, P.left_of(weak))
      notify(weak[2])
    end)
    assert.is_nil(condition)
    assert.equal(0, P.left_of(weak))
  end)

  it("shows its state", function()
    local condition = trio.Condition()
    local prefix = "^<trio%.Condition 0x%x+ "
    assert.matches(prefix .. "unlocked, 0 waiting>$", tostring(condition))
    H.run(function()
      trio.open_nursery(function(nursery)
        start_waiters(nursery, condition, 2, print)
        assert.matches(prefix .. "unlocked, 2 waiting>$", tostring(condition))
        condition:acquire()
        assert.matches(prefix .. "locked, 2 waiting>$", tostring(condition))
        nursery.cancel_scope:cancel()
        condition:release()
      end)
    end)
  end)

  it("refuses another self, and to be written to", function()
    P.refuses_others(trio.Condition(), "trio.Condition", {"acquire",
      "acquire_nowait", "release", "locked", "with", "wait", "notify",
      "notify_all", "statistics"})
    P.refuses_writing(trio.Condition(), "trio.Condition", {"wait"})
  end)
end)
