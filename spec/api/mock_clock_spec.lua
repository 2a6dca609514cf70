-- SPDX-License-Identifier: MIT
-- MockClock: time that stands still, runs at a rate, or jumps when all sleep.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing
local MockClock = testing.MockClock

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

-- A watch that shows real seconds.
local function stopwatch()
  return MockClock({rate = 1})
end

-- Lets real time pass until the clock shows more than it did.
local function until_moved(clock)
  local before = clock:current_time()
  while clock:current_time() == before do end
end

describe("a MockClock by itself", function()
  it("CLOCK-01 starts at 0 and stands still", function()
    local clock = MockClock()
    assert.equal(0, clock.rate)
    assert.equal(math.huge, clock.autojump_threshold)
    assert.equal(0, clock:current_time())
    until_moved(stopwatch())
    assert.equal(0, clock:current_time())
    clock:start_clock()
    assert.equal(0, clock:current_time())
  end)

  it("CLOCK-01 jumps forward, never back", function()
    local clock = MockClock()
    clock:jump(1.2)
    assert.equal(1.2, clock:current_time())
    clock:jump(0)
    for _, wrong in ipairs{-1, 0 / 0, "x", {}, true} do
      usage("jump", function() clock:jump(wrong) end)
    end
    usage("jump", function() clock:jump() end)
    assert.equal(1.2, clock:current_time())
  end)

  it("CLOCK-02 sleep times without a rate", function()
    local clock = MockClock()
    clock:jump(1.2)
    assert.equal(0, clock:deadline_to_sleep_time(1.1))
    assert.equal(0, clock:deadline_to_sleep_time(1.2))
    assert.is_true(clock:deadline_to_sleep_time(1.3) > 999999)
    assert.is_true(clock:deadline_to_sleep_time(math.huge) > 999999)
    assert.equal(0, clock:deadline_to_sleep_time(-math.huge))
  end)

  it("CLOCK-02 a rate makes it run so much faster", function()
    for _, rate in ipairs{0.5, 2, 100} do
      local real, clock = MockClock({rate = 1}), MockClock({rate = rate})
      -- Read the real one outside first, then inside.
      local r1, c1 = real:current_time(), clock:current_time()
      local r2 = real:current_time()
      for _ = 1, 100 do until_moved(real) end
      local r3, c2 = real:current_time(), clock:current_time()
      local r4 = real:current_time()
      local slack = 1e-9 * rate
      assert.is_true(c2 - c1 <= rate * (r4 - r1) + slack)
      assert.is_true(c2 - c1 >= rate * (r3 - r2) - slack)
      assert.is_true(c2 > c1)
    end
  end)

  it("CLOCK-02 sleep times with a rate", function()
    for _, rate in ipairs{0.5, 2, 100} do
      local clock = MockClock({rate = rate})
      local before = clock:current_time()
      local deadline = before + 1000
      local seconds = clock:deadline_to_sleep_time(deadline)
      local after = clock:current_time()
      assert.is_true(seconds <= (deadline - before) / rate + 1e-9)
      assert.is_true(seconds >= (deadline - after) / rate - 1e-9)
      assert.equal(0, clock:deadline_to_sleep_time(before))
      assert.equal(0, clock:deadline_to_sleep_time(-5))
    end
  end)

  it("CLOCK-03 changing the rate never makes time jump", function()
    local clock = MockClock()
    clock:jump(1.2)
    clock.rate = 1000
    until_moved(clock)
    local before = clock:current_time()
    clock.rate = 0
    local stopped = clock:current_time()
    assert.is_true(stopped >= before and stopped < before + 3600)
    until_moved(stopwatch())
    assert.equal(stopped, clock:current_time())
    clock.rate = 0.001
    local slow = clock:current_time()
    assert.is_true(slow >= stopped and slow < stopped + 1)
  end)

  it("CLOCK-03 refuses a wrong rate or threshold", function()
    local clock = MockClock()
    for _, wrong in ipairs{-1, 0 / 0, "x", {}, true} do
      usage("rate", function() clock.rate = wrong end)
      usage("rate", function() MockClock({rate = wrong}) end)
    end
    assert.equal(0, clock.rate)
    for _, wrong in ipairs{0 / 0, "x", {}, true} do
      usage("autojump_threshold", function()
        clock.autojump_threshold = wrong
      end)
      usage("autojump_threshold", function()
        MockClock({autojump_threshold = wrong})
      end)
    end
    assert.equal(math.huge, clock.autojump_threshold)
    usage("colour", function() MockClock({colour = 1}) end)
    usage("colour", function() clock.colour = 1 end)
    usage("MockClock", function() MockClock(5) end)
  end)

  it("CLOCK-01 its text shows what it is", function()
    assert.matches("MockClock", tostring(MockClock()))
  end)
end)

