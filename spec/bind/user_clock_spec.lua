-- SPDX-License-Identifier: MIT
-- A clock that the program brings itself: a table with three methods.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

-- Virtual time that moves to the next deadline whenever the run would wait.
local function table_clock(start)
  local clock = {now = start or 0, started = 0, asked = {}}
  function clock.start_clock(self)
    assert(rawequal(self, clock))
    self.started = self.started + 1
  end
  function clock.current_time(self)
    assert(rawequal(self, clock))
    return self.now
  end
  function clock.deadline_to_sleep_time(self, deadline)
    assert(rawequal(self, clock))
    self.asked[#self.asked + 1] = deadline
    if deadline < math.huge then self.now = math.max(self.now, deadline) end
    return 0
  end
  return clock
end

describe("a clock made of a plain table", function()
  it("is started once, and asked for the time", function()
    local clock = table_clock(100)
    trio.run({clock = clock}, function()
      assert.equal(1, clock.started)
      assert.equal(clock, lowlevel.current_clock())
      assert.equal(100, trio.current_time())
      clock.now = 101.5
      assert.equal(101.5, trio.current_time())
    end)
    assert.equal(1, clock.started)
  end)

  it("decides how long the run waits for a deadline", function()
    local clock = table_clock(100)
    trio.run({clock = clock}, function()
      trio.sleep(50)
      assert.equal(150, trio.current_time())
      local scope = trio.move_on_after(25, trio.sleep_forever)
      assert.is_true(scope.cancelled_caught)
      assert.equal(175, trio.current_time())
    end)
    local asked = {}
    for _, deadline in ipairs(clock.asked) do asked[deadline] = true end
    assert.is_true(asked[150])
    assert.is_true(asked[175])
  end)

  it("may give its methods through a metatable", function()
    local class = {__index = table_clock(7)}
    class.__index.start_clock = function() end
    class.__index.current_time = function(self) return self.t end
    class.__index.deadline_to_sleep_time = function(self, deadline)
      self.t = math.max(self.t, deadline)
      return 0
    end
    local clock = setmetatable({t = 7}, class)
    trio.run({clock = clock}, trio.sleep, 3)
    assert.equal(10, clock.t)
  end)

  it("may let real time pass", function()
    local watch = testing.MockClock({rate = 1})
    local clock = {
      start_clock = function() end,
      current_time = function() return watch:current_time() * 10 end,
      deadline_to_sleep_time = function(_, deadline)
        return (deadline - watch:current_time() * 10) / 10
      end,
    }
    local before = watch:current_time()
    trio.run({clock = clock}, trio.sleep, 0.2)
    assert.is_true(watch:current_time() - before >= 0.02)
  end)

  it("may be changed by another task while one sleeps", function()
    local clock = table_clock(0)
    trio.run({clock = clock}, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.sleep(1000)
          assert.is_true(trio.current_time() >= 1000)
        end)
        lowlevel.checkpoint()
        clock.now = 2000
      end)
    end)
    assert.is_true(clock.now >= 1000)
  end)
end)

describe("a clock whose method fails", function()
  local function fresh(name, fn)
    local clock = table_clock(0)
    clock[name] = fn
    return clock
  end

  -- The run ends with a TrioInternalError; a new run works afterwards.
  local function internal(clock, main)
    local err = H.raises_class(trio.TrioInternalError, trio.run,
      {clock = clock}, main)
    assert.is_false(lowlevel.in_trio_run())
    assert.equal(1, H.run(function() return 1 end))
    return err
  end

  it("RUN-24 start_clock raises", function()
    for _, E in ipairs{{}, "text", false} do
      local ran
      local err = internal(fresh("start_clock", function() error(E, 0) end),
        function() ran = true end)
      assert.equal(E, err.cause)
      assert.is_nil(ran)
    end
  end)

  it("current_time raises in the task that asks", function()
    local E, armed = {}, false
    local clock = fresh("current_time", function(self)
      if armed then error(E) end
      return self.now
    end)
    trio.run({clock = clock}, function()
      armed = true
      local ok, err = pcall(trio.current_time)
      armed = false
      assert.is_false(ok)
      assert.equal(E, err)
      lowlevel.checkpoint()
    end)
  end)

  it("current_time raises in the scheduler", function()
    local E, armed = {}, false
    local clock = fresh("current_time", function(self)
      if armed then error(E) end
      return self.now
    end)
    local err = internal(clock, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 5)
        lowlevel.checkpoint()
        lowlevel.checkpoint()
        armed = true
        trio.sleep_forever()
      end)
    end)
    assert.equal(E, err.cause)
  end)

  it("deadline_to_sleep_time raises", function()
    local E = {}
    local clock = fresh("deadline_to_sleep_time", function() error(E) end)
    assert.equal(E, internal(clock, function() trio.sleep(5) end).cause)
  end)

  it("a method that gives no number", function()
    for _, garbage in ipairs{false, "soon", {}, 0 / 0} do
      internal(fresh("deadline_to_sleep_time",
        function() return garbage end), function() trio.sleep(5) end)
    end
    internal(fresh("deadline_to_sleep_time", function() end),
      function() trio.sleep(5) end)
  end)

  it("current_time that gives no number", function()
    for _, garbage in ipairs{false, "soon", {}, 0 / 0} do
      local clock = fresh("current_time", function() return garbage end)
      local ok = pcall(trio.run, {clock = clock}, function()
        trio.sleep(5)
      end)
      assert.is_false(ok)
      assert.is_false(lowlevel.in_trio_run())
    end
    assert.equal(1, H.run(function() return 1 end))
  end)

  it("a method that tries to wait", function()
    local clock = fresh("deadline_to_sleep_time", function()
      trio.sleep(1)
    end)
    local err = internal(clock, function() trio.sleep(5) end)
    assert.matches("sleep", tostring(err.cause))
  end)
end)
