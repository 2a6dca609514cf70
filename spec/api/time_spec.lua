-- SPDX-License-Identifier: MIT
-- sleep, sleep_until, sleep_forever, current_time and the effective deadline.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local testing = trio.testing

local now = trio.current_time
local NAN = 0 / 0

describe("sleep", function()
  H.trio_it("TIME-01 sleep(0) is a checkpoint, and a cancel point", function()
    testing.assert_checkpoints(function() trio.sleep(0) end)
    local scope = trio.move_on_at(now(), function()
      H.raises_class(trio.Cancelled, trio.sleep, 0)
    end)
    assert.is_true(scope.cancel_called)
    assert.equal(0, now())
  end)

  H.trio_it("TIME-01 sleep(0) lets the other tasks run", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      for _, name in ipairs({"a", "b"}) do
        nursery:start_soon(function()
          for i = 1, 3 do
            log(i)
            trio.sleep(0)
          end
          log(name)
        end)
      end
    end)
    assert.same({1, 1, 2, 2, 3, 3}, {table.unpack(trace, 1, 6)})
  end)

  H.trio_it("TIME-02 negative and NaN durations are refused", function()
    local sleep = "bad argument #1 to '[%w.]*sleep'"
    H.raises(sleep .. ".*negative", function() trio.sleep(-1) end)
    H.raises(sleep .. ".*NaN", function() trio.sleep(NAN) end)
    H.raises("bad argument #1 to '[%w.]*sleep_until'.*NaN", function()
      trio.sleep_until(NAN)
    end)
    assert.equal(0, now())
  end)

  H.trio_it("TIME-02 sleep_until a negative time is a checkpoint that returns",
    function()
      testing.assert_checkpoints(function() trio.sleep_until(-1) end)
      assert.equal(0, now())
    end)

  H.trio_it("a time that is no number is a bad argument", function()
    for _, name in ipairs({"sleep", "sleep_until"}) do
      local f = trio[name]
      local pattern = "bad argument #1 to '[%w.]*" .. name .. "'"
      H.raises(pattern, f)
      H.raises(pattern, f, "soon")
      H.raises(pattern, f, {})
    end
  end)

  H.trio_it("TIME-03 five sleepers wake at their times, in order", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      for _, seconds in ipairs({3, 1, 2, 0, 5}) do
        nursery:start_soon(function()
          trio.sleep(seconds)
          log({seconds, now()})
        end)
      end
    end)
    assert.same({{0, 0}, {1, 1}, {2, 2}, {3, 3}, {5, 5}}, trace)
  end)

  H.trio_it("gives back no values", function()
    assert.equal(0, select("#", trio.sleep(1)))
    assert.equal(0, select("#", trio.sleep(0)))
    assert.equal(0, select("#", trio.sleep_until(5)))
    assert.equal(5, now())
  end)

  H.trio_it("adds up fractions without waking early", function()
    for i = 1, 10 do
      trio.sleep(0.25)
      assert.equal(i * 0.25, now())
    end
  end)

  H.trio_it("TIME-14 is cut at once in a cancelled scope", function()
    local inner
    local outer = trio.CancelScope()
    outer:run(function()
      outer:cancel()
      H.raises_class(trio.Cancelled, trio.sleep, 50)
      H.raises_class(trio.Cancelled, trio.sleep_until, 50)
      trio.CancelScope():run(function(scope)
        inner = scope
        trio.sleep_until(-1)
        error("not reached")
      end)
      error("not reached")
    end)
    assert.is_true(outer.cancelled_caught)
    assert.is_false(inner.cancelled_caught)
    assert.equal(0, now())
  end)

  H.trio_it("TIME-15 sleep(inf) waits for the cancellation, without a timer",
    function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, math.huge)
        nursery:start_soon(trio.sleep_until, math.huge)
        testing.wait_all_tasks_blocked()
        local stats = lowlevel.current_statistics()
        assert.equal(math.huge, stats.seconds_to_next_deadline)
        assert.equal(2, #nursery.child_tasks)
        nursery.cancel_scope:cancel()
      end)
      assert.equal(0, now())
    end)

  it("raises outside a task", function()
    for _, name in ipairs({
      "sleep", "sleep_until", "sleep_forever", "current_time",
      "current_effective_deadline",
    }) do
      assert.is_string(H.raises(name, trio[name], 1))
    end
  end)
end)

describe("sleep_forever", function()
  H.trio_it("TIME-04 raises where somebody reschedules the task", function()
    local task = lowlevel.current_task()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        lowlevel.checkpoint()
        lowlevel.reschedule(task, true)
      end)
      local message = H.raises("sleep_forever", function()
        trio.sleep_forever()
      end)
      assert.is_string(message)
    end)
  end)

  H.trio_it("TIME-04 raises the error it is rescheduled with", function()
    local task = lowlevel.current_task()
    local V = trio.Error("V")
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        lowlevel.checkpoint()
        lowlevel.reschedule(task, false, V)
      end)
      local ok, err = pcall(trio.sleep_forever)
      assert.is_false(ok)
      assert.equal(V, err)
    end)
  end)
end)

describe("current_effective_deadline", function()
  H.trio_it("CANCEL-54 is the earliest one up to the nearest shield",
    function()
      local trace, log = H.trace()
      local function note()
        log(trio.current_effective_deadline())
      end
      note()
      local outer = trio.CancelScope({deadline = 5})
      outer:run(function()
        note()
        trio.CancelScope({deadline = 10}):run(function(inner)
          note()
          inner.deadline = 3
          note()
          inner.deadline = 10
          note()
          inner.shield = true
          note()
          inner.shield = false
          note()
          outer:cancel()
          note()
          inner.shield = true
          note()
        end)
        note()
      end)
      note()
      local inf = math.huge
      assert.same({inf, 5, 5, 3, 5, 10, 5, -inf, 10, -inf, inf}, trace)
    end)

  H.trio_it("CANCEL-55 a child sees the scopes around its nursery only",
    function()
      local child
      trio.CancelScope({deadline = 7}):run(function()
        trio.open_nursery(function(nursery)
          trio.CancelScope({deadline = 3}):run(function()
            nursery:start_soon(function()
              child = trio.current_effective_deadline()
            end)
            assert.equal(3, trio.current_effective_deadline())
          end)
        end)
      end)
      assert.equal(7, child)
    end)
end)

describe("the real clock", function()
  -- Seconds since boot, from a clock that is none of ours.
  local function uptime()
    local file <close> = assert(io.open("/proc/uptime"))
    return file:read("n")
  end

  H.trio_it("TIME-17 a deadline is never early, and not much late", function()
    local start, boot = now(), uptime()
    local scope = trio.CancelScope()
    scope:run(function()
      scope.deadline = now() + 0.2
      trio.sleep_forever()
    end)
    local elapsed = now() - start
    assert.is_true(scope.cancelled_caught)
    assert.is_true(elapsed >= 0.2, "early: " .. elapsed)
    assert.is_true(elapsed < 1.2, "late: " .. elapsed)
    -- /proc/uptime counts in hundredths.
    assert.is_true(uptime() - boot >= 0.18)
  end, {real_clock = true})

  H.trio_it("moves on by itself", function()
    local start = now()
    trio.sleep(0.01)
    assert.is_true(now() >= start + 0.01)
  end, {real_clock = true})
end)
