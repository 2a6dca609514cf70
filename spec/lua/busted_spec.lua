-- SPDX-License-Identifier: MIT
-- busted_spec.lua: trio.busted. Runs busted as a child, under the interpreter
-- under test, on the specs in spec/fixtures/busted, and looks at what it says
-- about each of their tests. assert.raises_group has busted_groups_spec.lua.

local cli = require "spec.support.cli"

local FIXTURES = "spec/fixtures/busted/"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- The tests of a TAP report: {name =, ok = true or false, text = the lines of
-- the message}, in order and by name.
local function parse(report)
  local tests = {}
  local current
  for line in report:gmatch("[^\n]+") do
    local verdict, name = line:match("^(n?o?t? ?ok) %d+ %- (.*)")
    if verdict then
      current = {name = name, ok = verdict == "ok", text = ""}
      tests[#tests + 1] = current
      tests[name] = current
    elseif current and line:find("^# ") then
      local text = line:gsub("^# ", ""):gsub("^Failure message: ", "")
      current.text = current.text .. text .. "\n"
    end
  end
  return tests
end

-- Runs busted on fixtures (names without .lua) in an empty folder. Returns
-- what cli.run does, and the tests.
local function run(fixtures, options, interpreter)
  local files, names = {}, {}
  for name in fixtures:gmatch("%S+") do
    local file = name .. ".lua"
    files[file] = read(FIXTURES .. file)
    names[#names + 1] = file
  end
  local result = cli.run(("timeout 60 busted --lua=%s -o TAP %s %s"):format(
    interpreter or "PROGRAM", options or "", table.concat(names, " "))
    :gsub("PROGRAM", (cli.program:gsub("%%", "%%%%"))), {files = files})
  result.tests = parse(result.out)
  return result
end

local function passed(result, name)
  local test = result.tests[name]
  assert.truthy(test, ("no %q in:\n%s"):format(name, result.out))
  assert.is_true(test.ok, test.text)
end

-- The test failed, and all of these texts are in its message.
local function failed(result, name, ...)
  local test = result.tests[name]
  assert.truthy(test, ("no %q in:\n%s"):format(name, result.out))
  assert.is_false(test.ok, name .. " passed")
  for _, text in ipairs {...} do
    assert.truthy(test.text:find(text, 1, true),
      ("no %q in:\n%s"):format(text, test.text))
  end
end

describe("trio.busted lets bodies wait", function()
  it("as a helper, for every spec", function()
    local result = run("passing", "--helper=trio.busted")
    assert.equal("", result.err)
    assert.equal(0, result.status, result.out)
    assert.equal(9, #result.tests)
    for _, test in ipairs(result.tests) do passed(result, test.name) end
  end)

  it("shuffled and repeated, too", function()
    local result = run("passing", "--helper=trio.busted --shuffle --repeat=2")
    -- One test there looks at what the one before it has left.
    local failures = result.out:gsub("not ok %d+ %- the bodies of one test", "")
    assert.is_nil(failures:find("not ok"), result.out)
  end)

  it("with trio.so under the system's interpreter", function()
    local module = cli.program:gsub("trio%-lua$", "trio.so")
    if not io.open(module) then return pending("there is no trio.so") end
    local result = run("passing", ("--helper=trio.busted --cpath='%s'"):format(
      module:gsub("trio%.so$", "?.so")), cli.reference)
    assert.equal("", result.err)
    assert.equal(0, result.status, result.out)
    assert.equal(9, #result.tests)
  end)

  it("in the one spec that requires it", function()
    local result = run("failing one_of_two")
    passed(result, "is plain")
    failed(result, "fails after waiting", "failing.lua:8: ")
  end)

  it("in the one block that requires it", function()
    local result = run("insulated")
    assert.equal(0, result.status, result.out)
    assert.equal(3, #result.tests)
  end)

  it("in every spec from there on, without insulation", function()
    local result = run("insulated one_of_two", "--no-auto-insulate")
    passed(result, "inside waits")
    passed(result, "outside is plain")
    passed(result, "is plain")
  end)
end)

describe("trio.busted leaves plain specs as they are:", function()
  -- Lines with the numbers of tests that differ in nothing else.
  local function outputs(options)
    local plain = run("plain", options)
    local helped = run("plain", (options or "") .. " --helper=trio.busted")
    assert.equal("", helped.err)
    assert.equal(plain.status, helped.status)
    local tables = "%(table%) ?{?"
    return (plain.out:gsub(tables, "TABLE")), (helped.out:gsub(tables, "TABLE"))
  end

  it("the same report", function()
    local plain, helped = outputs()
    assert.truthy(plain:find("not ok", 1, true))
    assert.truthy(plain:find("SKIP", 1, true))
    assert.equal(plain, helped)
  end)

  it("with tags, filters, order and without insulation", function()
    for _, options in ipairs {
      "--tags=slow", "--exclude-tags=slow --filter=global --sort",
      "--shuffle --seed=5 --no-auto-insulate", "--lazy --suppress-pending",
      "--no-keep-going",
    } do
      local plain, helped = outputs(options)
      assert.equal(plain, helped)
    end
  end)
end)

describe("trio.busted reports", function()
  local result = run("failing")
  local HERE = "failing.lua:"
  local NOT_EQUAL = "Expected objects to be equal.\nPassed in:\n(number) 2\n"

  it("assertions that fail, in any task, as they are", function()
    for _, name in ipairs {
      "fails after waiting", "fails in a task of the nursery",
      "fails in a nursery of its own", "fails in nested nurseries",
    } do
      failed(result, name, HERE .. "8: " .. NOT_EQUAL)
      assert.is_nil(result.tests[name].text:find("Group"))
    end
  end)

  it("groups of several errors as a tree", function()
    failed(result, "fails in two tasks", "ExceptionGroup: ", "(2 errors)",
      "|- failing.lua:39: Expected objects to be equal.\n|  Passed in:",
      "'- failing.lua:40: Expected objects to be the same.\n   Passed in:")
    failed(result, "errs in two tasks", "ExceptionGroup: ",
      "|- failing.lua:46: ", "'- failing.lua:47: what now")
  end)

  it("errors with the line that raised them", function()
    failed(result, "errs in a scope", HERE .. "13: in a scope")
    failed(result, "errs with an object", HERE
      .. "57: BrokenResourceError: gone")
    failed(result, "fails in a task without a place", HERE
      .. "98: ExceptionGroup: ", "'- nowhere")
  end)

  it("tasks of the nursery that fail when the body has ended", function()
    failed(result, "leaves a task that fails", "(1 error)", "'- left behind")
    failed(result, "leaves a task that fails when cancelled", "'- cleanup")
    passed(result, "is over before its task fails")
    failed(result, "with a task that fails in after_each fails",
      "'- failing.lua:112: too late")
    assert.truthy(result.out:find("after_each was not disturbed", 1, true))
  end)

  it("a deadlock, at once", function()
    failed(result, "deadlocks", HERE .. "81: DeadlockError: every task",
      "the test waits in Event:wait at failing.lua:81")
  end)

  it("a run inside of the run", function()
    failed(result, "calls trio.run", "trio.run can't be called from inside")
  end)

  it("before_each that fails, and runs after_each in peace", function()
    failed(result, "with a task that fails in before_each before_each",
      "'- failing.lua:13: early")
    assert.truthy(result.out:find("\nafter_each could wait\n", 1, true))
    assert.is_nil(result.out:find("never", 1, true))
    failed(result, "with after_each is cleaned up", "13: in the test")
    assert.truthy(result.out:find("\nafter_each was run\n", 1, true))
  end)

  it("pending in a task", function()
    assert.truthy(result.out:find("ok 12 - # SKIP", 1, true))
  end)

  it("the traceback of the raising line, with -v", function()
    local verbose = run("failing", "-v")
    failed(verbose, "fails in a task of the nursery",
      "failing.lua:8: in function <failing.lua:6>")
    failed(verbose, "errs in a scope", "failing.lua:13: in ")
    failed(verbose, "errs in two tasks", "|  stack traceback:",
      "failing.lua:47: in function")
    assert.is_nil(verbose.out:find("trio/preload/busted", 1, true))
  end)

  it("all of it with the other outputs", function()
    for _, output in ipairs {"plainTerminal", "gtest", "junit", "json"} do
      local other = run("failing", "-o " .. output)
      assert.equal("", other.err)
      assert.not_equal(0, other.status)
      assert.truthy(other.out:find("what now", 1, true), other.out)
    end
    local out = run("failing", "-o plainTerminal").out
    assert.truthy(out:find("1 success / 6 failures / 10 errors / 1 pending", 1,
      true), out)
  end)
end)

describe("trio.busted finds what a test leaves open:", function()
  local result = run("leaking")
  local LEFT = "the test has left open:\n"

  it("ends of channels", function()
    failed(result, "leaves both ends of a channel",
      "leaking.lua:10: " .. LEFT
      .. "  leaking.lua:11: a trio.MemoryReceiveChannel\n"
      .. "  leaking.lua:11: a trio.MemorySendChannel\n")
    failed(result, "leaves a clone",
      LEFT .. "  leaking.lua:16: a trio.MemoryReceiveChannel\n")
    failed(result, "leaves a channel for the collector",
      "leaking.lua:22: a trio.MemorySendChannel")
  end)

  it("sockets, also those that were collected", function()
    failed(result, "leaves a socket", LEFT .. "  leaking.lua:27: a stream")
    failed(result, "leaves a socket for the collector",
      LEFT .. "  leaking.lua:31: a stream socket was never closed")
  end)

  it("system tasks", function()
    failed(result, "leaves a system task",
      LEFT .. "  the system task straggler\n")
  end)

  it("what before_each has opened", function()
    failed(result, "what before_each opens and nobody closes is the test's",
      "leaking.lua:73: a trio.MemoryReceiveChannel")
    passed(result, "what before_each opens may be closed by after_each")
  end)

  it("nothing where nothing is left, or where it isn't asked to", function()
    passed(result, "closes everything")
    passed(result, "leaves a channel, which is fine")
    passed(result, "leaves tasks in the nursery, which is fine")
  end)

  it("once it has passed", function()
    local name = "leaves something and fails"
    failed(result, name, "Expected objects to be the same")
    assert.is_nil(result.tests[name].text:find("left open"))
  end)
end)

describe("trio.busted limits the time of each body:", function()
  local result = run("limits one_of_two")

  local function has_run(what, line)
    return ("limits.lua:%d: this %s has run for longer than its limit of "
      .. "0.2 s"):format(line, what)
  end

  it("while it waits, and shows where", function()
    failed(result, "waits", has_run("test", 16),
      "the test: waits in trio.sleep at limits.lua:16")
    failed(result, "waits with a task", has_run("test", 20),
      "the test: waits in trio.sleep at limits.lua:20",
      "task trio.sleep: waits in trio.sleep")
    failed(result, "swallows its cancellation", has_run("test", 23))
  end)

  it("while it doesn't wait", function()
    local text = has_run("test", 13) .. ", in code that doesn't wait\n"
    failed(result, "hogs the thread", text)
    failed(result, "hogs it in a task", text)
    failed(result, "hogs it and swallows the error", text)
    local out = run("limits", "-o plainTerminal --filter=hogs.it.in").out
    local totals = "0 successes / 1 failure / 0 errors"
    assert.truthy(out:find(totals, 1, true), out)
    failed(result, "is busy with checkpoints", has_run("test", 39),
      "the test: is ready to run")
  end)

  it("though it can't be cancelled", function()
    failed(result, "can't be cancelled", "limits.lua:44: this test has not "
      .. "ended 0.2 s after it was cancelled; its run was given up:",
      "waits in trio.sleep at limits.lua:45")
    failed(result, "has a task that can't be cancelled",
      "the tasks of the test's nursery have not ended 0.2 s after they were "
      .. "cancelled:", "limits.lua:8: waits in trio.sleep at limits.lua:49")
    failed(result, "has a task that never ends", "don't end although they "
      .. "were cancelled:", "waits in trio.sleep_forever at limits.lua:9")
  end)

  it("in real time, whatever the clock", function()
    failed(result, "has a mock clock", has_run("test", 59))
  end)

  it("as the options say", function()
    passed(result, "has time enough")
    passed(result, "has no limit")
  end)

  it("and goes on with the next test", function()
    passed(result, "is not disturbed by the others")
    passed(result, "is insulated")
    assert.equal(19, #result.tests)
  end)

  it("before_each and after_each on their own", function()
    failed(result, "with before_each before_each", has_run("before_each", 70))
    assert.truthy(result.out:find("\nafter_each could wait\n", 1, true))
    assert.is_nil(result.out:find("never\n", 1, true))
    failed(result, "with after_each after_each", has_run("after_each", 77))
    passed(result, "with after_each passes")
  end)
end)

describe("trio.busted has options:", function()
  it("a clock, for a file, a block and a test", function()
    local result = run("clocks")
    assert.equal(12, #result.tests)
    failed(result, "takes options of trio.run", "limit of 0.05 s")
    for i = 1, 11 do passed(result, result.tests[i].name) end
  end)

  -- What `statement` says where `busted` is the module.
  local function error_of(statement)
    local result = cli.run(("busted --lua=%s -o TAP x.lua"):format(cli.program),
      {files = {["x.lua"] = [[
        local busted = require "trio.busted"
        local ok, err = pcall(function() ]] .. statement .. [[ end)
        print(err)
        it("x", function() end)]]}})
    return (result.out:match("^[^\n]*"):gsub("^x.lua:%d: ", ""))
  end

  it("which are checked", function()
    assert.equal("bad argument #1 to 'configure' (unknown option 'clok')",
      error_of("busted.configure{clok = 1}"))
    assert.equal("bad argument #1 to 'configure' (table expected, got nil)",
      error_of("busted.configure()"))
    assert.equal("bad argument #1 to 'configure' "
      .. "(option 'timeout' must be a positive number)",
      error_of("busted.configure{timeout = 0}"))
    assert.equal("bad argument #1 to 'test' "
      .. "(option 'check_leaks' must be a boolean)",
      error_of("busted.test({check_leaks = 1}, print)"))
    assert.equal("bad argument #1 to 'test' "
      .. "(options 'clock' and 'autojump_clock' can't both be given)",
      error_of("busted.test({autojump_clock = 1, clock = 1}, print)"))
    assert.equal("bad argument #2 to 'test' (function expected, got nil)",
      error_of("busted.test({})"))
    assert.equal("bad argument #2 to 'test' "
      .. "(this function has options already)",
      error_of("busted.test({}, busted.test(print))"))
  end)

  it("which can't be set in a test", function()
    local result = cli.run(("busted --lua=%s -o TAP x.lua"):format(cli.program),
      {files = {["x.lua"] = [[
        local busted = require "trio.busted"
        it("x", function() busted.configure{timeout = 1} end)]]}})
    assert.truthy(result.out:find("configure must be called where tests are "
      .. "defined, not in a test", 1, true), result.out)
  end)
end)

describe("trio.busted", function()
  it("says where it belongs", function()
    local result = cli.run([[PROG -e 'require "trio.busted"']])
    assert.equal(1, result.status)
    assert.truthy(result.err:find("trio.busted is for specs: require it in a "
      .. "run of busted", 1, true), result.err)
  end)

  it("does not go on after Ctrl+C", function()
    local result = cli.run(("timeout -s INT 1 %s /usr/bin/busted --ignore-lua "
      .. "-o TAP x.lua; echo status $?"):format(cli.program),
      {files = {["x.lua"] = [[
        require("trio.busted").configure{timeout = 20}
        it("is interrupted", function() require("trio").sleep(10) end)
        it("isn't run", function() require("trio").sleep(10) end)]]}})
    assert.truthy(result.out:find("KeyboardInterrupt", 1, true), result.out)
    assert.equal(1, #parse(result.out))
  end)

  it("runs a user's own spec", function()
    local result = cli.run(("busted --lua=%s -o TAP retry_spec.lua"):format(
      cli.program), {files = {
        ["retry_spec.lua"] = read("examples/spec/retry_spec.lua"),
      }})
    assert.equal("", result.err)
    assert.equal(0, result.status, result.out)
    assert.is_true(#parse(result.out) >= 4, result.out)
  end)
end)
