-- SPDX-License-Identifier: MIT
-- Instruments: what each hook is told, when, and what a bad one may not do.
local trio = require "trio"
local H = require "spec.support.helper"
local lowlevel, testing = trio.lowlevel, trio.testing

local function usage(pattern, fn, ...)
  local err = H.raises(pattern, fn, ...)
  assert.is_string(err)
  return err
end

local HOOKS = {
  "before_run", "after_run", "task_spawned", "task_scheduled",
  "before_task_step", "after_task_step", "task_exited", "before_io_wait",
  "after_io_wait",
}

-- An instrument that keeps {hook, argument} for each event.
local function recorder(hooks)
  local r = {record = {}}
  for _, hook in ipairs(hooks or HOOKS) do
    r[hook] = function(self, ...)
      assert(rawequal(self, r))
      self.record[#self.record + 1] = {hook, ..., n = select("#", ...)}
    end
  end
  return r
end

-- The events about these tasks, and those about the run, as text:
-- "before_task_step:a". names: task -> name.
local function story(r, names)
  local lines = {}
  for _, event in ipairs(r.record) do
    local hook, arg = event[1], event[2]
    if names[arg] then
      lines[#lines + 1] = hook .. ":" .. names[arg]
    elseif hook == "before_run" or hook == "after_run" then
      lines[#lines + 1] = hook
    end
  end
  return lines
end

local function steps(n, ...)
  for _ = 1, n do lowlevel.checkpoint() end
  return ...
end

local STEPS = {"before_run", "after_run", "task_scheduled",
               "before_task_step", "after_task_step"}

describe("the events", function()
  it("INSTR-01 of a child with five checkpoints", function()
    local r, task = recorder(STEPS), nil
    H.run(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          task = lowlevel.current_task()
          steps(5)
        end)
      end)
    end, {instruments = {r}})
    local expected = {"before_run", "task_scheduled:t"}
    for _ = 1, 5 do
      expected[#expected + 1] = "before_task_step:t"
      expected[#expected + 1] = "task_scheduled:t"
      expected[#expected + 1] = "after_task_step:t"
    end
    expected[#expected + 1] = "before_task_step:t"
    expected[#expected + 1] = "after_task_step:t"
    expected[#expected + 1] = "after_run"
    assert.same(expected, story(r, {[task] = "t"}))
  end)

  it("INSTR-01 of two tasks take turns", function()
    local r, names = recorder(STEPS), {}
    H.run(function()
      trio.open_nursery(function(nursery)
        for _, name in ipairs{"a", "b"} do
          nursery:start_soon(function()
            names[lowlevel.current_task()] = name
            lowlevel.checkpoint()
          end)
        end
      end)
    end, {instruments = {r}})
    assert.same({
      "before_run", "task_scheduled:a", "task_scheduled:b",
      "before_task_step:a", "task_scheduled:a", "after_task_step:a",
      "before_task_step:b", "task_scheduled:b", "after_task_step:b",
      "before_task_step:a", "after_task_step:a",
      "before_task_step:b", "after_task_step:b", "after_run",
    }, story(r, names))
  end)

  it("INSTR-02 of spawning and exiting", function()
    local r, names = recorder(), {}
    H.run(function()
      local parent = lowlevel.current_task()
      names[parent] = "parent"
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          names[lowlevel.current_task()] = "child"
        end)
      end)
    end, {instruments = {r}})
    local lines = story(r, names)
    local from, to
    for i, line in ipairs(lines) do
      if line == "task_spawned:child" then from = i end
      if line == "after_task_step:child" then to = i end
    end
    assert.same({
      "task_spawned:child", "task_scheduled:child",
      "after_task_step:parent", "before_task_step:child",
      "task_scheduled:parent", "task_exited:child",
      "after_task_step:child",
    }, {table.unpack(lines, from, to)})
  end)

  it("INSTR-02 include main's, before and after", function()
    local r = recorder()
    local main = H.run(lowlevel.current_task, {instruments = {r}})
    local lines = story(r, {[main] = "main"})
    assert.equal("before_run", lines[1])
    assert.equal("task_spawned:main", lines[2])
    assert.equal("task_scheduled:main", lines[3])
    assert.equal("after_run", lines[#lines])
    assert.equal("after_task_step:main", lines[#lines - 1])
    assert.equal("task_exited:main", lines[#lines - 2])
  end)

  it("INSTR-02 a task that fails or is cancelled exits too", function()
    local r, names = recorder{"task_exited"}, {}
    H.raises_class(trio.ExceptionGroup, H.run, function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          names[lowlevel.current_task()] = "cancelled"
          trio.sleep_forever()
        end)
        nursery:start_soon(function()
          names[lowlevel.current_task()] = "failed"
          error("x")
        end)
      end)
    end, {instruments = {r}})
    assert.same({"task_exited:failed", "task_exited:cancelled"},
      story(r, names))
  end)

  it("INSTR-01 the run's hooks come without arguments", function()
    local r = recorder{"before_run", "after_run"}
    H.run(function() end, {instruments = {r}})
    assert.same({{"before_run", n = 0}, {"after_run", n = 0}}, r.record)
  end)

  it("INSTR-01 after_run comes after a failed main as well", function()
    local r, E = recorder{"before_run", "after_run"}, {}
    local _, err = pcall(H.run, function() error(E) end, {instruments = {r}})
    assert.equal(E, err)
    assert.equal(2, #r.record)
  end)

  it("INSTR-08 of waiting: one pass jumps, one wakes", function()
    local r = recorder{"before_io_wait", "after_io_wait"}
    local during
    H.run(function()
      testing.wait_all_tasks_blocked()
      local before = #r.record
      trio.sleep(5)
      during = {table.unpack(r.record, before + 1)}
    end, {instruments = {r}})
    assert.same({
      {"before_io_wait", 0.0, n = 1}, {"after_io_wait", 0.0, n = 1},
      {"before_io_wait", 0.0, n = 1}, {"after_io_wait", 0.0, n = 1},
    }, during)
  end)

  it("INSTR-08 of waiting for real time carry that time", function()
    local r = recorder{"before_io_wait", "after_io_wait"}
    H.run(function() trio.sleep(0.02) end,
      {instruments = {r}, real_clock = true})
    local longest = 0
    for i, event in ipairs(r.record) do
      assert.equal(i % 2 == 1 and "before_io_wait" or "after_io_wait",
        event[1])
      if i % 2 == 0 then assert.equal(r.record[i - 1][2], event[2]) end
      longest = math.max(longest, event[2])
    end
    assert.is_true(longest > 0.001 and longest <= 0.02)
    assert.equal(0, #r.record % 2)
  end)

  it("INSTR-07 hooks see the run, and the step's hooks the task", function()
    local called = {}
    local expected = {
      before_run = {true, false}, after_run = {true, false},
      before_io_wait = {true, false}, after_io_wait = {true, false},
      before_task_step = {true, true}, after_task_step = {true, true},
      task_exited = {true, true}, task_scheduled = {true},
      task_spawned = {true},
    }
    local instrument, wrong = {}, {}
    for _, hook in ipairs(HOOKS) do
      instrument[hook] = function(_, task)
        called[hook] = true
        local run, inside = lowlevel.in_trio_run(), lowlevel.in_trio_task()
        local want = expected[hook]
        if run ~= want[1] or (want[2] ~= nil and inside ~= want[2]) then
          wrong[hook] = {run, inside}
        end
        if want[2] and lowlevel.current_task() ~= task then
          wrong[hook] = "another task"
        end
      end
    end
    H.run(function()
      lowlevel.checkpoint()
      trio.open_nursery(function(nursery)
        nursery:start_soon(lowlevel.checkpoint)
      end)
      trio.sleep(1)
    end, {instruments = {instrument}})
    assert.same({}, wrong)
    for _, hook in ipairs(HOOKS) do assert.is_true(called[hook], hook) end
  end)
end)

describe("adding and removing", function()
  it("INSTR-03 takes effect at once, adding twice is adding once",
    function()
      local r1, r2, r3 = recorder(STEPS), recorder(STEPS), recorder(STEPS)
      H.run(function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function()
            steps(4)
            lowlevel.remove_instrument(r2)
            usage("instrument", function()
              lowlevel.remove_instrument(r2)
            end)
            lowlevel.add_instrument(r3)
            lowlevel.add_instrument(r3)
            steps(1)
          end)
        end)
      end, {instruments = {r1, r2}})
      local both = {table.unpack(r2.record)}
      table.move(r3.record, 1, #r3.record, #both + 1, both)
      assert.same(r1.record, both)
      assert.is_true(#r2.record > 10 and #r3.record > 3)
    end)

  it("INSTR-03 the same instrument twice in the option counts once",
    function()
      local r = recorder{"before_run"}
      H.run(function() end, {instruments = {r, r}})
      assert.equal(1, #r.record)
    end)

  it("INSTR-03 hooks are called in the order of adding", function()
    local t, log = H.trace()
    local function named(name)
      return {task_exited = function() log(name) end}
    end
    H.run(function()
      lowlevel.add_instrument(named("c"))
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() end)
      end)
      lowlevel.checkpoint()
      assert.same({"a", "b", "c"}, t)
    end, {instruments = {named("a"), named("b")}})
  end)

  H.trio_it("INSTR-03 a hook may remove its own instrument", function()
    local r, other = {count = 0}, recorder{"before_task_step"}
    function r:before_task_step()
      self.count = self.count + 1
      lowlevel.remove_instrument(self)
    end
    testing.wait_all_tasks_blocked()
    lowlevel.add_instrument(r)
    lowlevel.add_instrument(other)
    steps(3)
    assert.equal(1, r.count)
    assert.equal(3, #other.record)
    lowlevel.remove_instrument(other)
  end)

  H.trio_it("INSTR-03 a hook may add instruments", function()
    local late = recorder{"before_task_step"}
    local first = {}
    function first:after_task_step()
      lowlevel.remove_instrument(self)
      lowlevel.add_instrument(late)
    end
    testing.wait_all_tasks_blocked()
    lowlevel.add_instrument(first)
    steps(1)
    assert.equal(1, #late.record)
    steps(2)
    assert.equal(3, #late.record)
  end)

  it("INSTR-05 hooks set later are seen after adding again", function()
    local instrument, seen = {}, {}
    H.run(function()
      instrument.before_task_step = function(_, task)
        seen[#seen + 1] = task
      end
      steps(2)
      assert.equal(0, #seen)
      lowlevel.remove_instrument(instrument)
      lowlevel.add_instrument(instrument)
      steps(2)
      assert.equal(2, #seen)
      assert.equal(lowlevel.current_task(), seen[1])
      lowlevel.remove_instrument(instrument)
      steps(2)
      assert.equal(2, #seen)
    end, {instruments = {instrument}})
  end)

  it("INSTR-05 a hook replaced later: the old one stays", function()
    local t, log = H.trace()
    local instrument = {task_exited = function() log("old") end}
    H.run(function()
      instrument.task_exited = function() log("new") end
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() end)
      end)
      assert.same({"old"}, t)
    end, {instruments = {instrument}})
  end)

  H.trio_it("INSTR-06 an error while hooks are read leaves nothing",
    function()
      local E, called = {}, nil
      local evil = setmetatable({}, {__index = function(_, name)
        if name == "after_run" then error(E) end
        if name == "task_exited" then
          return function() called = true end
        end
      end})
      local ok, err = pcall(lowlevel.add_instrument, evil)
      assert.is_false(ok)
      assert.equal(E, err)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() end)
      end)
      assert.is_nil(called)
      assert.is_false(pcall(lowlevel.remove_instrument, evil))
    end)

  it("INSTR-01 hooks may come from a class", function()
    local count = 0
    local class = {}
    class.__index = class
    function class:before_run() count = count + self.weight end
    H.run(function() end,
      {instruments = {setmetatable({weight = 5}, class)}})
    assert.equal(5, count)
  end)

  it("INSTR-01 an instrument without hooks is fine", function()
    H.run(function() steps(3) end,
      {instruments = {{something_else = function() end}}})
  end)

  it("INSTR-03 wrong use is named", function()
    usage("add_instrument", function() lowlevel.add_instrument({}) end)
    H.run(function()
      usage("add_instrument", function() lowlevel.add_instrument() end)
      usage("add_instrument", function() lowlevel.add_instrument(5) end)
      usage("instrument", function() lowlevel.remove_instrument({}) end)
      usage("instrument", function() lowlevel.remove_instrument() end)
    end)
  end)

  it("INSTR-03 instruments end with their run", function()
    local r = recorder()
    H.run(function() lowlevel.add_instrument(r) end)
    local count = #r.record
    H.run(function() steps(3) end)
    assert.equal(count, #r.record)
  end)
end)

describe("an instrument that raises", function()
  -- A run whose `hook` of one instrument raises; another one goes on.
  local function broken(hook, E)
    local calls = 0
    local bad = {[hook] = function()
      calls = calls + 1
      error(E, 0)
    end}
    local r = recorder()
    local result = H.run(function()
      steps(2)
      trio.open_nursery(function(nursery)
        nursery:start_soon(steps, 1)
      end)
      trio.sleep(1)
      return "fine"
    end, {instruments = {bad, r}})
    return result, calls, r
  end

  for _, hook in ipairs(HOOKS) do
    it("INSTR-04 in " .. hook .. " is disabled, the run goes on", function()
      for _, E in ipairs{"oops", {}, false} do
        local result, calls, r = broken(hook, E)
        assert.equal("fine", result)
        assert.equal(1, calls)
        assert.equal("before_run", r.record[1][1])
        assert.equal("after_run", r.record[#r.record][1])
      end
    end)
  end

  it("INSTR-04 before main exists", function()
    local t, log = H.trace()
    local bad = {task_scheduled = function()
      log("scheduled")
      error("oops")
    end}
    H.run(function() log("main ran") end, {instruments = {bad}})
    assert.same({"scheduled", "main ran"}, t)
  end)

  it("INSTR-04 loses all of its hooks", function()
    local ended
    H.run(function() steps(2) end, {instruments = {{
      before_task_step = function() error("oops") end,
      after_run = function() ended = true end,
    }}})
    assert.is_nil(ended)
  end)

  it("INSTR-04 by waiting is disabled too", function()
    local calls = 0
    H.run(function() steps(3) end, {instruments = {{
      before_task_step = function()
        calls = calls + 1
        lowlevel.checkpoint()
      end,
    }}})
    assert.equal(1, calls)
  end)

  it("INSTR-04 is reported with its error and the hook's name", function()
    local path = os.tmpname()
    local script = assert(io.open(path, "w"))
    script:write([[
      local trio = require "trio"
      trio.run({instruments = {{
        task_exited = function() error("the lens is dirty") end,
      }}}, function() print("main ran") end)
    ]])
    script:close()
    local pipe = assert(io.popen(H.command .. " -W " .. path .. " 2>&1"))
    local output = pipe:read("a")
    pipe:close()
    os.remove(path)
    assert.matches("main ran", output)
    assert.matches("the lens is dirty", output)
    assert.matches("task_exited", output)
    assert.matches("[Ii]nstrument", output)
  end)
end)
