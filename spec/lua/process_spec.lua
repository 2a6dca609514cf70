-- SPDX-License-Identifier: MIT
-- process_spec.lua: trio.run_process.

local H = require "spec.support.helper"
local system = require "spec.support.system"
local cli = require "spec.support.cli"
local trio = require "trio"

local real_it = system.real_it
local run = trio.run_process

local CAT_AND_FAIL = {"sh", "-c", "cat; printf oops >&2; exit 3"}

-- A process that ignores SIGTERM, once its first line is there.
local STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"

describe("run_process", function()
  system.guard()

  real_it("PROC-01 feeds, captures and returns the code", function()
    local result = run(CAT_AND_FAIL, {
      input = "in", capture_stdout = true, capture_stderr = true,
      check = false,
    })
    assert.same({
      args = CAT_AND_FAIL, returncode = 3, stdout = "in", stderr = "oops",
    }, result)
    result = run({"sh", "-c", "exit 3"}, {check = false})
    assert.is_nil(result.stdout)
    assert.is_nil(result.stderr)
    result = run({"true"}, {capture_stdout = true, capture_stderr = true})
    assert.equal("", result.stdout)
    assert.equal("", result.stderr)
  end)

  real_it("PROC-01 gives no input by default", function()
    assert.equal("", run({"cat"}, {capture_stdout = true}).stdout)
    assert.equal("", run({"cat"}, {capture_stdout = true, input = ""}).stdout)
  end)

  real_it("PROC-02 passes large data through a child", function()
    local data = ("0123456789abcdef"):rep(16384 * 4)
    local result = run({"cat"}, {input = data, capture_stdout = true})
    assert.is_true(result.stdout == data)
    result = run({"sh", "-c", "cat >&2"}, {input = data, capture_stderr = true})
    assert.is_true(result.stderr == data)
  end)

  real_it("PROC-02 reads both outputs while it feeds", function()
    -- Both outputs fill before the input is read.
    local fill = "i=0; while [ $i -lt 200 ]; do printf '%01024d' 0; "
      .. "printf '%01024d' 0 >&2; i=$((i+1)); done; cat"
    local data = ("x"):rep(300000)
    local result = run(fill, {
      shell = true, input = data, capture_stdout = true, capture_stderr = true,
    })
    assert.equal(200 * 1024, #result.stderr)
    assert.equal(200 * 1024 + #data, #result.stdout)
  end)

  real_it("PROC-03 raises for a failing child", function()
    local err = H.raises_class(trio.CalledProcessError, run, CAT_AND_FAIL,
      {input = "in", capture_stdout = true, capture_stderr = true})
    assert.equal(3, err.returncode)
    assert.equal("in", err.stdout)
    assert.equal("oops", err.stderr)
    assert.same(CAT_AND_FAIL, err.args)
    assert.equal("CalledProcessError: 'sh' exited with status 3", tostring(err))
    err = H.raises_class(trio.CalledProcessError, run, "kill -9 $$",
      {shell = true})
    assert.equal(-9, err.returncode)
    assert.is_nil(err.stdout)
    assert.equal("CalledProcessError: 'kill -9 $$' was ended by signal 9",
      tostring(err))
  end)

  real_it("PROC-03 in the background raises through the nursery", function()
    local process
    local group = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery) process = nursery:start(run, {"false"}) end)
    assert.equal(1, #group.exceptions)
    assert.is_true(trio.isinstance(group.exceptions[1],
      trio.CalledProcessError))
    assert.equal(1, process.returncode)
  end)

  real_it("PROC-04 refuses options that contradict each other", function()
    local function refuses(pattern, opts)
      assert.equal("string", type(H.raises(pattern, run, {"true"}, opts)))
    end
    refuses("option 'input' must be a string, got number", {input = 1})
    refuses("options 'input' and 'stdin' exclude", {input = "", stdin = "null"})
    refuses("options 'capture_stdout' and 'stdout' exclude",
      {capture_stdout = true, stdout = "null"})
    refuses("options 'capture_stderr' and 'stderr' exclude",
      {capture_stderr = true, stderr = "stdout"})
    for _, name in ipairs {"stdin", "stdout", "stderr"} do
      refuses(("option '%s' can be 'pipe' only with nursery:start"):format(
        name), {[name] = "pipe"})
    end
  end)

  real_it("PROC-05 doesn't mind a child that closes its input", function()
    local data = ("x"):rep(131072)
    assert.equal(0, run({"sh", "-c", "exec <&-; sleep 0.02"},
      {input = data}).returncode)
    assert.equal(0, run({"true"}, {input = data}).returncode)
  end)

  real_it("PROC-06 raises bare for a program that isn't there", function()
    local err = H.raises_class(trio.OSError, run, {"/no/such/program"},
      {input = "x", capture_stdout = true})
    assert.equal("ENOENT", err.code)
    local group = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery) nursery:start_soon(run, {"/no/such/program"}) end)
    assert.equal("ENOENT", group.exceptions[1].code)
  end)

  real_it("PROC-07 ends the child when it is cancelled", function()
    local process
    local scope = trio.CancelScope()
    scope:run(function()
      trio.open_nursery(function(nursery)
        process = nursery:start(run, {"sleep", "100"})
        scope.deadline = trio.current_time() + 0.05
      end)
    end)
    assert.is_true(scope.cancelled_caught)
    assert.equal(-15, process.returncode)
    scope = trio.move_on_after(0.02, function()
      run({"sleep", "100"}, {capture_stdout = true})
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  real_it("PROC-07 waits for the real end before Cancelled goes on", function()
    local lines, process
    local caught = trio.move_on_after(10, function(scope)
      trio.open_nursery(function(nursery)
        process = nursery:start(run,
          "trap 'sleep 0.05; printf bye; exit 5' TERM; echo ready; "
          .. "while :; do sleep 0.01; done", {shell = true, stdout = "pipe"})
        assert.equal("ready", system.line_of(process))
        scope:cancel()
      end)
    end).cancelled_caught
    lines = process.stdout:receive_some()
    process.stdout:close()
    assert.is_true(caught)
    assert.equal("bye", lines)
    assert.equal(5, process.returncode)
  end)

  it("PROC-08 kills a child that ignores SIGTERM, with a warning", function()
    local result = cli.script(([[
local trio = require "trio"
local clock = trio.testing.MockClock()
trio.run({clock = clock}, function()
  local process, began
  trio.open_nursery(function(nursery)
    process = nursery:start(trio.run_process, {"sh", "-c", %q},
                            {stdout = "pipe"})
    process.stdout:receive_some()
    clock.autojump_threshold = 0.05
    began = trio.current_time()
    nursery.cancel_scope:cancel()
  end)
  process.stdout:close()
  print(process.returncode, trio.current_time() - began)
end)]]):format(STUBBORN), "-W")
    assert.equal("-9\t5.0\n", result.out, result.err)
    assert.is_truthy(result.err:find("<trio.Process %d+ 'sh': running> ignored "
      .. "SIGTERM for 5 seconds"), result.err)
  end)

  real_it("PROC-09 cancels a custom deliver_cancel at the end", function()
    local code, called, cancelled
    trio.open_nursery(function(nursery)
      nursery:start(run, {"sleep", "100"}, {
        deliver_cancel = function(process)
          called = true
          process:terminate()
          local ok, err = pcall(trio.sleep_forever)
          cancelled = not ok and H.is_cancelled(err)
          code = process.returncode
          error(err, 0)
        end,
      })
      nursery.cancel_scope:cancel()
    end)
    assert.is_true(called)
    assert.is_true(cancelled)
    assert.equal(-15, code)
  end)

  real_it("PROC-10 a deliver_cancel that fails is reported", function()
    local failure, process = {}, nil
    local group = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery)
        process = nursery:start(run, {"sleep", "100"}, {
          deliver_cancel = function(p)
            p:terminate()
            error(failure)
          end,
        })
        nursery.cancel_scope:cancel()
      end)
    assert.equal(1, #group.exceptions)
    H.group_of(group.exceptions[1], failure)
    assert.equal(-15, process.returncode)
  end)

  it("PROC-10 an OSError of the default one is a warning", function()
    local result = cli.script([[
local trio = require "trio"
trio.run(function()
  trio.open_nursery(function(nursery)
    local process = nursery:start(trio.run_process, {"sleep", "100"})
    local _, members = debug.getupvalue(debug.getmetatable(process).__index, 1)
    local terminate = members.terminate
    function members.terminate(p)
      terminate(p)
      error(trio.OSError("whoops"))
    end
    nursery.cancel_scope:cancel()
  end)
  print("done")
end)]], "-W")
    assert.equal("done\n", result.out, result.err)
    assert.is_truthy(result.err:find("could not be ended: OSError: whoops"),
      result.err)
  end)

  real_it("PROC-14 captures standard error with standard output", function()
    local result = run("printf a; printf b >&2; printf c", {
      shell = true, capture_stdout = true, stderr = "stdout",
    })
    assert.equal("abc", result.stdout)
    assert.is_nil(result.stderr)
  end)

  real_it("PROC-15 can be started in a nursery", function()
    trio.open_nursery(function(nursery)
      local process = nursery:start({name = "a cat"}, run, {"cat"},
        {stdin = "pipe", stdout = "pipe"})
      assert.is_nil(process.returncode)
      process.stdio:send_all("x")
      assert.equal("x", process.stdio:receive_some())
      process.stdio:aclose()
      assert.equal(0, process:wait())
      assert.equal(0, process.returncode)
    end)
    local process
    trio.open_nursery(function(nursery)
      process = nursery:start(run, {"sleep", "100"})
      nursery.cancel_scope:cancel()
    end)
    assert.equal(-15, process.returncode)
  end)

  real_it("PROC-15 keeps the streams that it handles to itself", function()
    trio.open_nursery(function(nursery)
      local process = nursery:start(run, {"cat"}, {
        input = "x", capture_stdout = true, capture_stderr = true,
      })
      assert.is_nil(process.stdin)
      assert.is_nil(process.stdout)
      assert.is_nil(process.stderr)
      assert.is_nil(process.stdio)
    end)
  end)

  real_it("PROC-16 starts nothing in a cancelled scope", function()
    local name = os.tmpname()
    os.remove(name)
    local caught = trio.CancelScope()
    caught:cancel()
    caught:run(function() run("touch " .. name, {shell = true}) end)
    assert.is_true(caught.cancelled_caught)
    assert.is_nil(io.open(name))
  end)

  real_it("PROC-18 refuses wrong options, by their name", function()
    local function refuses(pattern, command, opts)
      assert.equal("string", type(H.raises(pattern, run, command, opts)))
    end
    refuses("#2 to 'run_process' %(unknown option 'text'", {"ls"},
      {text = true})
    refuses("#1 to 'run_process' %(array of strings expected; a command line",
      "ls")
    refuses("#1 to 'run_process' %(argument 1 of the command: string "
      .. "expected, got number", {1})
    refuses("with 'shell = true' the command must be a string", {"ls"},
      {shell = true})
    for _, name in ipairs {"capture_stdout", "capture_stderr", "check"} do
      refuses(("option '%s' must be a boolean, got number"):format(name),
        {"ls"}, {[name] = 1})
    end
    refuses("option 'deliver_cancel' must be a function, got string", {"ls"},
      {deliver_cancel = "SIGKILL"})
    refuses("option 'stdout' must be 'pipe', 'null', .* got 'nul'", {"ls"},
      {stdout = "nul"})
  end)

  it("names the line of a wrong call", function()
    local result = cli.script("local trio = require 'trio'\n"
      .. "trio.run(function()\n  trio.run_process('ls')\nend)")
    assert.is_truthy(result.err:find("main.lua:3: bad argument #1 to "
      .. "'run_process'", 1, true), result.err)
  end)

  it("needs a task", function()
    H.raises("must be called from inside a task", run, {"true"})
  end)

  real_it("waits for whoever holds a captured output", function()
    local began = trio.current_time()
    local result = run("sleep 0.1 && printf late & printf soon",
      {shell = true, capture_stdout = true})
    assert.equal("soonlate", result.stdout)
    assert.is_true(trio.current_time() - began > 0.08)
  end)

  real_it("starts the child with the signals' defaults", function()
    assert.equal(-2, run({"sh", "-c", "kill -INT $$; exit 3"},
      {check = false}).returncode)
    assert.equal(-13, run({"sh", "-c", "kill -PIPE $$"},
      {check = false}).returncode)
  end)
end)
