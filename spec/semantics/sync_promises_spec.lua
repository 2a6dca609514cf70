-- SPDX-License-Identifier: MIT
-- What every wait of a synchronization primitive or a channel promises alike:
-- it is a checkpoint, also when it needn't wait; a cancellation finds it at any
-- moment and leaves no trace; nothing is lost or doubled when both come at
-- once; where nobody can wait it says so by its name.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local waits = require "spec.support.waits"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local settle = trio.testing.wait_all_tasks_blocked

-- Sends this process the signal of Ctrl+C. (os.execute would block it.)
local function interrupt_self()
  assert(io.popen("kill -INT $PPID")):close()
end

-- What has to be called before.
local needs = {["Condition:wait"] = "Condition:with"}

-- fn() in a scope that is cancelled already: it must raise Cancelled.
local function refused(fn)
  local scope = trio.CancelScope()
  local s = P.points(function()
    scope:run(function()
      scope:cancel()
      fn()
      error("not reached")
    end)
  end)
  assert.is_true(scope.cancelled_caught)
  assert.is_true(s >= 1)
end

-- `call` in a scope of a task of its own. The result tells how it ended.
local function start(nursery, it)
  local result = {scope = trio.CancelScope()}
  nursery:start_soon(function()
    result.scope:run(function()
      result.s, result.c = P.points(function()
        local ok, err = pcall(it.call)
        result.ending = ok and "returned" or
          H.is_cancelled(err) and "cancelled" or err
      end)
      checkpoint()
    end)
  end)
  settle()
  assert.is_nil(result.ending)
  return result
end

