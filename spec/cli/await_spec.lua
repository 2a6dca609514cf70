-- SPDX-License-Identifier: MIT
-- --await: the script is the main task of a run.

local cli = require "spec.support.cli"

local function ok(result, out)
  assert.equal("", result.err)
  assert.equal(out, result.out)
  assert.equal(0, result.status)
end

describe("--await", function()
  it("lets the script wait at its top level", function()
    local text = [[
      local trio = require "trio"
      trio.sleep(0)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() print("child") end)
      end)
      print("end", #arg, arg[0], ...)
      return 5]]
    ok(cli.script(text, "--await", "a b"), "child\nend\t2\tmain.lua\ta\tb\n")
    ok(cli.script(text, "-a"), "child\nend\t0\tmain.lua\n")
  end)

  it("is needed to wait there", function()
    local result = cli.script([[require("trio").sleep(0)]])
    assert.truthy(result.err:find("^PROG: main.lua:1: .*task"), result.err)
    assert.equal(1, result.status)
  end)

  it("covers -e and standard input", function()
    local wait = [[require("trio").sleep(0) print("waited")]]
    ok(cli.run("PROG -a -e '" .. wait .. "' -e '" .. wait .. "'"),
       "waited\nwaited\n")
    ok(cli.run("PROG --await", {stdin = wait}), "waited\n")
    ok(cli.run("PROG --await -", {stdin = wait}), "waited\n")
    ok(cli.run("PROG -e 'x = 1' -a -", {stdin = wait}), "waited\n")
  end)

  it("leaves LUA_INIT and -l outside of the run", function()
    local inside = "print(require('trio').lowlevel.in_trio_run())"
    ok(cli.run([[LUA_INIT="]] .. inside .. [[" PROG -a -l mod -e "]] ..
               inside .. [["]], {files = {["mod.lua"] = inside}}),
       "false\nfalse\ntrue\n")
  end)

  it("reports the script's error as its own", function()
    local result = cli.script([[
local function inner()
  require("trio").sleep(0)
  error("broken")
end
inner()]], "--await")
    local err = result.err
    assert.truthy(err:find("^PROG: main.lua:3: broken\nstack traceback:\n\t"))
    assert.truthy(err:find("main.lua:3: in ", 1, true), err)
    assert.truthy(err:find("main.lua:5: in ", 1, true), err)
    assert.equal(1, result.status)
  end)

  it("reports mistakes of syntax and missing files as without", function()
    local result = cli.script("x = = 1", "--await")
    assert.equal("PROG: main.lua:1: unexpected symbol near '='\n", result.err)
    assert.equal(1, result.status)
    result = cli.run("PROG --await nofile.lua")
    assert.truthy(result.err:find("^PROG: cannot open nofile.lua[^\n]*\n$"))
    assert.equal(1, result.status)
  end)

  it("stops after a chunk that failed", function()
    local result = cli.run("PROG -a -e 'error(1, 0)' -e 'print(2)'")
    assert.equal("", result.out)
    assert.equal(1, result.status)
  end)

  it("ends with the status of os.exit", function()
    local text = [[
      require("trio").sleep(0)
      io.write("before ")
      os.exit(7%s)]]
    for _, close in ipairs {"", ", true"} do
      local result = cli.script(text:format(close), "--await")
      assert.equal("before ", result.out)
      assert.equal("", result.err)
      assert.equal(7, result.status)
    end
  end)

  it("closes the script's variables, which may wait", function()
    ok(cli.script([[
      local trio = require "trio"
      local x <close> = trio.defer(function()
        trio.sleep(0)
        print("closed")
      end)
      print("body")]], "--await"), "body\nclosed\n")
  end)

  it("runs luac files", function()
    ok(cli.run([[PROG -e 'io.open("b", "wb"):write(string.dump(function(...)
      require("trio").sleep(0) print(...) end)):close()' && PROG -a b 1 2]]),
       "1\t2\n")
  end)
end)
