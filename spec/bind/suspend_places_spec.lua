-- SPDX-License-Identifier: MIT
-- Where a task may wait, and where Lua can't suspend: there the error names the
-- function that would have waited and the C function in the way.
-- luacheck: ignore 211/_.+ 512
local H = require "spec.support.helper"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint

local now = trio.current_time

-- Waits a second, then gives back its arguments.
local function slow(...)
  trio.sleep(1)
  return ...
end

describe("a task may wait", function()
  H.trio_it("in pcall and xpcall", function()
    assert.same({true, 1, nil, 2, n = 4}, table.pack(pcall(slow, 1, nil, 2)))
    assert.same({true, "x"}, {xpcall(slow, debug.traceback, "x")})
    local object = {}
    local function fail()
      trio.sleep(1)
      error(object)
    end
    local ok, err = pcall(fail)
    assert.is_false(ok)
    assert.is_true(rawequal(object, err))
    assert.same({false, "handled"}, {xpcall(fail, function(e)
      return rawequal(e, object) and "handled"
    end)})
    assert.equal(4, now())
  end)

  H.trio_it("in pcall nested many times", function()
    local function dive(n)
      if n == 0 then return slow("deep") end
      return select(2, pcall(dive, n - 1))
    end
    assert.equal("deep", dive(50))
    assert.equal(1, now())
  end)

  H.trio_it("in trio.pcall and trio.xpcall", function()
    assert.same({true, 7}, {trio.pcall(slow, 7)})
    assert.same({true, 8}, {trio.xpcall(slow, debug.traceback, 8)})
    assert.equal(2, now())
  end)

  H.trio_it("in metamethods", function()
    local function unary() return slow("unary") end
    local function binary() return slow("binary") end
    local function yes() return slow(true) end
    local written
    local mt = {
      __add = binary, __sub = binary, __mul = binary, __div = binary,
      __mod = binary, __pow = binary, __idiv = binary, __band = binary,
      __bor = binary, __bxor = binary, __shl = binary, __shr = binary,
      __concat = binary, __unm = unary, __bnot = unary, __len = unary,
      __eq = yes, __lt = yes, __le = yes,
      __call = function(_, x) return slow(x) end,
      __index = function(_, key) return slow(key) end,
      __newindex = function(_, key, value) written = slow(key .. value) end,
    }
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    local results = {
      a + b, a - b, a * b, a / b, a % b, a ^ b, a // b, a & b, a | b, a ~ b,
      a << b, a >> b, a .. b,
    }
    assert.equal(13, #results)
    for _, result in ipairs(results) do assert.equal("binary", result) end
    assert.equal("unary", -a)
    assert.equal("unary", ~a)
    assert.equal("unary", #a)
    assert.is_true(a == b)
    assert.is_true(a < b)
    assert.is_true(a <= b)
    assert.equal("called", a("called"))
    assert.equal("key", a.key)
    a.field = "value"
    assert.equal("fieldvalue", written)
    assert.equal(22, now())
  end)

  H.trio_it("in the iterator of a for loop", function()
    local function iterate(_, i)
      trio.sleep(1)
      if i < 3 then return i + 1 end
    end
    local sum = 0
    for i in iterate, nil, 0 do sum = sum + i end
    assert.equal(6, sum)
    assert.equal(4, now())
  end)

  H.trio_it("in __pairs", function()
    local object = setmetatable({}, {
      __pairs = function() return slow(next, {answer = 42}, nil) end,
    })
    for key, value in pairs(object) do
      assert.equal("answer", key)
      assert.equal(42, value)
    end
    assert.equal(1, now())
  end)

  H.trio_it("in __close, after a normal end and during an error", function()
    local closer = {__close = function() trio.sleep(1) end}
    do
      local _a <close> = setmetatable({}, closer)
      local _b <close> = setmetatable({}, closer)
    end
    assert.equal(2, now())
    local ok, err = pcall(function()
      local _a <close> = setmetatable({}, closer)
      error("boom", 0)
    end)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.equal(3, now())
    for _ in next, {1}, nil, setmetatable({}, closer) do break end
    assert.equal(4, now())
  end)

  H.trio_it("in __close after break, goto and return", function()
    local closer = {__close = function() trio.sleep(1) end}
    local function returning()
      local _a <close> = setmetatable({}, closer)
      return "a", nil, "b"
    end
    assert.same({"a", nil, "b", n = 3}, table.pack(returning()))
    while true do
      local _a <close> = setmetatable({}, closer)
      break
    end
    do
      local _a <close> = setmetatable({}, closer)
      goto done
    end
    ::done::
    assert.equal(3, now())
  end)

  H.trio_it("in chunks of load, loadfile and dofile", function()
    local chunk = assert(load("local f = ... return f('loaded')"))
    assert.equal("loaded", chunk(slow))
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write("local trio = require 'trio'; trio.sleep(1); return 'done'")
    file:close()
    assert.equal("done", dofile(name))
    assert.equal("done", assert(loadfile(name))())
    os.remove(name)
    assert.equal(3, now())
  end)

  H.trio_it("below table.unpack, select and a vararg call", function()
    assert.equal(3, select("#", slow(table.unpack({1, 2, 3}))))
    assert.equal("b", (select(2, slow("a", "b"))))
  end)

  H.trio_it("in the body of every function that takes one", function()
    trio.CancelScope():run(function() trio.sleep(1) end)
    trio.move_on_after(5, function() trio.sleep(1) end)
    trio.fail_at(50, function() trio.sleep(1) end)
    trio.open_nursery(function() trio.sleep(1) end)
    trio.catch({}, function() trio.sleep(1) end)
    assert.equal(5, now())
  end)
end)

describe("Lua can't suspend", function()
  -- fn must fail where it waits; the message names the C function in the way.
  local function refused(obstacle, fn, ...)
    local message = H.raises("sleep", fn, ...)
    assert.is_string(message)
    assert.is_truthy(message:find(obstacle, 1, true),
      message .. " does not name " .. obstacle)
    assert.equal(0, now())
    -- Nothing is left of it, and the task can wait elsewhere.
    checkpoint()
  end

  H.trio_it("in a comparator of table.sort", function()
    refused("sort", function()
      table.sort({3, 1, 2}, function(a, b)
        trio.sleep(1)
        return a < b
      end)
    end)
  end)

  H.trio_it("in a callback of string.gsub", function()
    refused("gsub", function()
      string.gsub("abc", "%w", function() trio.sleep(1) end)
    end)
    refused("gsub", function()
      local text = "abc"
      text:gsub("%w", function() trio.sleep(1) end)
    end)
    local function in_scope()
      string.gsub("abc", "%w", function()
        trio.CancelScope():run(function() trio.sleep(1) end)
      end)
    end
    refused("gsub", in_scope)
    refused("gsub", trio.coroutine.wrap(in_scope))
  end)

  H.trio_it("at the top level of a module", function()
    package.preload["spec.sleepy"] = function() trio.sleep(1) end
    refused("require", function() require "spec.sleepy" end)
    package.preload["spec.sleepy"] = nil
  end)

  H.trio_it("in __tostring and __name lookups", function()
    local object = setmetatable({}, {
      __tostring = function()
        trio.sleep(1)
        return "never"
      end,
    })
    refused("tostring", function() return (tostring(object)) end)
  end)

  H.trio_it("in a finalizer", function()
    local seen
    local function litter()
      setmetatable({}, {
        __gc = function() seen = table.pack(pcall(trio.sleep, 1)) end,
      })
    end
    litter()
    collectgarbage()
    assert.is_false(seen[1])
    assert.matches("sleep", seen[2])
    assert.matches("__gc", seen[2])
    assert.equal(0, now())
    checkpoint()
  end)

  H.trio_it("in the reader of load", function()
    local f, message = load(function() trio.sleep(1) end)
    assert.is_nil(f)
    assert.matches("sleep", message)
    assert.matches("load", message)
  end)

  H.trio_it("in a hook", function()
    local message
    debug.sethook(function()
      debug.sethook()
      message = select(2, pcall(trio.sleep, 1))
    end, "", 1)
    for _ = 1, 10 do assert.is_not_nil(now) end
    debug.sethook()
    assert.matches("sleep", message)
    checkpoint()
  end)

  H.trio_it("in there even inside a coroutine of our own", function()
    refused("sort", trio.coroutine.wrap(function()
      table.sort({3, 1, 2}, function(a, b)
        trio.sleep(1)
        return a < b
      end)
    end))
  end)

  H.trio_it("in a coroutine that is resumed from there", function()
    refused("sort", function()
      table.sort({3, 1, 2}, function(a, b)
        trio.coroutine.wrap(function() trio.sleep(1) end)()
        return a < b
      end)
    end)
  end)

  H.trio_it("in there with any other async function either", function()
    for name, wait in pairs({
      checkpoint = function() checkpoint() end,
      cancel_shielded_checkpoint = function()
        trio.lowlevel.cancel_shielded_checkpoint()
      end,
      sleep_forever = function() trio.sleep_forever() end,
      open_nursery = function() trio.open_nursery(function() end) end,
    }) do
      local message = H.raises("sort", table.sort, {3, 1, 2}, wait)
      assert.matches(name, message)
    end
    checkpoint()
  end)

  H.trio_it("but scopes may be opened there: that is no wait", function()
    local list = {3, 1, 2}
    table.sort(list, function(a, b)
      return (trio.fail_after(1, function() return a < b end))
    end)
    assert.same({1, 2, 3}, list)
  end)
end)
