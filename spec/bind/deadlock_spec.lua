-- SPDX-License-Identifier: MIT
-- on_deadlock = "raise": when every task is blocked and nothing can wake one,
-- main gets a DeadlockError that tells who waits where.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

local function here()
  return debug.getinfo(2, "l").currentline
end

-- A run that raises on deadlock, under a mock clock with autojump.
local function deadlocked(main)
  return H.raises_class(trio.DeadlockError, H.run, main,
    {on_deadlock = "raise"})
end

-- The error's text contains each of the plain texts.
local function mentions(err, ...)
  local text = tostring(err)
  assert.equal(1, (text:find("DeadlockError", 1, true)))
  for _, part in ipairs{...} do
    assert(text:find(part, 1, true), ("no %q in: %s"):format(part, text))
  end
end

describe("a deadlock", function()
  it("of main alone raises in main, with the operation and the place",
    function()
      local line
      local err = deadlocked(function()
        line = here() + 1
        trio.Event():wait()
      end)
      mentions(err, "Event", "wait", "deadlock_spec.lua:" .. line)
      assert.is_true(trio.isinstance(err, trio.Error))
      assert.is_false(lowlevel.in_trio_run())
    end)

  it("of main in sleep_forever raises too", function()
    mentions(deadlocked(function() trio.sleep_forever() end),
      "sleep_forever")
  end)

  it("names every blocked task, what it waits in and where", function()
    local group = H.raises_class(trio.ExceptionGroup, H.run, function()
      local first, second = trio.Lock(), trio.Lock()
      local function take(a, b)
        a:acquire()
        lowlevel.checkpoint()
        b:acquire()
        error("not reached")
      end
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = "alice"}, take, first, second)
        nursery:start_soon({name = "bob"}, take, second, first)
      end)
    end, {on_deadlock = "raise"})
    assert.equal(1, #group.exceptions)
    local err = group.exceptions[1]
    assert.is_true(trio.isinstance(err, trio.DeadlockError))
    mentions(err, "alice", "bob", "Lock", "acquire", "deadlock_spec.lua:")
  end)

  it("comes in a group where main waits in a nursery", function()
    local cancelled
    local group = H.raises_class(trio.ExceptionGroup, H.run, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local ok, err = pcall(trio.sleep_forever)
          cancelled = not ok and H.is_cancelled(err)
          error(err)
        end)
      end)
    end, {on_deadlock = "raise"})
    assert.is_true(cancelled)
    assert.equal(1, #group.exceptions)
    assert.is_true(trio.isinstance(group.exceptions[1], trio.DeadlockError))
  end)

  it("is caught like any error, and found again", function()
    local seen = 0
    local result = H.run(function()
      for _ = 1, 3 do
        local err = H.raises_class(trio.DeadlockError, trio.sleep_forever)
        assert.is_not_nil(err)
        seen = seen + 1
        lowlevel.checkpoint()
      end
      trio.sleep(5)
      return trio.current_time()
    end, {on_deadlock = "raise"})
    assert.equal(3, seen)
    assert.equal(5, result)
  end)

  it("ends main's wait inside a shielded scope as well", function()
    deadlocked(function()
      trio.CancelScope({shield = true}):run(trio.sleep_forever)
    end)
  end)

  it("does not jump the clock", function()
    local clock = testing.MockClock{autojump_threshold = 0}
    H.raises_class(trio.DeadlockError, H.run, trio.sleep_forever,
      {on_deadlock = "raise", clock = clock})
    assert.equal(0, clock:current_time())
  end)

  it("is found on the real clock", function()
    H.raises_class(trio.DeadlockError, trio.run,
      {on_deadlock = "raise"}, trio.sleep_forever)
  end)

  it("is found although a system task waits", function()
    deadlocked(function()
      lowlevel.spawn_system_task({name = "idler"}, trio.sleep_forever)
      trio.sleep_forever()
    end)
  end)

  it("ends the run where main's wait does not let go", function()
    local stuck = function()
      lowlevel.wait_task_rescheduled(function()
        return lowlevel.Abort.FAILED
      end)
    end
    mentions(deadlocked(stuck), "wait_task_rescheduled")
    assert.equal(1, H.run(function() return 1 end))
  end)

  it("ends the run where a shielded child keeps main from leaving",
    function()
      mentions(deadlocked(function()
        trio.open_nursery(function(nursery)
          nursery:start_soon({name = "stubborn"}, function()
            trio.CancelScope({shield = true}):run(trio.sleep_forever)
          end)
        end)
      end), "stubborn", "sleep_forever")
    end)

  it("ends the run where a system task outlives main", function()
    local event = trio.Event()
    deadlocked(function()
      lowlevel.spawn_system_task(function()
        trio.CancelScope({shield = true}):run(function() event:wait() end)
      end)
      lowlevel.checkpoint()
    end)
    assert.equal(0, event:statistics().tasks_waiting)
  end)

  it("is what raise_cancel raises in an abort callback", function()
    local err
    local task
    assert.equal("woken", H.run(function()
      task = lowlevel.current_task()
      return lowlevel.wait_task_rescheduled(function(raise_cancel)
        err = select(2, pcall(raise_cancel))
        lowlevel.current_trio_token():run_sync_soon(lowlevel.reschedule, task,
          true, "woken")
        return lowlevel.Abort.FAILED
      end)
    end, {on_deadlock = "raise"}))
    assert.is_true(trio.isinstance(err, trio.DeadlockError))
  end)

  it("of a task that could only wake itself", function()
    mentions(deadlocked(function()
      local send, receive = trio.open_memory_channel(0)
      local value = receive:receive()
      send:send_nowait(value)
    end), "receive")
  end)
