-- SPDX-License-Identifier: MIT
-- Async functions inside coroutines that the program made: the task waits, and
-- the coroutine's own yields still go to its resumer.
-- luacheck: ignore 211/_.+
local H = require "spec.support.helper"
local trio = require "trio"
local co = trio.coroutine
local checkpoint = trio.lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local now = trio.current_time

local function closing(fn)
  return setmetatable({}, {__close = function(_, err) fn(err) end})
end

-- Runs fn at the bottom of n coroutines, one inside the other.
local function at_depth(n, fn, ...)
  if n == 0 then return fn(...) end
  return co.wrap(at_depth)(n - 1, fn, ...)
end

-- A generator of i and the time, which waits before each.
local function ticks(n, seconds)
  return co.wrap(function()
    for i = 1, n do
      trio.sleep(seconds)
      co.yield(i, now())
    end
  end)
end

describe("an async function in a coroutine", function()
  for _, depth in ipairs({1, 2, 3, 10, 100}) do
    H.trio_it("suspends the task at depth " .. depth, function()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.sleep(1)
          log("other at " .. now())
        end)
        local results = table.pack(at_depth(depth, function(...)
          trio.sleep(2)
          checkpoint()
          log("inner at " .. now())
          return ...
        end, 1, nil, "x", nil))
        assert.same({1, nil, "x", nil, n = 4}, results)
      end)
      assert.same({"other at 1.0", "inner at 2.0"}, trace)
    end)
  end

  H.trio_it("lets the coroutine's own yields go to its resumer", function()
    local trace, log = H.trace()
    for i, t in ticks(3, 2) do log({i, t}) end
    assert.same({{1, 2}, {2, 4}, {3, 6}}, trace)
  end)

  H.trio_it("hands values both ways around the waits", function()
    local c = co.create(function(a)
      while true do
        trio.sleep(1)
        a = co.yield(a, now(), nil)
      end
    end)
    local got = table.pack(co.resume(c, "a"))
    assert.same({true, "a", 1, nil, n = 4}, got)
    got = table.pack(co.resume(c, "b"))
    assert.same({true, "b", 2, nil, n = 4}, got)
    assert.is_true(co.close(c))
  end)

  H.trio_it("gives every level its own yields, where generators nest",
    function()
      local trace, log = H.trace()
      local function outer()
        return co.wrap(function()
          for i, t in ticks(2, 1) do
            co.yield("outer", i, t)
            trio.sleep(10)
            for j, u in ticks(2, 1) do
              co.yield("inner", j, u)
            end
          end
        end)
      end
      for name, i, t in outer() do log({name, i, t}) end
      assert.same({
        {"outer", 1, 1}, {"inner", 1, 12}, {"inner", 2, 13},
        {"outer", 2, 14}, {"inner", 1, 25}, {"inner", 2, 26},
      }, trace)
    end)

  H.trio_it("works for many tasks with coroutines of their own", function()
    local sums = {}
    trio.open_nursery(function(nursery)
      for task = 1, 20 do
        nursery:start_soon(function()
          local sum = 0
          for i in ticks(5, task) do sum = sum + i end
          sums[task] = {sum, now()}
        end)
      end
    end)
    for task = 1, 20 do assert.same({15, task * 5}, sums[task]) end
  end)

  H.trio_it("works as the body of a task", function()
    local done
    trio.open_nursery(function(nursery)
      nursery:start_soon(co.wrap(function(x)
        trio.sleep(1)
        done = {x, now()}
      end), "argument")
    end)
    assert.same({"argument", 1}, done)
  end)

  H.trio_it("lets a generator wander from task to task between its yields",
    function()
      local trace, log = H.trace()
      local generator = ticks(3, 1)
      log({generator()})
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() log({generator()}) end)
      end)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() log({generator()}) end)
      end)
      assert.same({{1, 1}, {2, 2}, {3, 3}}, trace)
    end)

  it("says where it is missing a task", function()
    local ok, err = co.resume(co.create(function() trio.sleep(1) end))
    assert.is_false(ok)
    assert.matches("sleep.*task", err)
  end)

  it("works where trio.run itself is called in a coroutine", function()
    local f = co.wrap(function()
      co.yield("before")
      local value = H.run(function()
        local all = {}
        for i in ticks(3, 1) do all[#all + 1] = i end
        return #all
      end)
      co.yield(value)
      return "after"
    end)
    assert.equal("before", f())
    assert.equal(3, f())
    assert.equal("after", f())
  end)
end)

