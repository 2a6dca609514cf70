-- SPDX-License-Identifier: MIT
-- When a scope's deadline takes effect, and which of several scopes it is.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint = lowlevel.checkpoint
local checkpoint_if_cancelled = lowlevel.checkpoint_if_cancelled

local now = trio.current_time

local function jump(seconds)
  lowlevel.current_clock():jump(seconds)
end

local function check(scope, called, caught)
  assert.equal(called, scope.cancel_called)
  assert.equal(caught, scope.cancelled_caught)
end

local function cancelled(f, ...)
  return H.raises_class(trio.Cancelled, f, ...)
end

describe("a deadline", function()
  H.trio_it("CANCEL-02 cuts a task that would sleep for ever", function()
    local scope = trio.CancelScope({deadline = now() + 1})
    scope:run(function()
      trio.sleep_forever()
      error("not reached")
    end)
    assert.equal(1, now())
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-02 may be set inside, and is measured by the clock",
    function()
      local scope = trio.CancelScope()
      scope:run(function()
        checkpoint()
        scope.deadline = now() + 10
        checkpoint()
        jump(5)
        checkpoint()
        scope.deadline = now() - 4
        cancelled(checkpoint)
        cancelled(checkpoint)
      end)
      check(scope, true, false)
    end)

  H.trio_it("CANCEL-03 is forgotten once the scope was left", function()
    local scope = trio.CancelScope()
    scope:run(function()
      assert.equal(math.huge, scope.deadline)
      scope.deadline = now() + 1
      assert.equal(1, scope.deadline)
    end)
    check(scope, false, false)
    jump(2)
    for _ = 1, 3 do checkpoint() end
    check(scope, false, false)
  end)

  H.trio_it("CANCEL-04 already past on entry: cancelled at once", function()
    jump(5)
    local scope = trio.CancelScope({deadline = 4})
    scope:run(function()
      assert.equal(-math.huge, trio.current_effective_deadline())
      assert.is_true(scope.cancel_called)
    end)
    check(scope, true, false)
  end)

  H.trio_it("CANCEL-05 equal to now on entry counts as expired", function()
    jump(5)
    local scope = trio.CancelScope({deadline = 5})
    scope:run(function()
      assert.equal(-math.huge, trio.current_effective_deadline())
      cancelled(checkpoint_if_cancelled)
    end)
    check(scope, true, false)
  end)

  H.trio_it("CANCEL-06 move_on_after(0) lets a body without checkpoints end",
    function()
      local scope, result = trio.move_on_after(0, function()
        return "whole"
      end)
      assert.equal("whole", result)
      check(scope, true, false)
      scope, result = trio.move_on_after(0, function()
        checkpoint()
        return "whole"
      end)
      assert.is_nil(result)
      check(scope, true, true)
      assert.equal(0, now())
    end)

  H.trio_it("CANCEL-07 a deadline moved into the past fires at the next pass",
    function()
      jump(10)
      local scope = trio.CancelScope()
      scope:run(function()
        scope.deadline = 7
        checkpoint_if_cancelled()
        assert.equal(7, trio.current_effective_deadline())
        checkpoint()
        error("not reached")
      end)
      check(scope, true, true)
    end)

  H.trio_it("CANCEL-08 reading cancel_called makes it fire at once", function()
    jump(10)
    local scope = trio.CancelScope()
    scope:run(function()
      scope.deadline = 7
      assert.is_true(scope.cancel_called)
      assert.equal(-math.huge, trio.current_effective_deadline())
      checkpoint_if_cancelled()
      error("not reached")
    end)
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-08 so does writing shield, with the deadline as source",
    function()
      jump(10)
      local scope = trio.CancelScope()
      scope:run(function()
        scope.deadline = 7
        scope.shield = true
        scope:cancel("later")
        local err = cancelled(checkpoint_if_cancelled)
        assert.equal("deadline", err.source)
        assert.is_nil(err.reason)
      end)
    end)

  H.trio_it("CANCEL-08 so does an outer cancellation that reaches the scope",
    function()
      local outer, inner = trio.CancelScope(), trio.CancelScope()
      outer:run(function()
        inner:run(function()
          jump(10)
          inner.deadline = 7
          outer:cancel()
          -- Out of the outer one's reach again, the own expiry remains.
          inner.shield = true
          checkpoint()
        end)
        check(inner, true, true)
      end)
      check(outer, true, false)
    end)

  H.trio_it("CANCEL-09 passed unseen leaves no trace", function()
    local scope = trio.move_on_after(1, function() jump(5) end)
    check(scope, false, false)
    checkpoint()
    check(scope, false, false)
  end)

  H.trio_it("CANCEL-10 can be moved while the task sleeps on", function()
    local scope = trio.CancelScope({deadline = 2})
    scope:run(function()
      trio.sleep(1)
      scope.deadline = scope.deadline + 5
      trio.sleep(3)
      assert.equal(4, now())
      trio.sleep(100)
    end)
    assert.equal(7, now())
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-11 moved away after it fired changes nothing", function()
    local scope = trio.CancelScope({deadline = 1})
    scope:run(function()
      cancelled(trio.sleep, 5)
      scope.deadline = now() + 100
      assert.is_true(scope.cancel_called)
      assert.equal(-math.huge, trio.current_effective_deadline())
      cancelled(checkpoint_if_cancelled)
      checkpoint()
      error("not reached")
    end)
    assert.equal(1, now())
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-11 is not waited for any more once it is cancelled",
    function()
      local function next_deadline()
        return lowlevel.current_statistics().seconds_to_next_deadline
      end
      trio.CancelScope({deadline = 5}):run(function(scope)
        assert.equal(5, next_deadline())
        scope:cancel()
        assert.equal(math.huge, next_deadline())
        scope.deadline = 7
        assert.equal(7, scope.deadline)
        assert.equal(math.huge, next_deadline())
      end)
      trio.CancelScope({deadline = 5}):run(function() end)
      assert.equal(math.huge, next_deadline())
    end)

  H.trio_it("CANCEL-12 can be set by another task", function()
    local scope = trio.CancelScope()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(1)
        scope.deadline = now() + 2
      end)
      scope:run(function() trio.sleep_forever() end)
      assert.equal(3, now())
    end)
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-12 and taken away by another task", function()
    local scope = trio.CancelScope({deadline = 5})
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(4)
        scope.deadline = math.huge
      end)
      scope:run(function() trio.sleep(20) end)
      assert.equal(20, now())
    end)
    check(scope, false, false)
  end)

  H.trio_it("CANCEL-19 noticed late by a task that held the loop", function()
    local scope = trio.move_on_after(1, function()
      jump(10)
      checkpoint()
      error("not reached")
    end)
    assert.equal(10, now())
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-48 that passes before a checkpoint is raised by it",
    function()
      local scope = trio.CancelScope({deadline = now() + 5})
      scope:run(function()
        checkpoint()
        jump(10)
        checkpoint()
        error("not reached")
      end)
      check(scope, true, true)
    end, {clock = trio.testing.MockClock()})

  H.trio_it("CANCEL-48 but not by checkpoint_if_cancelled", function()
    local scope = trio.CancelScope({deadline = now() + 5})
    scope:run(function()
      jump(10)
      checkpoint_if_cancelled()
      lowlevel.cancel_shielded_checkpoint()
      -- That was a pass of the loop: now it is known.
      cancelled(checkpoint_if_cancelled)
    end)
    check(scope, true, false)
  end, {clock = trio.testing.MockClock()})
