-- SPDX-License-Identifier: MIT
-- Scopes and nurseries that are not left in the order in which they were
-- entered. In Lua that takes coroutines which yield inside a body. The answer
-- is always an error that says so: never a hang, never a TrioInternalError.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint = lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

-- Enters the scope in a coroutine of its own. Calling the result leaves it.
local function enter(scope)
  local leave = trio.coroutine.wrap(function()
    scope:run(function()
      trio.coroutine.yield("entered")
    end)
  end)
  assert.equal("entered", leave())
  return leave
end

-- The same with a nursery: gives the function that leaves, and the nursery.
local function enter_nursery()
  local leave = trio.coroutine.wrap(function()
    trio.open_nursery(function(nursery)
      trio.coroutine.yield(nursery)
    end)
  end)
  return leave, leave()
end

local function contains(text, part)
  assert.is_string(text)
  assert.is_truthy(text:find(part, 1, true), text .. " lacks " .. part)
end

-- The part of the object's text that stays the same while its state changes.
local function address(object)
  return tostring(object):match("0x%x+")
end

-- That scopes still work in this task as they should.
local function check_healthy()
  assert.equal(math.huge, trio.current_effective_deadline())
  checkpoint()
  local t = trio.current_time()
  local scope = trio.move_on_after(1, function() trio.sleep_forever() end)
  assert.is_true(scope.cancelled_caught)
  assert.equal(t + 1, trio.current_time())
  trio.open_nursery(function(nursery)
    nursery:start_soon(trio.sleep, 1)
  end)
end

describe("a coroutine that yields inside a scope", function()
  H.trio_it("puts its resumer into that scope, until it leaves it", function()
    local scope = trio.CancelScope({deadline = 5})
    local leave = enter(scope)
    assert.equal(5, trio.current_effective_deadline())
    leave()
    assert.equal(math.huge, trio.current_effective_deadline())
    contains(tostring(scope), "exited")
  end)

  H.trio_it("may do so many times over, where the nesting is right", function()
    for _ = 1, 50 do
      local outer, inner = trio.CancelScope(), trio.CancelScope()
      local leave_outer = enter(outer)
      local leave_inner = enter(inner)
      checkpoint()
      leave_inner()
      leave_outer()
    end
    check_healthy()
  end)
end)

describe("leaving an outer scope first", function()
  H.trio_it("CANCEL-65 is an error that names the inner one", function()
    local outer, inner = trio.CancelScope(), trio.CancelScope()
    local leave_outer, leave_inner = enter(outer), enter(inner)
    local message = H.raises("corrupted", leave_outer)
    contains(message, address(outer))
    contains(message, address(inner))
    contains(tostring(outer), "exited")
    check_healthy()
    leave_inner()
    contains(tostring(inner), "exited")
    check_healthy()
  end)

  H.trio_it("CANCEL-65 leaves the task outside of both", function()
    local outer = trio.CancelScope({deadline = 50})
    local leave_outer = enter(outer)
    trio.CancelScope({deadline = 40}):run(function()
      H.raises("corrupted", leave_outer)
      assert.equal(math.huge, trio.current_effective_deadline())
      checkpoint()
    end)
    check_healthy()
  end)

  H.trio_it("CANCEL-65 holds for more than one inner scope", function()
    local leave_outer = enter(trio.CancelScope())
    local leave_middle = enter(trio.CancelScope())
    local leave_inner = enter(trio.CancelScope())
    H.raises("corrupted", leave_outer)
    leave_inner()
    leave_middle()
    check_healthy()
  end)

  H.trio_it("CANCEL-65 holds for a nursery as the outer one", function()
    local leave_nursery = enter_nursery()
    trio.CancelScope():run(function()
      H.raises("corrupted", leave_nursery)
    end)
    check_healthy()
  end)

  H.trio_it("CANCEL-67 cancels the tasks in the abandoned part", function()
    local seen = {}
    local leave = enter(trio.CancelScope())
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        seen[1] = H.raises_class(trio.Cancelled, trio.sleep_forever)
      end)
      nursery:start_soon(function()
        trio.CancelScope():run(function()
          seen[2] = H.raises_class(trio.Cancelled, trio.sleep_forever)
        end)
      end)
      wait_all_tasks_blocked()
      H.raises("corrupted", leave)
    end)
    for i = 1, 2 do
      assert.equal("unknown", seen[i].source)
      assert.equal("misnesting", seen[i].reason)
      assert.is_nil(seen[i].source_task)
    end
    check_healthy()
  end)
