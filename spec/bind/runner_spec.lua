-- SPDX-License-Identifier: MIT
-- One run from its first task to its last: results, errors, order of tasks,
-- shutdown, and what may be asked inside and outside of a run.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing
local MANY = H.many(10000)

-- A wrong use: fn must raise a string that matches pattern.
local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

local function wait_blocked(...)
  testing.wait_all_tasks_blocked(...)
end

describe("trio.run results", function()
  it("RUN-01 returns what main returns, without a checkpoint", function()
    assert.equal(8, H.run(function() return 8 end))
  end)

  it("RUN-01 returns what main returns, after a checkpoint", function()
    assert.equal(8, H.run(function()
      lowlevel.checkpoint()
      return 8
    end))
  end)

  it("RUN-01 passes arguments to main, nils included", function()
    local n, a, b, c = trio.run(function(...)
      return select("#", ...), ...
    end, nil, "two", nil)
    assert.equal(3, n)
    assert.is_nil(a)
    assert.equal("two", b)
    assert.is_nil(c)
  end)

  it("RUN-01 returns every result of main, nils included", function()
    local r = table.pack(trio.run(function()
      lowlevel.checkpoint()
      return nil, 2, nil, nil
    end))
    assert.equal(4, r.n)
    assert.equal(2, r[2])
  end)

  it("RUN-01 main without results gives none", function()
    assert.equal(0, select("#", trio.run(function() end)))
  end)

  it("RUN-01 takes and returns 200 values", function()
    local many = {}
    for i = 1, 200 do many[i] = i end
    local r = table.pack(trio.run(function(...)
      lowlevel.checkpoint()
      return ...
    end, table.unpack(many)))
    assert.equal(200, r.n)
    many.n = 200
    assert.same(many, r)
  end)

  it("RUN-01 main may be a callable table", function()
    local main = setmetatable({}, {__call = function(self, x)
      lowlevel.checkpoint()
      return self, x
    end})
    local self, x = trio.run(main, 5)
    assert.equal(main, self)
    assert.equal(5, x)
  end)

  it("RUN-01 main may be a function of the library itself", function()
    local clock = testing.MockClock{autojump_threshold = 0}
    assert.equal(0, select("#", trio.run({clock = clock}, trio.sleep, 7)))
    assert.equal(7, clock:current_time())
  end)
end)

describe("trio.run errors", function()
  it("RUN-02 main's error comes out unchanged, not in a group", function()
    local E = {}
    local ok, err = pcall(trio.run, function() error(E) end)
    assert.is_false(ok)
    assert.equal(E, err)
  end)

  it("RUN-02 an error object comes out unchanged", function()
    local E = trio.WouldBlock("mine")
    local _, err = pcall(trio.run, function()
      lowlevel.checkpoint()
      error(E)
    end)
    assert.equal(E, err)
  end)

  it("RUN-02 errors of every Lua type come out by identity", function()
    local values = {
      false, true, 42, 1.5, "text", "", {}, print, io.stdout,
      coroutine.create(print), setmetatable({}, {__tostring = error}),
    }
    for i = 1, #values do
      for _, waits in ipairs{false, true} do
        local ok, err = pcall(trio.run, function()
          if waits then lowlevel.checkpoint() end
          error(values[i], 0)
        end)
        assert.is_false(ok)
        assert.is_true(rawequal(values[i], err))
      end
    end
  end)

  it("RUN-02 a nil error comes out as nil", function()
    for _, waits in ipairs{false, true} do
      local r = table.pack(pcall(trio.run, function()
        if waits then lowlevel.checkpoint() end
        error(nil)
      end))
      assert.is_false(r[1])
      assert.is_nil(r[2])
      assert.equal(2, r.n)
    end
  end)

  it("RUN-02 a string error keeps its position and text", function()
    local _, err = pcall(trio.run, function() error("broken pot") end)
    assert.matches("^[^\n]*runner_spec%.lua:%d+: broken pot$", err)
  end)

  it("RUN-02 an error that Lua itself raises in main comes out", function()
    usage("arithmetic", trio.run, function() return nil + 1 end)
  end)

  it("RUN-07 errors of two children come out in one group", function()
    local K, V = {"K"}, {"V"}
    local err = H.raises_class(trio.ExceptionGroup, trio.run, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(error, K)
        nursery:start_soon(error, V)
      end)
    end)
    H.group_set(err, K, V)
  end)

  it("RUN-11 a Cancelled raised outside its scope comes out", function()
    local saved
    local ok, err = pcall(trio.run, function()
      trio.CancelScope():run(function(scope)
        scope:cancel()
        saved = select(2, pcall(lowlevel.checkpoint))
      end)
      error(saved)
    end)
    assert.is_false(ok)
    assert.is_true(H.is_cancelled(saved))
    assert.equal(saved, err)
  end)

  it("RUN-04 a run inside a task is refused, the outer one goes on", function()
    local message, ran
    local result = H.run(function()
      message = usage("inside", function()
        trio.run(function() ran = true end)
      end)
      lowlevel.checkpoint()
      return "fine"
    end)
    assert.equal("fine", result)
    assert.is_nil(ran)
    assert.matches("run", message)
  end)

  it("RUN-04 a run inside a child, a callback, a hook is refused", function()
    local results = {}
    local function try(key)
      results[key] = select(2, pcall(trio.run, function() end))
    end
    local hook = {after_run = function() try("after_run") end}
    H.run(function()
      lowlevel.current_trio_token():run_sync_soon(try, "callback")
      trio.open_nursery(function(nursery)
        nursery:start_soon(try, "child")
      end)
      wait_blocked()
    end, {instruments = {hook}})
    for _, key in ipairs{"callback", "child", "after_run"} do
      assert.matches("inside", results[key])
    end
  end)

  it("RUN-04 a refused run that is not caught ends the outer one", function()
    usage("inside", trio.run, function() trio.run(function() end) end)
    assert.is_false(lowlevel.in_trio_run())
  end)
