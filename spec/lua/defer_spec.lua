-- SPDX-License-Identifier: MIT
-- trio.defer: cleanup that runs on every exit of a block, in its own scope.
local H = require "spec.support.helper"
local trio = require "trio"
local now = trio.current_time

local function boom() error("boom", 0) end

describe("defer", function()
  it("calls its function outside of a task too", function()
    local seen, log = H.trace()
    do
      local guard <close> = trio.defer(function(err) log(tostring(err)) end)
      log(tostring(guard):match("^<trio%.defer ") and "text")
    end
    assert.same({"text", "nil"}, seen)
    local ok, err = pcall(function()
      local _ <close> = trio.defer(function(e) log(e) end)
      boom()
    end)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.equal("boom", seen[3])
  end)

  H.trio_it("runs at every kind of exit, the last one first", function()
    local seen, log = H.trace()
    local function leave(how)
      local _ <close> = trio.defer(function() log(how .. " 1") end)
      local _ <close> = trio.defer(function() log(how .. " 2") end)
      for i = 1, 2 do
        local _ <close> = trio.defer(function() log("loop") end)
        if how == "return" then return "value" end
        if how == "error" then error("error", 0) end
        if i == 1 then break end
      end
    end
    assert.is_nil(leave("end"))
    assert.equal("value", leave("return"))
    assert.equal("error", H.raises("error", leave, "error"))
    assert.same({
      "loop", "end 2", "end 1", "loop", "return 2", "return 1",
      "loop", "error 2", "error 1",
    }, seen)
  end)

  H.trio_it("gets the error that leaves the block, or nil", function()
    local seen = {}
    local value = {}
    local err = select(2, pcall(function()
      local _ <close> = trio.defer(function(e) seen[1] = e end)
      error(value)
    end))
    assert.is_true(rawequal(value, err))
    assert.is_true(rawequal(value, seen[1]))
    do
      local _ <close> = trio.defer(function(...) seen = table.pack(...) end)
    end
    assert.is_nil(seen[1])
  end)

  H.trio_it("lets the cleanup wait although the task was cancelled",
    function()
      local cause
      local scope = trio.move_on_after(1, function()
        local _ <close> = trio.defer(function(err)
          cause = err
          trio.sleep(2)
        end)
        trio.sleep_forever()
      end)
      assert.is_true(scope.cancelled_caught)
      assert.is_true(H.is_cancelled(cause))
      assert.equal(3, now())
    end)

  H.trio_it("with shield = false, lets the cleanup be cancelled", function()
    local cleaned = false
    local scope = trio.move_on_after(1, function()
      local _ <close> = trio.defer(function()
        trio.sleep(2)
        cleaned = true
      end, {shield = false})
      trio.sleep_forever()
    end)
    assert.is_true(scope.cancelled_caught)
    assert.is_false(cleaned)
    assert.equal(1, now())
  end)

  H.trio_it("cuts the cleanup at its timeout, and the error goes on",
    function()
      local reached = false
      local ok, err = pcall(function()
        local _ <close> = trio.defer(function()
          trio.sleep_forever()
          reached = true
        end, {timeout = 2})
        boom()
      end)
      assert.is_false(ok)
      assert.equal("boom", err)
      assert.is_false(reached)
      assert.equal(2, now())
    end)

  H.trio_it("counts the timeout from the exit, and swallows it", function()
    local result = (function()
      local _ <close> = trio.defer(trio.sleep_forever, {timeout = 2})
      trio.sleep(5)
      return "result"
    end)()
    assert.equal("result", result)
    assert.equal(7, now())
  end)

  H.trio_it("keeps a Cancelled going after a timeout", function()
    local scope = trio.move_on_after(1, function()
      local _ <close> = trio.defer(trio.sleep_forever, {timeout = 2})
      trio.sleep_forever()
    end)
    assert.is_true(scope.cancelled_caught)
    assert.equal(3, now())
  end)

  it("notes on an error of the cleanup which one it replaces", function()
    local first, second = trio.Error("first"), trio.Error("second")
    local function leave(raised)
      local _ <close> = trio.defer(function() error(raised) end)
      error(first)
    end
    local function leave_in_run(raised) trio.run(leave, raised) end
    for _, f in ipairs {leave, leave_in_run} do
      second.context = nil
      assert.equal(second, H.raises_class(trio.Error, f, second))
      assert.equal(first, second.context)
      assert.equal(first, H.raises_class(trio.Error, f, first))
      assert.is_nil(first.context)
    end
    first.context, second.context = second, nil
    assert.equal(second, H.raises_class(trio.Error, leave, second))
    assert.is_nil(second.context)
  end)

  H.trio_it("lets an error of the cleanup replace the first", function()
    local value = trio.Error("cleanup")
    local err = H.raises_class(trio.Error, function()
      local _ <close> = trio.defer(function() error(value) end)
      boom()
    end)
    assert.is_true(rawequal(value, err))
    err = H.raises_class(trio.Error, function()
      local _ <close> = trio.defer(function() error(value) end)
    end)
    assert.is_true(rawequal(value, err))
  end)

  H.trio_it("may wait in a chain of several", function()
    local seen, log = H.trace()
    trio.move_on_after(1, function()
      local _ <close> = trio.defer(function() trio.sleep(1); log(now()) end)
      local _ <close> = trio.defer(function() trio.sleep(1); log(now()) end)
      trio.sleep_forever()
    end)
    assert.same({2, 3}, seen)
  end)

  it("takes anything that can be called", function()
    local called = false
    local callable = setmetatable({}, {__call = function() called = true end})
    do
      local _ <close> = trio.defer(callable)
    end
    assert.is_true(called)
  end)

  it("names its bad arguments and their place", function()
    local function refused(text, ...)
      local arguments = table.pack(...)
      local err = H.raises("^[^:]*defer_spec%.lua:%d+: bad argument",
        function()
          local x = trio.defer(table.unpack(arguments, 1, arguments.n))
          return x
        end)
      assert.is_truthy(err:find(text, 1, true), err)
    end
    refused("#1 to 'defer' (function expected, got nil)")
    refused("#1 to 'defer' (function expected, got table)", {})
    refused("#2 to 'defer' (table expected, got number)", boom, 1)
    refused("#2 to 'defer' (unknown option 'time')", boom, {time = 1})
    refused("option 'shield' must be a boolean", boom, {shield = 1})
    refused("option 'timeout' must be a number", boom, {timeout = "1"})
    refused("option 'timeout' must not be negative or NaN", boom,
      {timeout = -1})
    refused("option 'timeout' must not be negative or NaN", boom,
      {timeout = 0 / 0})
  end)
end)
