-- SPDX-License-Identifier: MIT
-- trio.lowlevel: the way to sleep and to wake, and system tasks.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing
local Abort = lowlevel.Abort

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

local function agree()
  return Abort.SUCCEEDED
end

-- Sleeps until rescheduled; returns what it was rescheduled with.
local function sleep()
  return lowlevel.wait_task_rescheduled(agree)
end

-- A child that sleeps in fn(), and its task.
local function sleeper(nursery, fn)
  local task
  nursery:start_soon(function()
    task = lowlevel.current_task()
    fn()
  end)
  testing.wait_all_tasks_blocked()
  return task
end

describe("wait_task_rescheduled", function()
  H.trio_it("CP-06 returns the values of the outcome", function()
    trio.open_nursery(function(nursery)
      local got
      local task = sleeper(nursery, function() got = table.pack(sleep()) end)
      lowlevel.reschedule(task, true, 0, nil, "x", nil)
      testing.wait_all_tasks_blocked()
      assert.same({0, nil, "x", nil, n = 4}, got)
    end)
  end)

  H.trio_it("CP-06 returns nothing without an outcome or values", function()
    trio.open_nursery(function(nursery)
      for _, outcome in ipairs{{n = 0}, {true, n = 1}} do
        local count
        local task = sleeper(nursery, function()
          count = select("#", sleep())
        end)
        lowlevel.reschedule(task, table.unpack(outcome, 1, outcome.n))
        testing.wait_all_tasks_blocked()
        assert.equal(0, count)
      end
    end)
  end)

  H.trio_it("CP-06 raises the error of the outcome, of any type", function()
    local errors = {{}, "text", 5, false, trio.WouldBlock("x")}
    trio.open_nursery(function(nursery)
      for i = 1, #errors do
        local r
        local task = sleeper(nursery, function()
          r = table.pack(pcall(sleep))
        end)
        lowlevel.reschedule(task, false, errors[i])
        testing.wait_all_tasks_blocked()
        assert.is_false(r[1])
        assert.is_true(rawequal(errors[i], r[2]))
      end
      local r
      local task = sleeper(nursery, function() r = table.pack(pcall(sleep)) end)
      lowlevel.reschedule(task, false)
      testing.wait_all_tasks_blocked()
      assert.is_false(r[1])
      assert.is_nil(r[2])
    end)
  end)

  H.trio_it("CP-06 two tasks reschedule each other", function()
    local E = {}
    local t1, t2, done1, done2
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        t1 = lowlevel.current_task()
        assert.equal(0, sleep())
        lowlevel.reschedule(t2, false, E)
        done1 = true
      end)
      lowlevel.checkpoint()
      nursery:start_soon(function()
        t2 = lowlevel.current_task()
        lowlevel.reschedule(t1, true, 0)
        local ok, err = pcall(sleep)
        assert.is_false(ok)
        assert.equal(E, err)
        done2 = true
      end)
    end)
    assert.is_true(done1)
    assert.is_true(done2)
  end)

  H.trio_it("SYS a woken task runs in the next pass, in order", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      local function sleep_as(name)
        return sleeper(nursery, function()
          sleep()
          log(name)
        end)
      end
      local a, b = sleep_as("a"), sleep_as("b")
      lowlevel.reschedule(b)
      lowlevel.reschedule(a)
      log("still me")
      lowlevel.checkpoint()
      assert.same({"still me", "b", "a"}, t)
    end)
  end)

  H.trio_it("SYS values reach a task deep in its own calls", function()
    trio.open_nursery(function(nursery)
      local got
      local function down(n)
        if n == 0 then return sleep() end
        local a, b = down(n - 1)
        return a, b
      end
      local task = sleeper(nursery, function() got = {down(100)} end)
      lowlevel.reschedule(task, true, {}, "b")
      testing.wait_all_tasks_blocked()
      assert.equal("table", type(got[1]))
      assert.equal("b", got[2])
    end)
  end)
end)

