-- SPDX-License-Identifier: MIT
-- trio.lowlevel.ParkingLot: the queue of waiting tasks behind the primitives,
-- and the tasks whose end breaks it.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local lowlevel = trio.lowlevel
local ParkingLot, current_task = lowlevel.ParkingLot, lowlevel.current_task
local add_breaker = lowlevel.add_parking_lot_breaker
local remove_breaker = lowlevel.remove_parking_lot_breaker
local settle = trio.testing.wait_all_tasks_blocked

-- Tasks 1..n parked in that order, each in a scope of its own. They log "wake
-- 1" or "cancelled 1". Returns the scopes and the tasks.
local function park(nursery, lot, n, log)
  local scopes, tasks = {}, {}
  for i = 1, n do
    scopes[i] = trio.CancelScope()
    nursery:start_soon(function()
      tasks[i] = current_task()
      scopes[i]:run(function()
        local ok, err = pcall(lot.park, lot)
        if ok then
          log("wake " .. i)
        elseif H.is_cancelled(err) then
          log("cancelled " .. i)
          error(err)
        else
          log(err)
        end
      end)
    end)
    settle()
  end
  return scopes, tasks
end

-- A task that waits to be cancelled.
local function start_idle(nursery, name)
  return nursery:start({name = name}, function(task_status)
    task_status:started(current_task())
    trio.sleep_forever()
  end)
end

local function broken(pattern, err)
  assert.is_true(trio.isinstance(err, trio.BrokenResourceError))
  assert.matches(pattern, err.message)
end