describe("errors across a coroutine that waited", function()
  H.trio_it("come out of resume as a value", function()
    local object = {}
    local c = co.create(function()
      trio.sleep(1)
      error(object)
    end)
    local ok, err = co.resume(c)
    assert.is_false(ok)
    assert.is_true(rawequal(object, err))
    assert.equal("dead", co.status(c))
    assert.equal(1, now())
  end)

  H.trio_it("come out of wrap as they are", function()
    local object = trio.Error("V")
    for _, depth in ipairs({1, 5}) do
      local ok, err = pcall(at_depth, depth, function()
        trio.sleep(1)
        error(object)
      end)
      assert.is_false(ok)
      assert.is_true(rawequal(object, err))
    end
  end)

  H.trio_it("may be caught inside, after which it waits again", function()
    local f = co.wrap(function()
      local ok, err = pcall(function()
        trio.sleep(1)
        error("inside", 0)
      end)
      trio.sleep(1)
      co.yield(ok, err, now())
    end)
    assert.same({false, "inside", 2}, {f()})
  end)

  H.trio_it("Cancelled goes through wrap to its scope", function()
    local trace, log = H.trace()
    local scope = trio.move_on_after(5, function()
      for i in ticks(100, 2) do log(i) end
    end)
    assert.is_true(scope.cancelled_caught)
    assert.same({1, 2}, trace)
    assert.equal(5, now())
  end)

  H.trio_it("Cancelled out of resume is raised again at the next checkpoint",
    function()
      local scope = trio.CancelScope({deadline = 1})
      scope:run(function()
        local ok, err = co.resume(co.create(trio.sleep_forever))
        assert.is_false(ok)
        assert.is_true(H.is_cancelled(err))
        checkpoint()
        error("not reached")
      end)
      assert.is_true(scope.cancelled_caught)
    end)

  H.trio_it("scopes and nurseries inside a coroutine catch there", function()
    local f = co.wrap(function()
      for i = 1, 2 do
        local scope = trio.move_on_after(1, trio.sleep_forever)
        local children = 0
        trio.open_nursery(function(nursery)
          for _ = 1, 3 do
            nursery:start_soon(function()
              trio.sleep(1)
              children = children + 1
            end)
          end
        end)
        co.yield(i, scope.cancelled_caught, children, now())
      end
    end)
    assert.same({1, true, 3, 2}, {f()})
    assert.same({2, true, 3, 4}, {f()})
    assert.is_nil(f())
  end)
end)

