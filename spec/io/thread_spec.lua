-- SPDX-License-Identifier: MIT
-- trio.to_thread: results, errors, cancellation and limits of worker threads.
-- What calls back from them is in from_thread_spec.lua.

local trio = require "trio"
local H = require "spec.support.helper"
local trio_it, raises, raises_class = H.trio_it, H.raises, H.raises_class

local run_sync = trio.to_thread.run_sync
local active_thread_count = trio.testing.active_thread_count

-- Called in a worker: its thread's number, and its name.
local function thread_id()
  return io.open("/proc/thread-self/stat"):read("n")
end
local function thread_name()
  return io.open("/proc/thread-self/comm"):read("l")
end

-- Called in a worker: sleep for real until _G.gate is true in the main state.
local function wait_for_gate(token)
  local function is_open() return _G.gate end
  while not trio.from_thread.run_sync({trio_token = token}, is_open) do
    trio.run(trio.sleep, 0.001)
  end
end

-- The same for a thread that nobody may answer any more. It takes the file
-- away, to say that it goes on.
local function wait_for_file(path)
  while not os.remove(path) do trio.run(trio.sleep, 0.001) end
end

-- Wait with real sleeps until condition() is true.
local function eventually(condition)
  for _ = 1, 2000 do
    if condition() then return end
    run_sync(function() trio.run(trio.sleep, 0.001) end)
  end
  error("it never came true", 2)
end

before_each(function() _G.gate = false end)
after_each(function() _G.gate = nil end)