end)

describe("outside of a run", function()
  it("RUN-05 what needs a run says so and names itself", function()
    local calls = {
      current_time = function() trio.current_time() end,
      current_effective_deadline = function()
        trio.current_effective_deadline()
      end,
      current_task = function() lowlevel.current_task() end,
      current_root_task = function() lowlevel.current_root_task() end,
      current_clock = function() lowlevel.current_clock() end,
      current_statistics = function() lowlevel.current_statistics() end,
      current_trio_token = function() lowlevel.current_trio_token() end,
      spawn_system_task = function() lowlevel.spawn_system_task(print) end,
      add_instrument = function() lowlevel.add_instrument({}) end,
      remove_instrument = function() lowlevel.remove_instrument({}) end,
    }
    for name, call in pairs(calls) do usage(name, call) end
  end)

  it("RUN-05 the predicates are false", function()
    assert.is_false(lowlevel.in_trio_run())
    assert.is_false(lowlevel.in_trio_task())
    H.run(function() end)
    assert.is_false(lowlevel.in_trio_run())
    assert.is_false(lowlevel.in_trio_task())
  end)

  it("RUN-18 the predicates inside: task, function, abort", function()
    local seen = {}
    local function look(key)
      seen[key] = {lowlevel.in_trio_run(), lowlevel.in_trio_task()}
    end
    H.run(function()
      look("main")
      local function plain() look("function") end
      plain()
      trio.move_on_at(trio.current_time() - 1, function()
        lowlevel.wait_task_rescheduled(function()
          look("abort")
          return lowlevel.Abort.SUCCEEDED
        end)
      end)
    end)
    assert.same({
      main = {true, true},
      ["function"] = {true, true},
      abort = {true, true},
    }, seen)
  end)

  it("RUN-06 each run has its own token, always the same object", function()
    local function main()
      local token = lowlevel.current_trio_token()
      lowlevel.checkpoint()
      assert.equal(token, lowlevel.current_trio_token())
      return token
    end
    local a, b = H.run(main), H.run(main)
    assert.is_false(rawequal(a, b))
    assert.not_equal(a, b)
  end)
end)

