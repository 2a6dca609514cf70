-- SPDX-License-Identifier: MIT
-- start_cancel_spec.lua: nursery:start and cancelling: whose cancellation
-- reaches the child before, at and after the move into its nursery, and how
-- long a pending start keeps that nursery open.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local now = trio.current_time

-- Wait for ever and note in `seen` when and whether that was cancelled.
local function sleeper(seen)
  local ok, why = pcall(trio.sleep_forever)
  seen[#seen + 1] = not ok and H.is_cancelled(why) and now()
  error(why, 0)
end

-- Open a nursery in a task of its own, whose body sleeps for ever; the second
-- result is filled with the time at which that nursery has been left.
local function nursery_elsewhere(outer)
  local nursery
  local left = {}
  outer:start_soon(function()
    trio.open_nursery(function(n)
      nursery = n
      trio.sleep_forever()
    end)
    left.at = now()
  end)
  lowlevel.checkpoint()
  return nursery, left
end

local function shielded(fn)
  return trio.CancelScope({shield = true}):run(fn)
end

describe("start in a cancelled scope", function()
  trio_it("START-09 raises Cancelled, and the value is lost", function()
    local scope, raised, child_saw = trio.CancelScope(), nil, nil
    trio.open_nursery(function(nursery)
      scope:run(function()
        scope:cancel()
        raised = H.raises_class(trio.Cancelled, nursery.start, nursery,
          function(status)
            status:started("hi")
            local _
            _, child_saw = pcall(lowlevel.checkpoint)
            error(child_saw, 0)
          end)
        error(raised, 0)
      end)
      assert.same({}, nursery.child_tasks)
      assert.is_false(nursery.cancel_scope.cancel_called)
    end)
    assert.is_true(H.is_cancelled(child_saw))
    assert.is_true(scope.cancelled_caught)
  end)

  trio_it("START-10 returns the value of a child without checkpoints",
    function()
      local scope = trio.CancelScope()
      trio.open_nursery(function(nursery)
        scope:run(function()
          scope:cancel()
          assert.equal("v", nursery:start(function(status)
            status:started("v")
          end))
        end)
      end)
      assert.is_true(scope.cancel_called)
      assert.is_false(scope.cancelled_caught)
    end)

  trio_it("START-11 raises what the child raises after started", function()
    local K, scope = trio.Error("K"), trio.CancelScope()
    trio.open_nursery(function(nursery)
      scope:run(function()
        scope:cancel()
        assert.is_true(rawequal(K, H.raises("", nursery.start, nursery,
          function(status)
            status:started()
            error(K)
          end)))
      end)
      assert.is_false(nursery.cancel_scope.cancel_called)
    end)
    assert.is_false(scope.cancelled_caught)
  end)

  trio_it("leaves the child where it is, under start", function()
    local scope, home, eventual = trio.CancelScope(), nil, nil
    trio.open_nursery(function(nursery)
      scope:run(function()
        scope:cancel()
        nursery:start(function(status)
          status:started()
          home = lowlevel.current_task().parent_nursery
          eventual = lowlevel.current_task().eventual_parent_nursery
        end)
      end)
      assert.is_false(rawequal(home, nursery))
      assert.is_true(rawequal(eventual, nursery))
    end)
  end)
end)

describe("a timeout around start", function()
  trio_it("START-13 before started cancels the child and only it", function()
    local seen = {}
    trio.open_nursery(function(nursery)
      local scope = trio.move_on_after(1, function()
        nursery:start(function(status)
          local ok, why = pcall(trio.sleep, 5)
          seen[1] = not ok and H.is_cancelled(why) and now()
          error(why, 0)
          status:started()
        end)
      end)
      assert.is_true(scope.cancelled_caught)
      assert.same({}, nursery.child_tasks)
      assert.is_false(nursery.cancel_scope.cancel_called)
      nursery:start_soon(trio.sleep, 1)
    end)
    assert.same({1}, seen)
    assert.equal(2, now())
  end)

  trio_it("START-14 after started does not reach the child", function()
    local ended_at
    trio.open_nursery(function(nursery)
      local scope, value = trio.move_on_after(1, function()
        local value = nursery:start(function(status)
          trio.sleep(0.5)
          status:started(7)
          trio.sleep(10)
          ended_at = now()
        end)
        assert.equal(7, value)
        assert.equal(0.5, now())
        trio.sleep_forever()
      end)
      assert.is_nil(value)
      assert.is_true(scope.cancelled_caught)
      assert.equal(1, now())
    end)
    assert.equal(10.5, ended_at)
  end)

  trio_it("START-24 makes a later started of a shielded child do nothing",
    function()
      local after_started, child_saw
      trio.open_nursery(function(nursery)
        local scope = trio.move_on_after(1, function()
          nursery:start(function(status)
            shielded(function() trio.sleep(2) end)
            status:started(5)
            after_started = true
            local _
            _, child_saw = pcall(lowlevel.checkpoint)
            error(child_saw, 0)
          end)
        end)
        assert.is_true(scope.cancelled_caught)
        assert.equal(2, now())
        assert.same({}, nursery.child_tasks)
        assert.is_false(nursery.cancel_scope.cancel_called)
      end)
      assert.is_true(after_started)
      assert.is_true(H.is_cancelled(child_saw))
    end)
end)

describe("a cancelled target nursery", function()
  trio_it("START-15 does not disturb the child before started", function()
    local child_saw
    trio.open_nursery(function(outer)
      local target, left = nursery_elsewhere(outer)
      outer:start_soon(function()
        trio.sleep(1)
        target.cancel_scope:cancel()
      end)
      assert.equal("v", target:start(function(status)
        trio.sleep(3)
        status:started("v")
        assert.equal(3, now())
        local _
        _, child_saw = pcall(lowlevel.checkpoint)
        error(child_saw, 0)
      end))
      assert.equal(3, now())
      trio.sleep(1)
      assert.equal(3, left.at)
    end)
    assert.is_true(H.is_cancelled(child_saw))
  end)

  trio_it("START-18 cancels grandchildren that sleep during the move",
    function()
      local seen = {}
      trio.open_nursery(function(outer)
        local target, left = nursery_elsewhere(outer)
        target:start(function(status)
          trio.open_nursery(function(own)
            own:start_soon(sleeper, seen)
            own:start_soon(sleeper, seen)
            trio.sleep(1)
            target.cancel_scope:cancel()
            lowlevel.cancel_shielded_checkpoint()
            assert.same({}, seen)
            status:started()
          end)
        end)
        assert.equal(1, now())
        trio.testing.wait_all_tasks_blocked()
        assert.equal(1, left.at)
      end)
      assert.same({1, 1}, seen)
    end)

  trio_it("START-19 cancels grandchildren when it is cancelled after the move",
    function()
      local seen = {}
      trio.open_nursery(function(outer)
        local target, left = nursery_elsewhere(outer)
        target:start(function(status)
          trio.open_nursery(function(own)
            own:start_soon(sleeper, seen)
            own:start_soon(sleeper, seen)
            trio.sleep(1)
            status:started()
          end)
        end)
        assert.same({}, seen)
        target.cancel_scope:cancel()
        trio.testing.wait_all_tasks_blocked()
        assert.equal(1, left.at)
      end)
      assert.same({1, 1}, seen)
    end)

  trio_it("START-25 whose deadline has passed cuts a shielded caller's child",
    function()
      local scope, child_saw, cut_at
      trio.open_nursery(function(nursery)
        scope = nursery.cancel_scope
        scope.deadline = 1
        shielded(function()
          assert.equal(1, nursery:start(function(status)
            trio.sleep(2)
            status:started(1)
            local _
            _, child_saw = pcall(trio.sleep, 9)
            cut_at = now()
            error(child_saw, 0)
          end))
          assert.equal(2, now())
        end)
      end)
      assert.is_true(H.is_cancelled(child_saw))
      assert.equal("deadline", child_saw.source)
      assert.equal(2, cut_at)
      assert.equal(2, now())
      assert.is_true(scope.cancelled_caught)
    end)

  trio_it("reaches a child that sleeps in scopes of its own at the move",
    function()
      local trace, log = H.trace()
      trio.open_nursery(function(outer)
        local target = nursery_elsewhere(outer)
        target:start(function(status)
          outer:start_soon(function()
            trio.sleep(1)
            target.cancel_scope:cancel()
            status:started()
            log "started"
          end)
          trio.CancelScope():run(function(first)
            trio.CancelScope():run(function(second)
              local _, why = pcall(trio.sleep_forever)
              log(H.is_cancelled(why))
              assert.is_false(first.cancel_called or second.cancel_called)
              error(why, 0)
            end)
          end)
        end)
      end)
      assert.same({"started", true}, trace)
      assert.equal(1, now())
    end)

  trio_it("does not reach a child that has shielded itself at the move",
    function()
      local slept_until
      trio.open_nursery(function(outer)
        local target, left = nursery_elsewhere(outer)
        target.cancel_scope:cancel()
        target:start(function(status)
          shielded(function()
            status:started()
            trio.sleep(4)
            slept_until = now()
          end)
        end)
        assert.equal(0, now())
        trio.sleep(5)
        assert.equal(4, left.at)
      end)
      assert.equal(4, slept_until)
    end)
end)

describe("the scope of the caller", function()
  trio_it("no longer holds the child's own scopes after the move", function()
    local inner_deadline
    trio.open_nursery(function(nursery)
      trio.fail_after(3, function()
        nursery:start(function(status)
          trio.move_on_after(20, function()
            assert.equal(3, trio.current_effective_deadline())
            status:started()
            inner_deadline = trio.current_effective_deadline()
            trio.sleep(10)
          end)
        end)
      end)
    end)
    assert.equal(20, inner_deadline)
    assert.equal(10, now())
  end)
end)

describe("a pending start", function()
  local function sleep_a_bit(status)
    trio.sleep(2)
    status:started()
    trio.sleep(3)
  end

  trio_it("START-16 keeps the target nursery open", function()
    trio.open_nursery(function(outer)
      trio.open_nursery(function(nursery)
        outer:start_soon(nursery.start, nursery, sleep_a_bit)
        trio.sleep(1)
        outer:start_soon(nursery.start, nursery, sleep_a_bit)
        lowlevel.checkpoint()
        assert.same({}, nursery.child_tasks)
      end)
      assert.equal(6, now())
    end)
  end)

  trio_it("START-17 that fails lets the target nursery close", function()
    trio.open_nursery(function(outer)
      trio.open_nursery(function(nursery)
        outer:start_soon(function()
          H.raises("crash", nursery.start, nursery, function()
            trio.sleep(7)
            error "crash"
          end)
        end)
        trio.testing.wait_all_tasks_blocked()
      end)
      assert.equal(7, now())
    end)
  end)

  trio_it("that is cancelled lets the target nursery close", function()
    trio.open_nursery(function(outer)
      trio.open_nursery(function(nursery)
        outer:start_soon(trio.move_on_after, 2, function()
          nursery:start(trio.sleep_forever)
        end)
        lowlevel.checkpoint()
      end)
      assert.equal(2, now())
    end)
  end)

  trio_it("lets others spawn into the nursery that it keeps open", function()
    local trace, log = H.trace()
    trio.open_nursery(function(outer)
      local kept
      trio.open_nursery(function(nursery)
        kept = nursery
        outer:start_soon(nursery.start, nursery, sleep_a_bit)
        outer:start_soon(function()
          trio.sleep(1)
          nursery:start_soon(log, "spawned while only a start is pending")
        end)
        lowlevel.checkpoint()
      end)
      assert.equal(5, now())
      H.raises("closed", function() kept:start_soon(log, "late") end)
    end)
    assert.equal(1, #trace)
  end)

  trio_it("of which there are many, cut at any time, leave nothing behind",
    function()
      local returned, cancelled, ended = 0, 0, 0
      trio.open_nursery(function(nursery)
        trio.open_nursery(function(starters)
          for i = 1, 200 do
            starters:start_soon(trio.move_on_after, i % 7, function()
              local ok, value = pcall(nursery.start, nursery,
                function(status)
                  local ticket <close> = setmetatable({}, {
                    __close = function() ended = ended + 1 end})
                  trio.sleep(i % 5)
                  status:started(i)
                  trio.sleep(i % 3)
                  return ticket
                end)
              if ok then
                assert.equal(i, value)
                returned = returned + 1
              else
                assert.is_true(H.is_cancelled(value))
                cancelled = cancelled + 1
                error(value, 0)
              end
            end)
          end
        end)
        assert.equal(200, returned + cancelled)
        assert.truthy(returned > 50 and cancelled > 50)
      end)
      assert.equal(200, ended)
    end)
end)
