-- SPDX-License-Identifier: MIT
-- Every function that may wait keeps the same promises: it is a checkpoint,
-- can be cancelled without a trace, and refuses to wait where nobody can.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing
local Abort = lowlevel.Abort

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

-- How many schedule and cancel points of this task fn takes.
local function points(fn, ...)
  local s, c = testing._points()
  fn(...)
  local s2, c2 = testing._points()
  return s2 - s, c2 - c
end

-- The functions that park. Each entry makes a fresh situation in which
-- `call` has to wait, and `wake` ends that wait; `trace` checks that nothing
-- is left of it. name: what messages call it.
local blocking = {
  {name = "sleep", make = function()
    return {
      call = function() trio.sleep(50) end,
      wake = function() trio.sleep(50) end,
      trace = function()
        assert.equal(math.huge,
          lowlevel.current_statistics().seconds_to_next_deadline)
      end,
    }
  end},
  {name = "sleep_until", make = function()
    local deadline = trio.current_time() + 50
    return {
      call = function() trio.sleep_until(deadline) end,
      wake = function() trio.sleep_until(deadline) end,
      trace = function()
        assert.equal(math.huge,
          lowlevel.current_statistics().seconds_to_next_deadline)
      end,
    }
  end},
  {name = "sleep_forever", make = function()
    return {call = trio.sleep_forever}
  end},
  {name = "wait_task_rescheduled", make = function()
    local task, aborts = nil, 0
    return {
      call = function()
        task = lowlevel.current_task()
        assert.equal("woken", lowlevel.wait_task_rescheduled(function()
          aborts = aborts + 1
          return Abort.SUCCEEDED
        end))
      end,
      wake = function() lowlevel.reschedule(task, true, "woken") end,
      trace = function() assert.equal(1, aborts) end,
    }
  end},
  {name = "park", make = function()
    local lot = lowlevel.ParkingLot()
    return {
      call = function() lot:park() end,
      wake = function() lot:unpark() end,
      trace = function()
        assert.equal(0, #lot)
        assert.equal(0, lot:statistics().tasks_waiting)
      end,
    }
  end},
  {name = "get_batch", make = function()
    local queue = lowlevel.UnboundedQueue()
    return {
      call = function() assert.same({1}, queue:get_batch()) end,
      wake = function() queue:put_nowait(1) end,
      trace = function()
        assert.equal(0, queue:statistics().tasks_waiting)
        assert.equal(0, queue:qsize())
      end,
    }
  end},
  {name = "start", make = function()
    local started
    local situation = {}
    situation.call = function()
      assert.equal("up", situation.nursery:start(function(task_status)
        started = trio.Event()
        started:wait()
        task_status:started("up")
      end))
    end
    situation.wake = function() started:set() end
    situation.trace = function()
      assert.same({}, situation.nursery.child_tasks)
    end
    return situation
  end},
  {name = "wait_all_tasks_blocked", make = function()
    local scope = trio.CancelScope()
    return {
      call = function()
        -- Somebody else keeps the run busy until the wake.
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            scope:run(function()
              while true do lowlevel.checkpoint() end
            end)
          end)
          testing.wait_all_tasks_blocked()
        end)
      end,
      wake = function() scope:cancel() end,
      busy = true,
    }
  end},
}

-- fn(situation) with a nursery that lives as long.
local function within(entry, fn)
  trio.open_nursery(function(nursery)
    local situation = entry.make()
    situation.nursery = nursery
    fn(situation)
  end)
end

-- Lets everybody reach its wait, also where the run is kept busy.
local function settle(situation)
  if situation.busy then
    for _ = 1, 5 do lowlevel.checkpoint() end
  else
    testing.wait_all_tasks_blocked()
  end
end

