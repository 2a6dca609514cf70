-- SPDX-License-Identifier: MIT
-- explore: which seeds it tries, what it reports, and that a seed replays.
local H = require "spec.support.helper"
local trio = require "trio"
local planted = require "spec.support.planted"
local explore = trio.testing.explore
local MockClock = trio.testing.MockClock

-- What a run with the seed did: outcome, and the order of everybody's steps.
local function replay(seed, fn)
  local steps = {}
  local names = {}
  local function name_of(task)
    if not names[task] then
      names[#names + 1] = task
      names[task] = #names
    end
    return names[task]
  end
  local ok, result = pcall(trio.run, {
    seed = seed, on_deadlock = "raise",
    instruments = {{
      before_task_step = function(_, task)
        steps[#steps + 1] = name_of(task)
      end,
    }},
  }, fn)
  return ok, result, table.concat(steps, " ")
end

-- The failure that explore finds, as the error and its seed.
local function find(fn, opts)
  local err = H.raises_class(trio.Error, explore, opts or {}, fn)
  local seed = tostring(err):match("seed (%d+)")
  assert.equal(err.seed, math.tointeger(seed))
  return err, err.seed
end

-- The main task waits in a nursery, so the error comes in a group.
local function is_deadlock(err)
  return trio.isinstance(err, trio.ExceptionGroup)
    and err:subgroup(trio.DeadlockError) ~= nil
end

describe("explore", function()
  it("finds a lost update, and its seed replays it", function()
    assert.equal(120, trio.run(planted.lost_update))
    local err, seed = find(planted.lost_update)
    assert.is_true(seed > 1 and seed <= 100)
    assert.equal("the balance is 70, not 120", err.cause)
    local ok, cause, steps = replay(seed, planted.lost_update)
    assert.is_false(ok)
    assert.equal(err.cause, cause)
    for _ = 1, 10 do
      local _, again, same_steps = replay(seed, planted.lost_update)
      assert.equal(cause, again)
      assert.equal(steps, same_steps)
    end
    for other = 1, seed - 1 do
      assert.equal(120, select(2, replay(other, planted.lost_update)))
    end
  end)

  it("finds a lost wakeup, and its seed replays it", function()
    assert.equal("item", trio.run(planted.lost_wakeup))
    local err, seed = find(planted.lost_wakeup)
    assert.is_true(seed > 1 and seed <= 100)
    assert.is_true(is_deadlock(err.cause))
    local ok, cause, steps = replay(seed, planted.lost_wakeup)
    assert.is_false(ok)
    assert.is_true(is_deadlock(cause))
    for _ = 1, 10 do
      local _, again, same_steps = replay(seed, planted.lost_wakeup)
      assert.is_true(is_deadlock(again))
      assert.equal(steps, same_steps)
    end
  end)

  it("finds the same at every call", function()
    local _, seed = find(planted.lost_update)
    assert.equal(seed, select(2, find(planted.lost_update)))
    assert.equal(seed, select(2, find(planted.lost_update,
      {autojump = false})))
  end)

  it("runs the function a hundred times, or as often as told", function()
    local count = 0
    local function fn() count = count + 1 end
    assert.equal(100, explore(fn))
    assert.equal(100, count)
    assert.equal(7, explore({runs = 7}, fn))
    assert.equal(107, count)
    assert.equal(100, explore({}, fn))
  end)

  it("runs it under different orders", function()
    local orders, distinct = {}, 0
    explore({runs = 50}, function()
      local order = {}
      trio.open_nursery(function(nursery)
        for i = 1, 3 do
          nursery:start_soon(function() order[#order + 1] = i end)
        end
      end)
      local key = table.concat(order)
      if not orders[key] then distinct = distinct + 1 end
      orders[key] = true
    end)
    assert.equal(6, distinct)
  end)

  it("passes arguments on", function()
    explore({runs = 1}, function(...)
      assert.same({1, nil, "x", n = 3}, table.pack(...))
    end, 1, nil, "x")
    explore(function(...) assert.equal(2, select("#", ...)) end, nil, nil)
  end)

  it("jumps over every wait, unless told not to", function()
    explore({runs = 3}, function()
      trio.sleep(1000)
      assert.equal(1000, trio.current_time())
    end)
    explore({runs = 3, autojump = false}, function()
      assert.are_not.equal(getmetatable(MockClock()),
        getmetatable(trio.lowlevel.current_clock()))
    end)
  end)

  it("reports the error with its text, its seed and its cause", function()
    for _, cause in ipairs {"text", false, 1, {}, trio.Error("object")} do
      local err, seed = find(function() error(cause, 0) end)
      assert.equal(1, seed)
      assert.is_true(rawequal(cause, err.cause))
      assert.matches("^Error: explore: seed 1 fails: ", tostring(err))
      assert.matches("trio%.run%({seed = 1}, fn%)", tostring(err))
    end
    local err = find(function() error("some text", 0) end)
    assert.matches("seed 1 fails: some text\n", tostring(err))
    err = find(function() error({}) end)
    assert.matches("error object is a table value", tostring(err))
    err = find(function() error() end)
    assert.is_nil(err.cause)
    assert.matches("error object is a nil value", tostring(err))
  end)

  it("keeps the traceback of the error", function()
    local err = find(function()
      local function guilty() error("text") end
      guilty()
    end)
    assert.matches("explore_spec%.lua:%d+: in local 'guilty'", err.traceback)
  end)

  it("lets KeyboardInterrupt pass", function()
    local interrupt = trio.KeyboardInterrupt("ctrl")
    local ok, err = pcall(explore, function() error(interrupt) end)
    assert.is_false(ok)
    assert.equal(interrupt, err)
  end)
end)

describe("wrong use of explore", function()
  it("names the argument", function()
    local function refused(text, ...)
      local arguments = table.pack(...)
      H.raises("^[^:]*explore_spec%.lua:%d+: bad argument #" .. text,
        function()
          explore(table.unpack(arguments, 1, arguments.n))
          return 1
        end)
    end
    local function fn() end
    refused("1 to 'explore' %(function expected, got nil%)$")
    refused("1 to 'explore' %(function expected, got number%)$", 5, fn)
    refused("2 to 'explore' %(function expected, got nil%)$", {})
    refused("1 to 'explore' %(unknown option 'run'%)$", {run = 5}, fn)
    for _, wrong in ipairs {0, -1, 1.5, "5", math.huge} do
      refused("1 to 'explore' %(option 'runs' must be a positive integer%)$",
        {runs = wrong}, fn)
    end
    refused("1 to 'explore' %(option 'autojump' must be a boolean%)$",
      {autojump = 1}, fn)
  end)

  H.trio_it("is refused inside of a run", function()
    local called = false
    H.raises("^[^:]*explore_spec%.lua:%d+: trio%.testing%.explore can't be "
      .. "called from inside a trio%.run$", function()
        explore(function() called = true end)
        return 1
      end)
    assert.is_false(called)
  end)
end)
