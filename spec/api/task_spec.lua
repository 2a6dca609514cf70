-- SPDX-License-Identifier: MIT
-- Task objects: names, family, sleep data, traceback.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

local function here()
  return debug.getinfo(2, "l").currentline
end

-- The text contains each of the plain parts.
local function contains(text, ...)
  for _, part in ipairs{...} do
    assert(text:find(part, 1, true), ("no %q in: %s"):format(part, text))
  end
end

describe("a task", function()
  H.trio_it("SYS is one object, as long as anybody looks at it", function()
    local me = lowlevel.current_task()
    collectgarbage()
    lowlevel.checkpoint()
    assert.equal(me, lowlevel.current_task())
    assert.is_true(rawequal(me, lowlevel.current_task()))
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        assert.not_equal(me, lowlevel.current_task())
        assert.equal(me, lowlevel.current_task().parent_nursery.parent_task)
      end)
    end)
  end)

  H.trio_it("SYS serves as a key", function()
    local owners = setmetatable({}, {__mode = "k"})
    owners[lowlevel.current_task()] = "me"
    lowlevel.checkpoint()
    collectgarbage()
    assert.equal("me", owners[lowlevel.current_task()])
  end)

  H.trio_it("NURS-38 has a name, given or made", function()
    local function named(opts)
      local name
      trio.open_nursery(function(nursery)
        local function look() name = lowlevel.current_task().name end
        if opts then
          nursery:start_soon(opts, look)
        else
          nursery:start_soon(look)
        end
      end)
      return name
    end
    assert.equal("ferry", named{name = "ferry"})
    assert.matches("task_spec.lua", named())
    local object = setmetatable({}, {__tostring = function()
      return "an object"
    end})
    assert.equal("an object", named{name = object})
    assert.matches("task_spec.lua", named{name = named})
    assert.matches("print", named{name = print})
    assert.equal("42", named{name = 42})
  end)

  H.trio_it("NURS-38 a library function as a task has its name", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.sleep_forever)
      testing.wait_all_tasks_blocked()
      assert.matches("sleep_forever", nursery.child_tasks[1].name)
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("SYS its text says what it is, and its name", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon({name = "ferry"}, function()
        local text = tostring(lowlevel.current_task())
        assert.matches("Task", text)
        assert.matches("ferry", text)
      end)
    end)
  end)

  H.trio_it("SYS its coroutine is the one it runs in", function()
    local task = lowlevel.current_task()
    assert.equal("thread", type(task.coro))
    assert.equal(task.coro, (coroutine.running()))
  end)

  H.trio_it("SYS fields can't be written, except custom_sleep_data",
    function()
      local task = lowlevel.current_task()
      for _, name in ipairs{"name", "parent_nursery", "child_nurseries",
                            "eventual_parent_nursery", "coro", "colour"} do
        usage(name, function() task[name] = 1 end)
      end
      assert.is_nil(task.colour)
    end)
end)

describe("custom_sleep_data", function()
  H.trio_it("CP-07 is cleared by every wake-up", function()
    local task = lowlevel.current_task()
    assert.is_nil(task.custom_sleep_data)
    for _, value in ipairs{1, false, {}, "x"} do
      task.custom_sleep_data = value
      assert.equal(value, task.custom_sleep_data)
      lowlevel.checkpoint()
      assert.is_nil(task.custom_sleep_data)
    end
  end)

  H.trio_it("CP-07 is there for others while the task sleeps", function()
    local data = {}
    trio.open_nursery(function(nursery)
      local task
      nursery:start_soon(function()
        task = lowlevel.current_task()
        task.custom_sleep_data = data
        lowlevel.wait_task_rescheduled(function()
          assert.equal(data, task.custom_sleep_data)
          return lowlevel.Abort.SUCCEEDED
        end)
      end)
      testing.wait_all_tasks_blocked()
      assert.equal(data, task.custom_sleep_data)
      lowlevel.reschedule(task)
      assert.is_nil(task.custom_sleep_data)
    end)
  end)
end)

