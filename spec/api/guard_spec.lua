-- SPDX-License-Identifier: MIT
-- with(body) of everything that is acquired and released: the body's results
-- and errors come out unchanged, and what was acquired is given back once,
-- however the body ends.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local settle = trio.testing.wait_all_tasks_blocked

-- name, class, what makes a free one, and whether it is free.
local kinds = {
  {"trio.Lock", trio.Lock, function(x) return not x:locked() end},
  {"trio.StrictFIFOLock", trio.StrictFIFOLock,
    function(x) return not x:locked() end},
  {"trio.Condition", trio.Condition, function(x) return not x:locked() end},
  {"trio.Semaphore", function() return trio.Semaphore(1, {max_value = 1}) end,
    function(x) return x.value == 1 end},
  {"trio.CapacityLimiter", function() return trio.CapacityLimiter(1) end,
    function(x) return x.borrowed_tokens == 0 end},
}

for _, kind in ipairs(kinds) do
  local name, new, is_free = table.unpack(kind)
  describe("with(body) of a " .. name, function()
    H.trio_it("SYNC-10 holds it during the body, and no longer", function()
      local guard = new()
      guard:with(function()
        assert.is_false(is_free(guard))
        checkpoint()
        assert.is_false(is_free(guard))
        trio.sleep(1)
        assert.is_false(is_free(guard))
      end)
      assert.is_true(is_free(guard))
    end)

    H.trio_it("returns the body's results", function()
      local guard = new()
      assert.equal(0, select("#", guard:with(function() end)))
      assert.same({nil, 2, nil, n = 3}, table.pack(guard:with(function()
        return nil, 2, nil
      end)))
      assert.same({1, n = 1}, table.pack(guard:with(function()
        checkpoint()
        return 1
      end)))
      local many = {}
      for i = 1, 240 do many[i] = i end
      local got = table.pack(guard:with(function()
        return table.unpack(many)
      end))
      assert.equal(240, got.n)
      assert.equal(240, got[240])
      assert.is_true(is_free(guard))
    end)

    H.trio_it("gives the body no arguments", function()
      new():with(function(...) assert.equal(0, select("#", ...)) end)
    end)

    H.trio_it("passes errors of any type on, by identity", function()
      local guard = new()
      local values = {"text", {}, trio.WouldBlock("x"), print, 42, false,
        io.stdout, coroutine.create(print)}
      for _, value in ipairs(values) do
        for _, waits in ipairs {false, true} do
          local ok, err = pcall(guard.with, guard, function()
            if waits then checkpoint() end
            error(value, 0)
          end)
          assert.is_false(ok)
          assert.is_true(rawequal(value, err))
          assert.is_true(is_free(guard))
        end
      end
      local ok, err = pcall(guard.with, guard, function() error() end)
      assert.is_false(ok)
      assert.is_nil(err)
      assert.is_true(is_free(guard))
    end)

    H.trio_it("takes any callable body", function()
      local guard = new()
      local body = setmetatable({}, {__call = function() return "called" end})
      assert.equal("called", guard:with(body))
    end)

    H.trio_it("refuses other bodies before it acquires", function()
      local guard = new()
      local code = "local guard, body = ... guard:with(body)"
      for _, wrong in ipairs {1, "x", {}, true, io.stdout} do
        P.usage("bad argument #1 to 'with' %(function expected, got ", code,
          guard, wrong)
      end
      P.usage("bad argument #1 to 'with' %(function expected, got no value",
        "local guard = ... guard:with()", guard)
      assert.is_true(is_free(guard))
    end)

    H.trio_it("gives it back when the body is cancelled", function()
      local guard = new()
      local scope = trio.move_on_after(1, function()
        guard:with(trio.sleep_forever)
      end)
      assert.is_true(scope.cancelled_caught)
      assert.is_true(is_free(guard))
    end)

    H.trio_it("gives it back after the body's <close> variables", function()
      local guard, free = new(), nil
      pcall(guard.with, guard, function()
        local _ <close> = setmetatable({}, {__close = function()
          checkpoint()
          free = is_free(guard)
        end})
        error("x")
      end)
      assert.is_false(free)
      assert.is_true(is_free(guard))
    end)

    H.trio_it("lets the next one in before it returns", function()
      local guard = new()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          guard:with(function()
            log("first")
            trio.sleep(1)
          end)
          log("first is out")
        end)
        nursery:start_soon(function()
          guard:with(function() log("second") end)
        end)
      end)
      assert.same({"first", "first is out", "second"}, trace)
      assert.is_true(is_free(guard))
    end)

    H.trio_it("in a coroutine, which may yield in the body", function()
      local guard = new()
      local items = coroutine.wrap(function()
        guard:with(function()
          for i = 1, 3 do
            checkpoint()
            coroutine.yield(i)
          end
        end)
      end)
      assert.equal(1, items())
      assert.is_false(is_free(guard))
      checkpoint()
      assert.equal(2, items())
      assert.equal(3, items())
      assert.is_nil(items())
      assert.is_true(is_free(guard))
    end)

    H.trio_it("says so when the body gave it back itself", function()
      local guard = new()
      local err = H.raises(".", guard.with, guard, function()
        guard:release()
      end)
      assert.is_string(err)
      assert.is_true(is_free(guard))
    end)

    H.trio_it("may be given back and taken again within", function()
      local guard = new()
      guard:with(function()
        guard:release()
        assert.is_true(is_free(guard))
        guard:acquire()
      end)
      assert.is_true(is_free(guard))
    end)
  end)
