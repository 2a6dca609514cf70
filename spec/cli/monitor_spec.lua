-- SPDX-License-Identifier: MIT
-- --monitor: SIGUSR1 prints the tree of tasks.

local cli = require "spec.support.cli"

local prologue = "local trio = require 'trio'\n"

describe("--monitor", function()
  it("prints the tree while every task waits", function()
    local result = cli.script(prologue .. [[
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon({name = "sleeper"}, trio.sleep_forever)
    K = io.popen("sleep 0.2; kill -USR1 $PPID; sleep 0.2; kill -INT $PPID")
    trio.sleep_forever()
  end)
end)]], "--monitor")
    assert.truthy(result.err:find("sleeper", 1, true), result.err)
    assert.equal(130, result.status)
  end)

  it("prints the tree out of a busy loop", function()
    local result = cli.script(prologue .. [[
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon({name = "sleeper"}, trio.sleep_forever)
    trio.sleep(0)
    io.popen("kill -USR1 $PPID"):close()
    for i = 1, 1000 do local _ = i end
    io.stderr:write("after the loop\n")
    nursery.cancel_scope:cancel()
  end)
end)]], "--monitor")
    local tree = result.err:match("^(.*)after the loop\n$")
    assert.truthy(tree, result.err)
    assert.truthy(tree:find("sleeper", 1, true), result.err)
    assert.equal(0, result.status)
  end)

  it("does no harm outside of a run", function()
    local result = cli.script([[
      io.popen("kill -USR1 $PPID"):close()
      for i = 1, 1000 do local _ = i end
      print("still here")]], "--monitor")
    assert.equal("still here\n", result.out)
    assert.equal(0, result.status)
  end)

  it("is off without the option", function()
    local result = cli.script([[
      io.popen("kill -USR1 $PPID"):close()
      for i = 1, 1000 do local _ = i end]])
    assert.equal(128 + 10, result.status)
  end)
end)