describe("autojump", function()
  it("CLOCK-04 skips every sleep exactly, in no real time", function()
    local watch = stopwatch()
    H.run(function()
      for i = 0, 9 do
        local before = trio.current_time()
        trio.sleep(10 * i)
        assert.equal(before + 10 * i, trio.current_time())
      end
      assert.equal(450, trio.current_time())
    end)
    assert.is_true(watch:current_time() < 1)
  end)

  H.trio_it("CLOCK-04 wakes at the exact deadline, never past it", function()
    for _, seconds in ipairs{0.1, 0.2, 0.3, 1 / 3, 1e-9, 1e9} do
      local deadline = trio.current_time() + seconds
      trio.sleep_until(deadline)
      assert.equal(deadline, trio.current_time())
    end
  end)

  H.trio_it("CLOCK-05 wait_all_tasks_blocked comes first", function()
    local t, log = H.trace()
    local function note(name)
      log(name .. " at " .. math.tointeger(trio.current_time()))
    end
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(100)
        note("sleeper")
      end)
      nursery:start_soon(function()
        testing.wait_all_tasks_blocked()
        note("waiter")
        trio.sleep(1000)
        note("waiter")
      end)
    end)
    assert.same({"waiter at 0", "sleeper at 100", "waiter at 1000"}, t)
  end)

  H.trio_it("CLOCK-06 a cushion is waited for before a jump", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(100)
        log("sleeper")
      end)
      nursery:start_soon(function()
        testing.wait_all_tasks_blocked(0.05)
        assert.equal(0, trio.current_time())
        log("waiter")
      end)
    end)
    assert.same({"waiter", "sleeper"}, t)
  end)

  it("CLOCK-07 a threshold lets shorter cushions pass first", function()
    local clock = MockClock({autojump_threshold = 0.02})
    H.run(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 100)
        testing.wait_all_tasks_blocked()
        assert.equal(0, trio.current_time())
        testing.wait_all_tasks_blocked(0.01)
        assert.equal(0, trio.current_time())
      end)
      assert.equal(100, trio.current_time())
    end, {clock = clock})
  end)

  it("CLOCK-07 the threshold is real idle time", function()
    local clock = MockClock({autojump_threshold = 0.02})
    local watch = stopwatch()
    H.run(function() trio.sleep(100) end, {clock = clock})
    assert.is_true(watch:current_time() >= 0.02)
    assert.is_true(watch:current_time() < 5)
  end)

  it("CLOCK-08 a new threshold counts at once", function()
    local clock = MockClock({autojump_threshold = 10000})
    local watch = stopwatch()
    H.run(function()
      testing.wait_all_tasks_blocked()
      clock.autojump_threshold = 0
      trio.sleep(100000)
      assert.equal(100000, trio.current_time())
    end, {clock = clock})
    assert.is_true(watch:current_time() < 5)
  end)

  it("CLOCK-08 a new threshold counts for those asleep already", function()
    local clock = MockClock()
    local watch = stopwatch()
    H.run(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 100000)
        testing.wait_all_tasks_blocked()
        clock.autojump_threshold = 0
      end)
      assert.equal(100000, trio.current_time())
    end, {clock = clock})
    assert.is_true(watch:current_time() < 5)
  end)

  it("CLOCK-09 the threshold of another clock has no effect", function()
    local clock = MockClock({autojump_threshold = 0.02})
    H.run(function()
      local other = MockClock()
      other.autojump_threshold = 0.01
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 100000)
        testing.wait_all_tasks_blocked(0.015)
        assert.equal(0, trio.current_time())
      end)
      assert.equal(100000, trio.current_time())
      assert.equal(0, other:current_time())
    end, {clock = clock})
  end)

  it("CLOCK-10 a threshold changed before the run", function()
    local clock = MockClock({autojump_threshold = 10})
    clock.autojump_threshold = 0.01
    local watch = stopwatch()
    trio.run({clock = clock}, trio.sleep, 10000)
    assert.equal(10000, clock:current_time())
    assert.is_true(watch:current_time() < 5)
  end)

  local plain = MockClock()
  H.trio_it("CLOCK-11 making a clock does nothing to the run", function()
    MockClock({autojump_threshold = 0, rate = 3})
    assert.equal(plain, lowlevel.current_clock())
    assert.equal(math.huge, plain.autojump_threshold)
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(5)
        log("woke")
      end)
      testing.wait_all_tasks_blocked(0.01)
      assert.same({}, t)
      assert.equal(0, trio.current_time())
      plain:jump(5)
    end)
    assert.same({"woke"}, t)
  end, {clock = plain})

  local jumped = MockClock()
  H.trio_it("CLOCK-12 jump itself runs nothing", function()
    local t, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(5)
        log("woke")
      end)
      testing.wait_all_tasks_blocked()
      jumped:jump(10)
      assert.same({}, t)
      testing.wait_all_tasks_blocked()
      assert.same({"woke"}, t)
    end)
    assert.equal(10, trio.current_time())
  end, {clock = jumped})

  it("CLOCK-13 nothing to jump to: the time stays", function()
    local clock = MockClock({autojump_threshold = 0})
    H.raises_class(trio.DeadlockError, H.run, trio.sleep_forever,
      {clock = clock, on_deadlock = "raise"})
    assert.equal(0, clock:current_time())
  end)

  H.trio_it("CLOCK-14 no jump in the pass in which a deadline fired",
    function()
      -- The first deadline wakes nobody; a jump in the same pass would be
      -- seen by the abort callback's successor.
      local t, log = H.trace()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local task = lowlevel.current_task()
          trio.move_on_at(5, function()
            lowlevel.wait_task_rescheduled(function(raise_cancel)
              log(trio.current_time())
              lowlevel.current_trio_token():run_sync_soon(
                lowlevel.reschedule, task, pcall(raise_cancel))
              return lowlevel.Abort.FAILED
            end)
          end)
          log(trio.current_time())
        end)
        nursery:start_soon(function()
          trio.sleep_until(7)
          log(trio.current_time())
        end)
      end)
      assert.same({5, 5, 7}, t)
    end)

  it("CLOCK-15 a rate makes real waits shorter", function()
    local clock, watch = MockClock({rate = 100}), stopwatch()
    H.run(function()
      local before = trio.current_time()
      trio.sleep(5)
      assert.is_true(trio.current_time() >= before + 5)
    end, {clock = clock})
    assert.is_true(watch:current_time() >= 0.05)
    assert.is_true(watch:current_time() < 3)
  end)

  it("CLOCK-15 a rate raised while a task sleeps", function()
    local clock, watch = MockClock({rate = 1}), stopwatch()
    H.run(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 1000)
        testing.wait_all_tasks_blocked()
        clock.rate = 1e6
      end)
    end, {clock = clock})
    assert.is_true(watch:current_time() < 5)
  end)
end)
