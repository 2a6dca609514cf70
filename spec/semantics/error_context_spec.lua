-- SPDX-License-Identifier: MIT
-- The error that is being handled: it belongs to its task, and becomes the
-- context of what is raised meanwhile.
local H = require "spec.support.helper"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked
local Group = trio.ExceptionGroup

local E = trio.Error:subclass("E")
local V = trio.Error:subclass("V")
local K = trio.Error:subclass("K")

describe("the error that a task handles", function()
  H.trio_it("EG-18 is the context of one raised into its wait", function()
    local k, v = K("1"), V("2")
    local task
    local err = H.raises_class(Group, trio.open_nursery, function(nursery)
      nursery:start_soon(function()
        trio.catch({{K, function()
          task = trio.lowlevel.current_task()
          trio.lowlevel.wait_task_rescheduled(function()
            return trio.lowlevel.Abort.FAILED
          end)
        end}}, error, k)
      end)
      wait_all_tasks_blocked()
      trio.lowlevel.reschedule(task, false, v)
    end)
    H.group_of(err, v)
    H.group_of(v.context, k)
  end)

  H.trio_it("EG-18 can be raised again after one in its wait", function()
    local k, v = K("1"), V("2")
    local task
    local err = H.raises_class(Group, trio.open_nursery, function(nursery)
      nursery:start_soon(function()
        local _, handled = pcall(error, k)
        task = trio.lowlevel.current_task()
        local _, suppressed = pcall(trio.lowlevel.wait_task_rescheduled,
          function() return trio.lowlevel.Abort.FAILED end)
        assert.equal(v, suppressed)
        error(handled)
      end)
      wait_all_tasks_blocked()
      trio.lowlevel.reschedule(task, false, v)
    end)
    H.group_of(err, k)
    assert.is_nil(k.context)
  end)

  H.trio_it("EG-19 is its own, however tasks interleave", function()
    local function handle(first, second)
      trio.catch({{trio.Error, function(group)
        H.group_of(group, first)
        for _ = 1, 3 do checkpoint() end
        local ok, err = pcall(trio.catch, {{trio.Error, function(inner)
          H.group_of(inner, second)
          for _ = 1, 3 do checkpoint() end
          error(inner, 0)
        end}}, error, second)
        assert.is_false(ok)
        H.group_of(err, second)
        for _ = 1, 3 do checkpoint() end
        error(group.exceptions[1])
      end}}, error, first)
    end
    local a, b = E("a"), E("b")
    local raised = {}
    trio.open_nursery(function(nursery)
      for _, err in ipairs {a, b} do
        nursery:start_soon(function()
          raised[err] = select(2, pcall(handle, err, V("second")))
        end)
      end
    end)
    assert.is_true(rawequal(a, raised[a]))
    assert.is_true(rawequal(b, raised[b]))
    assert.is_nil(a.context)
    assert.is_nil(b.context)
  end)
end)
