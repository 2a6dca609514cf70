-- SPDX-License-Identifier: MIT
-- CancelScope as an object: how it is made, its fields, what scope:run gives
-- back, what wrong use says. What a cancellation does to the code inside is in
-- spec/semantics/cancel_*_spec.lua; the four helpers are in
-- spec/api/timeouts_spec.lua.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel

local now = trio.current_time
local NAN = 0 / 0

local function jump(seconds)
  lowlevel.current_clock():jump(seconds)
end

describe("a new CancelScope", function()
  H.trio_it("CANCEL-01 has no deadline, no shield and no cancellation",
    function()
      local scope = trio.CancelScope()
      assert.equal(math.huge, scope.deadline)
      assert.is_false(scope.shield)
      assert.is_false(scope.cancel_called)
      assert.is_false(scope.cancelled_caught)
    end)

  H.trio_it("takes deadline, relative_deadline and shield as options",
    function()
      assert.equal(7, trio.CancelScope({deadline = 7}).deadline)
      local relative = trio.CancelScope({relative_deadline = 3, shield = true})
      assert.equal(3, relative.relative_deadline)
      assert.is_true(relative.shield)
      assert.is_false(trio.CancelScope({shield = false}).shield)
      assert.equal(math.huge, trio.CancelScope({}).deadline)
    end)

  it("can be made, set up and cancelled outside a run", function()
    local scope = trio.CancelScope()
    scope.deadline = 12
    scope.shield = true
    scope:cancel("early")
    assert.equal(12, scope.deadline)
    local seen
    H.run(function()
      scope:run(function()
        seen = H.raises_class(trio.Cancelled, trio.sleep, 1)
      end)
    end)
    assert.equal("early", seen.reason)
    assert.is_nil(seen.source_task)
    assert.is_true(scope.cancel_called)
  end)
end)

describe("wrong ways to make a CancelScope", function()
  local function refused(pattern, opts)
    local message = H.raises(pattern, function()
      trio.CancelScope(opts)
    end)
    assert.is_string(message)
  end

  it("CANCEL-18 NaN, negative offsets and two deadlines are refused",
    function()
      refused("deadline", {deadline = NAN})
      refused("relative_deadline", {relative_deadline = NAN})
      refused("relative_deadline", {relative_deadline = -3})
      refused("relative_deadline", {deadline = 7, relative_deadline = 3})
    end)

  it("an infinite deadline beside a finite one is no second deadline",
    function()
      local huge = math.huge
      local a = trio.CancelScope({deadline = huge, relative_deadline = 3})
      assert.equal(3, a.relative_deadline)
      local b = trio.CancelScope({deadline = 3, relative_deadline = huge})
      assert.equal(3, b.deadline)
    end)

  it("an unknown option is named", function()
    refused("CancelScope.*dedline", {dedline = 3})
    refused("CancelScope", {3})
  end)

  it("options of a wrong type are named", function()
    refused("deadline", {deadline = "soon"})
    refused("relative_deadline", {relative_deadline = {}})
    refused("shield.*boolean", {shield = 1})
    refused("shield.*boolean", {shield = "hello"})
  end)

  it("anything but a table of options is a bad argument", function()
    refused("bad argument #1 to '[%w.]*CancelScope'", 5)
    refused("bad argument #1 to '[%w.]*CancelScope'", "x")
    refused("bad argument #1 to '[%w.]*CancelScope'", function() end)
  end)
end)

