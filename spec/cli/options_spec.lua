-- SPDX-License-Identifier: MIT
-- The long options, and what the interpreter puts into the state.

local cli = require "spec.support.cli"

-- Prints the order in which ten tasks ran.
local order = [[
  local trio = require "trio"
  local seen = {}
  trio.run(function()
    trio.open_nursery(function(nursery)
      for i = 1, 10 do
        nursery:start_soon(function() seen[#seen + 1] = i end)
      end
    end)
  end)
  print(table.concat(seen, " "))]]
local in_order = "1 2 3 4 5 6 7 8 9 10\n"

local deadlock = [[
  local trio = require "trio"
  trio.run(function() trio.sleep_forever() end)]]

local function refuses(command, message)
  local result = cli.run(command)
  assert.equal("PROG: " .. message, result.err:match("^[^\n]*"))
  assert.equal("usage: PROG [options] [script [args]]",
               result.err:match("^[^\n]*\n([^\n]*)"))
  assert.equal("", result.out)
  assert.equal(1, result.status)
end

describe("option", function()
  it("--help prints the usage and runs nothing", function()
    local result = cli.run("PROG -e 'print(1)' --help f.lua")
    assert.truthy(result.out:find("^usage: PROG %[options%]"))
    for _, option in ipairs {"-e stat", "-a, --await", "--seed N",
                             "--on-deadlock ACTION", "--monitor"} do
      assert.truthy(result.out:find("\n  " .. option, 1, true), option)
    end
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  it("--version prints the versions and runs nothing", function()
    local result = cli.run("PROG -e 'print(1)' --version f.lua")
    local form = "^trio%-lua %d[%d.]+%S* %(Lua 5%.4%.%d+%)\n$"
    assert.truthy(result.out:find(form), result.out)
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  it("--seed shuffles reproducibly", function()
    local one = cli.script(order, "--seed 1")
    assert.equal("", one.err)
    assert.equal(one.out, cli.script(order, "--seed=1").out)
    local others = {}
    for seed = 2, 5 do
      others[cli.script(order, "--seed " .. seed).out] = true
    end
    others[one.out] = nil
    assert.truthy(next(others), "every seed gave the same order")
    assert.equal(in_order, cli.script(order).out)
  end)

  it("--seed takes any integer, and a run's own seed wins", function()
    assert.equal(0, cli.script(order, "--seed -7").status)
    assert.equal(0, cli.script(order, "--seed=9223372036854775807").status)
    local own = order:gsub("trio%.run%(", "trio.run({seed = 3}, ")
    assert.equal(cli.script(own).out, cli.script(own, "--seed 1").out)
  end)

  it("--on-deadlock raise names what waits", function()
    for _, option in ipairs {"--on-deadlock raise", "--on-deadlock=raise"} do
      local result = cli.script(deadlock, option)
      assert.truthy(result.err:find("^PROG: DeadlockError: "), result.err)
      assert.truthy(result.err:find("main.lua:2", 1, true), result.err)
      assert.equal(1, result.status)
    end
  end)

  it("--on-deadlock wait is what a run may overrule", function()
    local own = deadlock:gsub("trio%.run%(",
                              "trio.run({on_deadlock = 'raise'}, ")
    local result = cli.script(own, "--on-deadlock wait")
    assert.truthy(result.err:find("^PROG: DeadlockError: "), result.err)
  end)

  it("of the script's own is not ours", function()
    local result = cli.script("print(...)", "", "--seed x --help -a --monitor")
    assert.equal("--seed\tx\t--help\t-a\t--monitor\n", result.out)
    result = cli.run("PROG -- main.lua --version",
                     {files = {["main.lua"] = "print(...)"}})
    assert.equal("--version\n", result.out)
  end)

  it("stands in arg at a negative index", function()
    local result = cli.script("for i = -4, 0 do print(arg[i]) end",
                              "--seed 5 --await")
    assert.equal("PROG\n--seed\n5\n--await\nmain.lua\n", result.out)
  end)

  it("with a mistake stops everything", function()
    refuses("PROG --seed", "'--seed' needs argument")
    refuses("PROG -e 'print(1)' --seed", "'--seed' needs argument")
    refuses("PROG --seed x f.lua", "'--seed' needs an integer")
    refuses("PROG --seed= f.lua", "'--seed' needs an integer")
    refuses("PROG --seed=1.5 f.lua", "'--seed' needs an integer")
    refuses("PROG --seed 99999999999999999999", "'--seed' needs an integer")
    refuses("PROG --on-deadlock", "'--on-deadlock' needs argument")
    refuses("PROG --on-deadlock x", "'--on-deadlock' needs 'raise' or 'wait'")
    refuses("PROG --seeds 1", "unrecognized option '--seeds'")
    refuses("PROG --await=yes", "unrecognized option '--await=yes'")
    refuses("PROG --HELP", "unrecognized option '--HELP'")
    refuses("PROG -ai", "unrecognized option '-ai'")
  end)
end)

describe("the state of a script", function()
  it("has trio preloaded, and no global of it", function()
    local result = cli.run([[LUA_PATH=x LUA_CPATH=x PROG -e '
      print(trio, package.loaded.trio == require "trio")
      package.loaded.trio = nil
      print(type(require("trio").run))' ]])
    assert.equal("nil\ttrue\nfunction\n", result.out)
    assert.equal("", result.err)
  end)

  it("has coroutines and protected calls that know of tasks", function()
    local result = cli.script([[
      local trio = require "trio"
      print(coroutine == trio.coroutine)
      trio.run(function()
        local co = coroutine.wrap(function()
          coroutine.yield(pcall(trio.sleep, 0))
          return "end"
        end)
        print(co())
        print(co())
      end)]])
    assert.equal("true\ntrue\nend\n", result.out)
    assert.equal("", result.err)
  end)
end)
