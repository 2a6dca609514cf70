-- SPDX-License-Identifier: MIT
-- trio_test: a run for a test function, with the clock and the instruments
-- among its arguments.
local H = require "spec.support.helper"
local trio = require "trio"
local trio_test = trio.testing.trio_test
local MockClock = trio.testing.MockClock

describe("trio_test", function()
  it("runs the function in a run of its own", function()
    local test = trio_test(function(...)
      assert.is_true(trio.lowlevel.in_trio_task())
      trio.lowlevel.checkpoint()
      return select("#", ...), ...
    end)
    assert.is_false(trio.lowlevel.in_trio_run())
    assert.same({3, 1, nil, "x", n = 4}, table.pack(test(1, nil, "x")))
    assert.same({0, n = 1}, table.pack(test()))
  end)

  it("raises what the function raises", function()
    local value = {}
    local ok, err = pcall(trio_test(function() error(value) end))
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end)

  it("uses the clock among the arguments", function()
    local clock = MockClock({autojump_threshold = 0})
    local now = trio_test(function(x, given)
      assert.equal("x", x)
      assert.equal(clock, given)
      assert.equal(clock, trio.lowlevel.current_clock())
      trio.sleep(100)
      return trio.current_time()
    end)("x", clock)
    assert.equal(100, now)
  end)

  it("uses a clock written in Lua", function()
    local clock = {
      start_clock = function() end,
      current_time = function() return 42 end,
      deadline_to_sleep_time = function() return 0 end,
    }
    assert.equal(42, trio_test(function() return trio.current_time() end)(
      clock))
  end)

  it("TEST-09 refuses two clocks", function()
    local called = false
    local test = trio_test(function() called = true end)
    H.raises("^[^:]*trio_test_spec%.lua:%d+: bad argument #3 to 'trio_test' "
      .. "%(there is another clock among the arguments%)$",
      function() test(MockClock(), "x", MockClock()) end)
    assert.is_false(called)
  end)

  it("TEST-09 refuses the same clock twice", function()
    local clock = MockClock()
    H.raises("another clock", trio_test(function() end), clock, clock)
  end)

  it("installs every instrument among the arguments", function()
    local seen, log = H.trace()
    local early = {before_run = function() log("before") end}
    local late = setmetatable({}, {__index = {
      after_run = function() log("after") end,
    }})
    trio_test(function() log("run") end)(early, {"no instrument"}, late)
    assert.same({"before", "run", "after"}, seen)
  end)

  it("looks at objects that refuse to be indexed", function()
    local strict = setmetatable({}, {
      __index = function(_, key) error("no field " .. key) end,
    })
    assert.equal(strict, trio_test(function(x) return x end)(strict))
  end)

  it("names a bad argument", function()
    H.raises("^[^:]*trio_test_spec%.lua:%d+: bad argument #1 to 'trio_test' "
      .. "%(function expected, got nil%)$", function()
        local test = trio_test()
        return test
      end)
    H.raises("function expected, got table", function()
      local test = trio_test({})
      return test
    end)
  end)

  H.trio_it("can't be used inside of a run", function()
    H.raises("trio%.run can't be called from inside a trio%.run",
      trio_test(function() end))
  end)
end)