end)

describe("deadlines of nested scopes", function()
  H.trio_it("CANCEL-20 the outer one first: the inner is not touched",
    function()
      local inner
      local outer = trio.move_on_after(5, function()
        inner = trio.move_on_after(10, function(scope)
          inner = scope
          trio.sleep(20)
        end)
        error("not reached")
      end)
      assert.equal(5, now())
      check(outer, true, true)
      check(inner, false, false)
    end)

  H.trio_it("CANCEL-21 the inner one first: both fire in turn", function()
    local inner, after
    local outer = trio.move_on_after(10, function()
      inner = trio.move_on_after(5, function() trio.sleep(20) end)
      after = now()
      trio.sleep(20)
    end)
    assert.equal(5, after)
    assert.equal(10, now())
    check(outer, true, true)
    check(inner, true, true)
  end)

  H.trio_it("CANCEL-22 at the same time: the outer one catches", function()
    local inner = trio.CancelScope({deadline = 5})
    local outer = trio.CancelScope({deadline = 5})
    outer:run(function()
      inner:run(function() trio.sleep_forever() end)
      error("not reached")
    end)
    assert.equal(5, now())
    check(outer, true, true)
    check(inner, true, false)
  end)

  H.trio_it("CANCEL-23 sleep(5) inside move_on_after(5) is cut", function()
    local scope, result = trio.move_on_after(5, function()
      trio.sleep(5)
      return "slept"
    end)
    assert.is_nil(result)
    assert.equal(5, now())
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-23 so are two halves inside one second", function()
    local halves = 0
    local scope = trio.move_on_after(1, function()
      trio.sleep(0.5)
      halves = halves + 1
      trio.sleep(0.5)
      halves = halves + 1
    end)
    assert.equal(1, halves)
    assert.equal(1, now())
    check(scope, true, true)
  end)

  H.trio_it("CANCEL-23 whichever of the two timers was set first", function()
    local scope
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(1)
        -- The sleep below was there before this deadline.
        scope.deadline = 5
      end)
      scope = trio.CancelScope()
      scope:run(function()
        trio.sleep_until(5)
        error("not reached")
      end)
    end)
    check(scope, true, true)
  end)
end)
