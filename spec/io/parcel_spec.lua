-- SPDX-License-Identifier: MIT
-- What can be sent between the Lua states of threads, and what can't: all of
-- it goes through trio.to_thread.run_sync, there and back.

local trio = require "trio"
local H = require "spec.support.helper"
local trio_it, raises = H.trio_it, H.raises

local run_sync = trio.to_thread.run_sync

local function echo(...) return run_sync(function(...) return ... end, ...) end

describe("plain values", function()
  trio_it("keep type and value, integers staying integers", function()
    local values = {
      true, false, 0, -1, math.maxinteger, math.mininteger, 1.0, 0.1, -0.0,
      math.huge, -math.huge, "", "text", "a\0b", ("x"):rep(100000), n = 15,
    }
    for i = 1, values.n do
      local got = echo(values[i])
      assert.equal(values[i], got)
      assert.equal(math.type(values[i]), math.type(got))
    end
    assert.equal("-inf", tostring(1 / echo(-0.0)))
    local nan = echo(0 / 0)
    assert.are_not.equal(nan, nan)
  end)

  trio_it("come in any number, with nils at any place", function()
    assert.equal(0, select("#", echo()))
    assert.equal(3, select("#", echo(nil, nil, nil)))
    local got = table.pack(echo(nil, 1, nil))
    assert.same({nil, 1, nil, n = 3}, got)
    assert.equal(200, select("#", echo(table.unpack({}, 1, 200))))
  end)
end)

describe("tables", function()
  trio_it("are copied with all kinds of keys", function()
    local t = {1, 2, nil, 4, x = "y", [1.5] = true, [false] = {deep = {1}}}
    local got = echo(t)
    assert.are_not.equal(t, got)
    assert.same(t, got)
  end)

  trio_it("keep cycles and what they share", function()
    local shared = {}
    local t = {a = shared, b = shared, [shared] = 1}
    t.self = t
    local got, again = echo(t, shared)
    assert.equal(got, got.self)
    assert.equal(got.a, got.b)
    assert.equal(1, got[got.a])
    assert.equal(again, got.a)
  end)

  trio_it("may be nested as deep as a long list", function()
    local list
    for i = 1, 100000 do list = {next = list, value = i} end
    local got, count = echo(list), 0
    while got do got, count = got.next, count + 1 end
    assert.equal(100000, count)
  end)

  trio_it("that are the globals or a module are those of the thread",
    function()
      assert.equal(_G, echo(_G))
      local string_library, here = string, "only here"
      _G.only_here = here
      local theirs, unknown, rep = run_sync(function(globals)
        return globals == _G and string_library == string,
          globals.only_here, string_library.rep("a", 3)
      end, _G)
      _G.only_here = nil
      assert.is_true(theirs)
      assert.is_nil(unknown)
      assert.equal("aaa", rep)
    end)
end)

describe("functions", function()
  trio_it("bring their upvalues", function()
    local a, b = 1, {"two"}
    local function inner() return a, b[1] end
    assert.same({1, "two"}, {run_sync(function() return inner() end)})
  end)

  trio_it("may refer to themselves and to each other", function()
    local odd
    local function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n > 0 and even(n - 1) end
    assert.is_true(run_sync(even, 10))
    local copy = echo(even)
    assert.are_not.equal(even, copy)
    assert.is_false(copy(7))
  end)

  trio_it("go on sharing an upvalue", function()
    local n = 0
    local function up() n = n + 1 end
    local function get() return n end
    assert.equal(2, run_sync(function() up() up() return get() end))
    assert.equal(0, n)
    local new_up, new_get = echo(up, get)
    new_up()
    assert.equal(1, new_get())
  end)

  trio_it("have the globals of where they run, there and back", function()
    _G.where = "home"
    local function get() return where end  -- luacheck: ignore 113
    assert.is_nil(run_sync(get))
    local back = run_sync(function() return function() return _G.where end end)
    assert.equal("home", back())
    _G.where = nil
  end)

  trio_it("written in C go by their names", function()
    assert.equal(string.format, echo(string.format))
    assert.equal(print, echo(print))
    assert.equal(trio.sleep, echo(trio.sleep))
    assert.equal(trio.catch, echo(trio.catch))
    local format = string.format
    assert.equal("007", run_sync(function() return format("%03d", 7) end))
    assert.equal("7", run_sync(tostring, 7))
  end)

  trio_it("of a module that is loaded later are found", function()
    local named = string.gmatch  -- any C function under a new name
    echo(named)
    local unnamed = coroutine.wrap(function() end)
    raises("^argument 1: a C function that has no name in package.loaded"
      .. " can't be sent", echo, unnamed)
    package.loaded.late_module = {wrapped = unnamed}
    raises("module 'late_module' not found", echo, unnamed)
    package.loaded.late_module = nil
    raises("has no name", echo, unnamed)
  end)
end)

