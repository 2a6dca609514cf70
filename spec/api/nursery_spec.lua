-- SPDX-License-Identifier: MIT
-- nursery_spec.lua: the surface of open_nursery and of the nursery it gives:
-- arguments and options, what comes back, the fields. start_soon has a file of
-- its own; errors of children, cancelling and misnesting are in spec/semantics.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local THIS = "nursery_spec%.lua:%d+: "

local function nop() end

local function count(...)
  return select("#", ...)
end

-- A value that is neither callable nor an options table, of every kind.
local function uncallables()
  return {5, "text", true, setmetatable({}, {}), io.stdout,
    coroutine.create(nop)}
end

describe("open_nursery", function()
  it("refuses to work outside a task, and names itself", function()
    local called = false
    local err = H.raises("open_nursery", function()
      trio.open_nursery(function() called = true end)
    end)
    assert.equal("string", type(err))
    assert.is_false(called)
  end)

  trio_it("refuses a body that cannot be called", function()
    for _, value in ipairs(uncallables()) do
      H.raises(THIS .. "bad argument #1 to 'open_nursery' %(function expected",
        function() trio.open_nursery(value) end)
    end
    H.raises(THIS .. "bad argument #1 to 'open_nursery' %(function expected",
      function() trio.open_nursery() end)
    H.raises("bad argument #2 to 'open_nursery' %(function expected",
      function() trio.open_nursery({}) end)
    H.raises("bad argument #2 to 'open_nursery' %(function expected",
      function() trio.open_nursery({}, 5) end)
    assert.same({}, lowlevel.current_task().child_nurseries)
  end)

  trio_it("refuses an option that it does not know, and names it", function()
    local called = false
    local function body() called = true end
    H.raises(THIS .. "bad argument #1 to 'open_nursery' .*" ..
      "unknown option 'strict'",
      function() trio.open_nursery({strict = true}, body) end)
    H.raises("unknown option", function() trio.open_nursery({7}, body) end)
    H.raises("unknown option 'name'",
      function() trio.open_nursery({name = "n"}, body) end)
    assert.is_false(called)
    assert.same({}, lowlevel.current_task().child_nurseries)
  end)

  trio_it("refuses a strictness that is no boolean", function()
    for _, value in ipairs {1, "yes", {}} do
      H.raises("open_nursery.*strict_exception_groups.*boolean", function()
        trio.open_nursery({strict_exception_groups = value}, nop)
      end)
    end
  end)

  trio_it("takes an empty options table, and a callable object", function()
    local seen
    local body = setmetatable({}, {__call = function(self, nursery, ...)
      seen = {self, tostring(nursery):match("^<trio%.Nursery"), count(...)}
      return "called"
    end})
    assert.equal("called", (trio.open_nursery({}, body)))
    assert.is_true(rawequal(body, seen[1]))
    assert.equal("<trio.Nursery", seen[2])
    assert.equal(0, seen[3])
  end)

  trio_it("gives the body one argument, the nursery", function()
    trio.open_nursery(function(...)
      assert.equal(1, count(...))
      assert.equal(lowlevel.current_task(), (...).parent_task)
    end)
  end)
end)

describe("what open_nursery returns", function()
  trio_it("is all that the body returned, nils included", function()
    local got = table.pack(trio.open_nursery(function()
      return 1, nil, "three", nil
    end))
    assert.same({1, nil, "three", nil, n = 4}, got)
    assert.equal(0, count(trio.open_nursery(nop)))
  end)

  trio_it("may be a thousand values", function()
    local many = {}
    for i = 1, 1000 do many[i] = i end
    local got = {trio.open_nursery(function(nursery)
      nursery:start_soon(trio.sleep, 1)
      return table.unpack(many)
    end)}
    assert.same(many, got)
  end)

  trio_it("comes after the last child has ended", function()
    local result = trio.open_nursery(function(nursery)
      nursery:start_soon(trio.sleep, 3)
      return trio.current_time()
    end)
    assert.equal(0, result)
    assert.equal(3, trio.current_time())
  end)

  trio_it("NURS-39 holds nothing that a child returned", function()
    assert.equal(0, count(trio.open_nursery(function(nursery)
      nursery:start_soon(function() return "lost" end)
    end)))
  end)

  trio_it("is kept where the nursery was cancelled but the body finished",
    function()
      local got = table.pack(trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep_forever)
        nursery.cancel_scope:cancel()
        return "kept", nil, 3
      end))
      assert.same({"kept", nil, 3, n = 3}, got)
      assert.equal("kept", (trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.sleep(1)
          nursery.cancel_scope:cancel()
        end)
        nursery:start_soon(trio.sleep_forever)
        return "kept"
      end)))
      assert.equal(1, trio.current_time())
    end)

  trio_it("is nothing where the nursery's cancellation ended the body",
    function()
      assert.equal(0, count(trio.open_nursery(function(nursery)
        nursery.cancel_scope:cancel()
        lowlevel.checkpoint()
        return "never"
      end)))
    end)
