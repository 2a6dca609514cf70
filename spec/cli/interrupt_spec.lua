-- SPDX-License-Identifier: MIT
-- Ctrl+C ends a program with a traceback and status 130, wherever it is. The
-- scripts send the signal to themselves through a child process.

local cli = require "spec.support.cli"

-- now() interrupts the script at once; later() once it may be blocked.
local prologue = "local trio = require 'trio' " ..
  "local function now() io.popen('kill -INT $PPID'):close() end " ..
  "local function later() " ..
  "K = io.popen('sleep 0.2; kill -INT $PPID; sleep 0.3') end\n"

local function run(text, options)
  return cli.script(prologue .. text, options)
end

local function ends_interrupted(text, options)
  local result = run(text, options)
  assert.equal(130, result.status, result.err)
  assert.truthy(result.err:find("KeyboardInterrupt", 1, true), result.err)
  assert.truthy(result.err:find("stack traceback:\n\t", 1, true), result.err)
  return result
end

describe("Ctrl+C", function()
  it("ends a busy script outside of a run", function()
    local result = ends_interrupted "now() while true do end"
    assert.truthy(result.err:find("^PROG: KeyboardInterrupt"), result.err)
    assert.truthy(result.err:find("main.lua:2: in main chunk", 1, true))
  end)

  it("ends a script that blocks outside of a run", function()
    local result = ends_interrupted [[
later()
io.popen("sleep 1"):read("a")
while true do end]]
    assert.truthy(result.err:find("main.lua:%d+: in main chunk"), result.err)
  end)

  it("is an error that a script may catch", function()
    local result = run [[
print(pcall(function() now() while true do end end))
local ok, err = pcall(function() end)
print(ok, err)]]
    assert.truthy(result.out:find("^false\tKeyboardInterrupt.*\ntrue\tnil\n"))
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  it("of a class of its own", function()
    local result = run [[
local ok, err = pcall(function() now() while true do end end)
print(trio.isinstance(err, trio.KeyboardInterrupt))
print(trio.isinstance(err, trio.Error))]]
    assert.equal("true\nfalse\n", result.out)
  end)

  it("the second time kills a script that ignores the first", function()
    local result = run [[
pcall(function() now() while true do end end)
pcall(function() now() while true do end end)
print("not reached")]]
    assert.equal("", result.out)
    assert.equal(130, result.status)
  end)

  it("KI-01 ends a run whose main task is blocked", function()
    ends_interrupted "later() trio.run(trio.sleep_forever)"
    ends_interrupted("later() trio.sleep_forever()", "--await")
  end)

  it("KI-01 ends a run in which another task works", function()
    ends_interrupted [[
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      now()
      while true do trio.sleep(0) end
    end)
    trio.sleep_forever()
  end)
end)]]
  end)

  it("ends a main task that is busy", function()
    local result = ends_interrupted [[
trio.run(function()
  now()
  while true do end
end)]]
    local place = "main.lua:%d: in function <main.lua:2>"
    assert.truthy(result.err:find(place), result.err)
    ends_interrupted("now() while true do end", "-a")
  end)

  it("ends a main task that is busy in a coroutine", function()
    ends_interrupted [[
trio.run(function()
  coroutine.wrap(function()
    now()
    while true do end
  end)()
end)]]
  end)

  it("KI-05 comes out of a nursery in a group, status 130 too", function()
    local result = ends_interrupted [[
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(trio.sleep_forever)
    later()
  end)
end)]]
    assert.truthy(result.err:find("ExceptionGroup", 1, true), result.err)
  end)

  it("that a program handles leaves the status alone", function()
    local result = run [[
later()
print(trio.isinstance(select(2, pcall(trio.run, trio.sleep_forever)),
                      trio.KeyboardInterrupt))]]
    assert.equal("true\n", result.out)
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  it("runs the cleanup of the tasks", function()
    local result = ends_interrupted [[
later()
trio.run(function()
  local x <close> = trio.defer(function() print("cleaned") end)
  trio.sleep_forever()
end)]]
    assert.equal("cleaned\n", result.out)
  end)

  it("after a run works as before it", function()
    ends_interrupted "trio.run(trio.sleep, 0) now() while true do end"
  end)

  it("with another error around it is that error", function()
    local result = run [[
pcall(function() now() while true do end end)
error("other")]]
    assert.equal(1, result.status)
  end)
end)
