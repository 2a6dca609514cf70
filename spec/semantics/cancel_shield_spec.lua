-- SPDX-License-Identifier: MIT
-- Shields: what they keep out, and what raising or lowering one does at once.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint = lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local function check(scope, called, caught)
  assert.equal(called, scope.cancel_called)
  assert.equal(caught, scope.cancelled_caught)
end

local function cancelled(f, ...)
  return H.raises_class(trio.Cancelled, f, ...)
end

-- Runs fn(outer, inner) inside inner inside outer; gives both back.
local function nested(fn, inner_opts)
  local outer, inner = trio.CancelScope(), trio.CancelScope(inner_opts)
  outer:run(function()
    inner:run(function() fn(outer, inner) end)
  end)
  return outer, inner
end

describe("a shield", function()
  H.trio_it("CANCEL-32 set before the entry works until it is lowered",
    function()
      local outer, inner = nested(function(outer, inner)
        outer:cancel()
        checkpoint()
        trio.sleep(1)
        inner.shield = false
        checkpoint()
        error("not reached")
      end, {shield = true})
      check(outer, true, true)
      check(inner, false, false)
    end)

  H.trio_it("CANCEL-32 set by the field before the entry is the same",
    function()
      local outer, scope = trio.CancelScope(), trio.CancelScope()
      scope.shield = true
      outer:run(function()
        scope:run(function()
          outer:cancel()
          checkpoint()
          scope.shield = false
          cancelled(checkpoint)
        end)
      end)
      check(scope, false, false)
    end)

  H.trio_it("CANCEL-34 keeps out outer cancellations only, while it is up",
    function()
      local inner_done = false
      local outer = trio.CancelScope()
      outer:run(function()
        local inner = trio.CancelScope()
        inner:run(function()
          checkpoint()
          outer:cancel()
          cancelled(checkpoint)
          assert.is_false(inner.shield)
          inner.shield = true
          assert.is_true(inner.shield)
          checkpoint()
          local innermost = trio.CancelScope()
          innermost:run(function()
            innermost:cancel()
            cancelled(checkpoint)
          end)
          checkpoint()
          inner.shield = false
          cancelled(checkpoint)
          inner.shield = true
          checkpoint()
          inner:cancel()
          checkpoint()
          error("not reached")
        end)
        check(inner, true, true)
        inner_done = true
      end)
      assert.is_true(inner_done)
      check(outer, true, false)
    end)

  H.trio_it("CANCEL-34 does not stop an outer deadline from being remembered",
    function()
      local outer = trio.CancelScope({deadline = 1})
      outer:run(function()
        trio.CancelScope({shield = true}):run(function()
          trio.sleep(3)
        end)
        assert.equal(3, trio.current_time())
        checkpoint()
        error("not reached")
      end)
      assert.equal(3, trio.current_time())
      check(outer, true, true)
    end)

  H.trio_it("CANCEL-36 lowered over a sleeping task wakes it at once",
    function()
      local outer, inner =
        trio.CancelScope(), trio.CancelScope({shield = true})
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          outer:run(function()
            inner:run(function() trio.sleep_forever() end)
          end)
        end)
        wait_all_tasks_blocked()
        outer:cancel()
        wait_all_tasks_blocked()
        assert.equal(1, #nursery.child_tasks)
        local stats = lowlevel.current_statistics
        assert.equal(0, stats().tasks_runnable)
        inner.shield = false
        assert.equal(1, stats().tasks_runnable)
      end)
      check(inner, false, false)
      check(outer, true, true)
    end)

  H.trio_it("CANCEL-37 does not call back what was delivered already",
    function()
      local trace, log = H.trace()
      local outer, inner = trio.CancelScope(), trio.CancelScope()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          outer:run(function()
            inner:run(function()
              cancelled(trio.sleep_forever)
              log("cancelled")
              checkpoint()
              log("fine")
            end)
          end)
        end)
        wait_all_tasks_blocked()
        outer:cancel()
        inner.shield = true
      end)
      assert.same({"cancelled", "fine"}, trace)
      check(inner, false, false)
      check(outer, true, false)
    end)

  H.trio_it("CANCEL-38 raised while an outer Cancelled passes is too late",
    function()
      local outer, inner = nested(function(outer, inner)
        local guard <close> = setmetatable({}, {
          __close = function() inner.shield = true end,
        })
        assert.is_table(guard)
        outer:cancel()
        checkpoint()
      end)
      check(outer, true, true)
      check(inner, false, false)
    end)

  H.trio_it("CANCEL-38 even if the inner one is cancelled: it catches then",
    function()
      local outer, inner = trio.CancelScope(), trio.CancelScope()
      local after
      outer:run(function()
        inner:run(function()
          outer:cancel()
          local guard <close> = setmetatable({}, {
            __close = function()
              inner.shield = true
              inner:cancel()
            end,
          })
          assert.is_table(guard)
          checkpoint()
        end)
        after = true
      end)
      -- Judged when the scope is left, not when the error was raised.
      assert.is_true(after)
      check(inner, true, true)
      check(outer, true, false)
    end)

  H.trio_it("CANCEL-39 lets its own scope catch; the outer one comes after",
    function()
      local trace, log = H.trace()
      local outer, inner = trio.CancelScope(), trio.CancelScope()
      outer:run(function()
        inner:run(function()
          outer:cancel()
          inner.shield = true
          inner:cancel()
          trio.sleep_forever()
        end)
        log("after inner")
        checkpoint()
        log("not reached")
      end)
      assert.same({"after inner"}, trace)
      check(inner, true, true)
      check(outer, true, true)
    end)

  H.trio_it("CANCEL-72 of a nursery can go up after the outer cancel",
    function()
      local trace, log = H.trace()
      local outer = trio.CancelScope()
      outer:run(function()
        trio.open_nursery(function(nursery)
          outer:cancel()
          nursery.cancel_scope.shield = true
          nursery:start_soon(function()
            log("sleeping")
            cancelled(trio.sleep_forever)
            log("cancelled")
          end)
          wait_all_tasks_blocked()
          assert.same({"sleeping"}, trace)
          nursery.cancel_scope.shield = false
          -- Wait here: leaving the body could cancel the child as well.
          trio.CancelScope({shield = true}):run(function()
            wait_all_tasks_blocked()
          end)
          assert.same({"sleeping", "cancelled"}, trace)
          assert.is_false(nursery.cancel_scope.cancel_called)
        end)
      end)
    end)

  H.trio_it("holds for every task below it, and for none beside it", function()
    local trace, log = H.trace()
    local outer = trio.CancelScope({deadline = 1})
    outer:run(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.CancelScope({shield = true}):run(function()
            trio.open_nursery(function(inside)
              inside:start_soon(trio.sleep, 2)
              inside:start_soon(trio.sleep, 3)
            end)
          end)
          log(trio.current_time())
        end)
        nursery:start_soon(function()
          cancelled(trio.sleep_forever)
          log(trio.current_time())
        end)
      end)
    end)
    assert.same({1, 3}, trace)
  end)
end)