end)

describe("Nursery", function()
  trio_it("NURS-33 cannot be made by hand", function()
    assert.is_nil(trio.Nursery)
    trio.open_nursery(function(nursery)
      assert.not_equal("table", type(getmetatable(nursery)))
    end)
  end)

  trio_it("has fields that can be read and not written", function()
    trio.open_nursery(function(nursery)
      assert.equal(lowlevel.current_task(), nursery.parent_task)
      assert.is_true(rawequal(nursery.cancel_scope, nursery.cancel_scope))
      assert.equal(math.huge, nursery.cancel_scope.deadline)
      assert.same({}, nursery.child_tasks)
      for _, name in ipairs {"parent_task", "cancel_scope", "child_tasks"} do
        H.raises(THIS .. ".*" .. name .. ".*read%-only",
          function() nursery[name] = nil end)
      end
      H.raises("no field 'colour'", function() nursery.colour = "red" end)
      assert.is_nil(nursery.colour)
    end)
  end)

  trio_it("shows its kind and state as text", function()
    local kept
    trio.open_nursery(function(nursery)
      kept = nursery
      local empty = tostring(nursery)
      assert.truthy(empty:find("^<trio%.Nursery 0x%x+ .*>$"), empty)
      nursery:start_soon(nop)
      nursery:start_soon(nop)
      local busy = tostring(nursery)
      assert.not_equal(empty, busy)
      assert.truthy(busy:find(" 2 "), busy)
      assert.truthy(#busy < 100, busy)
    end)
    assert.truthy(tostring(kept):find("closed"), tostring(kept))
  end)

  trio_it("keeps its fields after its end", function()
    local kept
    trio.open_nursery(function(nursery)
      kept = nursery
      nursery:start_soon(trio.sleep, 1)
    end)
    assert.equal(lowlevel.current_task(), kept.parent_task)
    assert.same({}, kept.child_tasks)
    assert.is_false(kept.cancel_scope.cancel_called)
    kept.cancel_scope:cancel()
    assert.is_true(kept.cancel_scope.cancel_called)
    lowlevel.checkpoint()
  end)

  it("keeps its fields after the run", function()
    local kept
    H.run(function()
      trio.open_nursery(function(nursery)
        kept = nursery
        nursery:start_soon({name = "gone"}, trio.sleep, 1)
      end)
    end)
    collectgarbage()
    assert.same({}, kept.child_tasks)
    assert.equal("string", type(kept.parent_task.name))
    assert.truthy(tostring(kept):find("closed"), tostring(kept))
    H.raises("closed", function() kept:start_soon(nop) end)
    H.raises("", function() kept:start(nop) end)
  end)

  trio_it("NURS-26 child_tasks holds the live children, parent_task the opener",
    function()
      local opener = lowlevel.current_task()
      local kept, child
      trio.open_nursery(function(nursery)
        kept = nursery
        nursery:start_soon(function()
          child = lowlevel.current_task()
          trio.sleep(1)
        end)
        assert.equal(1, #nursery.child_tasks)
        lowlevel.checkpoint()
        assert.is_true(rawequal(child, nursery.child_tasks[1]))
        assert.equal(1, #nursery.child_tasks)
        trio.sleep(2)
        assert.same({}, nursery.child_tasks)
        assert.equal(opener, nursery.parent_task)
      end)
      assert.equal(opener, kept.parent_task)
    end)

  trio_it("child_tasks is a snapshot", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.sleep, 1)
      local before = nursery.child_tasks
      nursery:start_soon(trio.sleep, 1)
      assert.equal(1, #before)
      before[1] = nil
      assert.equal(2, #nursery.child_tasks)
    end)
  end)

  trio_it("NURS-27 child_nurseries lists a task's open nurseries", function()
    local me = lowlevel.current_task()
    assert.same({}, me.child_nurseries)
    trio.open_nursery(function(outer)
      assert.equal(1, #me.child_nurseries)
      assert.is_true(rawequal(outer, me.child_nurseries[1]))
      local group = H.raises("", trio.open_nursery, function(inner)
        assert.equal(2, #me.child_nurseries)
        assert.is_true(rawequal(outer, me.child_nurseries[1]))
        assert.is_true(rawequal(inner, me.child_nurseries[2]))
        error("inner fails", 0)
      end)
      H.group_of(group, "inner fails")
      assert.equal(1, #me.child_nurseries)
      assert.is_true(rawequal(outer, me.child_nurseries[1]))
    end)
    assert.same({}, me.child_nurseries)
  end)

  trio_it("NURS-28 a child finds the task that opened its nursery", function()
    local opener, nursery_of_child = lowlevel.current_task(), nil
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        nursery_of_child = lowlevel.current_task().parent_nursery
      end)
      lowlevel.checkpoint()
      assert.is_true(rawequal(nursery, nursery_of_child))
      assert.is_true(rawequal(opener, nursery_of_child.parent_task))
    end)
  end)
end)
