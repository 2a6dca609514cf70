-- SPDX-License-Identifier: MIT
-- start_spec.lua: nursery:start and the task status: arguments, the values
-- handed over, what can be seen of the move into the nursery. Errors and
-- cancelling are in spec/semantics, in start_errors and start_cancel.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local now = trio.current_time
local THIS = "start_spec%.lua:%d+: "

local function nop() end

local function count(...)
  return select("#", ...)
end

-- A child: waits, is started with `seconds`, waits again.
local function sleep_then_start(status, seconds)
  trio.sleep(seconds)
  status:started(seconds)
  trio.sleep(seconds)
end

describe("start: arguments", function()
  trio_it("refuses what cannot be called, at once", function()
    trio.open_nursery(function(nursery)
      local values = {5, "text", true, setmetatable({}, {}), io.stdout}
      for _, value in ipairs(values) do
        H.raises(THIS .. "bad argument #1 to 'start' %(function expected",
          function() nursery:start(value) end)
      end
      H.raises("bad argument #1 to 'start' %(function expected",
        function() nursery:start() end)
      H.raises("bad argument #2 to 'start' %(function expected",
        function() nursery:start({}) end)
      assert.same({}, nursery.child_tasks)
      assert.equal(1, #lowlevel.current_task().child_nurseries)
    end)
  end)

  trio_it("refuses an option that it does not know, and names it", function()
    trio.open_nursery(function(nursery)
      H.raises(THIS .. "bad argument #1 to 'start' .*unknown option 'nmae'",
        function() nursery:start({nmae = "x"}, nop) end)
      assert.same({}, nursery.child_tasks)
    end)
  end)

  trio_it("refuses to be called on anything but a nursery", function()
    trio.open_nursery(function(nursery)
      H.raises("start.*trio%.Nursery expected",
        function() nursery.start(nop) end)
      H.raises("start.*trio%.Nursery expected",
        function() nursery.start({}, nop) end)
    end)
  end)

  trio_it("hands every argument over, after the status", function()
    local plain, got = {}, nil
    trio.open_nursery(function(nursery)
      nursery:start(function(status, ...)
        got = table.pack(...)
        status:started()
      end, nil, plain, nil)
    end)
    assert.equal(3, got.n)
    assert.is_nil(got[1])
    assert.is_true(rawequal(plain, got[2]))
    assert.is_nil(got[3])
  end)

  trio_it("takes a callable object, and a name", function()
    local name
    local callable = setmetatable({}, {__call = function(_, status, x)
      name = lowlevel.current_task().name
      status:started(x)
    end})
    trio.open_nursery(function(nursery)
      assert.equal("x", nursery:start({name = "my child"}, callable, "x"))
      nursery:start(callable)
    end)
    assert.not_equal("my child", name)
    trio.open_nursery(function(nursery)
      nursery:start({name = "my child"}, callable)
    end)
    assert.equal("my child", name)
  end)

  it("refuses to work outside a task", function()
    local kept, ran
    H.run(function()
      trio.open_nursery(function(nursery) kept = nursery end)
    end)
    local err = H.raises("", function()
      kept:start(function() ran = true end)
    end)
    assert.equal("string", type(err))
    assert.truthy(err:find("start", 1, true) or err:find("closed", 1, true))
    assert.is_nil(ran)
  end)

  trio_it("START-12 refuses a closed nursery, at once", function()
    local kept, ran
    trio.open_nursery(function(nursery) kept = nursery end)
    local err = H.raises("closed", function()
      kept:start(function(status)
        ran = true
        sleep_then_start(status, 7)
      end)
    end)
    assert.equal("string", type(err))
    lowlevel.checkpoint()
    assert.is_nil(ran)
    assert.equal(0, now())
  end)
end)

describe("start", function()
  trio_it("START-01 waits for started, and the nursery for the end",
    function()
      local t0 = now()
      for _, seconds in ipairs {1, 2} do
        local begin = now()
        trio.open_nursery(function(nursery)
          assert.equal(seconds, nursery:start(sleep_then_start, seconds))
          assert.equal(begin + seconds, now())
          assert.equal(1, #nursery.child_tasks)
        end)
        assert.equal(begin + 2 * seconds, now())
      end
      assert.equal(t0 + 6, now())
    end)

  trio_it("does not count the child before it is started", function()
    trio.open_nursery(function(outer)
      trio.open_nursery(function(nursery)
        outer:start_soon(nursery.start, nursery, sleep_then_start, 2)
        trio.sleep(1)
        assert.same({}, nursery.child_tasks)
        trio.sleep(2)
        assert.equal(1, #nursery.child_tasks)
      end)
    end)
  end)

  trio_it("START-02 returns what started was given: nothing", function()
    trio.open_nursery(function(nursery)
      assert.equal(0, count(nursery:start(function(status)
        assert.equal(0, count(status:started()))
      end)))
    end)
  end)

  trio_it("returns what started was given: several values", function()
    local plain = {}
    trio.open_nursery(function(nursery)
      local got = table.pack(nursery:start(function(status)
        status:started("a", nil, plain, nil)
        lowlevel.checkpoint()
        return "not this"
      end))
      assert.equal(4, got.n)
      assert.equal("a", got[1])
      assert.is_nil(got[2])
      assert.is_true(rawequal(plain, got[3]))
      assert.is_nil(got[4])
    end)
  end)

  trio_it("returns what started was given: a thousand values", function()
    local many = {}
    for i = 1, 1000 do many[i] = i end
    trio.open_nursery(function(nursery)
      assert.same(many, {nursery:start(function(status)
        status:started(table.unpack(many))
        trio.sleep(1)
      end)})
    end)
  end)

  trio_it("goes on before the child, which goes on as well", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start(function(status)
        log "before started"
        status:started()
        log "after started"
        lowlevel.checkpoint()
        log "after checkpoint"
      end)
      log "start has returned"
    end)
    assert.same("before started", trace[1])
    assert.same("after started", trace[2])
    assert.equal(4, #trace)
  end)

  trio_it("may be used by a task outside the nursery", function()
    trio.open_nursery(function(outer)
      local target, home
      outer:start_soon(trio.open_nursery, function(nursery)
        target = nursery
        trio.sleep(1)
      end)
      lowlevel.checkpoint()
      assert.equal("v", target:start(function(status)
        status:started("v")
        home = lowlevel.current_task().parent_nursery
        trio.sleep(3)
      end))
      assert.is_true(rawequal(target, home))
      assert.equal(1, #target.child_tasks)
    end)
    assert.equal(3, now())
  end)

  trio_it("works for several at the same time", function()
    local got = {}
    trio.open_nursery(function(nursery)
      trio.open_nursery(function(starters)
        for i = 5, 1, -1 do
          starters:start_soon(function()
            local value = nursery:start(sleep_then_start, i)
            got[#got + 1] = value
          end)
        end
      end)
      assert.same({1, 2, 3, 4, 5}, got)
      assert.equal(5, now())
    end)
    assert.equal(10, now())
  end)
end)

describe("the task status", function()
  trio_it("START-03 may be the ignored one", function()
    sleep_then_start(trio.TASK_STATUS_IGNORED, 3)
    assert.equal(6, now())
    for _ = 1, 2 do
      assert.equal(0, count(trio.TASK_STATUS_IGNORED:started(1, nil)))
    end
    H.raises("", function() trio.TASK_STATUS_IGNORED.colour = "red" end)
  end)

  it("that is ignored needs no task and has a text", function()
    trio.TASK_STATUS_IGNORED:started("outside")
    local text = tostring(trio.TASK_STATUS_IGNORED)
    assert.truthy(text:find("TASK_STATUS_IGNORED", 1, true), text)
  end)

  trio_it("has a text", function()
    trio.open_nursery(function(nursery)
      nursery:start(function(status)
        local waiting = tostring(status)
        assert.truthy(waiting:find("^<trio%.TaskStatus 0x%x+.*>$"), waiting)
        status:started()
        local done = tostring(status)
        assert.truthy(done:find("^<trio%.TaskStatus 0x%x+.*>$"), done)
        H.raises("", function() status.colour = "red" end)
      end)
    end)
  end)

  trio_it("START-04 refuses a second started, in its caller", function()
    local err
    trio.open_nursery(function(nursery)
      assert.equal("first", nursery:start(function(status)
        status:started("first")
        err = H.raises("started.*twice",
          function() status:started("second") end)
        lowlevel.checkpoint()
        H.raises("started.*twice", function() status:started("third") end)
      end))
    end)
    assert.equal("string", type(err))
    assert.truthy(err:find(THIS), err)
  end)

  trio_it("refuses a second started also where the first did nothing",
    function()
      local scope = trio.CancelScope()
      trio.open_nursery(function(nursery)
        scope:run(function()
          scope:cancel()
          assert.equal("v", nursery:start(function(status)
            status:started("v")
            H.raises("started.*twice", function() status:started("w") end)
          end))
        end)
      end)
      assert.is_false(scope.cancelled_caught)
    end)

  trio_it("refuses to be anything else", function()
    trio.open_nursery(function(nursery)
      nursery:start(function(status)
        H.raises("started.*TaskStatus expected",
          function() status.started("value") end)
        status:started()
      end)
    end)
  end)

  trio_it("START-20 may be used by a grandchild", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      local value = nursery:start(function(status)
        trio.open_nursery(function(own)
          own:start_soon(function()
            trio.sleep(1)
            status:started("x")
          end)
          trio.sleep(5)
        end)
        log(now())
      end)
      assert.equal("x", value)
      assert.equal(1, now())
      assert.equal(1, #nursery.child_tasks)
    end)
    assert.same({5}, trace)
  end)

  trio_it("may be used by a callback of the run", function()
    trio.open_nursery(function(nursery)
      assert.equal("from outside", nursery:start(function(status)
        lowlevel.current_trio_token():run_sync_soon(function()
          status:started("from outside")
        end)
        trio.sleep(1)
      end))
      assert.equal(1, #nursery.child_tasks)
    end)
  end)

  trio_it("can do no harm when it comes too late", function()
    local late
    trio.open_nursery(function(nursery)
      H.raises("", nursery.start, nursery, function(status) late = status end)
      pcall(late.started, late, "too late")
      assert.same({}, nursery.child_tasks)
      nursery:start_soon(trio.sleep, 1)
      assert.equal(1, #nursery.child_tasks)
    end)
    pcall(late.started, late, "later still")
    assert.equal(1, now())
    lowlevel.checkpoint()
  end)
end)

describe("START-21 before started", function()
  trio_it("a child has a hidden parent nursery, and the other to come",
    function()
      local starter, child = lowlevel.current_task(), nil
      trio.open_nursery(function(nursery)
        nursery:start(function(status)
          child = lowlevel.current_task()
          local hidden = child.parent_nursery
          assert.is_false(rawequal(hidden, nursery))
          assert.is_true(rawequal(starter, hidden.parent_task))
          assert.is_true(rawequal(nursery, child.eventual_parent_nursery))
          assert.equal(child, hidden.child_tasks[1])
          status:started()
          assert.is_true(rawequal(nursery, child.parent_nursery))
          assert.is_nil(child.eventual_parent_nursery)
          assert.same({}, hidden.child_tasks)
          assert.equal(child, nursery.child_tasks[1])
        end)
        assert.is_nil(child.eventual_parent_nursery)
      end)
      assert.is_true(rawequal(starter, child.parent_nursery.parent_task))
      assert.is_nil(child.eventual_parent_nursery)
    end)

  trio_it("the tree of tasks and nurseries links both ways", function()
    local tasks, nurseries = {}, {}
    local function child2()
      tasks.child2 = lowlevel.current_task()
      assert.same({nurseries.parent}, tasks.parent.child_nurseries)
      assert.same({tasks.child1}, nurseries.parent.child_tasks)
      assert.same({nurseries.child1}, tasks.child1.child_nurseries)
      assert.same({tasks.child2}, nurseries.child1.child_tasks)
      assert.same({}, tasks.child2.child_nurseries)
    end
    local function child1(status)
      tasks.child1 = lowlevel.current_task()
      status:started()
      trio.testing.wait_all_tasks_blocked()
      trio.open_nursery(function(nursery)
        nurseries.child1 = nursery
        nursery:start_soon(child2)
      end)
    end
    trio.open_nursery(function(outer)
      outer:start_soon(function()
        tasks.parent = lowlevel.current_task()
        trio.open_nursery(function(nursery)
          nurseries.parent = nursery
          nursery:start(child1)
        end)
        assert.is_true(rawequal(tasks.parent, nurseries.parent.parent_task))
        assert.is_true(rawequal(nurseries.parent, tasks.child1.parent_nursery))
        assert.is_true(rawequal(tasks.child1, nurseries.child1.parent_task))
        assert.is_true(rawequal(nurseries.child1, tasks.child2.parent_nursery))
        local nursery, steps = lowlevel.current_task().parent_nursery, 0
        while nursery do
          nursery = nursery.parent_task.parent_nursery
          steps = steps + 1
        end
        assert.truthy(steps >= 2)
      end)
    end)
    for _, task in pairs(tasks) do
      assert.is_nil(task.eventual_parent_nursery)
    end
  end)
end)
