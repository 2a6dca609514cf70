-- SPDX-License-Identifier: MIT
-- nursery_errors_spec.lua: what comes out of a nursery when its body or its
-- children raise: which errors are collected, in which order, as which values,
-- with which tracebacks, and what happens to the others meanwhile.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel

local function nop() end

-- A value to raise that nobody else has; its text is `name`.
local function failure(name)
  return setmetatable({}, {__tostring = function() return name end})
end

-- What open_nursery(body) raises; it must raise.
local function error_of(body, opts)
  if opts then return H.raises("", trio.open_nursery, opts, body) end
  return H.raises("", trio.open_nursery, body)
end

-- Wait for ever; when that is cancelled, raise `err` instead.
local function fail_in_cleanup(err)
  local ok, why = pcall(trio.sleep_forever)
  assert(not ok and H.is_cancelled(why))
  error(err, 0)
end

local function fail_at(time, err)
  trio.sleep_until(time)
  error(err, 0)
end

describe("an error in a nursery", function()
  trio_it("NURS-03 of the body comes out in a group", function()
    local E = failure "E"
    local group = error_of(function() error(E) end)
    H.group_of(group, E)
    assert.equal("Exceptions from Trio nursery", group.message)
  end)

  trio_it("of a child comes out in a group", function()
    local E = failure "E"
    local group = error_of(function(nursery)
      nursery:start_soon(error, E)
    end)
    H.group_of(group, E)
    assert.equal("Exceptions from Trio nursery", group.message)
  end)

  trio_it("NURS-04 cancels the siblings and comes out alone", function()
    local V, seen = failure "V", nil
    local group = error_of(function(nursery)
      nursery:start_soon(function()
        local ok
        repeat
          ok, seen = pcall(lowlevel.checkpoint)
        until not ok
        error(seen, 0)
      end)
      nursery:start_soon(error, V)
    end)
    assert.is_true(H.is_cancelled(seen))
    H.group_of(group, V)
  end)

  trio_it("NURS-05 of a child cancels a sleeping body", function()
    local V, seen = failure "V", nil
    local group = error_of(function(nursery)
      nursery:start_soon({name = "culprit"}, fail_at, 1, V)
      local _
      _, seen = pcall(trio.sleep, 100)
      assert.equal(1, trio.current_time())
      error(seen, 0)
    end)
    H.group_of(group, V)
    assert.is_true(H.is_cancelled(seen))
    assert.equal("nursery", seen.source)
    assert.truthy(seen.source_task:find("culprit", 1, true), seen.source_task)
    assert.equal(1, trio.current_time())
  end)

  trio_it("NURS-05 of a child cancels a body that does not look", function()
    local V = failure "V"
    local group = error_of(function(nursery)
      nursery:start_soon(fail_at, 1, V)
      trio.sleep(100)
    end)
    H.group_of(group, V)
    assert.equal(1, trio.current_time())
  end)

  trio_it("NURS-34 wakes a body that nothing else would wake", function()
    local V = failure "V"
    local group = error_of(function(nursery)
      nursery:start_soon(error, V)
      trio.sleep_forever()
    end)
    H.group_of(group, V)
  end)

  trio_it("of the body is told to the children as the source", function()
    local seen
    error_of(function(nursery)
      nursery:start_soon(function()
        local _
        _, seen = pcall(trio.sleep_forever)
      end)
      lowlevel.checkpoint()
      error "body fails"
    end)
    assert.equal("nursery", seen.source)
    assert.equal("string", type(seen.reason))
    local me = lowlevel.current_task().name
    assert.truthy(seen.source_task:find(me, 1, true), seen.source_task)
  end)

  trio_it("NURS-10 of the body still lets children start", function()
    local V, trace, log = failure "V", H.trace()
    local group = error_of(function(nursery)
      nursery:start_soon(function()
        log "child starts"
        local _, why = pcall(lowlevel.checkpoint)
        log(H.is_cancelled(why))
      end)
      error(V)
    end)
    H.group_of(group, V)
    assert.same({"child starts", true}, trace)
  end)

  trio_it("NURS-09 waits for a shielded sibling", function()
    local V, seen = failure "V", nil
    local group = error_of(function(nursery)
      nursery:start_soon(fail_at, 1, V)
      nursery:start_soon(function()
        trio.CancelScope({shield = true}):run(function() trio.sleep(5) end)
        local _
        _, seen = pcall(lowlevel.checkpoint)
        error(seen, 0)
      end)
    end)
    H.group_of(group, V)
    assert.is_true(H.is_cancelled(seen))
    assert.equal(5, trio.current_time())
  end)

  trio_it("leaves the nursery closed and out of its task's list", function()
    local kept
    error_of(function(nursery)
      kept = nursery
      nursery:start_soon(error, "child", 0)
      error "body"
    end)
    assert.same({}, lowlevel.current_task().child_nurseries)
    assert.same({}, kept.child_tasks)
    assert.is_true(kept.cancel_scope.cancel_called)
    H.raises("closed", function() kept:start_soon(nop) end)
  end)

  trio_it("can be caught, and the task goes on as before", function()
    for i = 1, 3 do
      H.group_of(error_of(function(nursery)
        nursery:start_soon(fail_at, i, "again")
        trio.sleep_forever()
      end), "again")
    end
    trio.sleep(1)
    assert.equal(4, trio.current_time())
    assert.equal(math.huge, trio.current_effective_deadline())
  end)
end)

