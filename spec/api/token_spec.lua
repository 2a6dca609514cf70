-- SPDX-License-Identifier: MIT
-- TrioToken: functions handed to a run from anywhere, run by the run itself.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

local function current_token()
  return lowlevel.current_trio_token()
end

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

local function upto(first, last)
  local t = {}
  for i = first, last do t[#t + 1] = i end
  return t
end

describe("run_sync_soon", function()
  H.trio_it("SYS-04 runs the callback later, with its arguments", function()
    local got
    current_token():run_sync_soon(function(...)
      got = table.pack(...)
    end, 1, nil, "three", nil)
    assert.is_nil(got)
    testing.wait_all_tasks_blocked()
    assert.equal(4, got.n)
    assert.equal(1, got[1])
    assert.is_nil(got[2])
    assert.equal("three", got[3])
  end)

  H.trio_it("SYS-04 returns nothing", function()
    assert.equal(0, select("#", current_token():run_sync_soon(function() end)))
    testing.wait_all_tasks_blocked()
  end)

  H.trio_it("SYS-04 the callback sees a task that is not the caller's",
    function()
      local run, task, who
      current_token():run_sync_soon(function()
        run, task = lowlevel.in_trio_run(), lowlevel.in_trio_task()
        who = lowlevel.current_task()
      end)
      testing.wait_all_tasks_blocked()
      assert.is_true(run)
      assert.is_true(task)
      assert.is_not_nil(who)
      assert.is_false(rawequal(who, lowlevel.current_task()))
      assert.is_not_nil(who.parent_nursery)
    end)

  H.trio_it("SYS-04 its results are dropped", function()
    current_token():run_sync_soon(function() return 1, 2, 3 end)
    testing.wait_all_tasks_blocked()
  end)

  for _, count in ipairs{100, 1000} do
    H.trio_it("SYS-04 keeps the order of " .. count .. " calls", function()
      local t, log = H.trace()
      for i = 1, count do current_token():run_sync_soon(log, i) end
      assert.same({}, t)
      testing.wait_all_tasks_blocked()
      assert.same(upto(1, count), t)
    end)
  end

  H.trio_it("SYS-04 wakes a run in which everybody is blocked", function()
    local event = trio.Event()
    current_token():run_sync_soon(function()
      current_token():run_sync_soon(function() event:set() end)
    end)
    event:wait()
  end)

  H.trio_it("SYS-04 may spawn, cancel and reschedule", function()
    local main, log = lowlevel.current_task(), {}
    local scope = trio.CancelScope()
    scope:run(function()
      current_token():run_sync_soon(function() scope:cancel() end)
      trio.sleep_forever()
    end)
    assert.is_true(scope.cancelled_caught)
    trio.open_nursery(function(nursery)
      current_token():run_sync_soon(function()
        nursery:start_soon(function() log[1] = "spawned" end)
      end)
      testing.wait_all_tasks_blocked()
    end)
    assert.same({"spawned"}, log)
    current_token():run_sync_soon(lowlevel.reschedule, main, true, "value")
    assert.equal("value", lowlevel.wait_task_rescheduled(function()
      return lowlevel.Abort.SUCCEEDED
    end))
  end)
end)

describe("idempotent run_sync_soon", function()
  H.trio_it("SYS-05 equal pending calls run once", function()
    local t, log = H.trace()
    local token = current_token()
    local once = {idempotent = true}
    token:run_sync_soon(log, 1)
    token:run_sync_soon(once, log, 1)
    token:run_sync_soon(once, log, 1)
    token:run_sync_soon(once, log, 1)
    token:run_sync_soon(once, log, 2)
    token:run_sync_soon(once, log, 2)
    testing.wait_all_tasks_blocked()
    table.sort(t)
    assert.same({1, 1, 2}, t)
  end)

  H.trio_it("SYS-05 keeps the order of first calls", function()
    local t, log = H.trace()
    for _ = 1, 3 do
      for i = 0, 99 do
        current_token():run_sync_soon({idempotent = true}, log, i)
      end
    end
    testing.wait_all_tasks_blocked()
    assert.same(upto(0, 99), t)
  end)

  H.trio_it("SYS-05 another function or argument is another call", function()
    local count = 0
    local function f() count = count + 1 end
    local function g() count = count + 1 end
    local once = {idempotent = true}
    local token = current_token()
    for _ = 1, 2 do
      token:run_sync_soon(once, f)
      token:run_sync_soon(once, g)
      token:run_sync_soon(once, f, 1)
      token:run_sync_soon(once, f, "1")
      token:run_sync_soon(once, f, 1, 2)
      token:run_sync_soon(once, f, 2, 1)
    end
    testing.wait_all_tasks_blocked()
    assert.equal(6, count)
  end)

  H.trio_it("SYS-05 idempotent = false is the plain form", function()
    local count = 0
    local function f() count = count + 1 end
    current_token():run_sync_soon({idempotent = false}, f)
    current_token():run_sync_soon({idempotent = false}, f)
    testing.wait_all_tasks_blocked()
    assert.equal(2, count)
  end)

  it("SYS-06 a call that has started may be queued again", function()
    local count = 0
    H.run(function()
      local token = current_token()
      local function redo()
        count = count + 1
        pcall(token.run_sync_soon, token, {idempotent = true}, redo)
      end
      token:run_sync_soon({idempotent = true}, redo)
      for _ = 1, 3 do lowlevel.checkpoint() end
    end)
    assert.is_true(count >= 2)
  end)
end)

describe("a crowded queue", function()
  it("SYS-07 callbacks that queue callbacks do not starve tasks", function()
    local steps, last, ended = 0, nil, nil
    H.run(function()
      local token = current_token()
      local function naughty()
        steps = steps + 1
        local ok, err = pcall(token.run_sync_soon, token, naughty)
        if not ok then last = err end
      end
      token:run_sync_soon(naughty)
      for _ = 1, 20 do lowlevel.checkpoint() end
      ended = true
    end)
    assert.is_true(ended)
    assert.is_true(steps >= 19)
    assert.is_true(trio.isinstance(last, trio.RunFinishedError))
  end)

  it("SYS-07 the chain runs at most once a pass", function()
    local steps = 0
    H.run(function()
      local token = current_token()
      local stop = false
      local function naughty()
        steps = steps + 1
        if not stop then token:run_sync_soon(naughty) end
      end
      token:run_sync_soon(naughty)
      for _ = 1, 100 do lowlevel.checkpoint() end
      stop = true
    end)
    assert.is_true(steps >= 50 and steps <= 110)
  end)
end)

describe("a callback that raises", function()
  it("SYS-08 is a TrioInternalError; later callbacks still run", function()
    for _, E in ipairs{{}, "text", trio.WouldBlock("x")} do
      local second, cancelled
      local err = H.raises_class(trio.TrioInternalError, H.run, function()
        local token = current_token()
        token:run_sync_soon(function() error(E, 0) end)
        token:run_sync_soon(function() second = true end)
        local _, e = pcall(trio.sleep_forever)
        cancelled = H.is_cancelled(e)
        error(e)
      end)
      assert.is_true(second)
      assert.is_true(cancelled)
      assert.equal(1, #err.cause.exceptions)
      H.group_of(err.cause.exceptions[1], E)
    end
  end)

  it("SYS-08 by waiting: the message names what could not wait", function()
    local err = H.raises_class(trio.TrioInternalError, H.run, function()
      current_token():run_sync_soon(function() trio.sleep(1) end)
      trio.sleep_forever()
    end)
    local leaves = {}
    for leaf in err.cause:leaves() do leaves[#leaves + 1] = leaf end
    assert.equal(1, #leaves)
    assert.matches("sleep", leaves[1])
  end)

  -- Callbacks that keep coming until the system nursery has closed; `late`
  -- is called then, with another callback waiting behind it.
  local function until_late(late, follow)
    return function()
      local token = current_token()
      local function probe()
        if pcall(lowlevel.spawn_system_task, function() end) then
          token:run_sync_soon(probe)
          token:run_sync_soon(follow)
        else
          late()
        end
      end
      token:run_sync_soon(probe)
      token:run_sync_soon(follow)
    end
  end

  it("SYS-10 after the system nursery closed", function()
    local E, raised, after = {}, nil, nil
    local err = H.raises_class(trio.TrioInternalError, H.run,
      until_late(function()
        raised = true
        error(E)
      end, function() if raised then after = true end end))
    assert.is_true(raised)
    assert.is_true(after)
    H.group_of(err.cause, E)
  end)

  it("SYS-11 spawn_system_task fails after its nursery closed", function()
    local message, ran
    H.run(until_late(function()
      message = usage("closed", lowlevel.spawn_system_task, function()
        ran = true
      end)
    end, function() end))
    assert.is_string(message)
    assert.is_nil(ran)
  end)
end)

describe("the end of the run", function()
  it("RUN-12 whatever was accepted runs", function()
    local outer, accepted, inner = 0, 0, 0
    H.run(function()
      local token = current_token()
      for _ = 1, 50 do
        token:run_sync_soon(function()
          outer = outer + 1
          if pcall(token.run_sync_soon, token, function()
            inner = inner + 1
          end) then accepted = accepted + 1 end
        end)
      end
    end)
    assert.equal(50, outer)
    assert.equal(accepted, inner)
  end)

  it("a token of a finished run refuses with RunFinishedError", function()
    local token = H.run(current_token)
    local ran
    for _ = 1, 2 do
      H.raises_class(trio.RunFinishedError, token.run_sync_soon, token,
        function() ran = true end)
      H.raises_class(trio.RunFinishedError, token.run_sync_soon, token,
        {idempotent = true}, function() ran = true end)
    end
    H.run(function()
      H.raises_class(trio.RunFinishedError, token.run_sync_soon, token,
        function() ran = true end)
      testing.wait_all_tasks_blocked()
    end)
    assert.is_nil(ran)
  end)

  it("a token of a failed run refuses too", function()
    local token
    pcall(H.run, function()
      token = current_token()
      error("bad")
    end)
    H.raises_class(trio.RunFinishedError, token.run_sync_soon, token, print)
  end)

  it("a token keeps nothing of the run alive", function()
    local weak = setmetatable({}, {__mode = "k"})
    local token = H.run(function()
      local big = {}
      weak[big] = true
      current_token():run_sync_soon(function(x) assert(x == big) end, big)
      return current_token()
    end)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
    assert.is_not_nil(token)
  end)
end)

describe("wrong use of a token", function()
  H.trio_it("is named", function()
    local token = current_token()
    usage("run_sync_soon", function() token:run_sync_soon() end)
    usage("run_sync_soon", function() token:run_sync_soon(5) end)
    usage("run_sync_soon", function() token:run_sync_soon({}) end)
    usage("run_sync_soon", function() token:run_sync_soon({}, nil) end)
    usage("twice", function() token:run_sync_soon({twice = 1}, print) end)
    usage("idempotent", function()
      token:run_sync_soon({idempotent = 1}, print)
    end)
    usage("TrioToken", function() token.run_sync_soon(5, print) end)
    assert.equal(0, lowlevel.current_statistics().run_sync_soon_queue_size)
  end)

  H.trio_it("its fields are read-only, its text says what it is", function()
    local token = current_token()
    usage("field", function() token.colour = 1 end)
    assert.matches("TrioToken", tostring(token))
  end)
end)
