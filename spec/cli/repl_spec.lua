-- SPDX-License-Identifier: MIT
-- The prompt, with its input from a pipe.

local cli = require "spec.support.cli"

-- Feeds the lines to a session and returns its result, the version cut off.
local function session(input, options)
  local result = cli.run("PROG " .. (options or "") .. " -i", {stdin = input})
  assert.truthy(result.out:find("^Lua 5%.4[^\n]*\n"), result.out)
  result.out = result.out:gsub("^[^\n]*\n", "")
  return result
end

local function shows(input, output)
  local result = session(input)
  assert.equal("", result.err)
  assert.equal(output, result.out)
  assert.equal(0, result.status)
end

-- Sends Ctrl+C to the session that runs it.
local interrupt = "io.popen('kill -INT $PPID'):close()"

describe("the prompt", function()
  it("REPL-01 shows the values of expressions", function()
    shows("1 + 1\n", "> 2\n> \n")
    shows("1, nil, 'x'\n", "> 1\tnil\tx\n> \n")
    shows("= 5\n", "> 5\n> \n")
    shows("\n", "> > \n")
    shows("x = 7\nx\n", "> > 7\n> \n")
    shows("print('a')\n", "> a\n> \n")
    shows("nil\n", "> nil\n> \n")
  end)

  it("REPL-01 runs statements over several lines", function()
    shows("function f(a)\nreturn a * 2\nend\nf(4)\n",
          "> >> >> > 8\n> \n")
    shows("print(\n1\n)\n", "> >> >> 1\n> \n")
    shows("x = {\n\n1}\n#x\n", "> >> >> > 1\n> \n")
  end)

  it("REPL-01 calls async functions at the top level", function()
    shows("trio.sleep(0)\n1\n", "> > 1\n> \n")
    shows("function f() trio.sleep(0) return 'slept' end\nf()\n",
          "> > slept\n> \n")
    shows("trio.open_nursery(function(n)\n" ..
          "n:start_soon(function() print 'child' end)\nend)\n",
          "> >> >> child\n> \n")
  end)

  it("REPL-02 goes on after an error", function()
    local result = session("error('broken')\n1\n")
    assert.equal("> > 1\n> \n", result.out)
    assert.truthy(result.err:find("^stdin:1: broken\nstack traceback:\n\t"))
    assert.truthy(result.err:find("stdin:1: in ", 1, true), result.err)
    assert.equal(0, result.status)
  end)

  it("REPL-02 shows error objects and groups", function()
    local result = session("error(trio.Error('mine'))\n1\n")
    assert.equal("> > 1\n> \n", result.out)
    assert.truthy(result.err:find("^Error: mine\nstack traceback:\n"))
    result = session("trio.open_nursery(function(n) " ..
                     "n:start_soon(error, 'leaf') end)\n1\n")
    assert.equal("> > 1\n> \n", result.out)
    assert.truthy(result.err:find("^ExceptionGroup: .*leaf"), result.err)
  end)

  it("goes on after mistakes of syntax", function()
    local result = session("x = = 1\n1\n")
    assert.equal("stdin:1: unexpected symbol near '='\n", result.err)
    assert.equal("> > 1\n> \n", result.out)
    result = session("x = (\n")
    assert.equal("stdin:1: unexpected symbol near <eof>\n", result.err)
    assert.equal("> >> > \n", result.out)
  end)

  it("REPL-03 ends at os.exit", function()
    local result = session("os.exit(3)\nprint(1)\n")
    assert.equal("> ", result.out)
    assert.equal(3, result.status)
  end)

  it("REPL-04 drops a busy statement at Ctrl+C", function()
    local result = session(interrupt .. " while true do end\n'next'\n")
    assert.equal("> > next\n> \n", result.out)
    assert.truthy(result.err:find("^KeyboardInterrupt"), result.err)
    assert.equal(0, result.status)
  end)

  it("REPL-04 drops a blocked statement at Ctrl+C", function()
    local result = session(
      "K = io.popen('sleep 0.2; kill -INT $PPID') trio.sleep_forever()\n" ..
      "'next'\ntrio.sleep(0) return 'and next'\n")
    assert.equal("> > next\n> and next\n> \n", result.out)
    assert.truthy(result.err:find("^KeyboardInterrupt"), result.err)
  end)

  it("REPL-04 drops the line at Ctrl+C", function()
    -- The second line is written only after the prompt was interrupted.
    local result = cli.run([[(
      echo "K = io.popen('sleep 0.2; kill -INT \$PPID; sleep 0.1; touch x')"
      echo 'x = {'
      while [ ! -e x ]; do sleep 0.05; done
      echo "'next'") | PROG -i]])
    assert.equal("> > >> \nKeyboardInterrupt\n> next\n> \n",
                 (result.out:gsub("^[^\n]*\n", "")))
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  it("REPL-02 outlives its background tasks and its run", function()
    local result = session("nursery:start_soon(error, 'gone')\n" ..
                           "trio.sleep(0.01)\nnursery:start_soon(print, 1)\n" ..
                           "trio.sleep(0.01)\n2\n")
    assert.equal("> > > 1\n> > 2\n> \n", result.out)
    assert.truthy(result.err:find("^ExceptionGroup: .*gone"), result.err)
    assert.is_nil(result.err:find("_prompt", 1, true))
    result = session("trio.lowlevel.spawn_system_task(error, 'system') " ..
                     "trio.sleep_forever()\n1\n")
    assert.equal("> > 1\n> \n", result.out)
    assert.truthy(result.err:find("TrioInternalError: .*system"), result.err)
    assert.equal(0, result.status)
  end)

  it("cancels background tasks at the end", function()
    shows("nursery:start_soon(function() local _ <close> = setmetatable({}, " ..
          "{__close = function() print 'cleaned' end}) " ..
          "trio.sleep_forever() end)\n", "> > cleaned\n\n")
  end)

  it("keeps one main task for the session", function()
    shows("task = trio.lowlevel.current_task()\n" ..
          "task == trio.lowlevel.current_task()\n", "> > true\n> \n")
  end)

  it("REPL-05 ends with its input, status 0", function()
    shows("", "> \n")
    shows("'no line end'", "> no line end\n> \n")
  end)

  it("uses _PROMPT and _PROMPT2", function()
    shows("_PROMPT = '? '\n_PROMPT2 = setmetatable({}, " ..
          "{__tostring = function() return '... ' end})\nprint(\n1)\n",
          "> ? ? ... 1\n? \n")
  end)

  it("prints through the global print", function()
    shows("function print(x) io.write('<', x, '>\\n') end\n5\n",
          "> > <5>\n> \n")
    local result = session("print = nil\n5\n6\n")
    assert.equal("error calling 'print' (attempt to call a nil value)\n" ..
                 "error calling 'print' (attempt to call a nil value)\n",
                 result.err)
    assert.equal(0, result.status)
  end)

  it("comes after the script and the other options", function()
    local result = cli.run("PROG -i -e 'x = 1' f.lua a", {
      files = {["f.lua"] = "print('script', x, trio, ...)"},
      stdin = "x, type(trio)\n",
    })
    assert.equal("script\t1\tnil\ta\n> 1\ttable\n> \n",
                 (result.out:gsub("^[^\n]*\n", "")))
  end)

  it("is not reached when the script fails", function()
    local result = cli.run("PROG -i f.lua", {
      files = {["f.lua"] = "error('e', 0)"}, stdin = "1\n"})
    assert.equal("", (result.out:gsub("^[^\n]*\n", "")))
    assert.equal(1, result.status)
  end)

  it("reads long lines whole", function()
    local long = ("x"):rep(5000)
    shows("#'" .. long .. "'\n", "> 5000\n> \n")
  end)

  it("shares standard input with the statements", function()
    shows("io.read()\nthe line\n1\n", "> the line\n> 1\n> \n")
  end)
end)
