-- SPDX-License-Identifier: MIT
-- examples_spec.lua: runs every example and compares what it prints.
--
-- The form of an example, checked here as well:
--   * line 1 is the licence, line 2 a comment that says its one idea;
--   * at most 60 lines, without arguments, from any folder;
--   * it ends with what it prints to standard output, to the letter:
--       --[[ expected output
--       ...
--       ]]
-- It ends with status 0 and prints nothing to standard error. demo.lua shows
-- ports and times, which differ from run to run: only its outline is compared.

local cli = require "spec.support.cli"

local MAX_LINES = 60

local function read_all(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function examples()
  local names = {}
  local list = assert(io.popen("ls examples"))
  for file in list:lines() do
    if file:find("%.lua$") and file ~= "demo.lua" then
      names[#names + 1] = file
    end
  end
  list:close()
  return names
end

local function expected_output(source)
  return source:match("\n%-%-%[%[ expected output\n(.-)%]%]\n$")
end

-- Runs the example in an empty folder; what is wrong with it, or nil.
local function problem_of(name, source)
  local expected = expected_output(source)
  if not expected then return "it does not end with its expected output" end
  local result = cli.run("PROG " .. name, {files = {[name] = source}})
  if result.err ~= "" then return "on standard error:\n" .. result.err end
  if result.status ~= 0 then return "status " .. result.status end
  if result.out ~= expected then
    return ("expected:\n%s\ngot:\n%s"):format(expected, result.out)
  end
  return nil
end

describe("the example", function()
  for _, name in ipairs(examples()) do
    local source = read_all("examples/" .. name)

    it(name .. " prints what it says", function()
      local problem = problem_of(name, source)
      if problem then error(name .. ": " .. problem, 0) end
    end)

    it(name .. " is short and begins with its idea", function()
      local _, lines = source:gsub("\n", "")
      assert.is_true(lines <= MAX_LINES, name .. " has " .. lines .. " lines")
      local licence, idea = source:match("^([^\n]*)\n([^\n]*)\n")
      assert.equal("-- SPDX-License-Identifier: MIT", licence)
      assert.truthy(idea:find("^%-%- %u[^:]+: .*%.$"), "line 2: " .. idea)
    end)
  end
end)

describe("the comparison of examples", function()
  local good = 'print("x")\n--[[ expected output\nx\n]]\n'

  it("accepts the output that was announced", function()
    assert.is_nil(problem_of("good.lua", good))
  end)

  it("refuses another output", function()
    local bad = good:gsub('"x"', '"y"')
    assert.truthy(problem_of("bad.lua", bad):find("expected:\nx\n", 1, true))
  end)

  it("refuses a program that announces nothing", function()
    assert.truthy(problem_of("mute.lua", 'print("x")\n'))
  end)

  it("refuses an error, also after the right output", function()
    local bad = good:gsub("%-%-%[%[", 'error("late")\n%0')
    assert.truthy(problem_of("bad.lua", bad):find("late", 1, true))
  end)
end)

describe("the demonstration", function()
  local ROOT = io.popen("pwd"):read("l")
  local started = os.time()
  local result = cli.run(("cd '%s' && PROG examples/demo.lua"):format(ROOT))
  local seconds = os.time() - started

  local function shows(text)
    assert.truthy(result.out:find(text, 1, true),
                  ("no %q in:\n%s"):format(text, result.out))
  end

  it("ends well and soon", function()
    assert.equal("", result.err)
    assert.equal(0, result.status)
    assert.is_true(seconds <= 2, "it took " .. seconds .. " seconds")
  end)

  it("answers every client", function()
    for name, sum in pairs {Ann = 5050, Bob = 500500, Cleo = 50005000} do
      shows(("%-7s it is %d\n"):format(name, sum))
    end
  end)

  it("shows the tree of tasks", function()
    assert.truthy(result.out:find(
      "\n +task Dan: waits in Stream:receive_some at examples/demo.lua:%d+\n"
        .. " +scope ADDR, deadline"), result.out)
    shows("task accept at 127.0.0.1:")
  end)

  it("gives up what takes too long, and ends", function()
    shows("0.5 s  Dan     too slow, I hang up\n")
    shows("4 connections served; shutting down\n")
    shows("nothing is left running\n")
  end)
end)