describe("setters", function()
  H.trio_it("CANCEL-18 NaN and negative offsets leave the values unchanged",
    function()
      local scope = trio.CancelScope()
      H.raises("NaN", function() scope.deadline = NAN end)
      assert.equal(math.huge, scope.deadline)
      H.raises("NaN", function() scope.relative_deadline = NAN end)
      H.raises("negative", function() scope.relative_deadline = -3 end)
      assert.equal(math.huge, scope.relative_deadline)
      scope.relative_deadline = 5
      assert.equal(5, scope.relative_deadline)
      H.raises("NaN", function() scope.relative_deadline = NAN end)
      H.raises("negative", function() scope.relative_deadline = -1 end)
      assert.equal(5, scope.relative_deadline)
    end)

  H.trio_it("CANCEL-18 the same inside the scope", function()
    trio.CancelScope({deadline = 9}):run(function(scope)
      H.raises("NaN", function() scope.deadline = NAN end)
      H.raises("NaN", function() scope.relative_deadline = NAN end)
      H.raises("negative", function() scope.relative_deadline = -0.5 end)
      H.raises("deadline", function() scope.deadline = "soon" end)
      H.raises("deadline", function() scope.deadline = nil end)
      assert.equal(9, scope.deadline)
    end)
  end)

  H.trio_it("CANCEL-35 shield takes booleans only", function()
    local scope = trio.CancelScope()
    local function check()
      for _, wrong in ipairs({"hello", 1, 0, {}, print}) do
        H.raises("shield.*boolean", function() scope.shield = wrong end)
        assert.is_false(scope.shield)
      end
      H.raises("shield.*boolean", function() scope.shield = nil end)
      assert.is_false(scope.shield)
    end
    check()
    scope:run(function()
      check()
      scope.shield = true
      H.raises("shield.*boolean", function() scope.shield = 0 end)
      assert.is_true(scope.shield)
    end)
  end)

  H.trio_it("unknown and read-only fields can't be written", function()
    local scope = trio.CancelScope()
    H.raises("no field 'dedline'", function() scope.dedline = 3 end)
    H.raises("'cancel_called'.*read%-only", function()
      scope.cancel_called = true
    end)
    H.raises("'cancelled_caught'.*read%-only", function()
      scope.cancelled_caught = true
    end)
    H.raises("'is_relative'.*read%-only", function()
      scope.is_relative = true
    end)
    H.raises("cancel", function() scope.cancel = print end)
    assert.is_false(scope.cancel_called)
    assert.is_false(scope.cancelled_caught)
    assert.is_false(scope.is_relative)
  end)

  it("a bad write says where in the script it happened", function()
    local message = H.raises("shield", function()
      trio.CancelScope().shield = 1
    end)
    assert.matches("scope_spec%.lua:%d+:", message)
  end)
end)

describe("relative deadlines", function()
  H.trio_it("CANCEL-14 count from the entry, then read as the time left",
    function()
      local scope = trio.CancelScope({relative_deadline = 3})
      trio.sleep(10)
      assert.equal(3, scope.relative_deadline)
      scope:run(function()
        assert.equal(13, scope.deadline)
        assert.equal(3, scope.relative_deadline)
        trio.sleep(1)
        assert.equal(2, scope.relative_deadline)
        assert.equal(13, scope.deadline)
        scope.relative_deadline = 5
        assert.equal(16, scope.deadline)
        assert.equal(5, scope.relative_deadline)
        trio.sleep(100)
      end)
      assert.equal(16, now())
      assert.is_true(scope.cancelled_caught)
    end)

  H.trio_it("CANCEL-14 a deadline moved into the past reads as negative",
    function()
      trio.sleep(10)
      trio.CancelScope():run(function(scope)
        scope.deadline = 7
        assert.equal(-3, scope.relative_deadline)
      end)
    end)

  H.trio_it("CANCEL-15 hide the absolute deadline until the entry",
    function()
      local scope = trio.CancelScope({relative_deadline = 5})
      assert.is_true(scope.is_relative)
      H.raises("relative", function() return (scope.deadline) end)
      H.raises("relative", function() scope.deadline = 7 end)
      assert.equal(5, scope.relative_deadline)
      assert.is_true(scope.is_relative)
    end)

  H.trio_it("CANCEL-16 an absolute scope has none until the entry",
    function()
      local scope = trio.CancelScope({deadline = 5})
      assert.is_false(scope.is_relative)
      H.raises("relative", function() return (scope.relative_deadline) end)
      H.raises("relative", function() scope.relative_deadline = 7 end)
      assert.equal(5, scope.deadline)
      scope:run(function()
        assert.equal(5, scope.relative_deadline)
      end)
    end)

  H.trio_it("CANCEL-17 a scope without a deadline is not relative",
    function()
      local scope = trio.CancelScope()
      assert.is_false(scope.is_relative)
      assert.equal(math.huge, scope.deadline)
      assert.equal(math.huge, scope.relative_deadline)
      scope:run(function()
        assert.is_nil(scope.is_relative)
        assert.equal(math.huge, scope.relative_deadline)
      end)
      assert.is_nil(scope.is_relative)
    end)

  H.trio_it("can be given to and taken from an unentered scope", function()
    local scope = trio.CancelScope()
    scope.relative_deadline = 5
    assert.is_true(scope.is_relative)
    scope.relative_deadline = math.huge
    assert.is_false(scope.is_relative)
    scope.deadline = 4
    assert.equal(4, scope.deadline)
    scope.deadline = math.huge
    scope.relative_deadline = 2
    trio.sleep(1)
    scope:run(function() trio.sleep_forever() end)
    assert.equal(3, now())
  end)
end)