describe("<close> variables of a coroutine that waited", function()
  -- A coroutine body with two of them; the inner one waits.
  local function body(log, last)
    return function()
      local _outer <close> = closing(function(e)
        log("outer " .. tostring(e) .. " at " .. now())
      end)
      local _inner <close> = closing(function(e)
        log("inner " .. tostring(e))
        trio.sleep(1)
      end)
      trio.sleep(1)
      last()
    end
  end

  H.trio_it("run at the end of the body, and may wait", function()
    local trace, log = H.trace()
    local c = co.create(body(log, function() log("end") end))
    assert.is_true(co.resume(c))
    assert.same({"end", "inner nil", "outer nil at 2.0"}, trace)
    assert.equal("dead", co.status(c))
  end)

  H.trio_it("are run by wrap after an error, and may wait", function()
    local trace, log = H.trace()
    local f = co.wrap(body(log, function() error("boom", 0) end))
    local ok, err = pcall(f)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.same({"inner boom", "outer boom at 2.0"}, trace)
  end)

  H.trio_it("are left to close by resume, and may wait there", function()
    local trace, log = H.trace()
    local c = co.create(body(log, function() error("boom", 0) end))
    assert.same({false, "boom"}, {co.resume(c)})
    assert.equal("dead", co.status(c))
    assert.same({}, trace)
    trio.sleep(5)
    assert.same({false, "boom"}, {co.close(c)})
    assert.same({"inner boom", "outer boom at 7.0"}, trace)
    assert.same({true}, {co.close(c)})
  end)

  H.trio_it("are run by close of a suspended one, and may wait", function()
    local trace, log = H.trace()
    local c = co.create(body(log, co.yield))
    assert.is_true(co.resume(c))
    assert.same({}, trace)
    assert.same({true}, {co.close(c)})
    assert.same({"inner nil", "outer nil at 2.0"}, trace)
    assert.equal("dead", co.status(c))
  end)

  H.trio_it("give close their error", function()
    local object = {}
    local c = co.create(function()
      local _a <close> = closing(function()
        trio.sleep(1)
        error(object)
      end)
      co.yield()
    end)
    co.resume(c)
    local ok, err = co.close(c)
    assert.is_false(ok)
    assert.is_true(rawequal(object, err))
    assert.equal(1, now())
  end)

  H.trio_it("run with the Cancelled that ends the task's wait", function()
    local seen
    local scope = trio.move_on_after(1, function()
      co.wrap(function()
        local _a <close> = closing(function(e)
          seen = e
          trio.CancelScope({shield = true}):run(function() trio.sleep(1) end)
        end)
        trio.sleep_forever()
      end)()
    end)
    assert.is_true(H.is_cancelled(seen))
    assert.is_true(scope.cancelled_caught)
    assert.equal(2, now())
  end)

  H.trio_it("wait under trio.defer as well", function()
    local trace, log = H.trace()
    trio.move_on_after(1, function()
      co.wrap(function()
        local _guard <close> = trio.defer(function(err)
          trio.sleep(1)
          log({H.is_cancelled(err), now()})
        end)
        trio.sleep_forever()
      end)()
    end)
    assert.same({{true, 2}}, trace)
  end)
end)

describe("a coroutine whose task is waiting in it", function()
  -- Calls look(c) from another task while coroutine c of a task waits.
  local function observe(look)
    local c = co.create(function()
      trio.sleep(10)
      return "done"
    end)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        assert.same({true, "done"}, {co.resume(c)})
      end)
      wait_all_tasks_blocked()
      look(c)
    end)
    assert.equal("dead", co.status(c))
  end

  H.trio_it("is normal: active, but not running", function()
    observe(function(c) assert.equal("normal", co.status(c)) end)
  end)

  H.trio_it("can be neither resumed nor closed by another task", function()
    observe(function(c)
      local ok, message = co.resume(c)
      assert.is_false(ok)
      assert.matches("^cannot resume", message)
      H.raises("cannot close a normal coroutine", co.close, c)
    end)
  end)

  H.trio_it("nor called again, where wrap made it", function()
    local f = co.wrap(function() trio.sleep(1) end)
    trio.open_nursery(function(nursery)
      nursery:start_soon(f)
      wait_all_tasks_blocked()
      H.raises("cannot resume", f)
    end)
  end)

  H.trio_it("finds itself running before and after the wait", function()
    local c
    c = co.create(function()
      for _ = 1, 2 do
        local thread, main = co.running()
        assert.equal(c, thread)
        assert.is_false(main)
        assert.is_true(co.isyieldable())
        assert.equal("running", co.status(c))
        trio.sleep(1)
      end
    end)
    assert.same({true}, {co.resume(c)})
  end)

  H.trio_it("has tasks as its like: those can't be resumed by hand", function()
    trio.open_nursery(function(nursery)
      local task
      nursery:start_soon(function()
        task = trio.lowlevel.current_task()
        trio.sleep(1)
      end)
      wait_all_tasks_blocked()
      assert.is_false((co.resume(task.coro)))
      assert.is_false((pcall(co.close, task.coro)))
      assert.equal(1, #nursery.child_tasks)
    end)
    assert.equal(1, now())
  end)
end)