describe("the abort callback", function()
  H.trio_it("CANCEL-40 is called by cancel itself, and once", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      local scope = trio.CancelScope()
      nursery:start_soon(function()
        scope:run(function()
          lowlevel.wait_task_rescheduled(function()
            log("abort")
            return Abort.SUCCEEDED
          end)
        end)
      end)
      testing.wait_all_tasks_blocked()
      scope:cancel()
      log("returned")
      scope:cancel()
    end)
    assert.same({"abort", "returned"}, t)
  end)

  H.trio_it("SYS gets a function that raises Cancelled", function()
    local err
    trio.CancelScope():run(function(scope)
      scope:cancel("why not")
      lowlevel.wait_task_rescheduled(function(raise_cancel)
        local ok
        ok, err = pcall(raise_cancel)
        assert.is_false(ok)
        return Abort.SUCCEEDED
      end)
    end)
    assert.is_true(H.is_cancelled(err))
    assert.equal("explicit", err.source)
    assert.equal("why not", err.reason)
  end)

  H.trio_it("SYS sees whoever cancels as the current task", function()
    local who
    local function note()
      who = lowlevel.current_task()
      return Abort.SUCCEEDED
    end
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        lowlevel.wait_task_rescheduled(note)
      end)
      testing.wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
      assert.equal(lowlevel.current_task(), who)
    end)
  end)

  H.trio_it("SYS runs outside of any task when a deadline fires", function()
    local run, task
    trio.move_on_after(1, function()
      lowlevel.wait_task_rescheduled(function()
        run, task = lowlevel.in_trio_run(), lowlevel.in_trio_task()
        return Abort.SUCCEEDED
      end)
    end)
    assert.is_true(run)
    assert.is_false(task)
  end)

  H.trio_it("SYS is not called after the task was rescheduled", function()
    local aborted
    trio.CancelScope():run(function(scope)
      local me = lowlevel.current_task()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          lowlevel.reschedule(me, true, "won")
          scope:cancel()
        end)
        assert.equal("won", lowlevel.wait_task_rescheduled(function()
          aborted = true
          return Abort.SUCCEEDED
        end))
      end)
    end)
    assert.is_nil(aborted)
  end)

  H.trio_it("CANCEL-42 FAILED leaves the task asleep", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      local scope = trio.CancelScope()
      local task = sleeper(nursery, function()
        scope:run(function()
          log(lowlevel.wait_task_rescheduled(function()
            return Abort.FAILED
          end))
          local ok, err = pcall(lowlevel.checkpoint_if_cancelled)
          log(not ok and H.is_cancelled(err))
        end)
      end)
      scope:cancel()
      testing.wait_all_tasks_blocked()
      assert.same({}, t)
      lowlevel.reschedule(task, true, 1)
    end)
    assert.same({1, true}, t)
  end)

  -- An abort that hands Cancelled over a pass later.
  local function slow_abort(log)
    local task = lowlevel.current_task()
    local token = lowlevel.current_trio_token()
    return function(raise_cancel)
      log("abort")
      token:run_sync_soon(lowlevel.reschedule, task, pcall(raise_cancel))
      return Abort.FAILED
    end
  end

  H.trio_it("CANCEL-43 a slow abort delivers Cancelled later", function()
    local t, log = H.trace()
    local scope = trio.CancelScope()
    scope:run(function()
      scope:cancel()
      lowlevel.wait_task_rescheduled(slow_abort(log))
    end)
    assert.is_true(scope.cancelled_caught)
    assert.same({"abort"}, t)
  end)

  H.trio_it("CANCEL-43 a slow abort wins over a later shield", function()
    local t, log = H.trace()
    local outer, inner = trio.CancelScope(), trio.CancelScope()
    outer:run(function()
      inner:run(function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            local ok, err = pcall(lowlevel.wait_task_rescheduled,
              slow_abort(log))
            log(not ok and H.is_cancelled(err) and "cancelled")
            lowlevel.checkpoint()
            log("done")
          end)
          testing.wait_all_tasks_blocked()
          outer:cancel()
          assert.same({"abort"}, t)
          inner:cancel()
          assert.same({"abort"}, t)
          nursery.cancel_scope.shield = true
        end)
      end)
    end)
    assert.same({"abort", "cancelled", "done"}, t)
  end)

  it("RUN-09 may not wait", function()
    local err = H.raises_class(trio.TrioInternalError, H.run, function()
      trio.CancelScope():run(function(scope)
        scope:cancel()
        lowlevel.wait_task_rescheduled(function()
          lowlevel.checkpoint()
          return Abort.SUCCEEDED
        end)
      end)
    end)
    assert.matches("checkpoint", tostring(err.cause))
  end)
end)

describe("reschedule", function()
  H.trio_it("CP-08 refuses a task that is not asleep", function()
    usage("reschedule", function()
      lowlevel.reschedule(lowlevel.current_task())
    end)
    trio.open_nursery(function(nursery)
      local task = sleeper(nursery, sleep)
      lowlevel.reschedule(task)
      usage("reschedule", function() lowlevel.reschedule(task) end)
      testing.wait_all_tasks_blocked()
      usage("reschedule", function() lowlevel.reschedule(task) end)
      testing.wait_all_tasks_blocked()
    end)
  end)

  it("CP-08 refuses a task of a finished run", function()
    local task = H.run(lowlevel.current_task)
    usage("reschedule", function() lowlevel.reschedule(task) end)
    H.run(function()
      usage("reschedule", function() lowlevel.reschedule(task) end)
    end)
  end)

  H.trio_it("SYS names a wrong argument", function()
    usage("reschedule", function() lowlevel.reschedule() end)
    usage("reschedule", function() lowlevel.reschedule(5) end)
    usage("reschedule", function() lowlevel.reschedule({}) end)
    trio.open_nursery(function(nursery)
      local task = sleeper(nursery, sleep)
      for _, outcome in ipairs{5, "true", {}} do
        usage("reschedule", function() lowlevel.reschedule(task, outcome) end)
      end
      lowlevel.reschedule(task)
    end)
    usage("wait_task_rescheduled", function()
      lowlevel.wait_task_rescheduled()
    end)
    usage("wait_task_rescheduled", function()
      lowlevel.wait_task_rescheduled(5)
    end)
  end)

  H.trio_it("TIME-04 of a task in sleep_forever is an error there", function()
    trio.open_nursery(function(nursery)
      local err
      local task = sleeper(nursery, function()
        err = usage(".", trio.sleep_forever)
      end)
      lowlevel.reschedule(task)
      testing.wait_all_tasks_blocked()
      assert.is_string(err)
    end)
  end)
end)

