-- SPDX-License-Identifier: MIT
-- trio.CapacityLimiter: tokens that borrowers hold, one each. A waiting task
-- gets its token before it runs; the total may change at any time.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local current_task = trio.lowlevel.current_task
local settle = trio.testing.wait_all_tasks_blocked

-- The borrowers in a definite order.
local function borrowers(limiter)
  local list = limiter:statistics().borrowers
  table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  return list
end

local function waiting(limiter) return limiter:statistics().tasks_waiting end

local function would_block(limiter)
  P.would_block(limiter.acquire_nowait, limiter)
end

-- Tasks that acquire on behalf of these, in this order.
local function queue(nursery, limiter, list)
  for _, borrower in ipairs(list) do
    nursery:start_soon(limiter.acquire_on_behalf_of, limiter, borrower)
    settle()
  end
end

describe("a limiter", function()
  it("SYNC-21 has a whole number of tokens, or no end of them", function()
    local function refused(problem, argument)
      P.usage("bad argument #1 to 'CapacityLimiter' %(" .. problem,
        "local trio = ... trio.CapacityLimiter(" .. argument .. ")", trio)
    end
    refused("value expected", "")
    for _, wrong in ipairs {"nil", "1.0", "1.5", "'1'", "{}", "0/0",
        "-math.huge", "true"} do
      refused("must be an integer or math.huge", wrong)
    end
    refused("must not be negative", "-1")
    assert.equal(0, trio.CapacityLimiter(0).total_tokens)
    local limiter = trio.CapacityLimiter(math.huge)
    assert.equal(math.huge, limiter.total_tokens)
    assert.equal(math.huge, limiter.available_tokens)
    assert.equal(0, limiter.borrowed_tokens)
  end)

  H.trio_it("SYNC-21 without end always has one", function()
    local limiter = trio.CapacityLimiter(math.huge)
    P.usage("this borrower holds none", "local l = ... l:release()", limiter)
    for i = 1, 100 do limiter:acquire_on_behalf_of_nowait(i) end
    assert.equal(100, limiter.borrowed_tokens)
    assert.equal(math.huge, limiter.available_tokens)
    assert.equal(math.huge, limiter:statistics().total_tokens)
  end)

  H.trio_it("SYNC-22 a borrower holds one token at most", function()
    local limiter = trio.CapacityLimiter(2)
    local me = current_task()
    P.usage("this borrower holds none of the limiter's tokens",
      "local l = ... l:release()", limiter)
    assert.equal(0, limiter.borrowed_tokens)
    P.is_no_checkpoint(limiter.acquire_nowait, limiter)
    assert.same({borrowed_tokens = 1, total_tokens = 2, borrowers = {me},
      tasks_waiting = 0}, limiter:statistics())
    assert.equal(1, limiter.available_tokens)
    for _, call in ipairs {"acquire_nowait()", "acquire()",
        "acquire_on_behalf_of(task)", "acquire_on_behalf_of_nowait(task)"} do
      P.usage("this borrower already holds one of the limiter's tokens",
        "local l, task = ... l:" .. call, limiter, me)
    end
    assert.equal(1, limiter.borrowed_tokens)
    P.is_checkpoint(limiter.acquire_on_behalf_of, limiter, "someone")
    P.would_block(limiter.acquire_on_behalf_of_nowait, limiter, "third")
    assert.equal(0, limiter.available_tokens)
    P.is_no_checkpoint(limiter.release_on_behalf_of, limiter, me)
    assert.same({"someone"}, limiter:statistics().borrowers)
    P.usage("this borrower holds none", "local l = ... l:release()", limiter)
    P.usage("this borrower holds none",
      "local l = ... l:release_on_behalf_of('third')", limiter)
    limiter:release_on_behalf_of("someone")
    assert.equal(0, limiter.borrowed_tokens)
    P.is_checkpoint(limiter.acquire, limiter)
    P.is_no_checkpoint(limiter.release, limiter)
  end)

  H.trio_it("SYNC-22 a borrower is any value, by identity", function()
    local limiter = trio.CapacityLimiter(math.huge)
    local values = {"text", 1, 1.5, true, false, {}, print, io.stdout,
      coroutine.create(print), limiter}
    for _, value in ipairs(values) do
      limiter:acquire_on_behalf_of(value)
      P.usage("already holds", "local l, b = ... l:acquire_on_behalf_of(b)",
        limiter, value)
    end
    limiter:acquire_on_behalf_of({})
    assert.equal(#values + 1, limiter.borrowed_tokens)
    for _, value in ipairs(values) do limiter:release_on_behalf_of(value) end
    assert.equal(1, limiter.borrowed_tokens)
  end)

  it("SYNC-22 but not nil and not NaN", function()
    local limiter = trio.CapacityLimiter(1)
    for _, method in ipairs {"acquire_on_behalf_of",
        "acquire_on_behalf_of_nowait", "release_on_behalf_of"} do
      local code = "local l, b = ... l:" .. method
      local prefix = "bad argument #1 to '" .. method .. "' %("
      P.usage(prefix .. "value expected", code .. "()", limiter)
      P.usage(prefix .. "a borrower can't be nil", code .. "(nil)", limiter)
      P.usage(prefix .. "a borrower can't be NaN", code .. "(0/0)", limiter)
    end
    assert.equal(0, limiter.borrowed_tokens)
  end)

  H.trio_it("SYNC-23 a token given back goes straight to who waits", function()
    local limiter = trio.CapacityLimiter(2)
    trio.open_nursery(function(nursery)
      limiter:acquire_on_behalf_of("1")
      limiter:acquire_on_behalf_of("2")
      queue(nursery, limiter, {"3"})
      assert.equal(2, limiter.borrowed_tokens)
      assert.equal(1, waiting(limiter))
      limiter:release_on_behalf_of("2")
      assert.same({"1", "3"}, borrowers(limiter))
      assert.equal(0, waiting(limiter))
      would_block(limiter)
    end)
    limiter:release_on_behalf_of("3")
    limiter:release_on_behalf_of("1")
    assert.equal(0, limiter.borrowed_tokens)
  end)

  H.trio_it("SYNC-22 one token for a borrower that many wait for", function()
    local limiter = trio.CapacityLimiter(0)
    local done = 0
    trio.open_nursery(function(nursery)
      for _ = 1, 3 do
        nursery:start_soon(function()
          limiter:acquire_on_behalf_of("the same")
          done = done + 1
        end)
      end
      settle()
      assert.equal(3, waiting(limiter))
      limiter.total_tokens = 2
      assert.equal(0, waiting(limiter))
      assert.same({"the same"}, borrowers(limiter))
      assert.equal(1, limiter.borrowed_tokens)
      limiter:release_on_behalf_of("the same")
      assert.equal(0, limiter.borrowed_tokens)
      assert.equal(2, limiter.available_tokens)
    end)
    assert.equal(3, done)
    limiter:acquire_on_behalf_of_nowait(1)
    limiter:acquire_on_behalf_of_nowait(2)
    would_block(limiter)
  end)

  H.trio_it("SYNC-24 more tokens admit, fewer take none away", function()
    local limiter = trio.CapacityLimiter(2)
    trio.open_nursery(function(nursery)
      queue(nursery, limiter, {0, 1, 2, 3, 4})
      assert.same({0, 1}, borrowers(limiter))
      assert.equal(3, waiting(limiter))
      limiter.total_tokens = limiter.total_tokens + 2
      assert.same({0, 1, 2, 3}, borrowers(limiter))
      assert.equal(1, waiting(limiter))
      limiter.total_tokens = limiter.total_tokens - 3
      assert.equal(1, limiter.total_tokens)
      assert.equal(4, limiter.borrowed_tokens)
      for i = 0, 2 do limiter:release_on_behalf_of(i) end
      assert.same({3}, borrowers(limiter))
      assert.equal(1, waiting(limiter))
      limiter:release_on_behalf_of(3)
      assert.same({4}, borrowers(limiter))
      assert.equal(0, waiting(limiter))
    end)
  end)

  it("SYNC-24 refuses a wrong total, which leaves it as it was", function()
    local limiter = trio.CapacityLimiter(2)
    for _, wrong in ipairs {"1.0", "nil", "'3'", "0/0", "{}", "-math.huge"} do
      P.usage("total_tokens must be an integer or math%.huge",
        "local l = ... l.total_tokens = " .. wrong, limiter)
    end
    for _, wrong in ipairs {"-1", "-10"} do
      P.usage("total_tokens must not be negative",
        "local l = ... l.total_tokens = " .. wrong, limiter)
    end
    assert.equal(2, limiter.total_tokens)
    assert.equal("integer", math.type(limiter.total_tokens))
  end)

  H.trio_it("SYNC-25 what is available may be less than nothing", function()
    local limiter = trio.CapacityLimiter(3)
    for i = 1, 3 do limiter:acquire_on_behalf_of_nowait(i) end
    limiter.total_tokens = 1
    assert.equal(-2, limiter.available_tokens)
    for i = 1, 3 do
      would_block(limiter)
      limiter:release_on_behalf_of(i)
    end
    limiter:acquire_nowait()
    limiter.total_tokens = math.huge
    assert.equal(math.huge, limiter.available_tokens)
    assert.equal(1, limiter.borrowed_tokens)
  end)

  H.trio_it("SYNC-26 with no tokens everybody queues", function()
    local limiter = trio.CapacityLimiter(5)
    trio.open_nursery(function(nursery)
      limiter.total_tokens = 0
      queue(nursery, limiter, {0, 1, 2, 3, 4})
      assert.same({}, borrowers(limiter))
      assert.equal(5, waiting(limiter))
      limiter.total_tokens = 2
      assert.same({0, 1}, borrowers(limiter))
      limiter.total_tokens = 5
      assert.same({0, 1, 2, 3, 4}, borrowers(limiter))
      queue(nursery, limiter, {5})
      assert.equal(1, waiting(limiter))
      for i = 0, 4 do limiter:release_on_behalf_of(i) end
      assert.equal(0, waiting(limiter))
      limiter:release_on_behalf_of(5)

      limiter.total_tokens = 0
      would_block(limiter)
      queue(nursery, limiter, {6})
      assert.same({}, borrowers(limiter))
      limiter.total_tokens = 1
      assert.same({6}, borrowers(limiter))
      queue(nursery, limiter, {7})
      limiter.total_tokens = 0
      assert.same({6}, borrowers(limiter))
      limiter:release_on_behalf_of(6)
      settle()
      assert.same({}, borrowers(limiter))
      assert.equal(1, waiting(limiter))
      nursery.cancel_scope:cancel()
    end)
    assert.equal(0, waiting(limiter))
    limiter.total_tokens = 1
    assert.same({}, borrowers(limiter))
  end)

  H.trio_it("SYNC-27 a cancelled acquire leaves nothing behind", function()
    local limiter, weak = trio.CapacityLimiter(1), {}
    setmetatable(weak, {__mode = "k"})
    limiter:acquire()
    trio.open_nursery(function(nursery)
      for _ = 1, 3 do
        local borrower = {}
        weak[borrower] = true
        nursery:start_soon(limiter.acquire_on_behalf_of, limiter, borrower)
      end
      nursery:start_soon(limiter.acquire, limiter)
      settle()
      assert.equal(3, P.left_of(weak))
      assert.equal(4, waiting(limiter))
      nursery.cancel_scope:cancel()
      assert.equal(0, waiting(limiter))
    end)
    assert.equal(0, P.left_of(weak))
    limiter:release()
    assert.same({}, borrowers(limiter))
  end)

  H.trio_it("SYNC-27 forgets borrowers that gave their token back", function()
    local limiter, weak = trio.CapacityLimiter(5), {}
    setmetatable(weak, {__mode = "k"})
    for _ = 1, 100 do
      local borrower = {}
      weak[borrower] = true
      limiter:acquire_on_behalf_of_nowait(borrower)
      limiter:release_on_behalf_of(borrower)
    end
    trio.open_nursery(function(nursery)
      for _ = 1, 20 do
        nursery:start_soon(function()
          limiter:with(function() weak[current_task()] = true end)
        end)
      end
    end)
    assert.equal(0, P.left_of(weak))
  end)

  H.trio_it("keeps the token of a task that has ended", function()
    local limiter, task = trio.CapacityLimiter(1), nil
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        task = current_task()
        limiter:acquire()
      end)
    end)
    assert.same({task}, limiter:statistics().borrowers)
    would_block(limiter)
    limiter:release_on_behalf_of(task)
    limiter:acquire_nowait()
    limiter:release()
  end)

  H.trio_it("a task is the borrower in its coroutines, too", function()
    local limiter = trio.CapacityLimiter(1)
    coroutine.wrap(function() limiter:acquire() end)()
    assert.same({current_task()}, limiter:statistics().borrowers)
    coroutine.wrap(function() limiter:release() end)()
    assert.equal(0, limiter.borrowed_tokens)
  end)

  it("serves several runs, and some of it outside of them", function()
    local limiter = trio.CapacityLimiter(1)
    limiter:acquire_on_behalf_of_nowait("host")
    for _, method in ipairs {"acquire", "acquire_nowait", "release"} do
      P.usage("called from inside a task",
        "local l = ... l:" .. method .. "()", limiter)
    end
    P.usage("called from inside a task",
      "local l = ... l:with(print)", limiter)
    H.run(function()
      local scope = trio.move_on_after(1, function() limiter:acquire() end)
      assert.is_true(scope.cancelled_caught)
      trio.open_nursery(function(nursery)
        queue(nursery, limiter, {"guest"})
        limiter:release_on_behalf_of("host")
      end)
    end)
    assert.same({"guest"}, limiter:statistics().borrowers)
    collectgarbage()
    H.run(function()
      limiter:release_on_behalf_of("guest")
      limiter:acquire()
    end)
    assert.equal(1, limiter.borrowed_tokens)
  end)

  it("shows its state", function()
    local limiter = trio.CapacityLimiter(3)
    local prefix = "^<trio%.CapacityLimiter 0x%x+ "
    assert.matches(prefix .. "0 of 3 borrowed, 0 waiting>$", tostring(limiter))
    limiter:acquire_on_behalf_of_nowait(1)
    limiter.total_tokens = 0
    assert.matches(prefix .. "1 of 0 borrowed, 0 waiting>$", tostring(limiter))
    limiter.total_tokens = math.huge
    assert.matches(prefix .. "1 of inf borrowed, 0 waiting>$",
      tostring(limiter))
    H.run(function()
      local full = trio.CapacityLimiter(0)
      trio.open_nursery(function(nursery)
        queue(nursery, full, {1, 2})
        assert.matches(" 0 of 0 borrowed, 2 waiting>$", tostring(full))
        nursery.cancel_scope:cancel()
      end)
    end)
  end)

  it("refuses another self, and to be written to", function()
    P.refuses_others(trio.CapacityLimiter(1), "trio.CapacityLimiter",
      {"acquire", "acquire_nowait", "acquire_on_behalf_of", "release",
        "acquire_on_behalf_of_nowait", "release_on_behalf_of", "with",
        "statistics"})
    P.refuses_writing(trio.CapacityLimiter(1), "trio.CapacityLimiter",
      {"borrowed_tokens", "available_tokens", "acquire"})
  end)
end)
