-- SPDX-License-Identifier: MIT
-- wait_all_tasks_blocked, assert_checkpoints, assert_no_checkpoints and
-- trio_test: what tests of other programs stand on.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

-- fn runs its body; the body is wrong when `calls` are made in it.
local function partial(fn, ...)
  local calls = {...}
  fn(function()
    for _, call in ipairs(calls) do call() end
  end)
end

describe("wait_all_tasks_blocked", function()
  H.trio_it("TEST-01 waits until everybody else is blocked", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for _ = 1, 10 do lowlevel.checkpoint() end
        log("busy")
      end)
      for _ = 1, 2 do
        nursery:start_soon(function()
          testing.wait_all_tasks_blocked()
          log("quiet")
        end)
      end
    end)
    assert.same({"busy", "quiet", "quiet"}, t)
    assert.equal(0, trio.current_time())
  end)

  H.trio_it("TEST-01 alone returns in the same moment", function()
    for _ = 1, 10 do testing.wait_all_tasks_blocked() end
    assert.equal(0, select("#", testing.wait_all_tasks_blocked()))
    assert.equal(0, trio.current_time())
  end)

  H.trio_it("TEST-01 waits again for those whom the first one wakes",
    function()
      local t, log = H.trace()
      local event = trio.Event()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          event:wait()
          for _ = 1, 5 do lowlevel.checkpoint() end
          log("worker")
        end)
        testing.wait_all_tasks_blocked()
        event:set()
        testing.wait_all_tasks_blocked()
        log("quiet")
      end)
      assert.same({"worker", "quiet"}, t)
    end)

  local clock = testing.MockClock()
  H.trio_it("TEST-01 sees what a jump of the clock woke", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        log("start")
        trio.sleep(5)
        log("finished")
      end)
      testing.wait_all_tasks_blocked()
      assert.same({"start"}, t)
      clock:jump(10)
      testing.wait_all_tasks_blocked()
      assert.same({"start", "finished"}, t)
    end)
  end, {clock = clock})

  H.trio_it("TEST-02 can be cancelled, before and while it waits", function()
    for _, cushion in ipairs{0, 3600} do
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        testing.wait_all_tasks_blocked(cushion)
      end)
      assert.is_true(scope.cancelled_caught)
    end
    local cancelled
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        local _, err = pcall(testing.wait_all_tasks_blocked, 3600)
        cancelled = H.is_cancelled(err)
        error(err)
      end)
      lowlevel.checkpoint()
      lowlevel.checkpoint()
      nursery.cancel_scope:cancel()
    end)
    assert.is_true(cancelled)
    testing.wait_all_tasks_blocked()
  end)

  it("TEST-03 the shortest cushion first, each wake restarts the rest",
    function()
      local t, log = H.trace()
      H.run(function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            log("blink start")
            for _ = 1, 3 do trio.sleep(0.01) end
            log("blink end")
          end)
          local function wait(name, ...)
            testing.wait_all_tasks_blocked(...)
            log(name)
          end
          nursery:start_soon(wait, "none")
          nursery:start_soon(wait, "small", 0.02)
          nursery:start_soon(wait, "small", 0.02)
          nursery:start_soon(wait, "big", 0.03)
        end)
      end, {real_clock = true})
      assert.same({"blink start", "none", "blink end", "small", "small",
                   "big"}, t)
    end)

  it("TEST-03 the cushion is real time, measured anew after a wake",
    function()
      H.run(function()
        local start, first, second = trio.current_time(), nil, nil
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            testing.wait_all_tasks_blocked(0.02)
            first = trio.current_time() - start
          end)
          nursery:start_soon(function()
            testing.wait_all_tasks_blocked(0.03)
            second = trio.current_time() - start
          end)
        end)
        assert.is_true(first >= 0.02)
        assert.is_true(second >= first + 0.03)
      end, {real_clock = true})
    end)

  H.trio_it("TEST-01 wrong arguments are named", function()
    for _, value in ipairs{"x", {}, true, 0 / 0} do
      usage("wait_all_tasks_blocked", function()
        testing.wait_all_tasks_blocked(value)
      end)
    end
  end)
end)

