-- SPDX-License-Identifier: MIT
-- nursery_cancel_spec.lua: nurseries and cancelling: the nursery's own scope,
-- scopes around and inside it, and what leaving a nursery does and does not do
-- when something is cancelled.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local now = trio.current_time

-- The virtual time as text: "1", "2.5".
local function clock()
  return ("%g"):format(now())
end

-- Wait for ever and report through `log` whether the end was a Cancelled,
-- which goes on its way.
local function sleeper(log)
  local ok, why = pcall(trio.sleep_forever)
  log(not ok and H.is_cancelled(why))
  error(why, 0)
end

-- Run fn beside a task that counts batches, and return by how many the counter
-- moved while fn ran: the number of schedule points that fn made.
local function schedule_points(fn)
  local batches, moved = 0, nil
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      while not moved do
        batches = batches + 1
        lowlevel.cancel_shielded_checkpoint()
      end
    end)
    lowlevel.cancel_shielded_checkpoint()
    local before = batches
    fn()
    moved = batches - before
  end)
  return moved
end

describe("a nursery's own scope", function()
  trio_it("NURS-11 cancelled early lets children run to their checkpoint",
    function()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        nursery.cancel_scope:cancel()
        nursery:start_soon(function()
          log "starts"
          local _, why = pcall(lowlevel.checkpoint)
          log(H.is_cancelled(why))
          error(why, 0)
        end)
      end)
      assert.same({"starts", true}, trace)
    end)

  trio_it("NURS-15 ends a sleeping child without an error", function()
    local scope
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      scope = nursery.cancel_scope
      nursery:start_soon(sleeper, log)
      lowlevel.checkpoint()
      scope:cancel()
    end)
    assert.same({true}, trace)
    assert.is_true(scope.cancel_called)
    assert.is_true(scope.cancelled_caught)
  end)

  trio_it("NURS-16 catches nothing from a child without checkpoints",
    function()
      local scope, finished
      trio.open_nursery(function(nursery)
        scope = nursery.cancel_scope
        nursery:start_soon(function() finished = true end)
        scope:cancel()
      end)
      assert.is_true(finished)
      assert.is_true(scope.cancel_called)
      assert.is_false(scope.cancelled_caught)
    end)

  trio_it("NURS-24 may have a deadline", function()
    local scope
    trio.sleep(1)
    trio.open_nursery(function(nursery)
      scope = nursery.cancel_scope
      scope.deadline = now() + 2
      nursery:start_soon(trio.sleep_forever)
    end)
    assert.equal(3, now())
    assert.is_true(scope.cancelled_caught)
  end)

  trio_it("NURS-41 ends a sleeping body without an error", function()
    local scope
    trio.open_nursery(function(nursery)
      scope = nursery.cancel_scope
      nursery:start_soon(function()
        trio.sleep(1)
        scope:cancel()
      end)
      trio.sleep(100)
    end)
    assert.equal(1, now())
    assert.is_true(scope.cancelled_caught)
  end)

  trio_it("NURS-40 serves to race", function()
    local trace, log = H.trace()
    local function race(...)
      local winner
      local jockeys = {...}
      trio.open_nursery(function(nursery)
        for _, jockey in ipairs(jockeys) do
          nursery:start_soon(function()
            winner = jockey()
            nursery.cancel_scope:cancel()
          end)
        end
      end)
      return winner
    end
    local function horse(seconds)
      return function()
        local ok, why = pcall(trio.sleep, seconds)
        log(seconds .. (ok and " runs" or " is stopped"))
        if not ok then error(why, 0) end
        return seconds
      end
    end
    assert.equal(2, race(horse(3), horse(2), horse(4)))
    assert.equal(2, now())
    table.sort(trace)
    assert.same({"2 runs", "3 is stopped", "4 is stopped"}, trace)
  end)

  trio_it("NURS-29 reaches the leaves of a tree of nurseries", function()
    local trace, log = H.trace()
    trio.open_nursery(function(top)
      for _ = 1, 2 do
        top:start_soon(trio.open_nursery, function(inner)
          inner:start_soon(sleeper, log)
          inner:start_soon(sleeper, log)
        end)
      end
      trio.testing.wait_all_tasks_blocked()
      assert.same({}, trace)
      top.cancel_scope:cancel()
    end)
    assert.same({true, true, true, true}, trace)
  end)

  trio_it("may be cancelled by a task outside", function()
    local trace, log = H.trace()
    local scope
    trio.open_nursery(function(outer)
      outer:start_soon(trio.open_nursery, function(nursery)
        scope = nursery.cancel_scope
        nursery:start_soon(sleeper, log)
        sleeper(log)
      end)
      trio.sleep(1)
      scope:cancel("enough")
      trio.sleep(1)
      assert.same({true, true}, trace)
    end)
    assert.is_true(scope.cancelled_caught)
    assert.equal(2, now())
  end)

  trio_it("cannot be entered a second time", function()
    trio.open_nursery(function(nursery)
      local err = H.raises("", function() nursery.cancel_scope:run(print) end)
      assert.equal("string", type(err))
      lowlevel.checkpoint()
    end)
  end)

  trio_it("NURS-44 is not touched by the scopes of its children", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local scopes = {}
      for i = 1, 2 do
        nursery:start_soon(function()
          trio.CancelScope():run(function(scope)
            scopes[i] = scope
            trio.sleep(10)
            log("slept " .. i)
          end)
          log("ends " .. i .. " at " .. clock())
        end)
      end
      trio.sleep(1)
      scopes[1]:cancel()
      trio.sleep(1)
      assert.is_false(nursery.cancel_scope.cancel_called)
      assert.equal(1, #nursery.child_tasks)
    end)
    assert.same({"ends 1 at 1", "slept 2", "ends 2 at 10"}, trace)
  end)
