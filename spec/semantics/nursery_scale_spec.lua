-- SPDX-License-Identifier: MIT
-- nursery_scale_spec.lua: many children, many levels. Nothing in here may
-- depend on the C stack, and nothing may grow faster than the program does.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local DEEP, MANY = H.many(10000), H.many(10000)

-- Call bottom() inside `n` nested bodies of open(body), each in the one before.
local function nest(n, open, bottom)
  if n == 0 then return bottom() end
  return open(function() return nest(n - 1, open, bottom) end)
end

-- Take `n` groups of one off an error and return what is inside.
local function unwrap(err, n)
  for _ = 1, n do
    assert(trio.isinstance(err, trio.ExceptionGroup))
    assert(#err.exceptions == 1)
    err = err.exceptions[1]
  end
  return err
end

describe("a nursery of ten thousand children", function()
  trio_it("runs them all, in order, and waits for the last", function()
    local sum, last, ordered = 0, 0, true
    trio.open_nursery(function(nursery)
      for i = 1, MANY do
        nursery:start_soon(function()
          ordered = ordered and last == i - 1
          last = i
          trio.sleep(i / 100)
          sum = sum + i
        end)
      end
      assert.equal(MANY, #nursery.child_tasks)
    end)
    assert.is_true(ordered)
    assert.equal(MANY * (MANY + 1) // 2, sum)
    assert.equal(MANY / 100, trio.current_time())
  end)

  trio_it("cancels them all", function()
    local cancelled = 0
    trio.open_nursery(function(nursery)
      for _ = 1, MANY do
        nursery:start_soon(function()
          local _, why = pcall(trio.sleep_forever)
          if H.is_cancelled(why) then cancelled = cancelled + 1 end
          error(why, 0)
        end)
      end
      lowlevel.checkpoint()
      nursery.cancel_scope:cancel()
    end)
    assert.equal(MANY, cancelled)
  end)

  trio_it("takes each child's place again when it has ended", function()
    local ended = 0
    trio.open_nursery(function(nursery)
      local function child(n)
        ended = ended + 1
        if n > 1 then nursery:start_soon(child, n - 1) end
      end
      nursery:start_soon(child, MANY)
    end)
    assert.equal(MANY, ended)
  end)

  trio_it("collects all their errors in order", function()
    local group = H.raises("", trio.open_nursery, function(nursery)
      for i = 1, MANY do nursery:start_soon(error, i, 0) end
    end)
    assert.equal(MANY, #group.exceptions)
    for i = 1, MANY do
      if group.exceptions[i] ~= i then
        assert.equal(i, group.exceptions[i])
      end
    end
  end)
end)

describe("three hundred nurseries in one another", function()
  trio_it("in one task, each with a child, are cancelled from outside",
    function()
      local cancelled = 0
      local function child()
        local _, why = pcall(trio.sleep_forever)
        if H.is_cancelled(why) then cancelled = cancelled + 1 end
        error(why, 0)
      end
      local scope = trio.move_on_after(1, function()
        nest(300, function(body)
          return trio.open_nursery(function(nursery)
            nursery:start_soon(child)
            return body()
          end)
        end, trio.sleep_forever)
      end)
      assert.equal(300, cancelled)
      assert.is_true(scope.cancelled_caught)
      assert.equal(1, trio.current_time())
    end)

  trio_it("in one task, each with a child, close from inside out", function()
    local closed = 0
    local result = nest(300, function(body)
      local value = trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 1)
        return body()
      end)
      closed = closed + 1
      return value
    end, function() return "bottom" end)
    assert.equal("bottom", result)
    assert.equal(300, closed)
    assert.equal(1, trio.current_time())
  end)

  trio_it("in a chain of tasks carry an error up", function()
    local E = trio.Error("E")
    local function link(n)
      trio.open_nursery(function(nursery)
        if n == 0 then error(E) end
        nursery:start_soon(link, n - 1)
      end)
    end
    local err = H.raises("", link, 299)
    assert.is_true(rawequal(E, unwrap(err, 300)))
  end)

  trio_it("in a chain of tasks are cancelled from the top", function()
    local bottom
    local function link(n)
      trio.open_nursery(function(nursery)
        if n > 1 then return nursery:start_soon(link, n - 1) end
        local _
        _, bottom = pcall(trio.sleep_forever)
        error(bottom, 0)
      end)
    end
    trio.move_on_after(1, function() link(300) end)
    assert.is_true(H.is_cancelled(bottom))
    assert.equal(1, trio.current_time())
  end)

  trio_it("in a chain of starts hand a value up", function()
    local function link(status, n)
      trio.open_nursery(function(nursery)
        if n == 0 then return status:started("bottom") end
        status:started(nursery:start(link, n - 1))
      end)
    end
    trio.open_nursery(function(nursery)
      assert.equal("bottom", (nursery:start(link, 299)))
    end)
  end)
end)

describe("ten thousand bodies in one another", function()
  trio_it("return what the innermost returned", function()
    assert.same({"bottom", 2}, {nest(DEEP, trio.open_nursery, function()
      return "bottom", 2
    end)})
    assert.same({}, lowlevel.current_task().child_nurseries)
  end)

  trio_it("may wait at the bottom and on the way up", function()
    local steps = 0
    nest(DEEP, function(body)
      trio.open_nursery(body)
      steps = steps + 1
    end, function() trio.sleep(5) end)
    assert.equal(DEEP, steps)
    assert.equal(5, trio.current_time())
  end)

  trio_it("wait for a child in the innermost and the outermost", function()
    local outermost
    nest(DEEP, function(body)
      return trio.open_nursery(function(nursery)
        outermost = outermost or nursery
        return body()
      end)
    end, function()
      outermost:start_soon(trio.sleep, 7)
      trio.open_nursery(function(nursery) nursery:start_soon(trio.sleep, 3) end)
    end)
    assert.equal(7, trio.current_time())
  end)

  trio_it("are cancelled from outside #slow", function()
    local seen
    local scope = trio.move_on_after(1, function()
      nest(DEEP, trio.open_nursery, function()
        local _
        _, seen = pcall(trio.sleep_forever)
        error(seen, 0)
      end)
    end)
    assert.is_true(H.is_cancelled(seen))
    assert.is_true(scope.cancelled_caught)
    assert.equal(1, trio.current_time())
  end)

  trio_it("carry an error out, one group for each #slow", function()
    local E = trio.Error("E")
    local err = H.raises_class(trio.ExceptionGroup, nest, DEEP,
      trio.open_nursery, function() error(E) end)
    assert.is_true(rawequal(E, unwrap(err, DEEP)))
  end)

  trio_it("may be of several kinds", function()
    local kinds = {
      trio.open_nursery,
      function(body) return trio.CancelScope():run(body) end,
      function(body) return trio.fail_after(10, body) end,
      function(body) return select(2, trio.move_on_after(10, body)) end,
      function(body) return select(2, pcall(body)) end,
    }
    local depth = 0
    local function open(body)
      depth = depth + 1
      return kinds[depth % #kinds + 1](body)
    end
    assert.equal("bottom", (nest(DEEP, open, function()
      trio.sleep(1)
      return "bottom"
    end)))
    assert.equal(DEEP, depth)
  end)

  trio_it("leave no trace of their depth in other tasks", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      for i = 1, 2 do
        nursery:start_soon(function()
          nest(2000, trio.open_nursery, function() log("bottom " .. i) end)
          log("top " .. i)
        end)
      end
    end)
    table.sort(trace)
    assert.same({"bottom 1", "bottom 2", "top 1", "top 2"}, trace)
  end)

  trio_it("entering them is no schedule point", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(log, "child")
      nest(DEEP, trio.open_nursery, function() assert.same({}, trace) end)
    end)
    assert.same({"child"}, trace)
  end)
end)
