-- SPDX-License-Identifier: MIT
-- nursery_misnesting_spec.lua: nurseries and scopes opened in coroutines that
-- the program makes itself. Left in order they work as anywhere; abandoned, or
-- left out of order or by another task, they give a Lua error that says so:
-- never a hang, never a TrioInternalError.

local trio = require "trio"
local H = require "spec.support.helper"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel
local co = trio.coroutine

-- Run body(nursery) in a nursery of a new coroutine that stops there, with the
-- nursery open. Returns the coroutine; resuming it leaves the nursery.
local function open_elsewhere(body)
  local gen = co.create(function()
    return trio.open_nursery(function(nursery)
      if body then body(nursery) end
      co.yield(nursery)
      return "left"
    end)
  end)
  assert(co.resume(gen))
  return gen
end

-- The same with a cancel scope; its third value is the scope.
local function scope_elsewhere(scope)
  local gen = co.create(function()
    return scope:run(function()
      co.yield()
      return "left"
    end)
  end)
  assert(co.resume(gen))
  return gen
end

-- Resume a coroutine that must fail with a string; returns the string.
local function resume_fails(gen)
  local ok, err = co.resume(gen)
  assert.is_false(ok)
  assert.equal("string", type(err))
  return err
end

-- No TrioInternalError anywhere in an error.
local function nothing_internal(err)
  assert.is_false(trio.isinstance(err, trio.TrioInternalError))
  if not trio.isinstance(err, trio.ExceptionGroup) then return end
  for leaf in err:leaves() do
    assert.is_false(trio.isinstance(leaf, trio.TrioInternalError))
  end
end