describe("order of tasks", function()
  H.trio_it("RUN-08 main's result waits for the children", function()
    local finished
    local result = trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(5)
        finished = true
      end)
      return "value"
    end)
    assert.equal("value", result)
    assert.is_true(finished)
    assert.equal(5, trio.current_time())
  end)

  H.trio_it("RUN-16 a new task never runs in the pass of its spawner",
    function()
      local t, log = H.trace()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          log("c1")
          nursery:start_soon(log, "c2")
          log("c1 end")
        end)
      end)
      assert.same({"c1", "c1 end", "c2"}, t)
    end)

  -- Five tracers, 50 checkpoints each: one string per run.
  local function race(opts)
    local trace = {}
    trio.run(opts, function()
      trio.open_nursery(function(nursery)
        for i = 1, 5 do
          nursery:start_soon(function()
            for _ = 1, 50 do
              trace[#trace + 1] = i
              lowlevel.checkpoint()
            end
          end)
        end
      end)
    end)
    return table.concat(trace)
  end

  it("RUN-17 without a seed tasks run first in, first out", function()
    for _ = 1, 10 do
      assert.equal(("12345"):rep(50), race({}))
    end
  end)

  it("RUN-17 a seed gives the same order every time", function()
    for _, seed in ipairs{0, 1, -7, math.maxinteger, math.mininteger} do
      local first = race({seed = seed})
      assert.equal(250, #first)
      for _ = 1, 9 do assert.equal(first, race({seed = seed})) end
    end
  end)

  it("RUN-17 different seeds give different orders", function()
    local seen, distinct = {}, 0
    for seed = 1, 10 do
      local trace = race({seed = seed})
      if not seen[trace] then distinct = distinct + 1 end
      seen[trace] = true
    end
    assert.is_true(distinct > 8)
    assert.is_nil(seen[("12345"):rep(50)])
  end)

  it("RUN-17 a seed shuffles within a pass only", function()
    local trace = race({seed = 3})
    for i = 1, 250, 5 do
      local five = {trace:byte(i, i + 4)}
      table.sort(five)
      assert.equal("12345", string.char(table.unpack(five)))
    end
  end)

  it("RUN-17 the seed leaves math.random alone", function()
    math.randomseed(42)
    local a = math.random(1, 1 << 30)
    math.randomseed(42)
    race({seed = 9})
    assert.equal(a, math.random(1, 1 << 30))
  end)

  it("ten thousand tasks run in one run", function()
    local count, sum = 0, 0
    trio.run(function()
      trio.open_nursery(function(nursery)
        for i = 1, MANY do
          nursery:start_soon(function(x)
            lowlevel.checkpoint()
            count = count + 1
            sum = sum + x
          end, i)
        end
      end)
    end)
    assert.equal(MANY, count)
    assert.equal(MANY * (MANY + 1) // 2, sum)
  end)

  H.trio_it("ten thousand sleepers wake in the order of their deadlines",
    function()
      local last, count = -1, 0
      trio.open_nursery(function(nursery)
        for i = 1, MANY do
          nursery:start_soon(function()
            trio.sleep(i * 7919 % 10007)
            local now = trio.current_time()
            assert(now >= last)
            last, count = now, count + 1
          end)
        end
      end)
      assert.equal(MANY, count)
    end)

  H.trio_it("ten thousand sleepers are cancelled at once", function()
    local scope = trio.move_on_after(1, function()
      trio.open_nursery(function(nursery)
        for _ = 1, MANY do nursery:start_soon(trio.sleep_forever) end
      end)
    end)
    assert.is_true(scope.cancelled_caught)
    assert.equal(1, trio.current_time())
  end)
end)

describe("the end of a run", function()
  it("RUN-12 a queued callback runs although main raises", function()
    local E, ran = {}, nil
    local _, err = pcall(H.run, function()
      lowlevel.current_trio_token():run_sync_soon(function() ran = true end)
      error(E)
    end)
    assert.equal(E, err)
    assert.is_true(ran)
  end)

  it("RUN-13 a shielded system task delays the end", function()
    local clock = testing.MockClock{autojump_threshold = 0}
    local finished
    local result = H.run(function()
      lowlevel.spawn_system_task(function()
        trio.CancelScope({shield = true}):run(function() trio.sleep(10) end)
        finished = true
      end)
      lowlevel.checkpoint()
      return "done"
    end, {clock = clock})
    assert.equal("done", result)
    assert.is_true(finished)
    assert.equal(10, clock:current_time())
  end)

  it("RUN-25 a crashing system task outranks main's error", function()
    local E, V = {"E"}, {"V"}
    local err = H.raises_class(trio.TrioInternalError, H.run, function()
      lowlevel.spawn_system_task(function()
        pcall(trio.sleep_forever)
        error(V)
      end)
      lowlevel.checkpoint()
      error(E)
    end)
    H.group_of(err.cause, err.cause.exceptions[1])
    H.group_of(err.cause.exceptions[1], V)
  end)

  it("many runs after one another do not disturb each other", function()
    for i = 1, 200 do
      local ok, r = pcall(trio.run, function(x)
        lowlevel.checkpoint()
        if x % 2 == 0 then error(x, 0) end
        return x
      end, i)
      assert.equal(i % 2 == 1, ok)
      assert.equal(i, r)
    end
  end)

  it("a run inside a plain coroutine works like any other", function()
    local co = coroutine.wrap(function(x)
      local y = coroutine.yield(trio.run(function()
        lowlevel.checkpoint()
        return x + 1
      end))
      return trio.run(function() return y * 2 end)
    end)
    assert.equal(6, co(5))
    assert.equal(20, co(10))
  end)
end)
