-- SPDX-License-Identifier: MIT
-- The four timeout helpers: move_on_after, move_on_at, fail_after, fail_at.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel

local now = trio.current_time
local NAN = 0 / 0

local function jump(seconds)
  lowlevel.current_clock():jump(seconds)
end

-- Every helper under one calling convention: helper(seconds, [opts,] body),
-- the time counted from now. The results of the body come last.
local helpers = {
  {
    name = "move_on_after",
    call = function(seconds, ...)
      return select(2, trio.move_on_after(seconds, ...))
    end,
  },
  {
    name = "move_on_at",
    call = function(seconds, ...)
      return select(2, trio.move_on_at(now() + seconds, ...))
    end,
  },
  {name = "fail_after", fails = true, call = trio.fail_after},
  {
    name = "fail_at",
    fails = true,
    call = function(seconds, ...)
      return trio.fail_at(now() + seconds, ...)
    end,
  },
}

-- Runs helper with a body that must be cut, and does not mind how it says so.
local function cut(helper, seconds, ...)
  if helper.fails then
    return H.raises_class(trio.TooSlowError, helper.call, seconds, ...)
  end
  assert.equal(0, select("#", helper.call(seconds, ...)))
end

for _, helper in ipairs(helpers) do
  local name = helper.name

  describe(name, function()
    H.trio_it("gives the body its scope, and nothing else", function()
      helper.call(5, function(...)
        assert.equal(1, select("#", ...))
        local scope = ...
        assert.matches("CancelScope", tostring(scope))
        assert.equal(5, scope.deadline)
        assert.is_false(scope.shield)
        assert.is_nil(scope.is_relative)
      end)
    end)

    H.trio_it("returns the body's results, nils included", function()
      local value = {}
      local got = table.pack(helper.call(5, function()
        return nil, value, false, nil
      end))
      assert.equal(4, got.n)
      assert.is_true(rawequal(value, got[2]))
      assert.is_false(got[3])
      got = table.pack(helper.call(5, {shield = false}, function()
        trio.sleep(1)
        return 1, 2
      end))
      assert.same({1, 2, n = 2}, got)
    end)

    H.trio_it("raises the body's error unchanged", function()
      local object = {}
      local ok, err = pcall(helper.call, 5, function() error(object) end)
      assert.is_false(ok)
      assert.is_true(rawequal(object, err))
      ok, err = pcall(helper.call, 5, function() error("plain", 0) end)
      assert.is_false(ok)
      assert.equal("plain", err)
    end)

    H.trio_it("cuts the body at its deadline", function()
      cut(helper, 2, function() trio.sleep(50) end)
      assert.equal(2, now())
    end)

    H.trio_it("TIME-12 option shield keeps an outer cancellation out",
      function()
        local inner
        local outer = trio.CancelScope()
        outer:run(function()
          helper.call(5, {shield = true}, function(scope)
            inner = scope
            assert.is_true(scope.shield)
            outer:cancel()
            lowlevel.checkpoint()
            scope.shield = false
            H.raises_class(trio.Cancelled, lowlevel.checkpoint)
          end)
        end)
        assert.is_false(inner.cancelled_caught)
      end)

    H.trio_it("TIME-13 moves on by its own deadline though shielded",
      function()
        local outer = trio.CancelScope()
        outer:run(function()
          outer:cancel()
          cut(helper, 1, {shield = true}, function()
            trio.sleep_forever()
          end)
          assert.equal(1, now())
        end)
        assert.is_false(outer.cancelled_caught)
      end)
  end)

  describe("wrong use of " .. name, function()
    local f = trio[name]
    local function body() error("the body ran") end
    -- Called straight from pcall, so that the message must find the name.
    local function bad(arg, ...)
      local pattern = "bad argument #" .. arg .. " to '[%w.]*" .. name .. "'"
      return H.raises(pattern, f, ...)
    end

    H.trio_it("names the time", function()
      bad(1)
      bad(1, nil, body)
      bad(1, "soon", body)
      bad(1, body)
      bad(1, {}, body)
    end)

    H.trio_it("TIME-11 NaN is refused", function()
      assert.matches("NaN", bad(1, NAN, body))
    end)

    H.trio_it("names the body", function()
      bad(2, 1)
      bad(2, 1, nil)
      bad(2, 1, "x")
      bad(3, 1, {})
      bad(3, 1, {}, nil)
      bad(3, 1, {shield = true}, 42)
    end)

    H.trio_it("names a wrong option", function()
      H.raises(name .. ".*'sheild'", f, 1, {sheild = true}, body)
      H.raises(name .. ".*'deadline'", f, 1, {deadline = 5}, body)
      H.raises("shield.*boolean", f, 1, {shield = 1}, body)
      H.raises("shield.*boolean", f, 1, {shield = "no"}, body)
    end)

    it("raises outside a task", function()
      assert.is_string(H.raises(name, f, 1, body))
    end)
  end)
end