end)

describe("leaving a nursery", function()
  trio_it("NURS-17 is one schedule point and no cancel point", function()
    local scope = trio.CancelScope()
    local moved = schedule_points(function()
      scope:run(function()
        scope:cancel()
        trio.open_nursery(function() end)
      end)
    end)
    assert.equal(1, moved)
    assert.is_false(scope.cancelled_caught)
  end)

  trio_it("is one schedule point where nothing is cancelled", function()
    assert.equal(1, schedule_points(function()
      trio.open_nursery(function() end)
    end))
  end)

  trio_it("entering it is no schedule point", function()
    local trace, log = H.trace()
    trio.open_nursery(function(outer)
      outer:start_soon(log, "ran")
      trio.open_nursery(function() assert.same({}, trace) end)
      assert.same({"ran"}, trace)
    end)
  end)

  trio_it("NURS-18 with a child that never looks catches nothing", function()
    local scope, ran = trio.CancelScope(), false
    local moved = schedule_points(function()
      scope:run(function()
        scope:cancel()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function() ran = true end)
        end)
      end)
    end)
    assert.is_true(ran)
    assert.truthy(moved >= 1)
    assert.is_false(scope.cancelled_caught)
  end)

  trio_it("NURS-19 goes on normally when the child swallowed the end",
    function()
      local after
      local scope = trio.move_on_after(1, function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(pcall, trio.sleep_forever)
        end)
        after = trio.current_effective_deadline()
      end)
      assert.equal(-math.huge, after)
      assert.equal(1, now())
      assert.is_true(scope.cancel_called)
      assert.is_false(scope.cancelled_caught)
    end)

  trio_it("NURS-20 raises the Cancelled of children for the scope outside",
    function()
      local raised
      local scope = trio.move_on_after(1, function()
        raised = H.raises("", trio.open_nursery, function(nursery)
          nursery:start_soon(trio.sleep_forever)
        end)
        error(raised, 0)
      end)
      assert.is_true(trio.isinstance(raised, trio.ExceptionGroup))
      assert.equal(1, #raised.exceptions)
      assert.is_true(H.is_cancelled(raised.exceptions[1]))
      assert.is_true(scope.cancelled_caught)
      assert.equal(1, now())
    end)

  trio_it("waits for a shielded child of a cancelled nursery", function()
    local scope
    trio.open_nursery(function(nursery)
      scope = nursery.cancel_scope
      nursery:start_soon(function()
        trio.CancelScope({shield = true}):run(function() trio.sleep(4) end)
      end)
      lowlevel.checkpoint()
      scope:cancel()
    end)
    assert.equal(4, now())
    assert.is_false(scope.cancelled_caught)
  end)

  trio_it("NURS-43 lets go of the locals of cancelled children", function()
    local collected, kept = 0, nil
    trio.open_nursery(function(nursery)
      kept = nursery
      for _ = 1, 3 do
        nursery:start_soon(function()
          local canary = setmetatable({}, {__gc = function()
            collected = collected + 1
          end})
          lowlevel.checkpoint()
          return canary
        end)
      end
      nursery.cancel_scope:cancel()
    end)
    collectgarbage()
    collectgarbage()
    assert.equal(3, collected)
    assert.is_true(kept.cancel_scope.cancelled_caught)
  end)
end)