describe("the family", function()
  H.trio_it("NURS-27 child_nurseries: outer first, shrinking", function()
    local me = lowlevel.current_task()
    assert.same({}, me.child_nurseries)
    trio.open_nursery(function(outer)
      assert.equal(outer, me.child_nurseries[1])
      pcall(trio.open_nursery, function(inner)
        assert.equal(2, #me.child_nurseries)
        assert.equal(outer, me.child_nurseries[1])
        assert.equal(inner, me.child_nurseries[2])
        error("x")
      end)
      assert.equal(1, #me.child_nurseries)
    end)
    assert.same({}, me.child_nurseries)
  end)

  H.trio_it("NURS-26 child_nurseries and child_tasks are copies", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(lowlevel.checkpoint)
      local tasks = nursery.child_tasks
      local nurseries = lowlevel.current_task().child_nurseries
      tasks[1], nurseries[1] = nil, nil
      assert.equal(1, #nursery.child_tasks)
      assert.equal(1, #lowlevel.current_task().child_nurseries)
    end)
  end)

  H.trio_it("START-21 start's hidden nursery shows while it lasts", function()
    local starter = lowlevel.current_task()
    trio.open_nursery(function(nursery)
      local task = nursery:start(function(task_status)
        local me = lowlevel.current_task()
        assert.equal(starter, me.parent_nursery.parent_task)
        assert.is_false(rawequal(nursery, me.parent_nursery))
        assert.equal(nursery, me.eventual_parent_nursery)
        assert.equal(0, #nursery.child_tasks)
        task_status:started(me)
        assert.equal(nursery, me.parent_nursery)
        assert.is_nil(me.eventual_parent_nursery)
        assert.equal(me, nursery.child_tasks[1])
      end)
      assert.is_nil(task.eventual_parent_nursery)
    end)
  end)

  H.trio_it("SYS upward links survive the end", function()
    local parent, child, nursery
    trio.open_nursery(function(top)
      top:start_soon(function()
        parent = lowlevel.current_task()
        trio.open_nursery(function(n)
          nursery = n
          n:start_soon(function() child = lowlevel.current_task() end)
        end)
      end)
    end)
    assert.equal(parent, nursery.parent_task)
    assert.equal(nursery, child.parent_nursery)
    assert.is_nil(child.eventual_parent_nursery)
    assert.same({}, parent.child_nurseries)
    local steps, up = 0, child.parent_nursery
    while up do
      up, steps = up.parent_task.parent_nursery, steps + 1
    end
    assert.is_true(steps >= 3)
  end)

  it("SYS a task of a finished run can still be looked at", function()
    local task = H.run(lowlevel.current_task)
    assert.is_string(task.name)
    assert.matches("Task", tostring(task))
    assert.same({}, task.child_nurseries)
    assert.is_string(task:traceback())
  end)
end)

describe("a task's traceback", function()
  H.trio_it("SYS shows where the task is suspended", function()
    trio.open_nursery(function(nursery)
      local task, line
      local function deep()
        line = here() + 1
        trio.sleep_forever()
      end
      nursery:start_soon(function()
        task = lowlevel.current_task()
        deep()
        return 0
      end)
      testing.wait_all_tasks_blocked()
      contains(task:traceback(), "task_spec.lua:" .. line, "sleep_forever")
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("SYS of the running task shows the caller", function()
    local line = here() + 1
    local text = lowlevel.current_task():traceback()
    contains(text, "task_spec.lua:" .. line)
  end)

  H.trio_it("SYS of a finished task is a string without frames", function()
    local task
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() task = lowlevel.current_task() end)
    end)
    local text = task:traceback()
    assert.is_string(text)
    assert.is_nil(text:find("task_spec.lua", 1, true))
  end)
end)
