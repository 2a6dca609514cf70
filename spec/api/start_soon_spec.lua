-- SPDX-License-Identifier: MIT
-- start_soon_spec.lua: spawning into a nursery: the arguments of start_soon,
-- when children run, until when a nursery takes them, and how they are named.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local THIS = "start_soon_spec%.lua:%d+: "

local function nop() end

local function count(...)
  return select("#", ...)
end

-- A value that is neither callable nor an options table, of every kind.
local function uncallables()
  return {5, "text", true, setmetatable({}, {}), io.stdout,
    coroutine.create(nop)}
end

describe("start_soon", function()
  trio_it("NURS-32 refuses what cannot be called, at once", function()
    trio.open_nursery(function(nursery)
      for _, value in ipairs(uncallables()) do
        H.raises(THIS .. "bad argument #1 to 'start_soon' %(function expected",
          function() nursery:start_soon(value) end)
      end
      H.raises("bad argument #1 to 'start_soon' %(function expected",
        function() nursery:start_soon() end)
      H.raises("bad argument #2 to 'start_soon' %(function expected",
        function() nursery:start_soon({}) end)
      H.raises("bad argument #2 to 'start_soon' %(function expected",
        function() nursery:start_soon({name = "x"}, "text", nop) end)
      assert.same({}, nursery.child_tasks)
    end)
  end)

  trio_it("refuses an option that it does not know, and names it", function()
    trio.open_nursery(function(nursery)
      H.raises(THIS .. "bad argument #1 to 'start_soon' .*" ..
        "unknown option 'nmae'",
        function() nursery:start_soon({nmae = "x"}, nop) end)
      H.raises("unknown option",
        function() nursery:start_soon({nop}, nop) end)
      assert.same({}, nursery.child_tasks)
    end)
  end)

  trio_it("refuses to be called on anything but a nursery", function()
    trio.open_nursery(function(nursery)
      H.raises("start_soon.*trio%.Nursery expected",
        function() nursery.start_soon(nop) end)
      H.raises("start_soon.*trio%.Nursery expected",
        function() nursery.start_soon(io.stdout, nop) end)
      H.raises("start_soon.*trio%.Nursery expected",
        function() nursery.start_soon(nursery.cancel_scope, nop) end)
      assert.same({}, nursery.child_tasks)
    end)
  end)

  trio_it("returns nothing and hands every argument over", function()
    local plain = {}
    local got, callable_got
    local callable = setmetatable({}, {__call = function(self, ...)
      callable_got = table.pack(self, ...)
    end})
    local many = {}
    for i = 1, 1000 do many[i] = i end
    trio.open_nursery(function(nursery)
      assert.equal(0, count(nursery:start_soon(function(...)
        got = table.pack(...)
      end, nil, plain, nil)))
      nursery:start_soon(callable, 1)
      nursery:start_soon({}, function(...)
        assert.same(many, {...})
      end, table.unpack(many))
    end)
    assert.equal(3, got.n)
    assert.is_nil(got[1])
    assert.is_true(rawequal(plain, got[2]))
    assert.equal(2, callable_got.n)
    assert.is_true(rawequal(callable, callable_got[1]))
    assert.equal(1, callable_got[2])
  end)

  trio_it("starts C functions and methods", function()
    local event = trio.Event()
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.sleep, 2)
      nursery:start_soon(event.wait, event)
      trio.sleep(1)
      assert.equal(2, #nursery.child_tasks)
      nursery:start_soon(event.set, event)
    end)
    assert.equal(2, trio.current_time())
    assert.is_true(event:is_set())
  end)

  trio_it("NURS-01 never runs the child at once", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(log, "child")
      log "after start_soon"
      lowlevel.checkpoint()
      log "after checkpoint"
    end)
    assert.same({"after start_soon", "child", "after checkpoint"}, trace)
  end)

  trio_it("NURS-02 children advance in turn", function()
    local trace, log = H.trace()
    local function looper(name)
      for i = 1, 3 do
        log(name .. i)
        lowlevel.checkpoint()
      end
    end
    trio.open_nursery(function(nursery)
      nursery:start_soon(looper, "a")
      nursery:start_soon(looper, "b")
    end)
    for round = 1, 3 do
      local pair = {trace[2 * round - 1], trace[2 * round]}
      table.sort(pair)
      assert.same({"a" .. round, "b" .. round}, pair)
    end
  end)

  trio_it("without a seed runs children in the order of start_soon", function()
    local trace, log = H.trace()
    local expected = {}
    trio.open_nursery(function(nursery)
      for i = 1, 50 do
        nursery:start_soon(log, i)
        expected[i] = i
      end
    end)
    assert.same(expected, trace)
  end)

  trio_it("NURS-30 is accepted while the body runs, children or not",
    function()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        nursery:start_soon(log, "first")
        trio.sleep(1)
        assert.same({}, nursery.child_tasks)
        nursery:start_soon(log, "second")
      end)
      assert.same({"first", "second"}, trace)
    end)

  trio_it("NURS-13 is accepted from a child while the body waits", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(1)
        nursery:start_soon(log, "late")
      end)
    end)
    assert.same({"late"}, trace)
    assert.equal(1, trio.current_time())
  end)

  trio_it("works from a task outside the nursery", function()
    local home
    trio.open_nursery(function(outer)
      local target, done = nil, trio.Event()
      outer:start_soon(function()
        trio.open_nursery(function(nursery)
          target = nursery
          done:wait()
        end)
      end)
      lowlevel.checkpoint()
      target:start_soon(function()
        home = lowlevel.current_task().parent_nursery
      end)
      done:set()
      trio.testing.wait_all_tasks_blocked()
      assert.is_true(rawequal(target, home))
    end)
  end)

  trio_it("NURS-12 is refused once the nursery has been left", function()
    local ran, kept = false, nil
    trio.open_nursery(function(nursery) kept = nursery end)
    local err = H.raises("closed",
      function() kept:start_soon(function() ran = true end) end)
    assert.equal("string", type(err))
    H.raises("closed", function() kept:start_soon({name = "x"}, nop) end)
    lowlevel.checkpoint()
    assert.is_false(ran)
  end)