describe("errors", function()
  local function send_error(err)
    return select(2, pcall(run_sync, error, err, 0))
  end

  trio_it("that are plain values arrive as they are", function()
    assert.equal("text", send_error("text"))
    assert.equal(7, send_error(7))
    assert.is_nil(send_error(nil))
    assert.same({code = 1}, send_error({code = 1}))
  end)

  trio_it("of trio's classes keep class, fields and traceback", function()
    local err = raises("", run_sync, function()
      local function culprit()
        error(trio.OSError("no such file", {code = "ENOENT", errno = 2}))
      end
      culprit()
    end)
    assert.is_true(trio.isinstance(err, trio.OSError))
    assert.equal("OSError: no such file", tostring(err))
    assert.equal("ENOENT", err.code)
    assert.equal(2, err.errno)
    assert.truthy(err.traceback:find("culprit", 1, true))
  end)

  trio_it("of the program's own classes come home as these", function()
    local Mine = trio.Error:subclass("Mine")
    local Sub = Mine:subclass("Sub")
    local err = send_error(Sub("x", {n = 1}))
    assert.is_true(trio.isinstance(err, Sub))
    assert.is_true(trio.isinstance(err, Mine))
    assert.equal(1, err.n)
    assert.equal(Sub, echo(Sub))
    assert.is_true(trio.isinstance(send_error(Mine("y")), Mine))
  end)

  trio_it("made of others keep their tree", function()
    local one, two = trio.WouldBlock("one"), trio.Error("two")
    local group = trio.ExceptionGroup("g", {one,
      trio.ExceptionGroup("h", {two, "three"})})
    local got = send_error(group)
    assert.is_true(trio.isinstance(got, trio.ExceptionGroup))
    assert.equal(tostring(group), tostring(got))
    local chained = trio.Error("outer", {cause = one})
    assert.is_true(trio.isinstance(send_error(chained).cause, trio.WouldBlock))
  end)

  trio_it("that can't be sent are told by their text", function()
    local err = raises("", run_sync, function()
      error(trio.Error("the text", {file = io.stdout}))
    end)
    assert.equal("Error: the text (field 'file' of the error: userdata can't"
      .. " be sent to a thread (FILE*))", err)
  end)
end)

describe("tokens", function()
  trio_it("are the same at home, and usable elsewhere", function()
    local token = trio.lowlevel.current_trio_token()
    local got, text = run_sync(function()
      return token, tostring(token)
    end)
    assert.equal(token, got)
    assert.truthy(text:find("TrioToken", 1, true))
  end)
end)

describe("what can't be sent is named", function()
  local file = io.stdout

  local function check(text, fn, ...)
    local err = raises("", fn, ...)
    assert.equal(text, err)
  end

  trio_it("with its place", function()
    local sock = file
    check("upvalue 'sock' of the function: userdata can't be sent to a thread"
      .. " (FILE*)", run_sync, function() return sock end)
    check("argument 2: userdata can't be sent to a thread (FILE*)",
      echo, 1, file)
    check("result 2: userdata can't be sent to a thread (FILE*)",
      run_sync, function() return 1, io.stdout end)
    check("field 'f' of field [3] of argument 1: userdata can't be sent to a"
      .. " thread (FILE*)", echo, {1, 2, {f = file}})
    check("a key of argument 1: userdata can't be sent to a thread (FILE*)",
      echo, {[file] = 1})
    local config = {log = {to = file}}
    check("field 'to' of field 'log' of upvalue 'config' of argument 1:"
      .. " userdata can't be sent to a thread (FILE*)",
      echo, function() return config end)
  end)

  trio_it("coroutines, tasks and tables with a metatable too", function()
    check("argument 1: a coroutine can't be sent to a thread",
      echo, coroutine.create(print))
    check("argument 1: userdata can't be sent to a thread (trio.Event)",
      echo, trio.Event())
    check("argument 1: a table with a metatable can't be sent to a thread",
      echo, setmetatable({}, {}))
    check("argument 1: a table with a metatable can't be sent to a thread"
      .. " (Point)", echo, setmetatable({}, {__name = "Point"}))
  end)

  it("with the line of the program that calls", function()
    trio.run(function()
      local err = raises("", function() run_sync(print, file) end)
      assert.truthy(err:find("^[^:]*parcel_spec.lua:%d+: argument 1: userdata"))
    end)
  end)

  trio_it("and nothing is lost on the way to the error", function()
    local token = trio.lowlevel.current_trio_token()
    for _ = 1, 50 do
      pcall(echo, token, ("x"):rep(10000), {token, {file}})
    end
  end)
end)