describe("assert_checkpoints", function()
  local cic, csc = lowlevel.checkpoint_if_cancelled,
    lowlevel.cancel_shielded_checkpoint

  H.trio_it("TEST-04 wants a cancel point and a schedule point", function()
    local fn = testing.assert_checkpoints
    fn(lowlevel.checkpoint)
    partial(fn, lowlevel.checkpoint)
    partial(fn, cic, csc)
    partial(fn, csc, cic)
    usage("checkpoint", partial, fn)
    usage("checkpoint", partial, fn, cic)
    usage("checkpoint", partial, fn, csc)
    usage("checkpoint", partial, fn, csc, csc)
  end)

  H.trio_it("TEST-04 lets errors of the body through", function()
    local E = {}
    for _, call in ipairs{function() end, lowlevel.checkpoint} do
      local ok, err = pcall(testing.assert_checkpoints, function()
        call()
        error(E)
      end)
      assert.is_false(ok)
      assert.equal(E, err)
    end
  end)

  H.trio_it("TEST-04 returns the body's results", function()
    local r = table.pack(testing.assert_checkpoints(function()
      lowlevel.checkpoint()
      return 1, nil, 3, nil
    end))
    assert.equal(4, r.n)
    assert.equal(3, r[3])
  end)

  H.trio_it("TEST-04 counts this task's points only", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for _ = 1, 5 do lowlevel.checkpoint() end
      end)
      usage("checkpoint", partial, testing.assert_checkpoints, csc)
    end)
  end)

  H.trio_it("TEST-04 a point before the body does not count", function()
    lowlevel.checkpoint()
    usage("checkpoint", partial, testing.assert_checkpoints)
    testing.assert_checkpoints(lowlevel.checkpoint)
    usage("checkpoint", partial, testing.assert_checkpoints)
  end)

  H.trio_it("TEST-04 nests", function()
    testing.assert_checkpoints(function()
      testing.assert_checkpoints(lowlevel.checkpoint)
      testing.assert_no_checkpoints(function() end)
    end)
  end)

  it("TEST-04 wrong use is named", function()
    usage("assert_checkpoints", function()
      testing.assert_checkpoints(function() end)
    end)
    H.run(function()
      usage("assert_checkpoints", function()
        testing.assert_checkpoints()
      end)
      usage("assert_no_checkpoints", function()
        testing.assert_no_checkpoints(5)
      end)
    end)
  end)

  H.trio_it("TEST-05 assert_no_checkpoints wants neither", function()
    local fn = testing.assert_no_checkpoints
    partial(fn)
    local name = "checkpoint"
    usage(name, partial, fn, cic)
    usage(name, partial, fn, csc)
    usage(name, partial, fn, lowlevel.checkpoint)
    usage(name, partial, fn, cic, csc)
  end)

  H.trio_it("TEST-05 complains also when the body raises", function()
    local E = {}
    local ok, err = pcall(testing.assert_no_checkpoints, function()
      error(E)
    end)
    assert.is_false(ok)
    assert.equal(E, err)
    usage("checkpoint", testing.assert_no_checkpoints, function()
      lowlevel.checkpoint()
      error(E)
    end)
  end)

  H.trio_it("TEST-05 returns the body's results", function()
    local r = table.pack(testing.assert_no_checkpoints(function()
      return nil, 2, nil
    end))
    assert.equal(3, r.n)
    assert.equal(2, r[2])
  end)
end)

describe("trio_test", function()
  it("TEST-09 gives a function that runs fn in a run", function()
    local inside
    local test = testing.trio_test(function()
      lowlevel.checkpoint()
      inside = lowlevel.in_trio_task()
    end)
    assert.is_false(lowlevel.in_trio_run())
    test()
    assert.is_true(inside)
    inside = nil
    test()
    assert.is_true(inside)
  end)

  it("TEST-09 passes arguments on, errors come out", function()
    local E, got = {}, nil
    testing.trio_test(function(...) got = table.pack(...) end)(1, nil, "x",
      nil)
    assert.equal(4, got.n)
    assert.equal("x", got[3])
    local ok, err = pcall(testing.trio_test(function() error(E) end))
    assert.is_false(ok)
    assert.equal(E, err)
  end)

  it("TEST-09 a clock among the arguments is the run's clock", function()
    local clock = testing.MockClock{autojump_threshold = 0}
    testing.trio_test(function(a, b)
      assert.equal("a", a)
      assert.equal(clock, b)
      assert.equal(clock, lowlevel.current_clock())
      trio.sleep(1000)
    end)("a", clock)
    assert.equal(1000, clock:current_time())
  end)

  it("TEST-09 an instrument among the arguments is installed", function()
    local count = 0
    local instrument = {before_run = function() count = count + 1 end}
    testing.trio_test(function(i)
      assert.equal(instrument, i)
    end)(instrument)
    assert.equal(1, count)
  end)

  it("TEST-09 two clocks are an error", function()
    local ran
    local test = testing.trio_test(function() ran = true end)
    usage("clock", test, testing.MockClock(), testing.MockClock())
    assert.is_nil(ran)
  end)

  it("TEST-09 wrong use is named", function()
    usage("trio_test", function() testing.trio_test() end)
    usage("trio_test", function() testing.trio_test(5) end)
  end)
end)