end)

describe("no deadlock", function()
  local function lives(main)
    return H.run(main, {on_deadlock = "raise"})
  end

  it("while somebody sleeps", function()
    assert.equal(10, lives(function()
      local event = trio.Event()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.sleep(10)
          event:set()
        end)
        event:wait()
      end)
      return trio.current_time()
    end))
  end)

  it("while a deadline is ahead", function()
    assert.equal(10, lives(function()
      trio.move_on_after(10, trio.sleep_forever)
      return trio.current_time()
    end))
  end)

  it("while a task waits for idleness", function()
    lives(function()
      local event = trio.Event()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          testing.wait_all_tasks_blocked()
          event:set()
        end)
        event:wait()
      end)
    end)
  end)

  it("while a callback is queued", function()
    lives(function()
      local event = trio.Event()
      lowlevel.current_trio_token():run_sync_soon(function() event:set() end)
      event:wait()
    end)
  end)

  it("while a system task still works for main", function()
    assert.equal(3, lives(function()
      local event = trio.Event()
      lowlevel.spawn_system_task(function()
        trio.sleep(3)
        event:set()
      end)
      event:wait()
      return trio.current_time()
    end))
  end)

  it("when main ends and a nursery cancels its children", function()
    lives(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep_forever)
        lowlevel.checkpoint()
        nursery.cancel_scope:cancel()
      end)
    end)
  end)

  it('is looked for with on_deadlock = "wait"', function()
    -- A scope ends the wait; the default never raises meanwhile.
    for _, opts in ipairs{{}, {on_deadlock = "wait"}} do
      local scope = H.run(function()
        return (trio.move_on_after(1, trio.sleep_forever))
      end, opts)
      assert.is_true(scope.cancelled_caught)
    end
  end)
end)

describe("the report of a deadlock", function()
  -- What it says about the task of that name.
  local function line_of(err, name)
    local text = tostring(err) .. "\n  <"
    local line = text:match("\n  <Task '" .. name .. "' at (.-)\n  <")
    return (line:gsub("0x%x+", "ADDR"))
  end

  it("says who holds what each task waits for", function()
    local a, b = trio.Lock(), trio.StrictFIFOLock()
    local condition = trio.Condition()
    local limiter = trio.CapacityLimiter(2)
    local ok, err = pcall(trio.run, {on_deadlock = "raise"}, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = "first"}, function()
          a:acquire()
          limiter:acquire()
          condition:acquire()
          lowlevel.checkpoint()
          b:acquire()
        end)
        nursery:start_soon({name = "second"}, function()
          b:acquire()
          limiter:acquire_on_behalf_of("a job")
          for _ = 1, 3 do lowlevel.checkpoint() end
          a:acquire()
        end)
        nursery:start_soon({name = "third"}, function()
          for _ = 1, 6 do lowlevel.checkpoint() end
          limiter:acquire()
        end)
        nursery:start_soon({name = "fourth"}, function()
          for _ = 1, 6 do lowlevel.checkpoint() end
          condition:acquire()
        end)
        nursery:start_soon({name = "fifth"}, trio.sleep_forever)
      end)
    end)
    assert.is_false(ok)
    err = err.exceptions[1]
    assert.truthy(line_of(err, "first"):find(
      "\n    for <trio.StrictFIFOLock ADDR locked, 1 waiting>, " ..
      "held by <Task 'second' at ADDR>$"), tostring(err))
    assert.truthy(line_of(err, "second"):find(" for <trio.Lock ADDR " ..
      "locked, 1 waiting>, held by <Task 'first' at ADDR>$"), tostring(err))
    local third = line_of(err, "third")
    assert.truthy(third:find(", held by ", 1, true), third)
    assert.truthy(third:find("<Task 'first' at ADDR>", 1, true), third)
    assert.truthy(third:find("a job", 1, true), third)
    assert.truthy(line_of(err, "fourth"):find(
      ">, held by <Task 'first' at ADDR>$"), tostring(err))
    assert.is_nil(line_of(err, "fifth"):find(" for ", 1, true))
  end)
end)
