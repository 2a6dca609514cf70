-- SPDX-License-Identifier: MIT
-- trio.run called wrongly: every mistake gets a message that names the
-- function and the argument or option, and leaves no run behind.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

local function nothing() end

-- call must raise a string that contains each of the plain texts.
local function usage(call, ...)
  local err = H.raises(".", call)
  assert.is_string(err)
  assert.matches("^[^\n]*_spec%.lua:%d+: ", err)
  for _, text in ipairs{...} do
    assert(err:find(text, 1, true), ("no %q in: %s"):format(text, err))
  end
  assert.is_false(lowlevel.in_trio_run())
  return err
end

describe("main", function()
  it("RUN-03 missing", function()
    usage(function() trio.run() end, "#1", "run", "function")
    usage(function() trio.run({}) end, "#2", "run", "function")
    usage(function() trio.run({seed = 1}) end, "#2", "run", "function")
  end)

  it("RUN-03 not a function", function()
    for _, value in ipairs{false, true, 0, "main", coroutine.create(nothing),
                           io.stdout, setmetatable({}, {})} do
      usage(function() trio.run(value) end, "#1", "run", "function")
      usage(function() trio.run({}, value) end, "#2", "run", "function")
    end
    usage(function() trio.run(nil, nothing) end, "#1", "run", "function")
    usage(function() trio.run(nil) end, "#1", "run", "function")
    usage(function() trio.run({}, nil) end, "#2", "run", "function")
  end)

  it("RUN-03 options after main are main's own arguments", function()
    local opts = {nope = 1}
    assert.equal(opts, trio.run(function(x) return x end, opts))
  end)

  it("RUN-03 a correct run works after a refused one", function()
    usage(function() trio.run(17) end, "run")
    assert.equal(8, trio.run(function(x) return x end, 8))
    assert.equal(9, trio.run({}, function(x) return x end, 9))
  end)
end)

describe("options", function()
  it("RUN-03 an unknown one is named", function()
    usage(function() trio.run({colour = 1}, nothing) end, "run", "colour")
    usage(function() trio.run({Clock = 1}, nothing) end, "run", "Clock")
    usage(function() trio.run({[1] = 1}, nothing) end, "run", "1")
    usage(function() trio.run({[true] = 1}, nothing) end, "run")
  end)

  local wrong = {
    clock = {5, "clock", true, nothing, {}, io.stdout},
    instruments = {5, "x", true, nothing, {5}, {nothing}, {{}, "x"}},
    strict_exception_groups = {1, "false", {}},
    restrict_keyboard_interrupt_to_checkpoints = {1, "true", {}},
    seed = {1.5, "x", true, {}, math.huge, 0 / 0},
    on_deadlock = {true, 1, "panic", "", {}},
  }
  for option, values in pairs(wrong) do
    it("RUN-03 a wrong " .. option .. " is named", function()
      for _, value in ipairs(values) do
        local ran
        usage(function()
          trio.run({[option] = value}, function() ran = true end)
        end, option)
        assert.is_nil(ran)
      end
    end)
  end

  it("RUN-03 a clock that lacks a method: the method is named", function()
    for _, missing in ipairs{"start_clock", "current_time",
                             "deadline_to_sleep_time"} do
      local clock = {
        start_clock = nothing,
        current_time = function() return 0 end,
        deadline_to_sleep_time = function() return 0 end,
      }
      clock[missing] = nil
      usage(function() trio.run({clock = clock}, nothing) end,
        "clock", missing)
    end
  end)

  it("RUN-03 false and nil stand for absent where Lua does so", function()
    assert.equal(1, trio.run({clock = nil, seed = nil},
      function() return 1 end))
    assert.equal(1, trio.run({
      strict_exception_groups = false,
      restrict_keyboard_interrupt_to_checkpoints = false,
      on_deadlock = "wait", instruments = {}, seed = 7.0,
    }, function() return 1 end))
  end)

  it("RUN-03 the options table is only read", function()
    local opts = setmetatable({}, nil)
    opts.seed, opts.instruments = 5, {{}}
    trio.run(opts, lowlevel.checkpoint)
    assert.equal(5, opts.seed)
    assert.equal(1, #opts.instruments)
    local count = 0
    for _ in pairs(opts) do count = count + 1 end
    assert.equal(2, count)
    trio.run(opts, lowlevel.checkpoint)
  end)
end)

describe("strict_exception_groups", function()
  local function fail_in_nursery(E, opts)
    return function()
      local body = function() error(E) end
      if opts then trio.open_nursery(opts, body) end
      trio.open_nursery(body)
    end
  end

  it("true, the default, wraps even a single error", function()
    for _, opts in ipairs{{}, {strict_exception_groups = true}} do
      local E = {}
      local err = select(2, pcall(trio.run, opts, fail_in_nursery(E)))
      H.group_of(err, E)
    end
  end)

  it("false lets a single error out bare", function()
    local E = {}
    local loose = {strict_exception_groups = false}
    local _, err = pcall(trio.run, loose, fail_in_nursery(E))
    assert.equal(E, err)
  end)

  it("a nursery's own setting wins", function()
    local E = {}
    local strict = {strict_exception_groups = true}
    local loose = {strict_exception_groups = false}
    local _, err = pcall(trio.run, loose, fail_in_nursery(E, strict))
    H.group_of(err, E)
    _, err = pcall(trio.run, strict, fail_in_nursery(E, loose))
    assert.equal(E, err)
  end)

  it("the setting ends with its run", function()
    local E = {}
    trio.run({strict_exception_groups = false}, nothing)
    local _, err = pcall(trio.run, fail_in_nursery(E))
    H.group_of(err, E)
  end)
end)

describe("a MockClock", function()
  it("serves several runs one after another, time going on", function()
    local clock = testing.MockClock{autojump_threshold = 0}
    trio.run({clock = clock}, trio.sleep, 5)
    assert.equal(5, clock:current_time())
    trio.run({clock = clock}, trio.sleep, 5)
    assert.equal(10, clock:current_time())
  end)
end)