describe("trio.to_thread.run_sync", function()
  trio_it("THR-01 returns what the function returns, from another thread",
    function()
      local id, a, b = run_sync(function(x, y)
        return io.open("/proc/thread-self/stat"):read("n"), y, x
      end, 1, "two")
      assert.are_not.equal(thread_id(), id)
      assert.equal("two", a)
      assert.equal(1, b)
    end)

  trio_it("THR-01 raises the bare error, with the worker's traceback",
    function()
      local err = raises("", run_sync, function()
        local function deep() error({code = 5}) end
        deep()
      end)
      assert.same({code = 5}, err)
      local nursery_error = raises_class(trio.ExceptionGroup, function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(run_sync, function()
            local function culprit() error("text", 0) end
            culprit()
          end)
        end)
      end)
      assert.equal("text", nursery_error.exceptions[1])
      local traceback = nursery_error.tracebacks[1]
      assert.truthy(traceback:find("in upvalue 'culprit'", 1, true)
        or traceback:find("in local 'culprit'", 1, true))
      assert.truthy(traceback:find("in a worker thread", 1, true))
    end)

  trio_it("THR-02 in a cancelled scope raises and does not call the function",
    function()
      for _, abandon in ipairs {true, false} do
        local scope = trio.CancelScope()
        scope:run(function()
          scope:cancel()
          run_sync({abandon_on_cancel = abandon}, function()
            trio.from_thread.run_sync(function() _G.gate = true end)
          end)
        end)
        assert.is_true(scope.cancelled_caught)
      end
      assert.is_false(_G.gate)
      assert.equal(0, trio.to_thread.current_default_thread_limiter()
        .borrowed_tokens)
    end)

  trio_it("THR-03 is not interrupted unless told so", function()
    local token = trio.lowlevel.current_trio_token()
    local got, after
    local scope = trio.CancelScope()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function()
          got = run_sync(function()
            wait_for_gate(token)
            return "value"
          end)
          after = true
          trio.lowlevel.checkpoint()
          after = "the checkpoint did not raise"
        end)
      end)
      trio.testing.wait_all_tasks_blocked()
      scope:cancel()
      trio.testing.wait_all_tasks_blocked()
      assert.is_nil(got)
      assert.equal(1, active_thread_count())
      _G.gate = true
    end)
    assert.equal("value", got)
    assert.is_true(after)
    assert.is_true(scope.cancelled_caught)
  end)

  trio_it("THR-04 abandons the thread at once, and releases its token when it"
    .. " has ended", function()
      local limiter = trio.CapacityLimiter(1)
      local token = trio.lowlevel.current_trio_token()
      local scope = trio.move_on_after(1, function()
        run_sync({abandon_on_cancel = true, limiter = limiter}, function()
          wait_for_gate(token)
          error("nobody hears this")
        end)
      end)
      assert.is_true(scope.cancelled_caught)
      assert.equal(0, active_thread_count())
      assert.equal(1, limiter.borrowed_tokens)
      _G.gate = true
      eventually(function() return limiter.borrowed_tokens == 0 end)
    end)

  it("THR-05 outlives the run silently", function()
    local paths = {os.tmpname(), os.tmpname(), os.tmpname()}
    for _, path in ipairs(paths) do os.remove(path) end
    local before = trio.testing._worker_count()
    for _, path in ipairs(paths) do
      trio.run(function()
        trio.move_on_after(0.01, function()
          run_sync({abandon_on_cancel = true}, function()
            wait_for_file(path)
            error("nobody hears this")
          end)
        end)
      end)
    end
    assert.is_true(trio.testing._worker_count() >= before)
    for _, path in ipairs(paths) do io.open(path, "w"):close() end
    for _, path in ipairs(paths) do
      local function is_gone()
        local file <close> = io.open(path)
        return not file
      end
      while not is_gone() do trio.run(trio.sleep, 0.001) end
    end
    assert.equal(1, trio.run(run_sync, function() return 1 end))
  end)

  trio_it("THR-06 never runs more threads than the limiter has tokens",
    function()
      local MAX = 3
      local limiter = trio.CapacityLimiter(MAX)
      local gauge = {now = 0, high = 0, done = 0}
      _G.gauge = gauge
      for _, abandon in ipairs {false, true} do
        gauge.done = 0
        trio.open_nursery(function(nursery)
          for i = 1, 2 * MAX do
            nursery:start_soon(function()
              run_sync({limiter = limiter, abandon_on_cancel = abandon},
                function(cancels)
                  local from = trio.from_thread
                  from.run_sync(function()
                    local g = _G.gauge
                    g.now = g.now + 1
                    g.high = math.max(g.high, g.now)
                  end)
                  trio.run(trio.sleep, cancels and 0.004 or 0.002)
                  from.run_sync(function()
                    local g = _G.gauge
                    g.now, g.done = g.now - 1, g.done + 1
                  end)
                end, abandon and i % 2 == 0)
            end)
          end
        end)
        assert.equal(2 * MAX, gauge.done)
      end
      assert.equal(MAX, gauge.high)
      _G.gauge = nil
    end)

  describe("with a limiter of the program's own", function()
    local log

    local function new_limiter(on_release)
      log = {}
      return {
        acquire_on_behalf_of = function(_, borrower)
          trio.lowlevel.checkpoint()
          log[#log + 1] = {"acquire", borrower, trio.lowlevel.current_task()}
        end,
        release_on_behalf_of = function(_, borrower)
          log[#log + 1] = {"release", borrower}
          if on_release then error(on_release, 0) end
        end,
      }
    end

    trio_it("THR-07 acquires and then releases for the same borrower",
      function()
        assert.equal(3, run_sync({limiter = new_limiter()}, math.max, 1, 3))
        assert.equal(2, #log)
        assert.equal("acquire", log[1][1])
        assert.equal("release", log[2][1])
        assert.equal(log[1][2], log[2][2])
        assert.equal(trio.lowlevel.current_task(), log[1][3])
        assert.truthy(tostring(log[1][2]):find("ThreadPlaceholder"))
      end)

    trio_it("THR-07 refuses what has no limiter's methods", function()
      for _, limiter in ipairs {1, "x", {}, trio.Lock()} do
        raises("^[^:]*thread_spec%.lua:%d+: bad argument #1 to 'run_sync' "
          .. "%(option 'limiter' must be a CapacityLimiter%)$", function()
            run_sync({limiter = limiter}, math.max, 1)
          end)
      end
    end)

    trio_it("THR-07 releases when the function can't be sent", function()
      raises("can't be sent", run_sync, {limiter = new_limiter()}, print,
        io.stdout)
      assert.equal(2, #log)
      assert.equal("release", log[2][1])
    end)

    trio_it("THR-07 an error of the release replaces the result", function()
      local problem = trio.Error("release")
      assert.equal(problem, raises_class(trio.Error, run_sync,
        {limiter = new_limiter(problem)}, math.max, 1))
      assert.is_nil(problem.context)
      assert.equal(problem, raises_class(trio.Error, run_sync,
        {limiter = new_limiter(problem)}, error, "of the function", 0))
      assert.equal("of the function", problem.context)
      assert.equal("text", raises("", run_sync,
        {limiter = new_limiter("text")}, error, "of the function", 0))
    end)
  end)

  trio_it("THR-08 has a limiter of 40 tokens in each run", function()
    local limiter = trio.to_thread.current_default_thread_limiter()
    assert.equal(40, limiter.total_tokens)
    assert.equal(limiter, trio.to_thread.current_default_thread_limiter())
    limiter.total_tokens = 1
    local scope = trio.move_on_after(1, function()
      limiter:acquire_on_behalf_of("somebody")
      run_sync(function() end)
    end)
    assert.is_true(scope.cancelled_caught)
    local of_other_run = run_sync(function()
      return trio.run(function()
        return trio.to_thread.current_default_thread_limiter().total_tokens
      end)
    end, limiter:release_on_behalf_of("somebody"))
    assert.equal(40, of_other_run)
  end)

  trio_it("THR-16 calls the function where nothing can wait", function()
    raises("trio.sleep must be called from inside a task", run_sync,
      trio.sleep, 1)
  end)

  trio_it("THR-21 names the thread while it works", function()
    local name, again = run_sync({thread_name = "my name is too long"},
      thread_name)
    assert.equal("my name is too ", name)
    assert.is_nil(again)
    local first = run_sync(thread_name)
    assert.truthy(first:find("thread_spec", 1, true) or #first > 0)
    assert.are_not.equal("my name is too ", first)
    trio.open_nursery(function(nursery)
      nursery:start_soon({name = "host"}, function()
        local function f() return thread_name() end
        assert.truthy(run_sync(f):find(" from host$")
          or #run_sync(f) == 15)
      end)
    end)
  end)

  trio_it("checks its arguments", function()
    raises("bad argument #1 to 'run_sync' %(function expected, got nil",
      run_sync)
    raises("unknown option 'cancellable'", run_sync, {cancellable = true},
      print)
    raises("option 'abandon_on_cancel' must be a boolean", run_sync,
      {abandon_on_cancel = 1}, print)
    raises("option 'thread_name' must be a string", run_sync,
      {thread_name = 1}, print)
    raises("bad argument #2 to 'run_sync' %(function expected, got nil",
      run_sync, {})
  end)

  it("needs a task", function()
    raises("trio.to_thread.run_sync must be called from inside a task",
      run_sync, print)
  end)
end)

describe("threads in the tests", function()
  trio_it("THR-20 are waited for until none works", function()
    assert.equal(0, active_thread_count())
    trio.testing.wait_all_threads_completed()
    _G.one, _G.two = trio.Event(), trio.Event()
    local waited = false
    trio.open_nursery(function(nursery)
      nursery:start_soon(run_sync, function()
        trio.from_thread.run(function() _G.one:wait() end)
      end)
      nursery:start_soon(run_sync, function()
        trio.from_thread.run(function() _G.two:wait() end)
      end)
      nursery:start_soon(function()
        trio.testing.wait_all_threads_completed()
        waited = active_thread_count()
      end)
      eventually(function()
        return _G.one:statistics().tasks_waiting == 1
          and _G.two:statistics().tasks_waiting == 1
      end)
      assert.equal(2, active_thread_count())
      _G.one:set()
      while active_thread_count() == 2 do trio.lowlevel.checkpoint() end
      assert.equal(1, active_thread_count())
      trio.testing.wait_all_tasks_blocked()
      assert.is_false(waited)
      _G.two:set()
    end)
    assert.equal(0, waited)
    _G.one, _G.two = nil, nil
  end, {real_clock = true})

  it("THR-20 count none outside of runs", function()
    assert.equal(0, active_thread_count())
    raises("must be called from inside a task",
      trio.testing.wait_all_threads_completed)
  end)
end)

describe("the deadlock detector", function()
  trio_it("does not report while a thread works", function()
    local token = trio.lowlevel.current_trio_token()
    assert.equal(1, run_sync(function()
      trio.run(trio.sleep, 0.01)
      return 1
    end))
    -- An abandoned one may still wake somebody.
    _G.event = trio.Event()
    trio.move_on_after(0.001, function()
      run_sync({abandon_on_cancel = true}, function()
        trio.run(trio.sleep, 0.02)
        token:run_sync_soon(function() _G.event:set() end)
      end)
    end)
    _G.event:wait()
    _G.event = nil
    raises_class(trio.DeadlockError, function() trio.Event():wait() end)
  end, {on_deadlock = "raise"})
end)