end)

describe("leaving another task's scope", function()
  H.trio_it("CANCEL-66 is an error that changes nothing", function()
    local scope = trio.CancelScope()
    local leave, err, message
    local ok, group = pcall(trio.open_nursery, function(nursery)
      nursery:start_soon({name = "owner"}, function()
        leave = enter(scope)
        err = H.raises_class(trio.Cancelled, trio.sleep_forever)
      end)
      wait_all_tasks_blocked()
      message = H.raises("unrelated", leave)
      contains(message, address(scope))
      contains(tostring(scope), "active")
      check_healthy()
      scope:cancel("by hand")
    end)
    assert.equal("by hand", err.reason)
    -- Its owner could not leave it any more, and ended inside.
    assert.is_false(ok)
    assert.equal(1, #group.exceptions)
    contains(group.exceptions[1], "corrupted")
    check_healthy()
  end)
end)

describe("a coroutine that is abandoned inside a body", function()
  H.trio_it("is an error of its task: a scope", function()
    local ok, group = pcall(trio.open_nursery, function(nursery)
      nursery:start_soon({name = "careless"}, function()
        enter(trio.CancelScope())
        collectgarbage()
        checkpoint()
      end)
    end)
    assert.is_false(ok)
    assert.equal(1, #group.exceptions)
    contains(group.exceptions[1], "corrupted")
    contains(group.exceptions[1], "careless")
    check_healthy()
  end)

  H.trio_it("is an error of its task: a nursery, its children cancelled",
    function()
      local seen
      local ok, group = pcall(trio.open_nursery, function(outer)
        outer:start_soon({name = "careless"}, function()
          local _, nursery = enter_nursery()
          nursery:start_soon(function()
            seen = H.raises_class(trio.Cancelled, trio.sleep_forever)
          end)
          checkpoint()
        end)
      end)
      assert.is_false(ok)
      assert.equal(1, #group.exceptions)
      contains(group.exceptions[1], "corrupted")
      wait_all_tasks_blocked()
      assert.equal("nursery", seen.source)
      check_healthy()
    end)

  H.trio_it("is an error of its task also where it was closed", function()
    local ok, group = pcall(trio.open_nursery, function(nursery)
      nursery:start_soon({name = "careless"}, function()
        local c = trio.coroutine.create(function()
          trio.CancelScope():run(function() trio.coroutine.yield() end)
        end)
        trio.coroutine.resume(c)
        assert.is_true(trio.coroutine.close(c))
        checkpoint()
      end)
    end)
    assert.is_false(ok)
    assert.equal(1, #group.exceptions)
    contains(group.exceptions[1], "corrupted")
    check_healthy()
  end)

  H.trio_it("keeps the task's own error, as the context of its report",
    function()
      local V = trio.Error("V")
      local ok, group = pcall(trio.open_nursery, function(nursery)
        nursery:start_soon({name = "careless"}, function()
          enter(trio.CancelScope())
          error(V)
        end)
      end)
      assert.is_false(ok)
      assert.equal(1, #group.exceptions)
      local text = tostring(group.exceptions[1])
      contains(text, "corrupted")
      assert.is_truthy(rawequal(group.exceptions[1], V)
        or text:find("V", 1, true), text)
      check_healthy()
    end)

  it("is a plain error of trio.run in the main task", function()
    for _, open in ipairs({
      function() enter(trio.CancelScope()) end,
      function() enter_nursery() end,
    }) do
      local message = H.raises("corrupted", H.run, open)
      assert.is_string(message)
      assert.equal(1, H.run(function() return 1 end))
    end
  end)
end)
