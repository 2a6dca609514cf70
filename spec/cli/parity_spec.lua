-- SPDX-License-Identifier: MIT
-- The same command line under lua5.4 and under trio-lua must give the same
-- output, the same messages and the same exit status.

local cli = require "spec.support.cli"

local hello = {["f.lua"] = "print('hello', ...)"}

local function file(text)
  return {["f.lua"] = text}
end

-- {command line, files, standard input; usage: it ends with the list of
-- options; status: the exit status where it is not that of lua5.4}
local cases = {
  -- Options
  {"PROG -e 'print(1)'"},
  {"PROG -e'print(1)'"},
  {"PROG -e 'x = 1' -e 'print(x)'"},
  {"PROG -e 'print(1)' f.lua a b", hello},
  {"PROG -e ''"},
  {"PROG -v"},
  {"PROG -v -e 'print(1)'"},
  {"PROG -v f.lua", hello},
  {"PROG -e 'print(1)' -v"},
  {"PROG -l mod -e 'print(mod.x)'", {["mod.lua"] = "return {x = 5}"}},
  {"PROG -lmod -e 'print(mod.x)'", {["mod.lua"] = "return {x = 5}"}},
  {"PROG -l g=mod -e 'print(g.x, mod)'", {["mod.lua"] = "return {x = 5}"}},
  {"PROG -l mod", {["mod.lua"] = "print('mod', ...)"}, "print('stdin')"},
  {"PROG -l mod -e 'print(1)'", {["mod.lua"] = "error('m')"}},
  {"PROG -l nomod"},
  {"PROG -l a=string -e 'print(a == string)'"},
  {"PROG -W -e 'warn(\"a\", \"b\")'"},
  {"PROG -e 'warn(\"a\")' -W -e 'warn(\"b\")'"},
  {"PROG -e 'warn(\"@on\") warn(\"a\") warn(\"@off\") warn(\"b\")'"},
  {"LUA_INIT='print(1)' PROG -E -e 'print(2)'"},
  {"LUA_PATH='./x/?.lua' PROG -E -e 'print(package.path)'"},
  {"LUA_PATH='./x/?.lua;;' PROG -e 'print(package.path)'"},
  {"LUA_PATH_5_4='y' LUA_PATH='x' PROG -e 'print(package.path)'"},
  {"LUA_CPATH='./x/?.so;;' PROG -e 'print(package.cpath)'"},
  {"PROG -e 'print(package.path, package.cpath, package.config)'"},
  {"PROG -- f.lua -x", hello},
  {"PROG -- -f.lua", {["-f.lua"] = "print('dash', ...)"}},
  {"PROG -e 'print(1)' --"},
  {"PROG -- - a", {["-"] = "print('a file', ...)"}},
  {"PROG f.lua -e --await --seed", hello},
  {"PROG f.lua -- -i", hello},
  -- Mistakes in options
  {"PROG -x", usage = true},
  {"PROG --foo", usage = true},
  {"PROG -ix", usage = true},
  {"PROG -vi", usage = true},
  {"PROG -Ex", usage = true},
  {"PROG -W1", usage = true},
  {"PROG -v -x", usage = true},
  {"PROG -e 'print(1)' -z", usage = true},
  {"PROG -e", usage = true},
  {"PROG -l", usage = true},
  {"PROG -e -v", usage = true},
  {"PROG -l -v", usage = true},
  {"PROG --=x", usage = true},
  -- Environment
  {"LUA_INIT='print(1)' PROG -e 'print(2)'"},
  {"LUA_INIT='print(1)' LUA_INIT_5_4='print(3)' PROG -e 'print(2)'"},
  {"LUA_INIT='@f.lua' PROG -e 'print(2)'", hello},
  {"LUA_INIT='@no.lua' PROG -e 'print(2)'"},
  {"LUA_INIT='error(\"i\")' PROG -e 'print(2)'"},
  {"LUA_INIT='x =' PROG -e 'print(2)'"},
  {"LUA_INIT_5_4='error(\"i\")' PROG f.lua", hello},
  {"LUA_INIT_5_4='' LUA_INIT='print(1)' PROG -e 'print(2)'"},
  -- Scripts, their arguments, standard input
  {"PROG f.lua a '' 'b c'", hello},
  {"PROG -W -e 'x=1' f.lua a", file [[
    for i = -6, 3 do print(i, arg[i]) end]]},
  {"PROG -e 'for i = -3, 3 do print(i, arg[i]) end' -W"},
  {"PROG - a b", nil, "print(arg[0], ...) print(arg[-1], arg[1])"},
  {"PROG", nil, "print('stdin', ..., #arg, arg[0])"},
  -- lua forgets the failure of a script that was not named: here it counts
  {"PROG", nil, "error('in stdin')", status = 1},
  {"PROG", nil, "x =", status = 1},
  {"PROG -", nil, "error('in stdin')"},
  {"PROG -v", nil, "print('not run')"},
  {"PROG f.lua", file "print(io.read('n', 'L', 'a'))", "12 x\nrest\n"},
  {"PROG ''"},
  {"PROG nofile.lua"},
  {"PROG ./"},
  {"PROG f.lua a", file "#!/usr/bin/env lua\nprint('bang', ...)"},
  {"PROG f.lua", file "#!/usr/bin/env lua\nerror('line 2')"},
  {"PROG f.lua", file "\xEF\xBB\xBFprint('bom')"},
  {"PROG -e 'arg = 5' f.lua", hello},
  {"PROG -e 'arg = {1, 2, 3}' f.lua x", hello},
  {"PROG -e 'io.open(\"b\", \"wb\"):write(string.dump(function(...) " ..
   "print(\"binary\", ...) end)):close()' && PROG b x y"},
  {"PROG f.lua", file "return 5"},
  -- Errors
  {"PROG f.lua", file "error('a message')"},
  {"PROG f.lua", file "error('a message', 0)"},
  {"PROG f.lua", file "local function f() error('deep', 2) end\nf()"},
  {"PROG f.lua", file "local function f() return nil + 1 end\nf()"},
  {"PROG f.lua", file "local t = {}\nt.x.y = 1"},
  {"PROG f.lua", file "error()"},
  {"PROG f.lua", file "error(nil)"},
  {"PROG f.lua", file "error(42)"},
  {"PROG f.lua", file "error({})"},
  {"PROG f.lua", file "error(print)"},
  {"PROG f.lua", file "error(true)"},
  {"PROG f.lua", file("error(setmetatable({}, {__tostring = function() " ..
                      "return 'my text' end}))")},
  {"PROG f.lua", file("error(setmetatable({}, {__tostring = function() " ..
                      "return 5 end}))")},
  {"PROG f.lua", file("error(setmetatable({}, {__tostring = function() " ..
                      "error('in tostring') end}))")},
  {"PROG f.lua", file "assert(false)"},
  {"PROG f.lua", file "assert(nil, 'assertion text')"},
  {"PROG f.lua", file "string.rep()"},
  {"PROG f.lua", file "('x'):rep(1e10)"},
  {"PROG f.lua", file "local function f() return 1 + f() end f()"},
  {"PROG f.lua", file "x = = 1"},
  {"PROG f.lua", file "goto nowhere"},
  {"PROG f.lua", file "local x <const> = 1; x = 2"},
  {"PROG -e 'x ='"},
  {"PROG -e 'error(\"e\")' f.lua", hello},
  {"PROG -e 'local a' -e 'error({})'"},
  {"PROG f.lua", {["f.lua"] = "require 'm'", ["m.lua"] = "error('load')"}},
  {"PROG f.lua", {["f.lua"] = "require 'm'", ["m.lua"] = "x ="}},
  {"PROG f.lua", file "dofile('nofile.lua')"},
  {"PROG f.lua", file "load('error(1)', '=chunk')()"},
  {"PROG f.lua", file "print(pcall(error, 'caught'))"},
  {"PROG f.lua", file "print(pcall(error))"},
  {"PROG f.lua", file("print(xpcall(error, function(m) return m .. '!' end, " ..
                      "'caught'))")},
  {"PROG f.lua", file "xpcall(error, print, 1, 2) print(select('#', pcall()))"},
  {"PROG f.lua", file "pcall(error, 'x') error('after pcall')"},
  {"PROG f.lua", file "local ok, e = pcall(error, 'x') error(e, 0)"},
  {"PROG f.lua", file "coroutine.wrap(function() error('in wrap') end)()"},
  {"PROG f.lua", file "coroutine.wrap(function() error({}) end)()"},
  {"PROG f.lua", file "table.sort({3, 2, 1}, function() error('cmp') end)"},
  -- Exit and closing
  {"PROG f.lua", file "os.exit(3)"},
  {"PROG f.lua", file "os.exit(true)"},
  {"PROG f.lua", file "os.exit(false)"},
  {"PROG f.lua", file "io.write('unflushed') os.exit(7)"},
  {"PROG f.lua", file [[
    X = setmetatable({}, {__gc = function() print("collected") end})]]},
  {"PROG f.lua", file [[
    X = setmetatable({}, {__gc = function() print("collected") end})
    error("e")]]},
  {"PROG f.lua", file [[
    X = setmetatable({}, {__gc = function() print("collected") end})
    os.exit(2)]]},
  {"PROG f.lua", file [[
    X = setmetatable({}, {__gc = function() print("collected") end})
    os.exit(2, true)]]},
  {"PROG -W f.lua", file [[
    X = setmetatable({}, {__gc = function() error("in gc") end})]]},
  {"PROG f.lua", file [[
    local x <close> = setmetatable({}, {__close = function(_, e)
      print("closed", e) end})
    print("body")]]},
  {"PROG f.lua", file [[
    local x <close> = setmetatable({}, {__close = function(_, e)
      print("closed", e) end})
    error("e", 0)]]},
  {"PROG f.lua", file [[
    local x <close> = setmetatable({}, {__close = function(_, e)
      error("from close", 0) end})
    error("e", 0)]]},
  {"PROG f.lua", file [[
    local x <close> = setmetatable({}, {__close = function(_, e)
      print("closed", e) end})
    os.exit(4, true)]]},
  -- The state that scripts find
  {"PROG -e 'print(collectgarbage(\"incremental\"))'"},
  {"PROG -e 'print(_VERSION, trio)'"},
  {"PROG f.lua", file [[
    local names = {}
    for name in pairs(_G) do names[#names + 1] = name end
    table.sort(names)
    print(table.concat(names, " "))]]},
  {"PROG f.lua", file [[
    for _, library in ipairs {"coroutine", "string", "table", "os"} do
      local names = {}
      for name in pairs(_G[library]) do names[#names + 1] = name end
      table.sort(names)
      print(table.concat(names, " "))
    end]]},
  {"PROG f.lua", file "print(coroutine.isyieldable(), coroutine.running())"},
  {"PROG f.lua", file "coroutine.yield(1)"},
  {"PROG f.lua", file "print(debug.traceback('t'))"},
  {"PROG f.lua", file "print(debug.getinfo(1, 'S').what, ...)"},
  {"PROG -e 'print(io.read())' -e 'print(io.read())'", nil, "one\ntwo\n"},
}

-- The list of options differs below the line "usage: ...".
local function without_option_list(text)
  return (text:gsub("(usage: [^\n]*\n).*", "%1"))
end

local function describe_case(case)
  local text = case[2] and case[2]["f.lua"]
  return case[1] .. (text and "  # " .. text or "")
end

describe("like lua5.4:", function()
  for _, case in ipairs(cases) do
    it(describe_case(case), function()
      local io_of_case = {files = case[2], stdin = case[3]}
      local expected = cli.run(case[1], io_of_case, cli.reference)
      local actual = cli.run(case[1], io_of_case)
      expected.status = case.status or expected.status
      if case.usage then
        assert.truthy(expected.err:find("usage: ", 1, true))
        expected.err = without_option_list(expected.err)
        actual.err = without_option_list(actual.err)
      end
      assert.same(expected, actual)
    end)
  end
end)