describe("the members of a nursery's group", function()
  trio_it("NURS-06 stand in order of arrival, the body first", function()
    local K, V = failure "K", failure "V"
    H.group_of(error_of(function(nursery)
      nursery:start_soon(fail_in_cleanup, V)
      lowlevel.checkpoint()
      error(K)
    end), K, V)
  end)

  trio_it("NURS-08 stand in order of arrival, a child first", function()
    local V, K = failure "V", failure "K"
    H.group_of(error_of(function(nursery)
      nursery:start_soon(fail_at, 1, V)
      nursery:start_soon(function()
        local cleanup <close> = setmetatable({}, {__close = function()
          error(K, 0)
        end})
        assert(cleanup)
        trio.sleep_forever()
      end)
    end), V, K)
    assert.equal(1, trio.current_time())
  end)

  trio_it("stand in order of arrival, the body last or between", function()
    local A, B, C = failure "A", failure "B", failure "C"
    H.group_of(error_of(function(nursery)
      nursery:start_soon(fail_at, 1, A)
      nursery:start_soon(function()
        trio.CancelScope({shield = true}):run(function() trio.sleep(3) end)
        error(C, 0)
      end)
      pcall(trio.sleep_forever)
      trio.CancelScope({shield = true}):run(function() trio.sleep(1) end)
      assert.equal(2, trio.current_time())
      error(B, 0)
    end), A, B, C)
    H.group_of(error_of(function(nursery)
      nursery:start_soon(error, A)
      fail_in_cleanup(B)
    end), A, B)
  end)

  trio_it("NURS-07 are all there when children fail at the same time",
    function()
      local V, K, M = failure "V", failure "K", failure "M"
      H.group_set(error_of(function(nursery)
        nursery:start_soon(error, V)
        nursery:start_soon(error, K)
      end), V, K)
      H.group_set(error_of(function(nursery)
        local turn = trio.Event()
        for _, err in ipairs {V, K, M} do
          nursery:start_soon(function()
            turn:wait()
            error(err, 0)
          end)
        end
        trio.sleep(1)
        turn:set()
      end), V, K, M)
      assert.equal(1, trio.current_time())
    end)

  trio_it("may be one error many times", function()
    local E = failure "E"
    H.group_of(error_of(function(nursery)
      for _ = 1, 3 do nursery:start_soon(error, E) end
      error(E)
    end), E, E, E, E)
  end)

  trio_it("are the values that were raised, whatever their type", function()
    local values = {false, true, 0, -1.5, "text", {}, failure "object", nop,
      print, io.stdout, coroutine.create(nop), trio.Error("an error"),
      trio.ExceptionGroup("a group", {"leaf"})}
    for _, value in ipairs(values) do
      H.group_of(error_of(function() error(value, 0) end), value)
      H.group_of(error_of(function(nursery)
        nursery:start_soon(error, value, 0)
      end), value)
      H.group_of(error_of(function(nursery)
        nursery:start_soon(fail_in_cleanup, value)
        lowlevel.checkpoint()
        error(value, 0)
      end), value, value)
    end
  end)

  trio_it("may be nil", function()
    H.group_of(error_of(function() error(nil) end), nil)
    H.group_of(error_of(function(nursery)
      nursery:start_soon(error, nil)
    end), nil)
    local K = failure "K"
    H.group_of(error_of(function(nursery)
      nursery:start_soon(error, nil)
      nursery:start_soon(error, K)
      nursery:start_soon(error, nil)
    end), nil, K, nil)
  end)

  trio_it("keep the position that Lua gave a string", function()
    local line = debug.getinfo(1, "l").currentline + 2
    local group = error_of(function(nursery)
      nursery:start_soon(function() error "oops" end)
    end)
    assert.equal(1, #group.exceptions)
    assert.truthy(group.exceptions[1]:find(
      "nursery_errors_spec.lua:" .. line .. ": oops", 1, true))
  end)

  trio_it("include errors of Lua itself", function()
    local group = error_of(function(nursery)
      nursery:start_soon(function() trio.no_such_function() end)
    end)
    assert.truthy(group.exceptions[1]:find("attempt to call a nil value"))
  end)

  trio_it("NURS-42 include the error of a waiter whose lock broke", function()
    local V, lock = failure "V", trio.Lock()
    local broken
    local group = error_of(function(nursery)
      nursery:start_soon(function()
        lock:acquire()
        fail_at(1, V)
      end)
      nursery:start_soon(function()
        lowlevel.checkpoint()
        local _
        _, broken = pcall(lock.acquire, lock)
        error(broken, 0)
      end)
    end)
    assert.is_true(trio.isinstance(broken, trio.BrokenResourceError))
    H.group_of(group, V, broken)
    assert.equal(1, trio.current_time())
  end)
end)

local function first_culprit() error("first", 0) end
local function second_culprit() error({}, 0) end

describe("the tracebacks of a nursery's group", function()
  trio_it("stand beside the members, with the place of each raise", function()
    local group = error_of(function(nursery)
      nursery:start_soon(function()
        first_culprit()
        nop()
      end)
      nursery:start_soon(function()
        second_culprit()
        nop()
      end)
    end)
    assert.equal(2, #group.exceptions)
    for i, culprit in ipairs {"first_culprit", "second_culprit"} do
      local text = group.tracebacks[i]
      assert.equal("string", type(text))
      assert.truthy(text:find("stack traceback:", 1, true), text)
      assert.truthy(text:find("nursery_errors_spec%.lua:%d+"), text)
      assert.truthy(text:find(culprit, 1, true), text)
    end
    assert.falsy(group.tracebacks[1]:find("second_culprit", 1, true))
    assert.equal("string", type(group.exceptions[1]))
    assert.is_nil(next(group.exceptions[2]))
  end)

  trio_it("hold the body's too, at its own index", function()
    local group = error_of(function(nursery)
      nursery:start_soon(function()
        fail_in_cleanup "child"
        nop()
      end)
      lowlevel.checkpoint()
      second_culprit()
      nop()
    end)
    assert.truthy(group.tracebacks[1]:find("second_culprit", 1, true))
    assert.truthy(group.tracebacks[2]:find("fail_in_cleanup", 1, true))
  end)

  trio_it("show the stack of a raise after the task has waited", function()
    local function deep(n)
      if n > 0 then
        deep(n - 1)
        return nop()
      end
      trio.sleep(1)
      first_culprit()
    end
    local group = error_of(function(nursery)
      nursery:start_soon(deep, 5)
    end)
    local _, levels = group.tracebacks[1]:gsub("'deep'", "")
    assert.truthy(levels >= 5, group.tracebacks[1])
  end)
end)

describe("nurseries in one another", function()
  trio_it("NURS-14 give a group in a group, and nothing is flattened",
    function()
      local V = failure "V"
      local group = error_of(function()
        trio.open_nursery(function(inner)
          inner:start_soon(error, V)
        end)
      end)
      assert.equal(1, #group.exceptions)
      H.group_of(group.exceptions[1], V)
    end)

  trio_it("keep the errors of a child's own nursery in its group", function()
    local V, K = failure "V", failure "K"
    local group = error_of(function(outer)
      outer:start_soon(fail_at, 1, V)
      outer:start_soon(trio.open_nursery, function(inner)
        inner:start_soon(trio.sleep_forever)
        inner:start_soon(fail_in_cleanup, K)
      end)
    end)
    assert.equal(2, #group.exceptions)
    assert.equal(V, group.exceptions[1])
    H.group_of(group.exceptions[2], K)
  end)

  trio_it("give no group for children that were only cancelled", function()
    local V = failure "V"
    H.group_of(error_of(function(outer)
      outer:start_soon(fail_at, 1, V)
      trio.open_nursery(function(inner)
        inner:start_soon(trio.sleep_forever)
        inner:start_soon(trio.sleep_forever)
      end)
    end), V)
  end)

  trio_it("fail in the owner of the nursery, not in who spawned", function()
    local V, owner_got = failure "V", nil
    trio.open_nursery(function(outer)
      local target
      outer:start_soon(function()
        owner_got = error_of(function(nursery)
          target = nursery
          trio.sleep_forever()
        end)
      end)
      lowlevel.checkpoint()
      target:start_soon(fail_at, 1, V)
      trio.sleep(5)
    end)
    H.group_of(owner_got, V)
    assert.equal(5, trio.current_time())
  end)
end)

describe("an error that leaves trio.run", function()
  it("is main's group as the nursery made it", function()
    local K, V = failure "K", failure "V"
    local group
    local raised = H.raises("", H.run, function()
      group = error_of(function(nursery)
        nursery:start_soon(error, K)
        nursery:start_soon(error, V)
      end)
      error(group, 0)
    end)
    assert.is_true(rawequal(group, raised))
    H.group_of(raised, K, V)
  end)

  it("can be read after the run has ended", function()
    local raised = H.raises("", H.run, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          first_culprit()
          nop()
        end)
        nursery:start_soon(error, {answer = 42})
      end)
    end)
    collectgarbage()
    collectgarbage()
    assert.equal("first", raised.exceptions[1])
    assert.equal(42, raised.exceptions[2].answer)
    assert.truthy(raised.tracebacks[1]:find("first_culprit", 1, true))
    assert.truthy(tostring(raised):find("first", 1, true))
  end)
end)

describe("strict_exception_groups = false", function()
  trio_it("gives a single error bare, several in a group", function()
    local K, V = failure "K", failure "V"
    local loose = {strict_exception_groups = false}
    assert.is_true(rawequal(K, error_of(function(nursery)
      nursery:start_soon(error, K)
    end, loose)))
    assert.is_true(rawequal(V, error_of(function() error(V) end, loose)))
    H.group_of(error_of(function(nursery)
      nursery:start_soon(error, K)
      nursery:start_soon(error, V)
    end, loose), K, V)
  end)

  trio_it("counts only errors, not the children that they cancelled",
    function()
      local K = failure "K"
      assert.is_true(rawequal(K, error_of(function(nursery)
        nursery:start_soon(trio.sleep_forever)
        nursery:start_soon(fail_at, 1, K)
      end, {strict_exception_groups = false})))
    end)

  trio_it("is strict again where the option says so", function()
    local K = failure "K"
    assert.is_true(rawequal(K, error_of(function() error(K) end)))
    H.group_of(error_of(function() error(K) end,
      {strict_exception_groups = true}), K)
  end, {strict_exception_groups = false})
end)
