-- SPDX-License-Identifier: MIT
-- process_spec.lua: trio.lowlevel.open_process and the Process.

local H = require "spec.support.helper"
local system = require "spec.support.system"
local cli = require "spec.support.cli"
local trio = require "trio"

local real_it = system.real_it
local open = trio.lowlevel.open_process

local function read_all(stream)
  local chunks = {}
  for chunk in stream do chunks[#chunks + 1] = chunk end
  stream:close()
  return table.concat(chunks)
end

-- Block this process until another one has ended, without a checkpoint.
local function wait_until_dead(process)
  local path = ("/proc/%d/stat"):format(process.pid)
  local waited = 0
  repeat
    local file = io.open(path)
    local state = file and file:read("a"):match("%) (%a)")
    if file then file:close() end
    if not state or state == "Z" then return end
    os.execute("sleep 0.01")
    waited = waited + 1
  until waited > 500
  error("the process does not end")
end

describe("open_process", function()
  system.guard()

  real_it("starts a program and gives its streams", function()
    local process = open({"cat"}, {stdin = "pipe", stdout = "pipe"})
    assert.equal("integer", math.type(process.pid))
    assert.same({"cat"}, process.args)
    assert.is_nil(process.returncode)
    assert.is_nil(process.stderr)
    process.stdin:send_all("hello")
    process.stdin:close()
    assert.equal("hello", read_all(process.stdout))
    assert.equal(0, process:wait())
    assert.equal(0, process.returncode)
    assert.equal(0, process:poll())
  end)

  real_it("is a checkpoint", function()
    local process
    trio.testing.assert_checkpoints(function() process = open {"true"} end)
    trio.testing.assert_checkpoints(function() process:wait() end)
    trio.testing.assert_checkpoints(function() process:wait() end)
  end)

  real_it("has stdio where both ends are pipes", function()
    local process = open({"cat"}, {stdin = "pipe", stdout = "pipe"})
    local stdio = process.stdio
    stdio:send_all("x")
    assert.equal("x", stdio:receive_some())
    stdio:send_eof()
    assert.is_nil(stdio:receive_some())
    stdio:aclose()
    process:wait()
    process = open({"true"}, {stdin = "pipe"})
    assert.is_nil(process.stdio)
    process.stdin:close()
    process:wait()
  end)

  real_it("gives nobody else's descriptors to the child", function()
    local mine = assert(io.open("/dev/null"))
    local process = open({"ls", "/proc/self/fd"}, {stdout = "pipe"})
    -- Those of ls: the three standard streams and the folder.
    assert.equal("0\n1\n2\n3\n", read_all(process.stdout))
    process:wait()
    -- That file is still for whom this program starts by itself.
    mine:close()
  end)

  real_it("marks descriptors only for a moment", function()
    local mine = assert(io.open("/dev/null"))
    local before = system.output_of("ls /proc/self/fd")
    open({"true"}):wait()
    assert.equal(before, system.output_of("ls /proc/self/fd"))
    mine:close()
  end)

  real_it("takes a descriptor for a standard stream", function()
    local first = open({"printf", "abc"}, {stdout = "pipe"})
    local fd = first.stdout:fileno()
    local second = open({"cat"}, {stdin = fd, stdout = "pipe"})
    assert.equal("abc", read_all(second.stdout))
    first.stdout:close()
    assert.equal(0, first:wait())
    assert.equal(0, second:wait())
  end)

  real_it("takes no input from null, and output to it", function()
    local process = open({"cat"}, {stdin = "null", stdout = "null"})
    assert.equal(0, process:wait())
  end)

  real_it("PROC-14 sends standard error where standard output goes",
    function()
      local function output_of(opts, command)
        local process = open({"sh", "-c", command}, opts)
        assert.is_nil(process.stderr)
        local text = process.stdout and read_all(process.stdout)
        assert.equal(0, process:wait())
        return text
      end
      local both = "printf a; printf b >&2; printf c"
      assert.equal("abc", output_of({stdout = "pipe", stderr = "stdout"}, both))
      -- Inherited, and a descriptor: what another process collects.
      local catcher = open({"cat"}, {stdin = "pipe", stdout = "pipe"})
      output_of({stdout = catcher.stdin:fileno(), stderr = "stdout"}, both)
      catcher.stdin:close()
      assert.equal("abc", read_all(catcher.stdout))
      catcher:wait()
      local result = cli.script([[
require("trio").lowlevel.open_process(
  {"sh", "-c", "printf a; printf b >&2"}, {stderr = "stdout"}):wait()]], "-a")
      assert.same({"ab", ""}, {result.out, result.err})
    end)

  real_it("runs a command line with shell, in a folder, with variables",
    function()
      local process = open('printf %s "$A-$HOME-"; pwd', {
        shell = true, stdout = "pipe", cwd = "/", env = {A = "b c", N = 1},
      })
      assert.equal("b c--/\n", read_all(process.stdout))
      process:wait()
      assert.equal('printf %s "$A-$HOME-"; pwd', process.args)
    end)

  real_it("PROC-06 raises for what can't be started, and leaks nothing",
    function()
      local function failure(command, opts)
        return H.raises_class(trio.OSError, open, command, opts)
      end
      local pipes = {stdin = "pipe", stdout = "pipe", stderr = "pipe"}
      local err = failure({"/no/such/program"}, pipes)
      assert.equal("ENOENT", err.code)
      assert.equal("/no/such/program", err.path)
      assert.equal("spawn", err.syscall)
      err = failure({"true"}, {cwd = "/no/such/folder", stdout = "pipe"})
      assert.equal("ENOENT", err.code)
      assert.equal("/no/such/folder", err.path)
      assert.equal("EACCES", failure({"/dev/null"}, pipes).code)
      assert.equal("EBADF", failure({"true"}, {stdout = 12345}).code)
    end)

  real_it("PROC-18 refuses wrong commands and options", function()
    local function refuses(pattern, ...)
      local text = H.raises(pattern, open, ...)
      assert.equal("string", type(text))
    end
    refuses("#1 to 'open_process' %(array of strings expected; a command line"
      .. " needs", "ls")
    refuses("with 'shell = true' the command must be a string", {"ls"},
      {shell = true})
    refuses("array of strings expected, got nil")
    refuses("array of strings expected, got boolean", true)
    refuses("the command is an empty array", {})
    refuses("argument 2 of the command: string expected, got table",
      {"ls", {}})
    refuses("argument 1 of the command contains a zero byte", {"l\0s"})
    refuses("the command contains a zero byte", "l\0s", {shell = true})
    refuses("#2 to 'open_process' %(table expected, got string", {"ls"}, "x")
    for _, name in ipairs {"text", "encoding", "bufsize", "input", "check"} do
      refuses(("unknown option '%s'"):format(name), {"ls"}, {[name] = true})
    end
    for _, name in ipairs {"stdin", "stdout", "stderr"} do
      refuses(("option '%s' must be 'pipe', 'null',"):format(name), {"ls"},
        {[name] = "pip"})
      refuses("got %-1", {"ls"}, {[name] = -1})
      refuses("got 1.5", {"ls"}, {[name] = 1.5})
      refuses("got table", {"ls"}, {[name] = {}})
    end
    refuses("option 'stdout' must be .* got 'stdout'", {"ls"},
      {stdout = "stdout"})
    refuses("option 'shell' must be a boolean, got number", {"ls"}, {shell = 1})
    refuses("option 'cwd' must be the path of a folder, got table", {"ls"},
      {cwd = {}})
    refuses("option 'env' must be a table, got string", {"ls"}, {env = "A=b"})
    refuses("option 'env': bad name of a variable: A=B", {"ls"},
      {env = {["A=B"] = "c"}})
    refuses("option 'env': bad name of a variable: 1", {"ls"}, {env = {"A=b"}})
    refuses("option 'env': variable 'A' must be a string", {"ls"},
      {env = {A = true}})
    refuses("variable 'A' must be a string without zero", {"ls"},
      {env = {A = "\0"}})
  end)

  it("needs a task", function()
    H.raises("must be called from inside a task", open, {"true"})
  end)
end)

describe("a Process", function()
  system.guard()

  real_it("PROC-11 may be waited for by several tasks", function()
    local process = open {"sleep", "100"}
    local codes, log = H.trace()
    local function wait_together(body)
      trio.open_nursery(function(nursery)
        for _ = 1, 3 do
          nursery:start_soon(function() log(process:wait()) end)
        end
        trio.testing.wait_all_tasks_blocked()
        body(nursery.cancel_scope)
      end)
    end
    wait_together(function(scope) scope:cancel() end)
    assert.same({}, codes)
    wait_together(function() process:kill() end)
    assert.same({-9, -9, -9}, codes)
  end)

  real_it("PROC-12 that is polled when it ends still wakes who waits",
    function()
      for _, look in ipairs {
        function(process) return process.returncode end,
        function(process) return process:poll() end,
        tostring,
      } do
        local process, code = open {"sleep", "100"}, nil
        trio.open_nursery(function(nursery)
          nursery:start_soon(function() code = process:wait() end)
          trio.testing.wait_all_tasks_blocked()
          trio.testing.assert_no_checkpoints(function()
            process:terminate()
            wait_until_dead(process)
            assert.is_truthy(look(process))
            assert.equal(-15, process.returncode)
            assert.is_nil(code)
          end)
        end)
        assert.equal(-15, code)
      end
    end)

  real_it("PROC-13 shows the signal that ended it", function()
    for name, code in pairs {
      SIGKILL = -9, SIGTERM = -15, SIGUSR1 = -10, SIGHUP = -1,
    } do
      local process = open {"sleep", "100"}
      assert.is_truthy(tostring(process):find("<trio.Process %d+ 'sleep': "
        .. "running>"))
      process:send_signal(name)
      assert.equal(code, process:wait())
      assert.is_truthy(tostring(process):find(("exited with signal %d %s>")
        :format(-code, name), 1, true))
    end
    local process = open {"sleep", "100"}
    process:send_signal(15)
    assert.equal(-15, process:wait())
    process = open {"sh", "-c", "exit 7"}
    process:wait()
    assert.is_truthy(tostring(process):find("exited with status 7>", 1, true))
  end)

  real_it("takes signals when it has ended, to no effect", function()
    local process = open {"true"}
    process:wait()
    process:kill()
    process:terminate()
    process:send_signal("SIGUSR1")
    assert.equal(0, process.returncode)
  end)

  real_it("refuses what is no signal", function()
    local process = open {"sleep", "100"}
    local function send(...) process:send_signal(...) end
    H.raises("unknown signal 'TERM'", send, "TERM")
    H.raises("not the number of a signal", send, 0)
    H.raises("not the number of a signal", send, 1000)
    H.raises("name or number of a signal expected, got no value", send)
    process:kill()
    process:wait()
  end)

  real_it("has fields that can't be written", function()
    local process = open {"true"}
    H.raises("read%-only", function() process.returncode = 1 end)
    H.raises("no field 'x'", function() process.x = 1 end)
    process:wait()
  end)

  it("PROC-17 is noticed where SIGCHLD was ignored", function()
    -- (What `timeout` starts has no ignored signals.)
    local command = "trap '' CHLD; " .. cli.program .. " -a main.lua"
    local result = cli.run(command, {files = {
      ["main.lua"] = [[
local trio = require "trio"
local process = trio.lowlevel.open_process {"true"}
print(process:wait(), process.returncode)
print(trio.run_process({"sh", "-c", "exit 3"}, {check = false}).returncode)]],
    }})
    assert.equal("0\t0\n3\n", result.out, result.err)
  end)

  real_it("PROC-19 can be talked with", function()
    local process = open({"cat"}, {stdin = "pipe", stdout = "pipe"})
    local pending = ""
    -- A line, also when it comes in pieces.
    local function receive_line()
      while true do
        local line, rest = pending:match("^([^\n]*)\n(.*)$")
        if line then
          pending = rest
          return line
        end
        pending = pending .. process.stdout:receive_some()
      end
    end
    local line
    process.stdin:send_all("one\ntw")
    assert.equal("one", receive_line())
    local scope = trio.move_on_after(0.02, function() line = receive_line() end)
    assert.is_true(scope.cancelled_caught)
    process.stdin:send_all("o\nthree\n")
    assert.equal("two", receive_line())
    assert.equal("three", receive_line())
    assert.is_nil(line)
    process.stdin:close()
    assert.is_nil(process.stdout:receive_some())
    process.stdout:close()
    assert.equal(0, process:wait())
  end)

  it("may outlive the run", function()
    local process
    H.run(function() process = open {"sleep", "0.05"} end)
    assert.is_nil(process.returncode)
    wait_until_dead(process)
    assert.equal(0, process.returncode)
    H.run(function() assert.equal(0, process:wait()) end)
  end)

  it("that nobody holds is still reaped", function()
    H.run(function()
      open {"true"}
      collectgarbage()
      collectgarbage()
      trio.sleep(0.1)
    end, {real_clock = true})
  end)

  it("that still runs goes with its Lua state", function()
    local result = cli.script([[
local trio = require "trio"
local process
trio.run(function() process = trio.lowlevel.open_process {"sleep", "0.2"} end)
print(process.returncode)]])
    assert.same({"nil\n", "", 0}, {result.out, result.err, result.status})
  end)

  it("is a reason to wait, not a deadlock", function()
    H.run(function() assert.equal(0, open({"sleep", "0.05"}):wait()) end,
      {on_deadlock = "raise"})
  end)
end)