describe("a system task", function()
  H.trio_it("SYS-03 takes arguments, runs later, returns its task", function()
    local got
    local task = lowlevel.spawn_system_task(function(...)
      got = table.pack(lowlevel.current_task(), ...)
      lowlevel.checkpoint()
    end, 1, nil)
    assert.is_nil(got)
    testing.wait_all_tasks_blocked()
    assert.equal(3, got.n)
    assert.equal(task, got[1])
    assert.equal(1, got[2])
  end)

  H.trio_it("SYS-03 is outside of the scopes of its spawner", function()
    local woke
    local parent
    trio.move_on_after(1, function()
      parent = lowlevel.spawn_system_task(function()
        assert.equal(math.huge, trio.current_effective_deadline())
        trio.sleep(5)
        woke = trio.current_time()
      end).parent_nursery.parent_task
      trio.sleep_forever()
    end)
    assert.equal(1, trio.current_time())
    trio.sleep(10)
    assert.equal(5, woke)
    assert.equal(lowlevel.current_root_task(), parent)
  end)

  H.trio_it("SYS-03 has the given name", function()
    local task = lowlevel.spawn_system_task({name = "janitor"}, sleep)
    assert.equal("janitor", task.name)
  end)

  H.trio_it("SYS-03 wrong arguments are named", function()
    local living = lowlevel.current_statistics().tasks_living
    local spawn = lowlevel.spawn_system_task
    usage("spawn_system_task", function() lowlevel.spawn_system_task() end)
    usage("spawn_system_task", function() lowlevel.spawn_system_task(5) end)
    usage("spawn_system_task", function() lowlevel.spawn_system_task({}) end)
    usage("colour", function() spawn({colour = 1}, sleep) end)
    assert.equal(living, lowlevel.current_statistics().tasks_living)
  end)

  it("SYS-01 that raises ends the run with TrioInternalError", function()
    for _, V in ipairs{{}, "text", false, trio.WouldBlock("x")} do
      local cancelled
      local err = H.raises_class(trio.TrioInternalError, H.run, function()
        lowlevel.spawn_system_task(function() error(V, 0) end)
        local _, e = pcall(trio.sleep_forever)
        cancelled = H.is_cancelled(e)
        error(e)
      end)
      assert.is_true(cancelled)
      assert.equal(1, #err.cause.exceptions)
      H.group_of(err.cause.exceptions[1], V)
    end
  end)

  it("SYS-01 whose own nursery fails adds one level", function()
    local K, V = {"K"}, {"V"}
    local err = H.raises_class(trio.TrioInternalError, H.run, function()
      lowlevel.spawn_system_task(function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(error, K)
          nursery:start_soon(error, V)
        end)
      end)
      trio.sleep_forever()
    end)
    assert.equal(1, #err.cause.exceptions)
    assert.equal(1, #err.cause.exceptions[1].exceptions)
    H.group_set(err.cause.exceptions[1].exceptions[1], K, V)
  end)

  it("SYS-02 failing at shutdown: Cancelled is stripped", function()
    local V = {}
    local err = H.raises_class(trio.TrioInternalError, H.run, function()
      lowlevel.spawn_system_task(function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            pcall(trio.sleep_forever)
            error(V)
          end)
          nursery:start_soon(trio.sleep_forever)
        end)
      end)
    end)
    assert.equal(1, #err.cause.exceptions)
    assert.equal(1, #err.cause.exceptions[1].exceptions)
    H.group_of(err.cause.exceptions[1].exceptions[1], V)
  end)

  it("CANCEL-63 is cancelled when main is done", function()
    local err
    H.run(function()
      lowlevel.spawn_system_task(function()
        err = select(2, pcall(trio.sleep_forever))
        error(err)
      end)
      lowlevel.checkpoint()
    end)
    assert.is_true(H.is_cancelled(err))
    assert.equal("shutdown", err.source)
    assert.matches("[Mm]ain", err.reason)
  end)

  it("SYS-01 main's result is lost when a system task fails", function()
    local V = {}
    local err = H.raises_class(trio.TrioInternalError, H.run, function()
      lowlevel.spawn_system_task(error, V)
      return "result"
    end)
    H.group_of(err.cause.exceptions[1], V)
  end)
end)
