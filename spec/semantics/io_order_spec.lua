-- SPDX-License-Identifier: MIT
-- io_order_spec.lua: in which order a pass looks at I/O, deadlines and tasks.
local trio = require "trio"
local H = require "spec.support.helper"
local trio_it = H.trio_it
local S, lowlevel = trio.socket, trio.lowlevel

local function with_pair(fn)
  local a, b = S.socketpair()
  fn(a, b)
  a:close()
  b:close()
end

describe("a busy task", function()
  trio_it("RUN-15 does not keep I/O from others", function()
    with_pair(function(a, b)
      local turns, woken_at = 0, nil
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          lowlevel.wait_readable(b:fileno())
          woken_at = turns
        end)
        trio.testing.wait_all_tasks_blocked()
        nursery:start_soon(function()
          while not woken_at and turns < 100000 do
            turns = turns + 1
            lowlevel.checkpoint()
          end
        end)
        lowlevel.checkpoint()
        a:send("x")
      end)
      assert.is_number(woken_at)
      assert.is_true(woken_at < 1000, woken_at)
    end)
  end, {real_clock = true})

  -- After `quick` turns that take no time, data comes; then each turn takes 9
  -- milliseconds. Returns in which of these the data was seen.
  local function turns_until_woken(quick)
    local slow, woken_at = 0, nil
    with_pair(function(a, b)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          lowlevel.wait_readable(b:fileno())
          woken_at = slow
        end)
        trio.testing.wait_all_tasks_blocked()
        for _ = 1, quick do lowlevel.checkpoint() end
        a:send("x")
        while not woken_at and slow < 64 do
          slow = slow + 1
          local stop = trio.current_time() + 0.009
          while trio.current_time() < stop do end
          lowlevel.checkpoint()
        end
      end)
    end)
    return woken_at
  end

  trio_it("RUN-15 does not keep it long where its steps are long", function()
    assert.is_true(turns_until_woken(0) <= 10)
    for quick = 25, 55, 10 do
      local woken_at = turns_until_woken(quick)
      assert.is_true(woken_at <= 10, woken_at)
    end
  end, {real_clock = true})
end)

describe("I/O and a deadline of the same pass", function()
  -- Between the arrival and the jump no pass may look at either, so there is
  -- no checkpoint there: the end of the stream arrives, not data.
  local function race(wait)
    local clock = trio.testing.MockClock()
    local seen, scope
    trio.run({clock = clock}, with_pair, function(a, b)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          scope = trio.move_on_after(1, function()
            wait(b)
            seen = trio.current_effective_deadline()
            lowlevel.checkpoint()
            seen = "not cancelled"
          end)
        end)
        trio.testing.wait_all_tasks_blocked()
        a:shutdown(S.SHUT_WR)
        clock:jump(2)
      end)
    end)
    assert.equal(-math.huge, seen)
    assert.is_true(scope.cancelled_caught)
  end

  it("CANCEL-46 I/O is first for wait_readable", function()
    race(function(b) lowlevel.wait_readable(b:fileno()) end)
  end)

  it("CANCEL-46 I/O is first for recv", function()
    race(function(b) assert.is_nil(b:recv(10)) end)
  end)
end)

describe("the clock's jump", function()
  trio_it("CLOCK-14 waits while I/O comes in", function()
    with_pair(function(a, b)
      local at
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          assert.equal("x", b:recv(1))
          at = trio.current_time()
        end)
        nursery:start_soon(trio.sleep, 100)
        trio.testing.wait_all_tasks_blocked()
        a:send("x")
      end)
      assert.equal(0, at)
    end)
  end)
end)