end)

-- A nursery whose body has ended loses its last child in the very batch in
-- which a stranger spawns into it. `first` says who waits at the gate first.
local function closing_race(first, seed)
  local trace, log = H.trace()
  local function main()
    local gate, target = trio.Event(), nil
    local function owner()
      trio.open_nursery(function(nursery)
        target = nursery
        nursery:start_soon(function()
          if first ~= "child" then trio.sleep(1) end
          gate:wait()
          log "child ends"
        end)
      end)
      log "owner goes on"
    end
    local function stranger()
      if first == "child" then trio.sleep(1) end
      gate:wait()
      local ok, err = pcall(target.start_soon, target, log, "late child")
      log(ok and "accepted" or "refused")
      assert(ok or tostring(err):find("closed"), err)
    end
    trio.open_nursery(function(outer)
      outer:start_soon(owner)
      outer:start_soon(stranger)
      trio.sleep(2)
      gate:set()
    end)
  end
  H.run(main, {seed = seed})
  return table.concat(trace, ", ")
end

describe("the closing of a nursery", function()
  it("NURS-31 is at its last child's end, not at its parent's step", function()
    assert.equal("child ends, refused, owner goes on", closing_race("child"))
    assert.equal("accepted, child ends, late child, owner goes on",
      closing_race("stranger"))
  end)

  it("NURS-31 loses no task in any order of the batch", function()
    local allowed = {
      ["child ends, refused, owner goes on"] = 0,
      ["accepted, child ends, late child, owner goes on"] = 0,
    }
    for seed = 1, 40 do
      local trace = closing_race("child", seed)
      assert(allowed[trace], trace)
      allowed[trace] = allowed[trace] + 1
    end
    for trace, times in pairs(allowed) do
      assert(times > 0, "never seen: " .. trace)
    end
  end)
end)

-- The name of a task that is started with these arguments of start_soon.
local function name_of(nursery, ...)
  local before = {}
  for _, task in ipairs(nursery.child_tasks) do before[task] = true end
  nursery:start_soon(...)
  for _, task in ipairs(nursery.child_tasks) do
    if not before[task] then return task.name end
  end
end

describe("NURS-38 the name of a task", function()
  trio_it("tells where its function stands", function()
    trio.open_nursery(function(nursery)
      local here = debug.getinfo(1, "l").currentline
      local name = name_of(nursery, function() end)
      assert.truthy(name:find("start_soon_spec%.lua:" .. here + 1), name)
      name = name_of(nursery, trio.sleep, 0)
      assert.truthy(name:find("sleep"), name)
    end)
  end)

  trio_it("is the option `name` where that is a string", function()
    trio.open_nursery(function(nursery)
      assert.equal("my name", name_of(nursery, {name = "my name"}, nop))
      assert.equal("", name_of(nursery, {name = ""}, nop))
      local inside
      nursery:start_soon({name = "inside"}, function()
        inside = tostring(lowlevel.current_task())
      end)
      lowlevel.checkpoint()
      assert.truthy(inside:find("inside", 1, true), inside)
    end)
  end)

  trio_it("is that of a function given as `name`", function()
    trio.open_nursery(function(nursery)
      local function other() return other end
      local default = name_of(nursery, other)
      assert.equal(default, name_of(nursery, {name = other}, nop))
      assert.not_equal(default, name_of(nursery, nop))
    end)
  end)

  trio_it("is the text of any other object given as `name`", function()
    local object = setmetatable({}, {__tostring = function() return "obj" end})
    trio.open_nursery(function(nursery)
      assert.equal("obj", name_of(nursery, {name = object}, nop))
      assert.equal("17", name_of(nursery, {name = 17}, nop))
    end)
  end)
end)
