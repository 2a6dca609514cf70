-- SPDX-License-Identifier: MIT
-- trio.Event: a flag that is set once and that tasks wait for.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local settle = trio.testing.wait_all_tasks_blocked

describe("an event", function()
  H.trio_it("SYNC-01 wakes its waiters and stays set", function()
    local trace, log = H.trace()
    local event = trio.Event()
    assert.is_false(event:is_set())
    assert.same({tasks_waiting = 0}, event:statistics())
    trio.open_nursery(function(nursery)
      for i = 1, 2 do
        nursery:start_soon(function()
          event:wait()
          log(i)
        end)
      end
      settle()
      assert.same({}, trace)
      assert.same({tasks_waiting = 2}, event:statistics())
      event:set()
      assert.same({tasks_waiting = 0}, event:statistics())
      assert.is_true(event:is_set())
      assert.same({}, trace)
      event:set()
    end)
    assert.same({1, 2}, trace)
    assert.is_true(event:is_set())
    P.is_checkpoint(event.wait, event)
  end)

  H.trio_it("SYNC-01 set() and wait() return nothing", function()
    local event = trio.Event()
    assert.equal(0, select("#", event:set()))
    assert.equal(0, select("#", event:wait()))
    local other = trio.Event()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        assert.equal(0, select("#", other:wait()))
      end)
      settle()
      other:set()
    end)
  end)

  H.trio_it("SYNC-01 wakes a thousand waiters in their order", function()
    local trace, log = H.trace()
    local event = trio.Event()
    trio.open_nursery(function(nursery)
      for i = 1, 1000 do
        nursery:start_soon(function()
          event:wait()
          log(i)
        end)
      end
      settle()
      assert.equal(1000, event:statistics().tasks_waiting)
      event:set()
    end)
    assert.equal(1000, #trace)
    for i = 1, 1000 do assert.equal(i, trace[i]) end
  end)

  H.trio_it("SYNC-01 a waiter may set it for a later one", function()
    local first, second = trio.Event(), trio.Event()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        first:wait()
        second:set()
      end)
      nursery:start_soon(function() second:wait() end)
      settle()
      first:set()
    end)
    assert.is_true(second:is_set())
  end)

  it("may be made and set outside of a run", function()
    local event = trio.Event()
    assert.is_false(event:is_set())
    event:set()
    assert.is_true(event:is_set())
    assert.same({tasks_waiting = 0}, event:statistics())
    H.run(function() event:wait() end)
  end)

  it("serves several runs", function()
    local event = trio.Event()
    H.run(function()
      local scope = trio.move_on_after(1, function() event:wait() end)
      assert.is_true(scope.cancelled_caught)
    end)
    assert.equal(0, event:statistics().tasks_waiting)
    H.run(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() event:wait() end)
        settle()
        event:set()
      end)
    end)
    H.run(function() event:wait() end)
  end)

  H.trio_it("may be set by a callback of the token", function()
    local event = trio.Event()
    trio.lowlevel.current_trio_token():run_sync_soon(function()
      event:set()
    end)
    event:wait()
  end)

  H.trio_it("is kept alive by those who wait", function()
    local alive = setmetatable({}, {__mode = "k"})
    local woken = 0
    trio.open_nursery(function(nursery)
      do
        local event = trio.Event()
        alive[event] = true
        for _ = 1, 3 do
          nursery:start_soon(function(e)
            e:wait()
            woken = woken + 1
          end, event)
        end
      end
      settle()
      assert.equal(1, P.left_of(alive))
      next(alive):set()
    end)
    assert.equal(3, woken)
    assert.equal(0, P.left_of(alive))
  end)

  it("shows its state", function()
    local event = trio.Event()
    assert.matches("^<trio%.Event 0x%x+ not set, 0 waiting>$", tostring(event))
    event:set()
    assert.matches("^<trio%.Event 0x%x+ set, 0 waiting>$", tostring(event))
    H.run(function()
      local other = trio.Event()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() other:wait() end)
        settle()
        assert.matches(" not set, 1 waiting>$", tostring(other))
        other:set()
        assert.matches(" set, 0 waiting>$", tostring(other))
      end)
    end)
  end)

  -- The order of a task that counts its turns and of one that waits in a scope
  -- that is cancelled, before or during its wait.
  local function order(event, cancel_first)
    local trace, log = H.trace()
    trio.CancelScope():run(function(scope)
      if cancel_first then scope:cancel() end
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local _ <close> = trio.defer(function() log("waited") end)
          event:wait()
          log("not cancelled")
        end)
        nursery:start_soon(function()
          if not cancel_first then scope:cancel() end
          for turn = 1, 3 do
            log(turn)
            trio.lowlevel.cancel_shielded_checkpoint()
          end
        end)
      end)
    end)
    return trace
  end

  H.trio_it("SYNC-01 gives up a wait in a cancelled scope at once", function()
    assert.same({1, "waited", 2, 3}, order(trio.Event(), true))
  end)

  H.trio_it("SYNC-01 has a whole checkpoint where it is set", function()
    local event = trio.Event()
    event:set()
    assert.same({1, 2, "waited", 3}, order(event, true))
    assert.same({1, 2, "waited", 3}, order(event, false))
  end)

  it("refuses what isn't an event, by the method's name", function()
    P.refuses_others(trio.Event(), "trio.Event",
      {"wait", "set", "is_set", "statistics"})
  end)

  it("has no fields to write", function()
    P.refuses_writing(trio.Event(), "trio.Event", {"set", "is_set"})
  end)
end)