describe("a parking lot", function()
  H.trio_it("SYNC-28 wakes all, or one by one in order", function()
    local lot = ParkingLot()
    assert.equal(0, #lot)
    assert.same({tasks_waiting = 0}, lot:statistics())
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local _, tasks = park(nursery, lot, 3, log)
      assert.equal(3, #lot)
      assert.same({tasks_waiting = 3}, lot:statistics())
      assert.same(tasks, lot:unpark_all())
      assert.equal(0, #lot)
      settle()
      assert.same({"wake 1", "wake 2", "wake 3"}, trace)

      _, tasks = park(nursery, lot, 3, log)
      for i = 1, 3 do
        assert.same({tasks[i]}, lot:unpark())
        settle()
        assert.equal("wake " .. i, trace[3 + i])
      end
    end)
    assert.equal(6, #trace)
  end)

  H.trio_it("SYNC-28 wakes as many as asked", function()
    local lot = ParkingLot()
    assert.same({}, lot:unpark())
    assert.same({}, lot:unpark({count = 100}))
    assert.same({}, lot:unpark_all())
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local _, tasks = park(nursery, lot, 6, log)
      assert.same({}, lot:unpark({count = 0}))
      assert.same({tasks[1], tasks[2]}, lot:unpark({count = 2}))
      assert.same({tasks[3]}, lot:unpark({count = 1.0}))
      assert.same({tasks[4]}, lot:unpark({}))
      assert.same({tasks[5], tasks[6]}, lot:unpark({count = math.huge}))
      assert.same({}, lot:unpark({count = math.huge}))
    end)
    assert.equal(6, #trace)
  end)

  it("SYNC-28 refuses wrong counts", function()
    local lot = ParkingLot()
    for _, call in ipairs {{"unpark", "#1", ""}, {"repark", "#2", "lot, "}} do
      local method, number, before = table.unpack(call)
      local code = "local lot = ... lot:" .. method .. "(" .. before
      local prefix = "bad argument " .. number .. " to '" .. method .. "' %("
      for _, wrong in ipairs {"1.5", "-1", "-math.huge"} do
        P.usage(prefix .. "count must be a whole number or math%.huge",
          code .. "{count = " .. wrong .. "})", lot)
      end
      P.usage(prefix .. "option 'count' must not be NaN",
        code .. "{count = 0/0})", lot)
      P.usage(prefix .. "option 'count' must be a number",
        code .. "{count = 'x'})", lot)
      P.usage(prefix .. "unknown option 'n'", code .. "{n = 1})", lot)
      P.usage(prefix .. "table expected, got number", code .. "2)", lot)
    end
  end)

  H.trio_it("SYNC-29 lets go of a task that is cancelled", function()
    local lot = ParkingLot()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local scopes = park(nursery, lot, 3, log)
      scopes[2]:cancel()
      assert.equal(2, #lot)
      settle()
      assert.same({"cancelled 2"}, trace)
      assert.equal(2, #lot:unpark_all())
    end)
    assert.same({"cancelled 2", "wake 1", "wake 3"}, trace)
  end)

  H.trio_it("SYNC-30 moves tasks to another one", function()
    local one, two = ParkingLot(), ParkingLot()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local scopes = park(nursery, one, 3, log)
      one:repark(two)
      assert.equal(2, #one)
      assert.equal(1, #two)
      two:unpark_all()
      settle()
      assert.same({"wake 1"}, trace)
      one:repark_all(two)
      assert.equal(0, #one)
      assert.equal(2, #two)
      scopes[2]:cancel()
      assert.equal(1, #two)
      assert.equal(0, #one)
      settle()
      assert.same({"wake 1", "cancelled 2"}, trace)
      two:unpark_all()
    end)
    assert.same({"wake 1", "cancelled 2", "wake 3"}, trace)
  end)

  H.trio_it("SYNC-30 moves some, to the end of the other, in order",
    function()
      local one, two = ParkingLot(), ParkingLot()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        park(nursery, one, 3, function(text) log("one " .. text) end)
        park(nursery, two, 2, function(text) log("two " .. text) end)
        one:repark(two, {count = 2})
        assert.equal(1, #one)
        assert.equal(4, #two)
        one:repark(one)                        -- to itself
        assert.equal(1, #one)
        two:repark_all(two)
        while #two > 0 do
          two:unpark()
          settle()
        end
        one:repark(two, {count = math.huge})
        assert.equal(1, #two:unpark_all())
      end)
      assert.same({"two wake 1", "two wake 2", "one wake 1", "one wake 2",
        "one wake 3"}, trace)
    end)

  H.trio_it("SYNC-30 refuses to move tasks to something else", function()
    local lot = ParkingLot()
    for _, method in ipairs {"repark", "repark_all"} do
      for _, wrong in ipairs {{}, 1, "x", trio.Lock(), false} do
        P.usage("bad argument #1 to '" .. method ..
          "' %(trio%.lowlevel%.ParkingLot expected, got ",
          "local lot, wrong = ... lot:" .. method .. "(wrong)", lot, wrong)
      end
    end
  end)

  H.trio_it("SYNC-30 keeps the lot alive that a task was moved to", function()
    local weak = setmetatable({}, {__mode = "k"})
    local scope = trio.CancelScope()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function() ParkingLot():park() end)
      end)
      local lot = ParkingLot()
      for _ = 1, 2 do nursery:start_soon(lot.park, lot) end
      settle()
      do
        local other = ParkingLot()
        weak[other] = true
        lot:repark_all(other)
      end
      assert.equal(1, P.left_of(weak))
      scope:cancel()
      assert.equal(2, #next(weak):unpark_all())
    end)
    assert.equal(0, P.left_of(weak))
  end)

  H.trio_it("SYNC-31 woken, then cancelled: it was woken", function()
    local lot = ParkingLot()
    local trace, log = H.trace()
    local scopes
    trio.open_nursery(function(nursery)
      scopes = park(nursery, lot, 1, log)
      lot:unpark()
      scopes[1]:cancel()
    end)
    assert.same({"wake 1"}, trace)
    assert.is_false(scopes[1].cancelled_caught)
  end)

  H.trio_it("SYNC-32 breaks for those inside and those to come", function()
    local lot, me = ParkingLot(), current_task()
    local trace, log = H.trace()
    assert.same({}, lot.broken_by)
    trio.open_nursery(function(nursery)
      park(nursery, lot, 2, log)
      P.is_no_checkpoint(lot.break_lot, lot)
      assert.equal(0, #lot)
      assert.same({}, lot:unpark_all())
      assert.same({me}, lot.broken_by)
    end)
    assert.equal(2, #trace)
    for i = 1, 2 do broken("^the parking lot was broken by <Task", trace[i]) end
    broken("broken by <Task", select(2, pcall(lot.park, lot)))
    lot:break_lot()
    assert.same({me, me}, lot.broken_by)
    trio.open_nursery(function(nursery)
      local child = start_idle(nursery, "other")
      lot:break_lot(child)
      assert.same({me, me, child}, lot.broken_by)
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("SYNC-32 a broken one refuses also in a cancelled scope",
    function()
      local lot, scope = ParkingLot(), trio.CancelScope()
      lot:break_lot()
      scope:run(function()
        scope:cancel()
        broken("", select(2, pcall(lot.park, lot)))
      end)
    end)

  it("SYNC-32 needs a task to blame", function()
    local lot = ParkingLot()
    P.usage("must be called from inside a task",
      "local lot = ... lot:break_lot()", lot)
    for _, wrong in ipairs {1, "x", {}, lot} do
      P.usage("bad argument #1 to 'break_lot' %(trio%.lowlevel%.Task expected",
        "local lot, task = ... lot:break_lot(task)", lot, wrong)
    end
    assert.same({}, lot.broken_by)
  end)

  H.trio_it("SYNC-33 breaks when a breaker ends", function()
    for _, ending in ipairs {"return", "cancel", "fail"} do
      local lot = ParkingLot()
      local trace, log = H.trace()
      pcall(trio.open_nursery, function(nursery)
        local scope, go = trio.CancelScope(), trio.Event()
        local task = nursery:start({name = "breaker"}, function(task_status)
          task_status:started(current_task())
          add_breaker(current_task(), lot)
          scope:run(function()
            go:wait()
            if ending == "fail" then error("x") end
          end)
        end)
        park(nursery, lot, 1, log)
        if ending == "cancel" then scope:cancel() else go:set() end
        settle()
        assert.same({task}, lot.broken_by)
      end)
      broken("broken by .*breaker", trace[1])
    end
  end)

  H.trio_it("SYNC-34 counts the registrations of a breaker", function()
    local lot, me = ParkingLot(), current_task()
    local code = "local remove, task, lot = ... remove(task, lot)"
    local pattern = "bad argument #1 to '.*' %(this task is no breaker"
    P.usage(pattern, code, remove_breaker, me, lot)
    add_breaker(me, lot)
    add_breaker(me, lot)
    remove_breaker(me, lot)
    remove_breaker(me, lot)
    P.usage(pattern, code, remove_breaker, me, lot)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        add_breaker(current_task(), lot)
        add_breaker(current_task(), lot)
        remove_breaker(current_task(), lot)
      end)
    end)
    assert.equal(1, #lot.broken_by)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        add_breaker(current_task(), lot)
        add_breaker(current_task(), lot)
      end)
    end)
    assert.equal(3, #lot.broken_by)
    assert.equal(lot.broken_by[2], lot.broken_by[3])
  end)

  H.trio_it("SYNC-34 a removed breaker may end", function()
    local lot = ParkingLot()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        add_breaker(current_task(), lot)
        settle()
        remove_breaker(current_task(), lot)
      end)
    end)
    assert.same({}, lot.broken_by)
    P.is_checkpoint(function()
      trio.move_on_after(1, function() lot:park() end)
    end)
  end)

  H.trio_it("SYNC-34 an ended task can't be registered, but blamed", function()
    local lot, child = ParkingLot(), nil
    lot:break_lot()
    trio.open_nursery(function(nursery)
      child = start_idle(nursery)
      add_breaker(child, lot)                  -- of a broken lot: fine
      nursery.cancel_scope:cancel()
    end)
    assert.same({current_task(), child}, lot.broken_by)
    H.raises_class(trio.BrokenResourceError, add_breaker, child, lot)
    local other = ParkingLot()
    other:break_lot(child)
    assert.same({child}, other.broken_by)
  end)

  it("SYNC-34 refuses what isn't a task, or a lot", function()
    local lot = ParkingLot()
    for _, name in ipairs {"add_parking_lot_breaker",
        "remove_parking_lot_breaker"} do
      local code = "local lowlevel, a, b = ... lowlevel." .. name .. "(a, b)"
      P.usage("bad argument #1 to '" .. name .. "' %(trio%.lowlevel%.Task exp",
        code, lowlevel, lot, lot)
      H.run(function()
        P.usage("bad argument #2 to '" .. name ..
          "' %(trio%.lowlevel%.ParkingLot expected", code, lowlevel,
          current_task(), trio.Lock())
      end)
    end
  end)

  H.trio_it("SYNC-35 names every breaker that ended", function()
    local lot, children = ParkingLot(), {}
    trio.open_nursery(function(nursery)
      for i = 1, 3 do
        children[i] = start_idle(nursery)
        add_breaker(children[i], lot)
      end
      nursery.cancel_scope:cancel()
    end)
    local found = {}
    for _, task in ipairs(lot.broken_by) do found[task] = true end
    assert.equal(3, #lot.broken_by)
    for i = 1, 3 do assert.is_true(found[children[i]]) end
  end)

  H.trio_it("SYNC-36 may be broken in the name of the task inside", function()
    local lot = ParkingLot()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local _, tasks = park(nursery, lot, 1, log)
      lot:break_lot(tasks[1])
    end)
    broken("broken by <Task", trace[1])
  end)

  H.trio_it("SYNC-36 a task that was moved hears of the other lot", function()
    local one, two = ParkingLot(), ParkingLot()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local child = start_idle(nursery, "saboteur")
      park(nursery, one, 2, log)
      one:repark(two)
      one:break_lot()
      settle()
      broken("broken by .*<Task", trace[1])
      two:break_lot(child)
      settle()
      broken("saboteur", trace[2])
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("lets breakers go that were removed", function()
    local lot, weak = ParkingLot(), setmetatable({}, {__mode = "k"})
    trio.open_nursery(function(nursery)
      for _ = 1, 50 do
        nursery:start_soon(function()
          weak[current_task()] = true
          add_breaker(current_task(), lot)
          remove_breaker(current_task(), lot)
        end)
      end
    end)
    assert.equal(0, P.left_of(weak))
    assert.same({}, lot.broken_by)
  end)

  H.trio_it("may be collected before its breaker ends", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for _ = 1, 10 do add_breaker(current_task(), ParkingLot()) end
        collectgarbage()
        collectgarbage()
      end)
    end)
  end)

  it("serves several runs", function()
    local lot = ParkingLot()
    for _ = 1, 2 do
      H.run(function()
        local trace, log = H.trace()
        trio.open_nursery(function(nursery)
          park(nursery, lot, 2, log)
          lot:unpark_all()
        end)
        assert.equal(2, #trace)
      end)
    end
    H.run(function() add_breaker(current_task(), lot) end)
    assert.equal(1, #lot.broken_by)
    H.run(function() broken("", select(2, pcall(lot.park, lot))) end)
  end)

  it("shows its state", function()
    local lot = ParkingLot()
    local prefix = "^<trio%.lowlevel%.ParkingLot 0x%x+ "
    assert.matches(prefix .. "0 waiting>$", tostring(lot))
    H.run(function()
      trio.open_nursery(function(nursery)
        park(nursery, lot, 2, function() end)
        assert.matches(prefix .. "2 waiting>$", tostring(lot))
        lot:break_lot()
        assert.matches(prefix .. "broken, 0 waiting>$", tostring(lot))
      end)
    end)
  end)

  it("refuses another self, and to be written to", function()
    P.refuses_others(ParkingLot(), "trio.lowlevel.ParkingLot", {"park",
      "unpark", "unpark_all", "repark", "repark_all", "break_lot",
      "statistics"})
    P.refuses_writing(ParkingLot(), "trio.lowlevel.ParkingLot",
      {"broken_by", "park"})
  end)
end)
