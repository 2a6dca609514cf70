-- SPDX-License-Identifier: MIT
-- What stands on stderr after an error that nobody handled in a run.

local cli = require "spec.support.cli"

local prologue = "local trio = require 'trio'\n"

-- Runs the script (its first line is line 2) and returns what it said.
local function report(text, options)
  local result = cli.script(prologue .. text, options)
  assert.equal(1, result.status)
  assert.equal("", result.out)
  return result.err
end

local function has(err, text)
  assert.truthy(err:find(text, 1, true), "no '" .. text .. "' in:\n" .. err)
end

local function lacks(err, text)
  assert.falsy(err:find(text, 1, true), "'" .. text .. "' in:\n" .. err)
end

describe("the report of", function()
  it("a string has the traceback of the task that raised", function()
    local err = report [[
local function culprit()
  trio.sleep(0)
  error("broken")
end
trio.run(function() culprit() end)]]
    has(err, "PROG: main.lua:4: broken\nstack traceback:\n\t")
    has(err, "main.lua:4: in ")
    has(err, "main.lua:6: in ")
    assert.equal(1, select(2, err:gsub("stack traceback:", "")))
  end)

  it("a string raised by a child names its line", function()
    local err = report [[
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      error("in child")
    end)
  end)
end)]]
    has(err, "PROG: ExceptionGroup: Exceptions from Trio nursery")
    has(err, "main.lua:5: in child")
    has(err, "main.lua:5: in function <main.lua:4>")
  end)

  it("a plain table is like lua's, with the task's traceback", function()
    local err = report [[
trio.run(function()
  error({})
end)]]
    has(err, "PROG: (error object is a table value)\nstack traceback:\n\t")
    has(err, "main.lua:3: in ")
  end)

  it("nil is like lua's", function()
    local err = report [[
trio.run(function()
  error(nil)
end)]]
    has(err, "PROG: (error object is a nil value)\nstack traceback:\n\t")
  end)

  it("a table with __tostring is its text", function()
    local err = report [[
local mine = setmetatable({}, {__tostring = function() return "mine" end})
trio.run(function()
  error(mine)
end)]]
    assert.equal("PROG: mine", err:match("^[^\n]*"))
  end)

  it("an error object is its text and where it was raised", function()
    local err = report [[
local token = trio.run(trio.lowlevel.current_trio_token)
trio.run(function()
  token:run_sync_soon(print)
end)]]
    has(err, "PROG: RunFinishedError")
    has(err, "\nstack traceback:\n\t")
    has(err, "main.lua:4: in ")
    assert.equal(1, select(2, err:gsub("stack traceback:", "")))
  end)

  it("an error object raised outside of a run too", function()
    local err = report [[
error(trio.BusyResourceError("engaged"))]]
    has(err, "PROG: BusyResourceError: engaged\nstack traceback:\n\t")
    has(err, "main.lua:2: in main chunk")
  end)

  it("a subclass carries its own name", function()
    local err = report [[
local Mine = trio.Error:subclass("MyError")
trio.run(function() error(Mine("text")) end)]]
    has(err, "PROG: MyError: text\n")
  end)

  it("a timeout names the line that set it", function()
    local err = report [[
trio.run(function()
  trio.fail_after(0, function()
    trio.sleep_forever()
  end)
end)]]
    has(err, "PROG: TooSlowError")
    has(err, "main.lua:3: in ")
  end)

  it("a group is the tree of its leaves with their tracebacks", function()
    local err = report [[
local function first() error("one") end
local function second() error(trio.Error("two")) end
trio.run(function()
  trio.open_nursery(function(outer)
    outer:start_soon(first)
    trio.open_nursery(function(inner)
      inner:start_soon(second)
    end)
  end)
end)]]
    has(err, "main.lua:2: one")
    has(err, "Error: two")
    has(err, "main.lua:2: in ")
    has(err, "main.lua:3: in ")
    assert.equal(2, select(2, err:gsub("ExceptionGroup: ", "")))
  end)

  it("a cause and a context follow the error", function()
    local err = report [[
local cause = trio.Error("root")
trio.run(function()
  error(trio.BrokenResourceError("late", {cause = cause}))
end)]]
    has(err, "PROG: BrokenResourceError: late\n")
    has(err, "\ncaused by: Error: root")
    err = report [[
trio.run(function()
  error(trio.Error("second", {context = "first"}))
end)]]
    has(err, "\nwhile handling: first")
  end)

  it("a group ends with the causes of its leaves", function()
    local err = report [[
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      error(trio.BrokenResourceError("late", {cause = trio.Error("root")}))
    end)
  end)
end)]]
    has(err, "\nBrokenResourceError: late\ncaused by: Error: root")
  end)

  it("a cause that comes back to itself ends", function()
    local err = report [[
local loop = trio.Error("loop")
loop.cause = loop
error(loop)]]
    has(err, "\ncaused by: Error: loop")
  end)

  it("an error that a script raises again keeps its traceback", function()
    local err = report [[
local ok, err = pcall(trio.run, function()
  error(trio.Error("inside"))
end)
error(err, 0)]]
    has(err, "main.lua:3: in ")
  end)

  it("a later string error is not confused with an earlier one", function()
    local err = report [[
pcall(trio.run, function()
  error("same", 0)
end)
error("other", 0)]]
    has(err, "main.lua:5: in main chunk")
    lacks(err, "main.lua:3: in ")
  end)

  it("a mistake names the script's line", function()
    local err = report [[
trio.run(function()
  trio.run(print)
end)]]
    has(err, "PROG: main.lua:3: ")
    err = report [[
trio.run({no_such_option = 1}, print)]]
    has(err, "no_such_option")
    has(err, "main.lua:2: in main chunk")
  end)

  it("an error after a run is lua's own", function()
    local err = report [[
trio.run(trio.sleep, 0)
error("after")]]
    assert.equal("PROG: main.lua:3: after\nstack traceback:\n" ..
                 "\t[C]: in function 'error'\n" ..
                 "\tmain.lua:3: in main chunk\n\t[C]: in ?\n", err)
  end)
end)