describe("cancel_called before the entry", function()
  H.trio_it("CANCEL-13 looks at the clock, and is never taken back",
    function()
      local scope = trio.CancelScope({deadline = now() + 1})
      assert.is_false(scope.cancel_called)
      scope.deadline = scope.deadline - 1
      assert.is_true(scope.cancel_called)
      scope.deadline = scope.deadline + 1
      assert.is_true(scope.cancel_called)
      scope:run(function()
        H.raises_class(trio.Cancelled, lowlevel.checkpoint)
      end)
    end)

  H.trio_it("CANCEL-13 a relative scope can't expire before its entry",
    function()
      local scope = trio.CancelScope({relative_deadline = 1})
      jump(50)
      assert.is_false(scope.cancel_called)
    end)
end)

describe("scope:run", function()
  H.trio_it("gives the scope to the body, and nothing else", function()
    local scope = trio.CancelScope()
    scope:run(function(...)
      assert.equal(1, select("#", ...))
      assert.equal(scope, (...))
    end)
  end)

  H.trio_it("returns the body's results, nils included", function()
    local function results(...)
      return select("#", ...), ...
    end
    local function run(...)
      local values = table.pack(...)
      return results(trio.CancelScope():run(function()
        return table.unpack(values, 1, values.n)
      end))
    end
    assert.equal(0, (run()))
    local value = {}
    local n, a, b, c, d = run(nil, value, false, nil)
    assert.equal(4, n)
    assert.is_nil(a)
    assert.is_true(rawequal(value, b))
    assert.is_false(c)
    assert.is_nil(d)
    local many = {}
    for i = 1, 300 do many[i] = i end
    local got = table.pack(run(table.unpack(many)))
    assert.equal(301, got.n)
    assert.equal(300, got[301])
  end)

  H.trio_it("returns nothing where the cancellation was caught", function()
    local scope = trio.CancelScope()
    assert.equal(0, select("#", scope:run(function()
      scope:cancel()
      lowlevel.checkpoint()
      return 1, 2, 3
    end)))
    assert.is_true(scope.cancelled_caught)
  end)

  H.trio_it("raises the body's error unchanged", function()
    local co = coroutine.create(function() end)
    local object = trio.Error("mine")
    for _, value in ipairs({{}, object, 42, true, print, co, "plain"}) do
      local ok, err = pcall(function()
        trio.CancelScope():run(function() error(value, 0) end)
      end)
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
    end
    local ok, err = pcall(function()
      trio.CancelScope():run(function() error(nil) end)
    end)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  H.trio_it("opening and leaving is no checkpoint", function()
    trio.testing.assert_no_checkpoints(function()
      trio.CancelScope():run(function() end)
      trio.move_on_after(1, function() end)
      trio.fail_at(1, function() end)
    end)
  end)

  H.trio_it("takes a callable value as the body", function()
    local callable = setmetatable({}, {
      __call = function(self, scope) return self, scope end,
    })
    local scope = trio.CancelScope()
    local a, b = scope:run(callable)
    assert.equal(callable, a)
    assert.equal(scope, b)
  end)

  H.trio_it("names a missing or wrong body", function()
    local scope = trio.CancelScope()
    H.raises("bad argument #1 to 'run'", function() scope:run() end)
    H.raises("bad argument #1 to 'run'", function() scope:run(nil) end)
    H.raises("bad argument #1 to 'run'", function() scope:run("x") end)
    H.raises("bad argument #1 to 'run'", function() scope:run({}) end)
    H.raises("run", function() scope.run(42, print) end)
    -- None of that used the scope up.
    assert.equal(5, scope:run(function() return 5 end))
  end)

  it("raises outside a task, and leaves the scope usable", function()
    local scope = trio.CancelScope()
    assert.is_string(H.raises("run", function()
      scope:run(function() error("the body ran") end)
    end))
    assert.equal(6, H.run(function()
      return scope:run(function() return 6 end)
    end))
  end)
end)

describe("a scope is used once", function()
  H.trio_it("CANCEL-33 entering it again after its end is an error",
    function()
      local scope = trio.CancelScope()
      scope:run(function() lowlevel.checkpoint() end)
      scope:cancel()
      lowlevel.checkpoint()
      assert.is_true(scope.cancel_called)
      assert.is_false(scope.cancelled_caught)
      local ran = false
      local message = H.raises("CancelScope", function()
        scope:run(function() ran = true end)
      end)
      assert.is_string(message)
      assert.is_false(ran)
    end)

  H.trio_it("CANCEL-33 re-entering it while active is an error", function()
    local scope = trio.CancelScope()
    scope:run(function()
      H.raises("CancelScope", function() scope:run(function() end) end)
      scope:cancel()
      trio.sleep_forever()
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  H.trio_it("CANCEL-33 entering it while another task is inside is an error",
    function()
      local scope = trio.CancelScope({deadline = 2})
      trio.open_nursery(function(nursery)
        local woke
        nursery:start_soon(function()
          scope:run(function() trio.sleep_forever() end)
          woke = now()
        end)
        trio.testing.wait_all_tasks_blocked()
        H.raises("CancelScope", function() scope:run(function() end) end)
        trio.sleep(3)
        assert.equal(2, woke)
      end)
      assert.is_true(scope.cancelled_caught)
    end)
end)

describe("tostring(scope)", function()
  local function has(text, scope)
    local s = tostring(scope)
    assert.is_truthy(s:find(text, 1, true), s .. " lacks " .. text)
  end

  local function lacks(text, scope)
    local s = tostring(scope)
    assert.is_falsy(s:find(text, 1, true), s .. " has " .. text)
  end

  H.trio_it("CANCEL-71 tells unbound, active and exited apart", function()
    local scope = trio.CancelScope()
    has("<trio.CancelScope", scope)
    has("unbound", scope)
    lacks("deadline", scope)
    scope:run(function()
      has("active", scope)
      lacks("unbound", scope)
    end)
    has("exited", scope)
    assert.not_equal(tostring(trio.CancelScope()), tostring(scope))
  end)

  H.trio_it("CANCEL-71 tells the deadline, and the cancellation instead",
    function()
      local scope = trio.CancelScope({deadline = 10})
      has("deadline is 10.00 seconds from now", scope)
      scope:run(function()
        scope.deadline = now() - 1
        has("deadline is 1.00 seconds ago", scope)
        scope.deadline = now() + 10
        has("deadline is 10.00 seconds from now", scope)
        lacks("cancelled", scope)
        scope:cancel()
        has("cancelled", scope)
        lacks("deadline", scope)
      end)
      has("cancelled", scope)
      has("exited", scope)
    end)

  it("CANCEL-71 says nothing of the deadline outside a run", function()
    local scope = trio.CancelScope({deadline = 10})
    lacks("deadline", scope)
    has("unbound", scope)
    H.run(function()
      scope:run(function() has("from now", scope) end)
    end)
    lacks("deadline", scope)
    has("exited", scope)
  end)
end)