end

describe("with(body)", function()
  H.trio_it("nests a thousand deep", function()
    local depth = 0
    local guards = {}
    local function nest(n)
      if n == 0 then
        checkpoint()
        return depth
      end
      local guard = trio.Lock()
      guards[n] = guard
      return guard:with(function()
        depth = depth + 1
        return nest(n - 1)
      end)
    end
    assert.equal(1000, nest(1000))
    for _, guard in ipairs(guards) do assert.is_false(guard:locked()) end
  end)

  H.trio_it("unwinds a thousand with one error", function()
    local guards = {}
    local function nest(n)
      if n == 0 then error("deep", 0) end
      guards[n] = trio.Semaphore(1)
      guards[n]:with(function() nest(n - 1) end)
    end
    H.raises("^deep$", nest, 1000)
    for _, guard in ipairs(guards) do assert.equal(1, guard.value) end
  end)

  H.trio_it("left in an abandoned coroutine breaks the lock, in the end",
    function()
      local lock = trio.Lock()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          coroutine.wrap(function() lock:with(coroutine.yield) end)()
          assert.is_true(lock:locked())
        end)
      end)
      H.raises_class(trio.BrokenResourceError, lock.acquire, lock)
    end)

  H.trio_it("of a lock that another task holds waits for it", function()
    local lock = trio.Lock()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      lock:acquire()
      for i = 1, 3 do
        nursery:start_soon(function()
          log(lock:with(function() return i end))
        end)
      end
      settle()
      assert.equal(3, lock:statistics().tasks_waiting)
      assert.same({}, trace)
      lock:release()
    end)
    assert.same({1, 2, 3}, trace)
  end)

  H.trio_it("of a lock that the task holds is refused, with position",
    function()
      local lock = trio.Lock()
      lock:acquire()
      local called
      P.usage("already holds this lock",
        "local lock, body = ... lock:with(body)", lock,
        function() called = true end)
      local condition = trio.Condition(lock)
      P.usage("already holds this lock",
        "local condition, body = ... condition:with(body)", condition,
        function() called = true end)
      assert.is_nil(called)
      local limiter = trio.CapacityLimiter(2)
      limiter:acquire()
      P.usage("already holds one of the limiter's tokens",
        "local limiter, body = ... limiter:with(body)", limiter,
        function() called = true end)
      assert.is_nil(called)
    end)
end)