describe("a scope and a nursery", function()
  trio_it("NURS-21 a scope in the body does not hold the children", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      trio.move_on_after(1, function()
        nursery:start_soon(function()
          trio.sleep(5)
          log("child at " .. clock())
        end)
        trio.sleep(3)
        log "body never gets here"
      end)
      log("body at " .. clock())
    end)
    assert.same({"body at 1", "child at 5"}, trace)
  end)

  trio_it("NURS-22 a scope around the nursery holds the children", function()
    local trace, log = H.trace()
    local scope = trio.move_on_after(1, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(sleeper, log)
        nursery:start_soon(sleeper, log)
      end)
    end)
    assert.same({true, true}, trace)
    assert.is_true(scope.cancelled_caught)
    assert.equal(1, now())
  end)

  trio_it("NURS-22 also those of a task outside the scope", function()
    local trace, log = H.trace()
    trio.open_nursery(function(outer)
      local target
      outer:start_soon(trio.move_on_after, 1, function()
        trio.open_nursery(function(nursery)
          target = nursery
          trio.sleep_forever()
        end)
      end)
      lowlevel.checkpoint()
      target:start_soon(sleeper, log)
      trio.sleep(2)
      assert.same({true}, trace)
    end)
  end)

  trio_it("NURS-23 the scope of who spawns has no power over the child",
    function()
      local V = trio.Error("V")
      local trace, log = H.trace()
      local owner_got
      trio.open_nursery(function(outer)
        local target
        outer:start_soon(function()
          owner_got = H.raises("", trio.open_nursery, function(nursery)
            target = nursery
            trio.sleep_forever()
          end)
        end)
        lowlevel.checkpoint()
        local scope = trio.move_on_after(1, function()
          target:start_soon(function()
            trio.sleep(3)
            log("child at " .. clock())
            error(V)
          end)
          trio.sleep_forever()
        end)
        assert.is_true(scope.cancelled_caught)
        log("spawner at " .. clock())
      end)
      assert.same({"spawner at 1", "child at 3"}, trace)
      H.group_of(owner_got, V)
    end)

  trio_it("NURS-25 a nursery's shield holds a scope outside off", function()
    local left_at, after
    local scope = trio.move_on_after(1, function()
      trio.open_nursery(function(nursery)
        nursery.cancel_scope.shield = true
        nursery:start_soon(trio.sleep, 3)
      end)
      left_at = now()
      local _
      _, after = pcall(lowlevel.checkpoint)
      error(after, 0)
    end)
    assert.equal(3, left_at)
    assert.is_true(H.is_cancelled(after))
    assert.is_true(scope.cancelled_caught)
    assert.equal(3, now())
  end)

  trio_it("a timeout of the body ends with the children's end", function()
    local scope, result = trio.move_on_after(5, function()
      return trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 2)
        return "in time"
      end)
    end)
    assert.equal("in time", result)
    assert.is_false(scope.cancel_called)
    H.raises_class(trio.TooSlowError, trio.fail_after, 5, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 20)
      end)
    end)
    assert.equal(7, now())
  end)

  trio_it("CP-03 a checkpoint returns if a shield comes before its error",
    function()
      -- Whether a checkpoint in a cancelled scope raises when another task
      -- shields it after that many schedule points.
      local function raises(points)
        local inner, raised = trio.CancelScope(), nil
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            for _ = 1, points do lowlevel.cancel_shielded_checkpoint() end
            inner.shield = true
          end)
          trio.CancelScope():run(function(outer)
            outer:cancel()
            inner:run(function()
              local ok, why = pcall(lowlevel.checkpoint)
              raised = not ok and H.is_cancelled(why)
            end)
          end)
        end)
        return raised
      end
      assert.is_false(raises(0))
      assert.is_false(raises(1))
      assert.is_true(raises(2))
    end)
end)