for i, entry in ipairs(waits) do
  local name = entry.name
  describe(("%d. %s"):format(i, name), function()
    H.trio_it("CP-01 is a checkpoint when it needn't wait", function()
      local it = entry.fresh()
      if not it.ready then return end
      local s, c = P.points(it.ready)
      assert.equal(1, s)
      assert.equal(1, c)
    end)

    H.trio_it("CP-01 is a checkpoint when it waits", function()
      local it, result = entry.blocked(), nil
      trio.open_nursery(function(nursery)
        result = start(nursery, it)
        assert.equal(1, it.waiting())
        it.wake()
        assert.equal(0, it.waiting())
      end)
      assert.equal("returned", result.ending)
      assert.is_true(result.s >= 1)
      assert.is_true(result.c >= 1)
    end)

    H.trio_it("CANCEL-49 in a cancelled scope nothing happens", function()
      local it = entry.fresh()
      if it.ready then
        refused(it.ready)
        it.same()
      end
      it = entry.blocked()
      refused(it.call)
      assert.equal(0, it.waiting())
      it.fresh()
    end)

    H.trio_it("CANCEL-49 cancelled while it waits it leaves no trace",
      function()
        local it, first, second = entry.blocked(), nil, nil
        trio.open_nursery(function(nursery)
          first = start(nursery, it)
          first.scope:cancel()
          assert.equal(0, it.waiting())
          it.fresh()
          settle()
          assert.equal("cancelled", first.ending)
          it.fresh()
          second = start(nursery, it)
          assert.equal(1, it.waiting())
          it.wake()
        end)
        assert.is_true(first.scope.cancelled_caught)
        assert.equal("returned", second.ending)
      end)

    H.trio_it("CANCEL-45 woken, then cancelled: it keeps what it was given",
      function()
        local it, result = entry.blocked(), nil
        trio.open_nursery(function(nursery)
          result = start(nursery, it)
          it.wake()
          result.scope:cancel()
        end)
        assert.equal("returned", result.ending)
        assert.is_true(result.scope.cancelled_caught)
        assert.equal(0, it.waiting())
      end)

    H.trio_it("CANCEL-45 cancelled, then woken: the next one gets it",
      function()
        local it, first, second, third = entry.blocked(), nil, nil, nil
        trio.open_nursery(function(nursery)
          first = start(nursery, it)
          second = start(nursery, it)
          third = start(nursery, it)
          assert.equal(3, it.waiting())
          second.scope:cancel()
          first.scope:cancel()
          if it.locks then settle() end
          it.wake()
          settle()
          assert.equal("cancelled", first.ending)
          assert.equal("cancelled", second.ending)
          assert.equal("returned", third.ending)
        end)
        assert.equal(0, it.waiting())
      end)

    H.trio_it("CANCEL-49 a deadline ends the wait in time", function()
      local it = entry.blocked()
      local began = trio.current_time()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local scope = trio.move_on_after(5, it.call)
          assert.is_true(scope.cancelled_caught)
        end)
      end)
      assert.equal(began + 5, trio.current_time())
      assert.equal(0, it.waiting())
      it.fresh()
    end)

    H.trio_it("CANCEL-49 a failing sibling ends the wait", function()
      local it = entry.blocked()
      local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
        function(nursery)
          for _ = 1, 3 do nursery:start_soon(it.call) end
          settle()
          assert.equal(3, it.waiting())
          error("mine", 0)
        end)
      H.group_of(err, "mine")
      assert.equal(0, it.waiting())
      it.fresh()
    end)

    H.trio_it("CP-01 waits in coroutines of the program", function()
      local it, result = entry.blocked(), nil
      local call = it.call
      it.call = function()
        coroutine.wrap(function() coroutine.wrap(call)() end)()
      end
      trio.open_nursery(function(nursery)
        result = start(nursery, it)
        it.wake()
      end)
      assert.equal("returned", result.ending)
    end)

    H.trio_it("CP-01 is cancelled in coroutines of the program", function()
      local it, result = entry.blocked(), nil
      local call = it.call
      it.call = function() coroutine.wrap(call)() end
      trio.open_nursery(function(nursery)
        result = start(nursery, it)
        result.scope:cancel()
        assert.equal(0, it.waiting())
      end)
      assert.equal("cancelled", result.ending)
      it.fresh()
    end)

    it("RUN-05 outside of a task it says so, by its name", function()
      local it = entry.fresh()
      local err = H.raises(needs[name] or name, it.ready or it.call)
      assert.matches("called from inside a task", err)
    end)

    H.trio_it("CP-01 where Lua can't suspend it says so, by its name",
      function()
        local it = entry.blocked()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            H.raises(needs[name] or name, string.gsub, "x", "x",
              function() it.call() end)
            table.sort({2, 1}, function(a, b)
              assert.is_false(pcall(it.call))
              return a < b
            end)
          end)
        end)
        assert.equal(0, it.waiting())
        it.fresh()
      end)

    H.trio_it("KI-01 Ctrl+C ends the wait of the main task", function()
      local it = entry.blocked()
      local holder
      if it.block then
        -- Main can't wait for what it holds itself.
        it = entry.fresh()
        holder = it.block
      end
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          if holder then holder() end
          settle()
          assert.equal(1, it.waiting())
          interrupt_self()
          trio.sleep_forever()
        end)
        checkpoint()
        checkpoint()
        H.raises_class(trio.KeyboardInterrupt, it.call)
        assert.equal(0, it.waiting())
        nursery.cancel_scope:cancel()
      end)
    end, {restrict_keyboard_interrupt_to_checkpoints = true})

    it("is named by a deadlock, and leaves no trace", function()
      H.run(function()
        local it = entry.blocked()
        local err = select(2, pcall(trio.open_nursery, function(nursery)
          nursery:start_soon(it.call)
        end)).exceptions[1]
        assert.is_true(trio.isinstance(err, trio.DeadlockError))
        assert.truthy(tostring(err):find(name, 1, true), tostring(err))
        assert.equal(0, it.waiting())
        it.fresh()
      end, {on_deadlock = "raise"})
    end)

    it("in the main task it is ended by a deadlock", function()
      H.run(function()
        local it = entry.fresh()
        local err
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            if it.block then it.block() end
            trio.sleep_forever()
          end)
          settle()
          err = select(2, pcall(it.call))
          assert.is_true(trio.isinstance(err, trio.DeadlockError))
          assert.equal(0, it.waiting())
          nursery.cancel_scope:cancel()
        end)
      end, {on_deadlock = "raise"})
    end)
  end)
end
