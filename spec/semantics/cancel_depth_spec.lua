-- SPDX-License-Identifier: MIT
-- Scopes in quantity: nested by the thousand, and deadlines that move often.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint = lowlevel.checkpoint

-- Runs fn inside n scopes; gives back what it returns. Not a tail call on
-- purpose, so that every level takes its place on the stack.
local function nest(n, fn)
  if n == 0 then return fn() end
  local result = trio.CancelScope():run(function()
    local inner = nest(n - 1, fn)
    return inner
  end)
  return result
end

-- The sum 1 + 1 + ..., each level inside a timeout of its own.
local function count(n)
  if n == 0 then return 0 end
  local _, below = trio.move_on_after(1000, function()
    local value = count(n - 1)
    return value
  end)
  return below + 1
end

-- An error that unwinds n protected calls costs Lua itself n squared steps, so
-- only one of these goes all the way.
describe("thousands of nested scopes", function()
  H.trio_it("CANCEL-69 are entered and left again", function()
    assert.equal("deep", nest(10000, function() return "deep" end))
    assert.equal(math.huge, trio.current_effective_deadline())
  end)

  H.trio_it("CANCEL-69 wait and go on", function()
    assert.equal("awake", nest(10000, function()
      trio.sleep(1)
      checkpoint()
      return "awake"
    end))
    assert.equal(1, trio.current_time())
  end)

  H.trio_it("CANCEL-69 are unwound by the outermost one", function()
    local outermost = trio.CancelScope()
    local reached = false
    outermost:run(function()
      nest(10000, function()
        reached = true
        outermost:cancel()
        checkpoint()
        error("not reached")
      end)
      error("not reached")
    end)
    assert.is_true(reached)
    assert.is_true(outermost.cancelled_caught)
  end)

  H.trio_it("CANCEL-69 pass the cancellation on to a task at the bottom",
    function()
      local outermost, cut = trio.CancelScope(), nil
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          outermost:run(function()
            nest(3000, function() trio.sleep_forever() end)
          end)
          cut = trio.current_time()
        end)
        trio.sleep(2)
        outermost:cancel()
      end)
      assert.equal(2, cut)
      assert.is_true(outermost.cancelled_caught)
    end)

  H.trio_it("CANCEL-69 may be cancelled with no checkpoint to tell", function()
    local outermost = trio.CancelScope()
    outermost:run(function()
      nest(5000, function() outermost:cancel() end)
    end)
    assert.is_true(outermost.cancel_called)
    assert.is_false(outermost.cancelled_caught)
  end)

  H.trio_it("CANCEL-69 let an error through, unchanged", function()
    local object = {}
    local ok, err = pcall(nest, 3000, function() error(object) end)
    assert.is_false(ok)
    assert.is_true(rawequal(object, err))
    checkpoint()
  end)

  H.trio_it("CANCEL-69 tell the effective deadline through all levels",
    function()
      trio.CancelScope({deadline = 7}):run(function()
        assert.equal(7, nest(10000, trio.current_effective_deadline))
      end)
    end)
end)

describe("recursion through move_on_after", function()
  H.trio_it("CANCEL-69 goes five thousand levels deep", function()
    assert.equal(5000, count(5000))
  end)

  H.trio_it("CANCEL-69 takes no turn of the scheduler", function()
    local others = 0
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() others = others + 1 end)
      assert.equal(3000, count(3000))
      assert.equal(0, others)
    end)
    assert.equal(1, others)
  end)

  H.trio_it("CANCEL-69 works below a coroutine of the program's own",
    function()
      local step = trio.coroutine.wrap(function()
        trio.coroutine.yield(count(2000))
        return count(1000)
      end)
      assert.equal(2000, step())
      assert.equal(1000, step())
    end)

  H.trio_it("CANCEL-69 works in tasks that are as deep at the same time",
    function()
      local sum = 0
      local function dive(n)
        if n == 0 then
          trio.sleep(1)
          return 0
        end
        local _, below = trio.move_on_after(1000, function()
          local value = dive(n - 1)
          return value
        end)
        return below + 1
      end
      trio.open_nursery(function(nursery)
        for _ = 1, 5 do
          nursery:start_soon(function()
            local depth = dive(1000)
            sum = sum + depth
          end)
        end
      end)
      assert.equal(5000, sum)
    end)
end)

describe("a deadline that moves two thousand times", function()
  H.trio_it("CANCEL-70 keeps one timer, and fires at its last value", function()
    local counters = trio.testing._counters
    local scope = trio.CancelScope()
    local before = counters()
    scope:run(function()
      local t = trio.current_time()
      for _ = 1, 2000 do
        scope.deadline = t + 9998
        scope.deadline = t + 9999
      end
      local inside = counters()
      assert.is_true(inside.timers <= before.timers + 1)
      assert.is_true(inside.blocks <= before.blocks + 10)
      trio.sleep(0.01)
      assert.equal(t + 0.01, trio.current_time())
      trio.sleep_forever()
    end)
    assert.equal(9999, trio.current_time())
    assert.is_true(scope.cancelled_caught)
    assert.equal(before.timers, counters().timers)
  end)

  H.trio_it("CANCEL-70 among a thousand others that expire in order", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      for i = 1, 1000 do
        -- A fixed shuffle: 7 has no factor in common with 1000.
        local deadline = (i * 7) % 1000 + 1
        nursery:start_soon(function()
          trio.move_on_at(deadline, function(scope)
            for _ = 1, 3 do
              scope.deadline = deadline + 5000
              scope.deadline = deadline
            end
            trio.sleep_forever()
          end)
          log(deadline)
          assert.equal(deadline, trio.current_time())
        end)
      end
    end)
    assert.equal(1000, #trace)
    for i = 1, 1000 do assert.equal(i, trace[i]) end
  end)
end)
