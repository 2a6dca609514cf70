-- SPDX-License-Identifier: MIT
-- trio.coroutine does what Lua's coroutine does: the same programs run with
-- both, outside a task, in a task, and in a coroutine in a task. What it can do
-- besides, waiting inside a coroutine, is in coroutine_await_spec.lua.
-- luacheck: ignore 211/_.+
local H = require "spec.support.helper"
local trio = require "trio"
local stock = require "spec.support.stock"

local function closing(fn)
  return setmetatable({}, {__close = function(_, err) fn(err) end})
end

-- Each case is a program that uses the library it is given and returns plain
-- values: the outcome must be the same with every library.
local cases = {
  {"values go in and out", function(co)
    local c = co.create(function(...)
      local a = table.pack(co.yield(select("#", ...), ...))
      local b = table.pack(co.yield(a.n, table.unpack(a, 1, a.n)))
      return b.n, nil, "end", nil
    end)
    return {
      table.pack(co.resume(c, 1, nil)),
      table.pack(co.resume(c)),
      table.pack(co.resume(c, nil, nil)),
      table.pack(co.resume(c, "late")),
      table.pack(co.resume(c, "later")),
    }
  end},
  {"a hundred values", function(co)
    local many = {}
    for i = 1, 100 do many[i] = i end
    local f = co.wrap(function(...)
      return select("#", co.yield(...))
    end)
    local got = table.pack(f(table.unpack(many)))
    return got, f(table.unpack(many))
  end},
  {"status", function(co)
    local seen = {}
    local outer, inner
    outer = co.create(function()
      seen[#seen + 1] = co.status(outer)
      inner = co.create(function()
        seen[#seen + 1] = co.status(outer)
        seen[#seen + 1] = co.status(inner)
        co.yield()
      end)
      co.resume(inner)
      seen[#seen + 1] = co.status(inner)
      co.yield()
    end)
    seen[#seen + 1] = co.status(outer)
    co.resume(outer)
    seen[#seen + 1] = co.status(outer)
    co.resume(outer)
    seen[#seen + 1] = co.status(outer)
    return seen
  end},
  {"status after an error", function(co)
    local c = co.create(error)
    co.resume(c, "boom")
    return co.status(c)
  end},
  {"running and isyieldable", function(co)
    local c
    c = co.create(function()
      local thread, main = co.running()
      co.yield(thread == c, main, co.isyieldable(), co.isyieldable(c))
    end)
    return table.pack(co.resume(c))
  end},
  {"types", function(co)
    return type(co.create(print)), type(co.wrap(print)), type(co.running())
  end},
  {"a C function as the body", function(co)
    local c = co.create(math.max)
    return table.pack(co.resume(c, 3, 7, 5)), co.status(c)
  end},
  {"yield itself as the body", function(co)
    local c = co.create(co.yield)
    return table.pack(co.resume(c, 1, 2)), table.pack(co.resume(c, 3)),
      co.status(c)
  end},
  {"an error out of resume", function(co)
    local object = {}
    local ok, err = co.resume(co.create(function() error(object) end))
    return ok, rawequal(object, err),
      table.pack(co.resume(co.create(function() error("boom") end))),
      table.pack(co.resume(co.create(function() error(nil) end))),
      table.pack(co.resume(co.create(function() local x = nil; x() end)))
  end},
  {"an error out of wrap", function(co)
    local object = {}
    local ok, err = pcall(co.wrap(function() error(object) end))
    return ok, rawequal(object, err),
      table.pack(pcall(function()
        co.wrap(function() error("boom") end)()
      end)),
      table.pack(pcall(co.wrap(function() error("boom", 0) end))),
      table.pack(pcall(co.wrap(function() error(nil) end)))
  end},
  {"resuming the dead", function(co)
    local c = co.create(function() end)
    co.resume(c)
    local f = co.wrap(function() end)
    f()
    return table.pack(co.resume(c)), table.pack(pcall(f)),
      table.pack(pcall(function() f() end))
  end},
  {"resuming a running or a normal one", function(co)
    local c
    c = co.create(function()
      local own = table.pack(co.resume(c))
      local inner = co.wrap(function() return table.pack(co.resume(c)) end)()
      return own, inner
    end)
    return table.pack(co.resume(c))
  end},
  {"wrap that calls itself", function(co)
    local f
    f = co.wrap(function() return pcall(f) end)
    return f()
  end},
  {"nested generators", function(co)
    local function range(n)
      return co.wrap(function()
        for i = 1, n do co.yield(i) end
      end)
    end
    local pairs_of = co.wrap(function()
      for i in range(3) do
        for j in range(i) do co.yield(i * 10 + j) end
      end
    end)
    local all = {}
    for v in pairs_of do all[#all + 1] = v end
    return all
  end},
  {"yield across pcall and xpcall", function(co)
    local f = co.wrap(function()
      local ok, a = pcall(function()
        local x = co.yield(1)
        error(x, 0)
      end)
      local ok2, b = xpcall(function()
        error(co.yield(2), 0)
      end, function(e) return "handled " .. e end)
      return ok, a, ok2, b
    end)
    return f(), f("one"), table.pack(f("two"))
  end},
  {"yield in metamethods, iterators and closers", function(co)
    local object = setmetatable({}, {
      __index = function(_, key) return co.yield(key) end,
      __add = function(_, x) return co.yield(x) end,
      __close = function() co.yield("closing") end,
    })
    local f = co.wrap(function()
      local a = object.field
      local b = object + 1
      local function next_value(_, i)
        if i == "first" then return co.yield(i) end
      end
      for v in next_value, nil, "first" do a = a .. v end
      do
        local _guard <close> = object
      end
      return a, b
    end)
    return f(), f("A"), f("B"), f("C"), table.pack(f())
  end},
  {"close", function(co)
    local trace = {}
    local function log(x) trace[#trace + 1] = x end
    local fresh = co.create(print)
    local suspended = co.create(function()
      local _a <close> = closing(function(e) log("a " .. tostring(e)) end)
      local _b <close> = closing(function(e) log("b " .. tostring(e)) end)
      co.yield()
    end)
    co.resume(suspended)
    log(table.pack(co.close(fresh)))
    log(table.pack(co.close(suspended)))
    log(co.status(fresh) .. co.status(suspended))
    log(table.pack(co.close(suspended)))
    log(table.pack(co.resume(suspended)))
    return trace
  end},
  {"close where a closer raises", function(co)
    local trace = {}
    local c = co.create(function()
      local _a <close> = closing(function(e) trace[#trace + 1] = e end)
      local _b <close> = closing(function() error("from b", 0) end)
      co.yield()
    end)
    co.resume(c)
    return table.pack(co.close(c)), trace, table.pack(co.close(c)),
      co.status(c)
  end},
  {"an error leaves the closers to close", function(co)
    local trace = {}
    local function log(x) trace[#trace + 1] = x end
    local c = co.create(function()
      local _a <close> = closing(function(e) log("closed " .. e) end)
      error("boom", 0)
    end)
    log(table.pack(co.resume(c)))
    log(co.status(c))
    log(table.pack(co.close(c)))
    log(table.pack(co.close(c)))
    return trace
  end},
  {"wrap runs the closers of a failed body", function(co)
    local trace = {}
    local function log(x) trace[#trace + 1] = x end
    local f = co.wrap(function()
      local _a <close> = closing(function(e) log("a " .. e) end)
      local _b <close> = closing(function(e)
        log("b " .. e)
        error("other", 0)
      end)
      error("boom", 0)
    end)
    log(table.pack(pcall(f)))
    log(table.pack(pcall(f)))
    return trace
  end},
  {"closing a running or a normal one", function(co)
    local c
    c = co.create(function()
      local own = table.pack(pcall(co.close, c))
      local inner = co.wrap(function() return pcall(co.close, c) end)
      return own, table.pack(inner())
    end)
    return table.pack(co.resume(c))
  end},
  {"wrong arguments", function(co)
    local function try(f, ...)
      return table.pack(pcall(f, ...))
    end
    local function named(name, ...)
      local args = table.pack(...)
      local calls = {
        create = function() co.create(table.unpack(args, 1, args.n)) end,
        wrap = function() co.wrap(table.unpack(args, 1, args.n)) end,
        resume = function() co.resume(table.unpack(args, 1, args.n)) end,
        status = function() co.status(table.unpack(args, 1, args.n)) end,
        close = function() co.close(table.unpack(args, 1, args.n)) end,
      }
      return try(calls[name])
    end
    local all = {}
    for _, name in ipairs({"create", "wrap", "resume", "status", "close"}) do
      all[#all + 1] = named(name)
      all[#all + 1] = named(name, nil)
      all[#all + 1] = named(name, 42)
      all[#all + 1] = named(name, {})
    end
    all[#all + 1] = named("resume", print)
    all[#all + 1] = named("create", setmetatable({}, {__call = print}))
    all[#all + 1] = try(function() co.isyieldable(42) end)
    return all
  end},
  {"a symmetric pair", function(co)
    local trace = {}
    local consumer
    local producer = co.wrap(function()
      for i = 1, 3 do trace[#trace + 1] = consumer(i) end
    end)
    consumer = co.wrap(function(v)
      while true do v = co.yield(v * v) end
    end)
    producer()
    return trace
  end},
  {"a tree walked by recursive yields", function(co)
    local function walk(t)
      if type(t) ~= "table" then co.yield(t) return end
      for _, sub in ipairs(t) do walk(sub) end
    end
    local all = {}
    for v in co.wrap(function() walk({1, {2, {3, {4}}, 5}, {{{6}}}}) end) do
      all[#all + 1] = v
    end
    return all
  end},
  {"a garbage collected generator", function(co)
    for _ = 1, 20 do
      co.wrap(function()
        local _a <close> = closing(function() error("never") end)
        co.yield()
      end)()
    end
    collectgarbage()
    return "fine"
  end},
  {"mixed with the stock library", function(co)
    local mine = co.create(function(x)
      local inner = stock.wrap(function(y)
        local z = stock.yield(y + 1)
        return z * 2
      end)
      local a = inner(x)
      local b = co.yield(a)
      return inner(b)
    end)
    return table.pack(stock.status(mine)), table.pack(co.resume(mine, 1)),
      stock.status(mine), table.pack(co.resume(mine, 10)), stock.status(mine)
  end},
}

describe("trio.coroutine", function()
  it("is another library than Lua's own, with the same functions", function()
    for _, name in ipairs({"create", "resume", "wrap", "close"}) do
      assert.is_function(trio.coroutine[name])
      assert.not_equal(stock[name], trio.coroutine[name])
    end
    for name in pairs(stock) do
      assert.is_function(trio.coroutine[name], name)
    end
  end)

  it("is the global coroutine of the interpreter", function()
    for name, value in pairs(trio.coroutine) do
      assert.equal(value, _G.coroutine[name])
    end
  end)

  for _, case in ipairs(cases) do
    local name, program = case[1], case[2]
    local function outcome(library)
      return table.pack(program(library))
    end

    it("outside a task: " .. name, function()
      assert.same(outcome(stock), outcome(trio.coroutine))
    end)

    H.trio_it("in a task: " .. name, function()
      assert.same(outcome(stock), outcome(trio.coroutine))
    end)

    H.trio_it("in a coroutine in a task: " .. name, function()
      local got = trio.coroutine.wrap(outcome)(trio.coroutine)
      assert.same(outcome(stock), got)
    end)
  end
end)

describe("outside of every coroutine", function()
  it("running and isyieldable say so", function()
    local thread, main = trio.coroutine.running()
    local same, stock_main = stock.running()
    assert.equal(same, thread)
    assert.equal(stock_main, main)
    assert.equal(stock.isyieldable(), trio.coroutine.isyieldable())
  end)

  it("yield in the main program raises as Lua's does", function()
    local script = [[
      local trio = require 'trio'
      for _, f in ipairs{require 'coroutine'.yield, trio.coroutine.yield} do
        print(pcall(f, 1))
      end]]
    local pipe <close> = assert(io.popen(H.command .. ' -e "' ..
      script .. '" 2>&1'))
    local first, second = pipe:read("l", "l")
    assert.matches("^false\t.*outside a coroutine", first)
    assert.equal(first, second)
  end)
end)

describe("deep nesting of coroutines", function()
  local function dive(co, n)
    return co.wrap(function()
      if n == 0 then return 0 end
      return dive(co, n - 1) + 1
    end)()
  end

  it("works for a hundred, and ends in an error, not in a crash", function()
    assert.equal(100, dive(trio.coroutine, 100))
    assert.matches("C stack overflow", H.raises("", dive, trio.coroutine, 300))
  end)

  H.trio_it("works the same in a task", function()
    assert.equal(100, dive(trio.coroutine, 100))
    assert.matches("C stack overflow", H.raises("", dive, trio.coroutine, 300))
  end)
end)