-- The group that main gets must be of one text about a corrupted stack.
local function corrupted(group)
  nothing_internal(group)
  assert.is_true(trio.isinstance(group, trio.ExceptionGroup))
  assert.equal(1, #group.exceptions)
  assert.equal("string", type(group.exceptions[1]))
  assert.truthy(group.exceptions[1]:find("stack corrupted", 1, true),
    group.exceptions[1])
  return group.exceptions[1]
end

describe("a nursery in a coroutine", function()
  trio_it("works when it is left where it was opened", function()
    local trace, log = H.trace()
    local function numbers()
      return co.wrap(function()
        trio.open_nursery(function(nursery)
          for i = 1, 3 do
            nursery:start_soon(log, i)
            trio.sleep(1)
            co.yield(i)
          end
        end)
      end)
    end
    for i in numbers() do log("got " .. i) end
    assert.same({1, "got 1", 2, "got 2", 3, "got 3"}, trace)
    assert.equal(3, trio.current_time())
    assert.same({}, lowlevel.current_task().child_nurseries)
  end)

  trio_it("may be one of several that are left in order", function()
    local first = open_elsewhere()
    local second = open_elsewhere()
    assert.equal(2, #lowlevel.current_task().child_nurseries)
    assert.same({true, "left"}, {co.resume(second)})
    assert.same({true, "left"}, {co.resume(first)})
    assert.same({}, lowlevel.current_task().child_nurseries)
  end)

  trio_it("collects errors for the coroutine that opened it", function()
    local ok, group = co.resume(co.create(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(error, "child", 0)
        trio.sleep_forever()
      end)
    end))
    assert.is_false(ok)
    H.group_of(group, "child")
    lowlevel.checkpoint()
  end)

  trio_it("is cancelled in the coroutine where its body waits", function()
    local seen
    local gen = co.wrap(function()
      trio.open_nursery(function(nursery)
        co.yield(nursery)
        local _
        _, seen = pcall(trio.sleep_forever)
        error(seen, 0)
      end)
      return "after"
    end)
    gen().cancel_scope:cancel()
    assert.equal("after", gen())
    assert.is_true(H.is_cancelled(seen))
  end)
end)

describe("an abandoned coroutine", function()
  trio_it("NURS-35 with a nursery open fails its task", function()
    local seen, cancelled_at
    local text = corrupted(H.raises("", trio.open_nursery, function(outer)
      outer:start_soon({name = "careless"}, function()
        open_elsewhere(function(inner)
          inner:start_soon(function()
            local _
            _, seen = pcall(trio.sleep, 1)
            cancelled_at = trio.current_time()
            error(seen, 0)
          end)
        end)
        lowlevel.checkpoint()
      end)
    end))
    assert.truthy(text:find("Nursery", 1, true), text)
    assert.truthy(text:find("careless", 1, true), text)
    trio.sleep(0.5)
    assert.is_true(H.is_cancelled(seen))
    assert.equal(0, cancelled_at)
  end)

  trio_it("NURS-35 with a child that has not even started", function()
    local child_saw
    corrupted(H.raises("", trio.open_nursery, function(outer)
      outer:start_soon(function()
        open_elsewhere(function(inner)
          inner:start_soon(function()
            local _
            _, child_saw = pcall(lowlevel.checkpoint)
            error(child_saw, 0)
          end)
        end)
      end)
    end))
    lowlevel.checkpoint()
    lowlevel.checkpoint()
    assert.is_true(H.is_cancelled(child_saw))
  end)

  trio_it("NURS-35 also if it has been collected", function()
    corrupted(H.raises("", trio.open_nursery, function(outer)
      outer:start_soon(function()
        open_elsewhere(function(inner) inner:start_soon(trio.sleep, 1) end)
        collectgarbage()
        collectgarbage()
        lowlevel.checkpoint()
        collectgarbage()
      end)
    end))
    collectgarbage()
  end)

  trio_it("NURS-35 with several nurseries open", function()
    local trace, log = H.trace()
    corrupted(H.raises("", trio.open_nursery, function(outer)
      outer:start_soon(function()
        for _ = 1, 3 do
          open_elsewhere(function(inner)
            inner:start_soon(function()
              local _, why = pcall(trio.sleep_forever)
              log(H.is_cancelled(why))
            end)
          end)
        end
      end)
    end))
    trio.sleep(1)
    assert.same({true, true, true}, trace)
  end)

  it("NURS-37 lets cleanups of the nursery's children run, their errors lost",
    function()
      local cleaned = 0
      H.run(function()
        corrupted(H.raises("", trio.open_nursery, function(outer)
          outer:start_soon(open_elsewhere, function(inner)
            for _ = 1, 2 do
              inner:start_soon(function()
                pcall(lowlevel.checkpoint)
                cleaned = cleaned + 1
                error "this error is lost"
              end)
            end
          end)
        end))
      end)
      assert.equal(2, cleaned)
    end)

  it("NURS-37 lets a slow cleanup finish before the run ends", function()
    local cleaned_at
    H.run(function()
      corrupted(H.raises("", trio.open_nursery, function(outer)
        outer:start_soon(open_elsewhere, function(inner)
          inner:start_soon(function()
            pcall(trio.sleep_forever)
            trio.CancelScope({shield = true}):run(function() trio.sleep(3) end)
            cleaned_at = trio.current_time()
          end)
        end)
      end))
    end)
    assert.equal(3, cleaned_at)
  end)

  trio_it("accepts no more children in the abandoned nursery", function()
    local abandoned
    corrupted(H.raises("", trio.open_nursery, function(outer)
      outer:start_soon(open_elsewhere, function(inner) abandoned = inner end)
    end))
    H.raises("closed", function() abandoned:start_soon(print) end)
    H.raises("closed", function() abandoned:start(print) end)
  end)

  trio_it("gives an error when it is resumed after its task has ended",
    function()
      local gen
      corrupted(H.raises("", trio.open_nursery, function(outer)
        outer:start_soon(function() gen = open_elsewhere() end)
      end))
      local ok, err = co.resume(gen)
      assert.is_false(ok)
      nothing_internal(err)
      lowlevel.checkpoint()
    end)

  trio_it("with a scope open fails its task too", function()
    local text = corrupted(H.raises("", trio.open_nursery, function(outer)
      outer:start_soon(function() scope_elsewhere(trio.CancelScope()) end)
    end))
    assert.truthy(text:lower():find("scope", 1, true), text)
  end)

  it("fails the main task as well, and trio.run can be used again", function()
    local err = H.raises("stack corrupted", H.run, function()
      open_elsewhere(function(inner) inner:start_soon(trio.sleep, 1) end)
    end)
    assert.equal("string", type(err))
    assert.equal("fine", H.run(function()
      trio.sleep(1)
      return "fine"
    end))
  end)
end)

describe("nurseries left out of order", function()
  it("NURS-36 give a plain error from the run, in no group", function()
    local err = H.raises("[Nn]ursery stack corrupted", H.run, function()
      trio.open_nursery(function() open_elsewhere() end)
    end)
    assert.equal("string", type(err))
  end)

  it("NURS-36 also with children in both", function()
    local trace, log = H.trace()
    local function child()
      local _, why = pcall(trio.sleep, 5)
      log(H.is_cancelled(why))
      error(why, 0)
    end
    local err = H.raises("stack corrupted", H.run, function()
      trio.open_nursery(function(outer)
        outer:start_soon(child)
        open_elsewhere(function(inner) inner:start_soon(child) end)
        lowlevel.checkpoint()
        outer.cancel_scope:cancel()
      end)
    end)
    nothing_internal(err)
    assert.same({true, true}, trace)
  end)

  it("give an error where the outer one is left", function()
    local left
    local _, err = pcall(H.run, function()
      local first = open_elsewhere()
      local second = open_elsewhere()
      left = resume_fails(first)
      local _, second_err = co.resume(second)
      nothing_internal(second_err)
      lowlevel.checkpoint()
    end)
    nothing_internal(err)
    assert.truthy(left:find("corrupted", 1, true), left)
    assert.truthy(left:find("[Nn]ursery") or left:find("scope"), left)
  end)

  it("give an error to the task that leaves another's nursery", function()
    local left
    local err = H.raises("", H.run, function()
      trio.open_nursery(function(outer)
        local gen
        outer:start_soon({name = "owner"}, function()
          gen = open_elsewhere(function(inner)
            inner:start_soon(trio.sleep, 3)
          end)
          trio.sleep(2)
        end)
        trio.sleep(1)
        left = resume_fails(gen)
      end)
    end)
    corrupted(err)
    assert.truthy(left:find("[Nn]ursery") or left:find("scope"), left)
  end)
end)

describe("scopes left out of order", function()
  trio_it("CANCEL-65 give an error that names the inner one, and work on",
    function()
      local inner = trio.CancelScope()
      local first = scope_elsewhere(trio.CancelScope())
      local second = scope_elsewhere(inner)
      local text = resume_fails(first)
      assert.truthy(text:find("still within its child", 1, true), text)
      local address = tostring(inner):match("0x%x+")
      assert.truthy(text:find(address, 1, true), text)
      assert.same({true, "left"}, {co.resume(second)})
      trio.sleep(1)
      assert.equal(1, trio.current_time())
      assert.equal(math.huge, trio.current_effective_deadline())
    end)

  trio_it("CANCEL-66 give an error to an unrelated task", function()
    local scope = trio.CancelScope()
    local group = H.raises("", trio.open_nursery, function(outer)
      local gen
      outer:start_soon(function()
        gen = scope_elsewhere(scope)
        local ok, why = pcall(trio.sleep, 5)
        assert.is_false(ok)
        assert.is_true(H.is_cancelled(why))
      end)
      trio.sleep(1)
      local text = resume_fails(gen)
      assert.truthy(text:find("unrelated", 1, true), text)
      scope:cancel()
    end)
    corrupted(group)
    assert.equal(1, trio.current_time())
  end)

  trio_it("CANCEL-67 cancel what sleeps in the abandoned part", function()
    local seen = {}
    local function note()
      local _, why = pcall(trio.sleep_forever)
      seen[#seen + 1] = why
      error(why, 0)
    end
    local outer = scope_elsewhere(trio.CancelScope())
    trio.open_nursery(function(nursery)
      nursery:start_soon(note)
      nursery:start_soon(function() trio.CancelScope():run(note) end)
      trio.testing.wait_all_tasks_blocked()
      local text = resume_fails(outer)
      assert.truthy(text:find("still within its child", 1, true), text)
    end)
    assert.equal(2, #seen)
    for _, why in ipairs(seen) do
      assert.is_true(H.is_cancelled(why))
      assert.equal("unknown", why.source)
      assert.equal("misnesting", why.reason)
    end
    trio.sleep(1)
  end)
end)