for _, entry in ipairs(blocking) do
  local name = entry.name
  describe(name, function()
    H.trio_it("CP-01 " .. name .. " is a checkpoint when it waits",
      function()
        within(entry, function(situation)
          if not situation.wake then return end
          local s, c
          trio.open_nursery(function(nursery)
            nursery:start_soon(function()
              s, c = points(situation.call)
            end)
            settle(situation)
            assert.is_nil(s)
            situation.wake()
          end)
          assert.is_true(s >= 1)
          assert.is_true(c >= 1)
        end)
      end)

    H.trio_it("CANCEL-49 " .. name .. " in a cancelled scope", function()
      within(entry, function(situation)
        local scope = trio.CancelScope()
        local s = points(function()
          scope:run(function()
            scope:cancel()
            local ok, err = pcall(situation.call)
            assert.is_false(ok)
            if not situation.busy then assert.is_true(H.is_cancelled(err)) end
            error(err)
          end)
        end)
        assert.is_true(scope.cancelled_caught)
        assert.is_true(s >= 1)
        if situation.trace then situation.trace() end
      end)
    end)

    H.trio_it("CANCEL-49 " .. name .. " is cancelled while it waits, " ..
      "without a trace, and works again", function()
      within(entry, function(situation)
        local scope, done = trio.CancelScope(), nil
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            scope:run(situation.call)
            done = true
          end)
          settle(situation)
          assert.is_nil(done)
          scope:cancel()
          if not situation.busy and situation.trace and
              name ~= "start" then
            situation.trace()  -- gone as soon as cancel has returned
          end
        end)
        assert.is_true(scope.cancelled_caught)
        if situation.trace then situation.trace() end
        if not situation.wake or situation.busy then return end
        local again
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            situation.call()
            again = true
          end)
          settle(situation)
          situation.wake()
        end)
        assert.is_true(again)
      end)
    end)

    H.trio_it("CANCEL-45 " .. name .. " that was woken is not cancelled",
      function()
        within(entry, function(situation)
          if not situation.wake or situation.busy then return end
          if name:find("^sleep") or name == "start" then return end
          local scope, woken = trio.CancelScope(), nil
          trio.open_nursery(function(nursery)
            nursery:start_soon(function()
              scope:run(function()
                situation.call()
                woken = true
                lowlevel.checkpoint()
                error("the scope is cancelled")
              end)
            end)
            settle(situation)
            situation.wake()
            scope:cancel()
          end)
          assert.is_true(woken)
          assert.is_true(scope.cancelled_caught)
        end)
      end)

    H.trio_it("CP-01 " .. name .. " waits in a coroutine of the program",
      function()
        within(entry, function(situation)
          local outer, finished = trio.CancelScope(), nil
          trio.open_nursery(function(nursery)
            nursery:start_soon(function()
              outer:run(function()
                trio.coroutine.wrap(function() situation.call() end)()
                finished = true
              end)
            end)
            settle(situation)
            assert.is_nil(finished)
            if situation.wake then
              situation.wake()
            else
              outer:cancel()
            end
          end)
          assert.equal(situation.wake and true or nil, finished)
        end)
      end)
  end)
end

-- Everything that may wait or that needs a task: its name in messages, and a
-- call of it.
local function agree() return Abort.SUCCEEDED end

local awaiting = {
  {"sleep", function() trio.sleep(1) end},
  {"sleep", function() trio.sleep(0) end},
  {"sleep_until", function() trio.sleep_until(0) end},
  {"sleep_forever", function() trio.sleep_forever() end},
  {"open_nursery", function() trio.open_nursery(function() end) end},
  {"checkpoint", function() lowlevel.checkpoint() end},
  {"checkpoint_if_cancelled", function()
    lowlevel.checkpoint_if_cancelled()
  end},
  {"cancel_shielded_checkpoint", function()
    lowlevel.cancel_shielded_checkpoint()
  end},
  {"wait_task_rescheduled", function()
    lowlevel.wait_task_rescheduled(agree)
  end},
  {"park", function() lowlevel.ParkingLot():park() end},
  {"get_batch", function() lowlevel.UnboundedQueue():get_batch() end},
  {"wait_all_tasks_blocked", function()
    testing.wait_all_tasks_blocked()
  end},
}

describe("outside of a task", function()
  for _, entry in ipairs(awaiting) do
    it("RUN-05 " .. entry[1] .. " refuses, by its name", function()
      local err = usage(entry[1], entry[2])
      assert.matches("task", err)
    end)
  end

  local scoped = {
    move_on_after = function() trio.move_on_after(1, print) end,
    move_on_at = function() trio.move_on_at(1, print) end,
    fail_after = function() trio.fail_after(1, print) end,
    fail_at = function() trio.fail_at(1, print) end,
    run = function() trio.CancelScope():run(print) end,
  }
  for name, call in pairs(scoped) do
    it("RUN-05 " .. name .. " refuses, by its name", function()
      assert.matches("task", usage(name, call))
    end)
  end

  it("RUN-05 a nursery of a finished run refuses to start", function()
    local nursery = H.run(function()
      return trio.open_nursery(function(n) return n end)
    end)
    usage("closed", function() nursery:start_soon(print) end)
    usage(".", function() nursery:start(print) end)
  end)
end)

describe("where Lua can't suspend", function()
  for _, entry in ipairs(awaiting) do
    local name, call = entry[1], entry[2]
    -- checkpoint_if_cancelled has nothing to wait for here.
    if name ~= "checkpoint_if_cancelled" then
      H.trio_it("CP-01 " .. name .. " says so, by its name", function()
        usage(name, function()
          string.gsub("x", "x", function() call() end)
        end)
        usage(name, function()
          table.sort({2, 1}, function(a, b)
            call()
            return a < b
          end)
        end)
        lowlevel.checkpoint()  -- the task is as good as before
        local s, c = points(lowlevel.checkpoint)
        assert.equal(1, s)
        assert.equal(1, c)
      end)
    end
  end

  H.trio_it("CP-01 in a callback of the scheduler it says so", function()
    local results = {}
    local instrument = {}
    function instrument.before_io_wait()
      lowlevel.remove_instrument(instrument)
      for i, entry in ipairs(awaiting) do
        results[i] = table.pack(pcall(entry[2]))
      end
    end
    lowlevel.add_instrument(instrument)
    trio.sleep(1)
    assert.equal(#awaiting, #results)
    for i, entry in ipairs(awaiting) do
      assert.is_false(results[i][1])
      assert.matches(entry[1], results[i][2])
    end
  end)
end)
