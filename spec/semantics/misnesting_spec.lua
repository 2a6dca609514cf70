-- SPDX-License-Identifier: MIT
-- Scopes and nurseries that are not left in the order in which they were
-- entered. In Lua that takes coroutines which yield inside a body. The answer
-- is always an error that says so: never a hang, never a TrioInternalError.
-- luacheck: ignore 211/_.+
local H = require "spec.support.helper"
local stock = require "spec.support.stock"
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

describe("a coroutine that is closed inside a body", function()
  -- A coroutine that yields inside the body of open(body), between two closers.
  local function suspended_in(open, log)
    local function closer(name)
      return setmetatable({}, {__close = function(_, err)
        local inside = trio.current_effective_deadline() < math.huge
        log({name, inside and "inside" or "outside", err})
      end})
    end
    local co = trio.coroutine.create(function()
      local _outer <close> = closer("outer")
      open(function(object)
        local _inner <close> = closer("inner")
        trio.coroutine.yield(object)
        log("not reached")
      end)
      log("not reached")
    end)
    local _, object = assert(trio.coroutine.resume(co))
    return co, object
  end

  for _, case in ipairs({
    {"a scope", function(body)
      trio.CancelScope({relative_deadline = 5}):run(body)
    end},
    {"a time limit", function(body) trio.fail_after(5, body) end},
    {"a scope, in protected calls", function(body)
      pcall(xpcall, trio.move_on_after, debug.traceback, 5, body)
    end},
    {"a nursery in a scope", function(body)
      trio.move_on_after(5, function() trio.open_nursery(body) end)
    end},
  }) do
    H.trio_it("leaves it: " .. case[1], function()
      local trace, log = H.trace()
      local co = suspended_in(case[2], log)
      assert.equal(5, trio.current_effective_deadline())
      assert.is_true(trio.coroutine.close(co))
      assert.same({{"inner", "inside"}, {"outer", "outside"}}, trace)
      check_healthy()
    end)
  end

  H.trio_it("leaves it, by Lua's own close as well", function()
    local trace, log = H.trace()
    local co = suspended_in(function(body) trio.move_on_after(5, body) end, log)
    assert.is_true(stock.close(co))
    assert.same({{"inner", "inside"}, {"outer", "outside"}}, trace)
    check_healthy()
  end)

  H.trio_it("cancels the children of its nursery, and waits for them",
    function()
      local _, log = H.trace()
      local seen
      local co, nursery = suspended_in(trio.open_nursery, log)
      nursery:start_soon(function()
        seen = H.raises_class(trio.Cancelled, trio.sleep_forever)
        trio.CancelScope({shield = true}):run(function() trio.sleep(2) end)
      end)
      checkpoint()
      assert.is_true(trio.coroutine.close(co))
      assert.equal("nursery", seen.source)
      assert.equal(2, trio.current_time())
      check_healthy()
    end)

  H.trio_it("releases its lock", function()
    local lock = trio.Lock()
    local co = trio.coroutine.create(function()
      lock:with(trio.coroutine.yield)
    end)
    trio.coroutine.resume(co)
    assert.is_true(lock:locked())
    assert.is_true(trio.coroutine.close(co))
    assert.is_false(lock:locked())
  end)

  H.trio_it("gives the errors of its children and closers", function()
    local co = trio.coroutine.create(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(error, "of the child")
        local _ <close> = trio.defer(function() error("of the closer", 0) end)
        trio.coroutine.yield()
      end)
    end)
    trio.coroutine.resume(co)
    local ok, group = trio.coroutine.close(co)
    assert.is_false(ok)
    assert.is_true(trio.isinstance(group, trio.ExceptionGroup))
    assert.equal(2, #group.exceptions)
    check_healthy()
  end)

  H.trio_it("swallows a cancellation of its scope", function()
    local co = trio.coroutine.create(function()
      trio.CancelScope():run(function(scope)
        local _ <close> = setmetatable({}, {__close = function()
          checkpoint()
        end})
        scope:cancel()
        trio.coroutine.yield()
      end)
    end)
    trio.coroutine.resume(co)
    assert.is_true(trio.coroutine.close(co))
    check_healthy()
  end)

  H.trio_it("while another scope is open inside of its own is an error",
    function()
      local _, log = H.trace()
      local co = suspended_in(function(body)
        trio.move_on_after(5, body)
      end, log)
      trio.CancelScope():run(function(inner)
        local ok, message = trio.coroutine.close(co)
        assert.is_false(ok)
        contains(message, "still within its child")
        contains(message, address(inner))
      end)
      check_healthy()
    end)

  H.trio_it("in hundreds of nested bodies leaves them all", function()
    local function open(n)
      if n == 0 then return trio.coroutine.yield() end
      return trio.CancelScope():run(function() open(n - 1) end)
    end
    local co = trio.coroutine.create(open)
    assert.is_true(trio.coroutine.resume(co, 400))
    assert.is_true(trio.coroutine.close(co))
    check_healthy()
  end)
end)
