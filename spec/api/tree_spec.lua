-- SPDX-License-Identifier: MIT
-- task_tree: who runs below whom, in which scopes, and where each waits.
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

describe("task_tree", function()
  H.trio_it("SYS shows every task and where it waits", function()
    trio.open_nursery(function(nursery)
      local line
      nursery:start_soon({name = "alice"}, function()
        trio.open_nursery(function(inner)
          inner:start_soon({name = "carol"}, function()
            line = here() + 1
            trio.sleep(5)
          end)
        end)
      end)
      nursery:start_soon({name = "bob"}, function()
        trio.Event():wait()
      end)
      testing.wait_all_tasks_blocked()
      local text = lowlevel.task_tree()
      assert.is_string(text)
      contains(text, "alice", "bob", "carol", "sleep", "Event", "nursery",
        "tree_spec.lua:" .. line)
      local function column(name)
        for row in text:gmatch("[^\n]+") do
          local at = row:find(name, 1, true)
          if at then return at end
        end
      end
      assert.equal(column("alice"), column("bob"))
      assert.is_true(column("carol") > column("alice"))
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("SYS of a task shows its descendants only", function()
    trio.open_nursery(function(nursery)
      local alice
      nursery:start_soon({name = "alice"}, function()
        alice = lowlevel.current_task()
        trio.open_nursery(function(inner)
          inner:start_soon({name = "carol"}, trio.sleep_forever)
        end)
      end)
      nursery:start_soon({name = "bob"}, trio.sleep_forever)
      testing.wait_all_tasks_blocked()
      local text = lowlevel.task_tree(alice)
      contains(text, "alice", "carol")
      assert.is_nil(text:find("bob", 1, true))
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("SYS shows the scopes of a task", function()
    local shielded = trio.CancelScope({shield = true})
    trio.open_nursery(function(nursery)
      nursery:start_soon({name = "timed"}, function()
        trio.move_on_after(7, function()
          shielded:run(trio.sleep_forever)
        end)
      end)
      testing.wait_all_tasks_blocked()
      local text = lowlevel.task_tree()
      shielded:cancel()
      contains(text, "timed", "scope", "7", "shield")
    end)
  end)

  H.trio_it("SYS shows scopes and nurseries as they nest", function()
    trio.CancelScope():run(function(outer)
      trio.open_nursery(function(nursery)
        trio.CancelScope():run(function()
          nursery:start_soon({name = "child"}, trio.sleep_forever)
          testing.wait_all_tasks_blocked()
          local text = lowlevel.task_tree(lowlevel.current_task())
          local kinds = {}
          for blanks, kind in text:gmatch("( *)(%a+)[^\n]*\n") do
            kinds[#kinds + 1] = #blanks // 2 .. kind
          end
          assert.same({"0task", "1scope", "2nursery", "3task", "3scope"},
            kinds)
          outer:cancel()
          text = lowlevel.task_tree(lowlevel.current_task())
          contains(text, "cancelled")
        end)
      end)
    end)
  end)

  H.trio_it("SYS shows siblings after a whole branch", function()
    trio.open_nursery(function(nursery)
      for i = 1, 3 do
        nursery:start_soon({name = "branch" .. i}, function()
          trio.move_on_after(100, function()
            trio.open_nursery(function(inner)
              for j = 1, 2 do
                inner:start_soon({name = "leaf" .. i .. j},
                  trio.sleep_forever)
              end
            end)
          end)
        end)
      end
      testing.wait_all_tasks_blocked()
      local order, columns = {}, {}
      for blanks, name in lowlevel.task_tree():gmatch(
          "( *)task (%a+%d+):") do
        order[#order + 1] = name
        columns[name:match("%a+")] = columns[name:match("%a+")] or #blanks
        assert.equal(columns[name:match("%a+")], #blanks)
      end
      assert.same({"branch1", "leaf11", "leaf12", "branch2", "leaf21",
                   "leaf22", "branch3", "leaf31", "leaf32"}, order)
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("SYS a task that has ended has no tree", function()
    local task
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() task = lowlevel.current_task() end)
    end)
    usage("task_tree", function() lowlevel.task_tree(task) end)
  end)

  it("SYS wrong use is named", function()
    usage("task_tree", function() lowlevel.task_tree() end)
    H.run(function()
      usage("task_tree", function() lowlevel.task_tree(5) end)
      usage("task_tree", function() lowlevel.task_tree({}) end)
    end)
  end)
end)