describe("move_on_after and move_on_at", function()
  H.trio_it("return the scope first, alone where the body was cut", function()
    local function check(f)
      local got = table.pack(f(now() + 1, function(scope)
        return scope, "a", nil
      end))
      assert.equal(4, got.n)
      assert.equal(got[1], got[2])
      assert.equal("a", got[3])
      assert.is_false(got[1].cancelled_caught)
      got = table.pack(f(now() + 1, function()
        trio.sleep_forever()
      end))
      assert.equal(1, got.n)
      assert.is_true(got[1].cancelled_caught)
      assert.is_true(got[1].cancel_called)
    end
    check(trio.move_on_at)
    check(function(deadline, body)
      return trio.move_on_after(deadline - now(), body)
    end)
  end)

  H.trio_it("TIME-10 the time counts from the entry", function()
    jump(3)
    trio.move_on_after(5, function(scope)
      assert.equal(8, scope.deadline)
      assert.equal(5, scope.relative_deadline)
      scope.deadline = 6
      assert.equal(3, scope.relative_deadline)
      scope.relative_deadline = 4
      assert.equal(7, scope.deadline)
    end)
  end)

  H.trio_it("TIME-11 a negative timeout is refused, a past deadline is not",
    function()
      local function body() error("the body ran") end
      H.raises("bad argument #1 to '[%w.]*move_on_after'.*negative",
        function() trio.move_on_after(-1, body) end)
      H.raises("bad argument #1 to '[%w.]*fail_after'.*negative",
        function() trio.fail_after(-1, body) end)
      local scope = trio.move_on_at(-5, function(scope)
        assert.is_true(scope.cancel_called)
        lowlevel.checkpoint()
      end)
      assert.is_true(scope.cancelled_caught)
      assert.equal(0, now())
      H.raises_class(trio.TooSlowError, trio.fail_at, -5, function()
        lowlevel.checkpoint()
      end)
    end)

  H.trio_it("an infinite timeout is none", function()
    trio.move_on_after(math.huge, function(scope)
      assert.equal(math.huge, scope.deadline)
      assert.equal(math.huge, trio.current_effective_deadline())
      trio.sleep(1000)
    end)
    trio.fail_at(math.huge, function() trio.sleep(1000) end)
    assert.equal(2000, now())
  end)

  H.trio_it("TIME-16 three deadlines: the earliest first, equal ones together",
    function()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        for i, deadline in ipairs({5, 5, 4}) do
          nursery:start_soon(function()
            trio.move_on_at(deadline, function() trio.sleep_forever() end)
            log({i, now()})
          end)
        end
      end)
      assert.equal(3, #trace)
      assert.same({3, 4}, trace[1])
      local both = {[trace[2][1]] = trace[2][2], [trace[3][1]] = trace[3][2]}
      assert.same({5, 5}, both)
    end)
end)

describe("fail_after and fail_at", function()
  H.trio_it("TIME-05 raise TooSlowError at the deadline, else nothing",
    function()
      local err = H.raises_class(trio.TooSlowError, trio.fail_after, 1,
        function() trio.sleep(5) end)
      assert.is_true(trio.isinstance(err, trio.Error))
      assert.matches("^TooSlowError", tostring(err))
      assert.equal(1, now())
      assert.equal("quick", trio.fail_after(100, function()
        trio.sleep(0)
        return "quick"
      end))
      H.raises_class(trio.TooSlowError, trio.fail_at, 3, function()
        trio.sleep(5)
      end)
      assert.equal(3, now())
      trio.fail_at(100, function() trio.sleep(0) end)
    end)

  H.trio_it("TIME-06 a swallowed cancellation is no TooSlowError", function()
    local inner
    assert.equal("done", trio.fail_after(1, function(scope)
      inner = scope
      H.raises_class(trio.Cancelled, trio.sleep, 5)
      return "done"
    end))
    assert.is_true(inner.cancel_called)
    assert.is_false(inner.cancelled_caught)
  end)

  H.trio_it("TIME-07 an outer cancellation wins over the own timeout",
    function()
      local inner
      local outer = trio.CancelScope()
      outer:run(function()
        trio.fail_after(1, function(scope)
          inner = scope
          jump(1)
          outer:cancel()
          lowlevel.checkpoint()
        end)
        error("not reached")
      end)
      assert.is_true(outer.cancelled_caught)
      assert.is_true(inner.cancel_called)
      assert.is_false(inner.cancelled_caught)
    end)

  H.trio_it("TIME-07 so does an outer deadline that passed as well", function()
    local inner
    local outer = trio.move_on_after(1, function()
      trio.fail_after(1, function(scope)
        inner = scope
        trio.sleep(2)
      end)
      error("not reached")
    end)
    assert.is_true(outer.cancelled_caught)
    assert.is_true(inner.cancel_called)
    assert.is_false(inner.cancelled_caught)
  end)

  H.trio_it("TIME-08 an error made from the Cancelled comes out instead",
    function()
      local V = trio.Error("V")
      local ok, err = pcall(trio.fail_after, 1, function()
        H.raises_class(trio.Cancelled, trio.sleep, 5)
        error(V)
      end)
      assert.is_false(ok)
      assert.equal(V, err)
    end)

  H.trio_it("TIME-09 a group of other errors comes out instead", function()
    local V = trio.Error("V")
    local inner
    local ok, err = pcall(trio.fail_after, 1, function(scope)
      inner = scope
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          H.raises_class(trio.Cancelled, trio.sleep_forever)
          error(V)
        end)
        nursery:start_soon(trio.sleep_forever)
      end)
    end)
    assert.is_false(ok)
    H.group_of(err, V)
    assert.is_true(inner.cancel_called)
    assert.is_true(inner.cancelled_caught)
    assert.equal(1, now())
  end)

  H.trio_it("an explicit cancel of the scope is TooSlowError too", function()
    H.raises_class(trio.TooSlowError, trio.fail_after, 100, function(scope)
      scope:cancel()
      lowlevel.checkpoint()
    end)
  end)
end)
