-- SPDX-License-Identifier: MIT
-- trio.Lock and trio.StrictFIFOLock: a mutex that a task owns. Release hands
-- it over before the next owner runs; it breaks when its owner ends.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint, current_task = lowlevel.checkpoint, lowlevel.current_task
local settle = trio.testing.wait_all_tasks_blocked

local function would_block(lock) P.would_block(lock.acquire_nowait, lock) end

local function broken(pattern, fn, ...)
  local err = H.raises_class(trio.BrokenResourceError, fn, ...)
  assert.matches(pattern, err.message)
  return err
end

for _, kind in ipairs {"Lock", "StrictFIFOLock"} do
  local new, name = trio[kind], "trio." .. kind
  describe(name, function()
    H.trio_it("SYNC-03 is free, then held, then free", function()
      local lock = new()
      assert.is_false(lock:locked())
      lock:acquire_nowait()
      assert.is_true(lock:locked())
      lock:release()
      assert.is_false(lock:locked())
      P.is_checkpoint(lock.acquire, lock)
      assert.is_true(lock:locked())
      P.is_no_checkpoint(lock.release, lock)
      assert.is_false(lock:locked())
      assert.equal(0, select("#", lock:acquire()))
      assert.equal(0, select("#", lock:release()))
      assert.equal(0, select("#", lock:acquire_nowait()))
      lock:release()
    end)

    H.trio_it("SYNC-03 can't be taken twice by its owner", function()
      local lock = new()
      lock:acquire()
      P.usage("the task already holds this lock",
        "local lock = ... lock:acquire_nowait()", lock)
      P.usage("the task already holds this lock",
        "local lock = ... lock:acquire()", lock)
      assert.equal(current_task(), lock:statistics().owner)
      lock:release()
      assert.is_false(lock:locked())
    end)

    H.trio_it("SYNC-03 can be released by its owner only", function()
      local lock = new()
      local code = "local lock = ... lock:release()"
      P.usage("only the task that holds a lock can release it", code, lock)
      lock:acquire()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          P.usage("only the task that holds a lock", code, lock)
          would_block(lock)
        end)
      end)
      assert.is_true(lock:locked())
      lock:release()
      P.usage("only the task that holds a lock can release it", code, lock)
    end)

    H.trio_it("SYNC-03 tells who owns it and how many wait", function()
      local lock, task = new(), nil
      assert.same({locked = false, tasks_waiting = 0}, lock:statistics())
      trio.open_nursery(function(nursery)
        for _ = 1, 2 do
          nursery:start_soon(function()
            task = task or current_task()
            lock:with(trio.sleep_forever)
          end)
        end
        settle()
        local statistics = lock:statistics()
        assert.equal(task, statistics.owner)
        assert.is_true(statistics.locked)
        assert.equal(1, statistics.tasks_waiting)
        would_block(lock)
        nursery.cancel_scope:cancel()
      end)
      assert.same({locked = false, tasks_waiting = 0}, lock:statistics())
    end)

    H.trio_it("SYNC-04 is fair to those who come back at once", function()
      local lock = new()
      local trace, log = H.trace()
      local function loop(who)
        for _ = 1, 3 do
          lock:with(function()
            log(who .. trio.current_time())
            trio.sleep(1)
          end)
        end
      end
      trio.open_nursery(function(nursery)
        nursery:start_soon(loop, "a")
        nursery:start_soon(loop, "b")
      end)
      assert.same({"a0.0", "b1.0", "a2.0", "b3.0", "a4.0", "b5.0"}, trace)
    end)

    H.trio_it("SYNC-05 handed over, then cancelled: it is held", function()
      local lock, scope = new(), trio.CancelScope()
      local trace, log = H.trace()
      lock:acquire()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          scope:run(function()
            lock:acquire()
            log("owner " .. tostring(lock:statistics().owner ==
              current_task()))
            local ok = pcall(checkpoint)
            log("checkpoint " .. tostring(ok))
            lock:release()
          end)
        end)
        settle()
        lock:release()
        scope:cancel()
        assert.is_true(lock:locked())
      end)
      assert.same({"owner true", "checkpoint false"}, trace)
      assert.is_false(lock:locked())
      lock:acquire_nowait()
      lock:release()
    end)

    H.trio_it("SYNC-06 handed over it is not free for a moment", function()
      local lock, task = new(), nil
      lock:acquire()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          task = current_task()
          lock:acquire()
          lock:release()
        end)
        settle()
        lock:release()
        would_block(lock)
        assert.is_true(lock:locked())
        assert.equal(task, lock:statistics().owner)
        assert.equal(0, lock:statistics().tasks_waiting)
      end)
      assert.is_false(lock:locked())
    end)

    H.trio_it("SYNC-07 breaks when its owner ends", function()
      local lock, task = new(), nil
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = "forgetful"}, function()
          task = current_task()
          lock:acquire()
        end)
      end)
      for _ = 1, 2 do
        local err = broken("ended without releasing it: .*forgetful",
          lock.acquire, lock)
        assert.is_nil(err.cause)
        broken("forgetful", lock.with, lock, error)
        assert.is_true(lock:locked())
        assert.equal(task, lock:statistics().owner)
        would_block(lock)
      end
      P.usage("only the task that holds a lock",
        "local lock = ... lock:release()", lock)
    end)

    H.trio_it("SYNC-07 breaks when its owner fails or is cancelled", function()
      for _, ending in ipairs {error, trio.sleep_forever} do
        local lock = new()
        pcall(trio.open_nursery, function(nursery)
          nursery:start_soon(function()
            lock:acquire()
            ending("x")
          end)
          settle()
          nursery.cancel_scope:cancel()
        end)
        broken("", lock.acquire, lock)
      end
    end)

    H.trio_it("SYNC-08 tells its waiters when the owner ends", function()
      local lock = new()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = "owner"}, function()
          lock:acquire()
          trio.sleep(1)
        end)
        settle()
        for i = 1, 2 do
          nursery:start_soon(function()
            broken("ended without releasing it: .*owner", lock.acquire, lock)
            log({i, trio.current_time()})
          end)
        end
      end)
      assert.same({{1, 1}, {2, 1}}, trace)
      assert.equal(0, lock:statistics().tasks_waiting)
    end)

    H.trio_it("SYNC-08 before the nursery of a failed owner cancels them",
      function()
        local lock = new()
        local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
          function(nursery)
            nursery:start_soon(function()
              lock:acquire()
              settle()
              error("crash", 0)
            end)
            checkpoint()
            nursery:start_soon(function() lock:acquire() end)
          end)
        assert.equal(2, #err.exceptions)
        assert.equal("crash", err.exceptions[1])
        assert.is_true(trio.isinstance(err.exceptions[2],
          trio.BrokenResourceError))
      end)

    H.trio_it("SYNC-09 after a hand-over the new owner breaks it", function()
      local lock = new()
      lock:acquire()
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = "heir"}, function() lock:acquire() end)
        settle()
        lock:release()
      end)
      broken("heir", lock.acquire, lock)
    end)

    H.trio_it("SYNC-09 after a hand-over the old owner may end", function()
      local lock = new()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          lock:acquire()
          checkpoint()
          lock:release()
        end)
        nursery:start_soon(function()
          lock:acquire()
          trio.sleep(1)
          lock:release()
        end)
      end)
      lock:acquire()
      lock:release()
    end)

    H.trio_it("SYNC-09 one task may hold many and lose some", function()
      local locks = {}
      for i = 1, 100 do locks[i] = new() end
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for i = 1, 100 do locks[i]:acquire_nowait() end
          for i = 2, 100, 2 do locks[i]:release() end
        end)
      end)
      for i = 1, 100 do
        if i % 2 == 0 then
          locks[i]:acquire_nowait()
          locks[i]:release()
        else
          broken("", locks[i].acquire, locks[i])
        end
      end
    end)

    H.trio_it("is collected while it is held", function()
      local weak = setmetatable({}, {__mode = "k"})
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for _ = 1, 10 do
            local lock = new()
            lock:acquire_nowait()
            weak[lock] = true
          end
          assert.is_true(P.left_of(weak) <= 1)
        end)
      end)
      assert.equal(0, P.left_of(weak))
    end)

    it("held by main when the run ends it is broken ever after", function()
      local lock = new()
      H.run(function() lock:acquire() end)
      assert.is_true(lock:locked())
      assert.same({locked = true, tasks_waiting = 0}, lock:statistics())
      assert.matches(" broken, 0 waiting>$", tostring(lock))
      collectgarbage()
      for _ = 1, 2 do
        H.run(function()
          broken("ended with its run, without releasing it", lock.acquire,
            lock)
          would_block(lock)
          P.usage("only the task that holds", "local lock = ... lock:release()",
            lock)
          assert.is_nil(lock:statistics().owner)
        end)
      end
    end)

    it("free at the end of a run it serves the next one", function()
      local lock = new()
      for _ = 1, 3 do
        H.run(function()
          trio.open_nursery(function(nursery)
            for _ = 1, 3 do
              nursery:start_soon(function() lock:with(checkpoint) end)
            end
          end)
          assert.is_false(lock:locked())
        end)
      end
    end)

    it("says that it needs a task", function()
      local lock = new()
      for _, method in ipairs {"acquire", "acquire_nowait", "release"} do
        P.usage("called from inside a task",
          "local lock = ... lock:" .. method .. "()", lock)
      end
      assert.is_false(lock:locked())
      assert.same({locked = false, tasks_waiting = 0}, lock:statistics())
    end)

    it("shows its state", function()
      local lock = new()
      local prefix = "^<" .. name:gsub("%.", "%%.") .. " 0x%x+ "
      assert.matches(prefix .. "unlocked, 0 waiting>$", tostring(lock))
      H.run(function()
        lock:acquire()
        assert.matches(prefix .. "locked, 0 waiting>$", tostring(lock))
        trio.open_nursery(function(nursery)
          for _ = 1, 2 do
            nursery:start_soon(function() lock:with(checkpoint) end)
          end
          settle()
          assert.matches(prefix .. "locked, 2 waiting>$", tostring(lock))
          lock:release()
          assert.matches(prefix .. "locked, 1 waiting>$", tostring(lock))
        end)
      end)
      assert.matches(prefix .. "unlocked, 0 waiting>$", tostring(lock))
    end)

    it("refuses another self, and to be written to", function()
      P.refuses_others(new(), "trio.Lock", {"acquire", "acquire_nowait",
        "release", "locked", "with", "statistics"})
      P.refuses_writing(new(), name, {"acquire", "locked"})
    end)
  end)
end

describe("a lock", function()
  H.trio_it("held in a coroutine belongs to the task", function()
    local lock = trio.Lock()
    coroutine.wrap(function() lock:acquire() end)()
    assert.equal(current_task(), lock:statistics().owner)
    lock:release()
    local release = coroutine.wrap(function()
      lock:acquire()
      coroutine.yield()
      lock:release()
    end)
    release()
    assert.is_true(lock:locked())
    release()
    assert.is_false(lock:locked())
  end)

  H.trio_it("broken is not taken over by a task at the old address", function()
    local locks = {}
    trio.open_nursery(function(nursery)
      for i = 1, 50 do
        locks[i] = trio.Lock()
        nursery:start_soon(function() locks[i]:acquire() end)
      end
    end)
    collectgarbage()
    trio.open_nursery(function(nursery)
      for _ = 1, 200 do
        nursery:start_soon(function()
          for i = 1, 50 do
            assert.is_false(pcall(locks[i].release, locks[i]))
            would_block(locks[i])
          end
        end)
      end
    end)
  end)
end)
