-- SPDX-License-Identifier: MIT
-- signal_spec.lua: trio.open_signal_receiver.

local H = require "spec.support.helper"
local system = require "spec.support.system"
local cli = require "spec.support.cli"
local trio = require "trio"

-- (What `timeout` starts has no ignored signals.)
local PROGRAM = cli.program

local real_it = system.real_it
local receive = trio.open_signal_receiver
local raise = system.raise

-- Does nobody get anything from this iterator now?
local function is_empty(signals)
  return trio.move_on_after(0.02, function()
    signals()
  end).cancelled_caught
end

describe("open_signal_receiver", function()
  system.guard()

  real_it("calls a body with an iterator of names", function()
    local results = table.pack(receive({"SIGUSR1"}, function(signals)
      raise "SIGUSR1"
      local got = {}
      for name in signals do
        got[#got + 1] = name
        if #got == 2 then break end
        raise "SIGUSR1"
      end
      assert.same({"SIGUSR1", "SIGUSR1"}, got)
      return 1, nil, 3
    end))
    assert.same({1, nil, 3, n = 3}, results)
  end)

  real_it("wakes a task that waits", function()
    receive({"SIGUSR1"}, function(signals)
      local got
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() got = signals() end)
        trio.testing.wait_all_tasks_blocked()
        trio.run_process("kill -USR1 $PPID", {shell = true})
      end)
      assert.equal("SIGUSR1", got)
    end)
  end)

  real_it("passes the error of the body on", function()
    local failure = {}
    local ok, err = pcall(receive, {"SIGUSR1"}, function() error(failure) end)
    assert.is_false(ok)
    assert.equal(failure, err)
  end)

  real_it("is no checkpoint, but its iterator is one", function()
    trio.testing.assert_no_checkpoints(function()
      receive({"SIGUSR1"}, function() end)
    end)
    receive({"SIGUSR1"}, function(signals)
      raise "SIGUSR1"
      trio.testing.assert_checkpoints(signals)
    end)
  end)

  real_it("SIG-01 gives the same signal once", function()
    receive({"SIGUSR1"}, function(signals)
      raise "SIGUSR1"
      raise "SIGUSR1"
      assert.equal("SIGUSR1", signals())
      assert.is_true(is_empty(signals))
      raise "SIGUSR1"
      assert.is_truthy(tostring(signals):find("SIGUSR1, 1 pending>", 1, true))
      assert.equal("SIGUSR1", signals())
      assert.is_truthy(tostring(signals):find("SIGUSR1, 0 pending>", 1, true))
    end)
  end)

  real_it("SIG-02 gives signals in order", function()
    receive({"SIGUSR1", "SIGUSR2"}, function(signals)
      raise "SIGUSR2"
      raise "SIGUSR1"
      raise "SIGUSR2"
      assert.equal("SIGUSR2", signals())
      assert.equal("SIGUSR1", signals())
      assert.is_true(is_empty(signals))
    end)
  end)

  real_it("SIG-03 starves no signal", function()
    receive({"SIGUSR1", "SIGUSR2"}, function(signals)
      raise "SIGUSR1"
      raise "SIGUSR2"
      local got = {}
      for i = 1, 10 do
        got[i] = signals()
        raise(got[i])
      end
      for i = 3, 10 do assert.equal(got[i - 2], got[i]) end
      assert.not_equal(got[1], got[2])
      signals()
      signals()
    end)
  end)

  real_it("SIG-04 raises unread signals again, each once", function()
    receive({"SIGUSR1", "SIGUSR2"}, function(outer)
      receive({"SIGUSR1", "SIGUSR2"}, function(inner)
        raise "SIGUSR2"
        raise "SIGUSR1"
        assert.is_true(trio.move_on_after(0.02, function()
          outer()
        end).cancelled_caught)
        -- One is read and one isn't.
        assert.equal("SIGUSR2", inner())
        raise "SIGUSR2"
      end)
      assert.equal("SIGUSR1", outer())
      assert.equal("SIGUSR2", outer())
      assert.is_true(is_empty(outer))
    end)
  end)

  it("SIG-04 raises them for the system's own handling", function()
    local script = [[
local trio = require "trio"
trio.run(function()
  trio.open_signal_receiver({"SIG%s"}, function()
    io.popen("kill -%s $PPID"):close()
    print("in")
  end)
  print("behind")
end)]]
    local function run(name, prefix)
      local text = "io.stdout:setvbuf('no')\n" .. script:format(name, name)
      local result = cli.run((prefix or "") .. PROGRAM .. " main.lua",
        {files = {["main.lua"] = text}})
      return result.out, result.status
    end
    -- The default of SIGTERM is to end, that of SIGURG to do nothing.
    assert.same({"in\n", 128 + 15}, {run "TERM"})
    assert.same({"in\nbehind\n", 0}, {run "URG"})
    assert.same({"in\nbehind\n", 0}, {run("TERM", "trap '' TERM;")})
  end)

  real_it("SIG-05 raises all of them, whatever the handlers do", function()
    local failure, got = {}, {}
    receive({"SIGUSR1"}, function(first)
      receive({"SIGUSR2"}, function(second)
        assert.equal(failure, select(2, pcall(receive, {"SIGUSR1", "SIGUSR2"},
          function()
            raise "SIGUSR1"
            raise "SIGUSR2"
            error(failure)
          end)))
        got = {first(), second()}
      end)
    end)
    assert.same({"SIGUSR1", "SIGUSR2"}, got)
  end)

  it("SIG-05 also the one that interrupts", function()
    local result = cli.script([[
local trio = require "trio"
trio.run(function()
  trio.open_signal_receiver({"SIGUSR1"}, function(signals)
    local ok, err = pcall(function()
      trio.open_signal_receiver({"SIGINT", "SIGUSR1"}, function()
        io.popen("kill -INT $PPID; kill -USR1 $PPID"):close()
      end)
      while true do end
    end)
    print(ok, trio.isinstance(err, trio.KeyboardInterrupt))
    print(signals())
  end)
end)]])
    assert.same({"false\ttrue\nSIGUSR1\n", "", 0},
      {result.out, result.err, result.status})
  end)

  real_it("SIG-06 refuses wrong signals", function()
    local function refuses(pattern, ...)
      assert.equal("string", type(H.raises(pattern, receive, ...)))
    end
    local function body() end
    refuses("no signals were given", {}, body)
    refuses("table expected, got string", "SIGUSR1", body)
    refuses("unknown signal 'USR1'", {"USR1"}, body)
    refuses("signal 2: name expected, got number", {"SIGUSR1", 10}, body)
    refuses("SIGKILL can't be received", {"SIGKILL"}, body)
    refuses("SIGSTOP can't be received", {"SIGUSR1", "SIGSTOP"}, body)
    refuses("function expected, got nil", {"SIGUSR1"}, nil)
  end)

  it("SIG-06 puts handlers back after a wrong one, and duplicates", function()
    local result = cli.script([[
local trio = require "trio"
trio.run(function()
  pcall(trio.open_signal_receiver, {"SIGTERM", "SIGKILL"}, print)
  trio.open_signal_receiver({"SIGTERM", "SIGTERM"}, function() end)
  io.popen("kill -TERM $PPID"):close()
  print("not reached")
end)]])
    assert.same({"", 128 + 15}, {result.out, result.status})
  end)

  it("SIG-06 needs a task", function()
    H.raises("must be called from inside", receive, {"SIGUSR1"}, print)
  end)

  real_it("SIG-06 can't be read behind its body", function()
    local kept = receive({"SIGUSR1"}, function(signals) return signals end)
    H.raises("the body of open_signal_receiver has ended", kept)
    assert.is_truthy(tostring(kept):find("closed>", 1, true))
  end)

  real_it("SIG-06 tells a task that still waits", function()
    trio.open_nursery(function(nursery)
      local err
      receive({"SIGUSR1"}, function(signals)
        nursery:start_soon(function()
          err = H.raises("has ended", signals)
        end)
        trio.testing.wait_all_tasks_blocked()
      end)
      trio.testing.wait_all_tasks_blocked()
      assert.equal("string", type(err))
    end)
  end)

  real_it("SIG-06 is read by one task at a time", function()
    receive({"SIGUSR1"}, function(signals)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() signals() end)
        trio.testing.wait_all_tasks_blocked()
        H.raises_class(trio.BusyResourceError, signals)
        nursery.cancel_scope:cancel()
      end)
    end)
  end)

  real_it("SIG-07 gets Ctrl+C as an item", function()
    receive({"SIGINT"}, function(signals)
      raise "SIGINT"
      for _ = 1, 1000 do trio.lowlevel.currently_ki_protected() end
      trio.sleep(0)
      assert.equal("SIGINT", signals())
    end)
    local err = H.raises_class(trio.KeyboardInterrupt, function()
      raise "SIGINT"
      trio.sleep(0)
    end)
    assert.is_nil(err.context)
  end)

  real_it("gets SIGCHLD, while processes are waited for", function()
    receive({"SIGCHLD"}, function(signals)
      trio.run_process {"true"}
      assert.equal("SIGCHLD", signals())
      trio.run_process {"true"}
    end)
    trio.run_process {"true"}
  end)

  real_it("may be cancelled while it waits", function()
    receive({"SIGUSR1"}, function(signals)
      assert.is_true(is_empty(signals))
      raise "SIGUSR1"
      assert.equal("SIGUSR1", signals())
    end)
  end)

  it("is a reason to wait, not a deadlock", function()
    H.run(function()
      local later = io.popen("sleep 0.05; kill -USR1 $PPID")
      receive({"SIGUSR1"}, function(signals)
        assert.equal("SIGUSR1", signals())
      end)
      later:close()
    end, {on_deadlock = "raise", real_clock = true})
  end)

  it("is closed with the run where its body is abandoned", function()
    local result = cli.script([[
local trio = require "trio"
trio.run(function()
  coroutine.wrap(function()
    trio.open_signal_receiver({"SIGTERM"}, coroutine.yield)
  end)()
end)
print("ended")
io.stdout:flush()
io.popen("kill -TERM $PPID"):close()
print("not reached")]], "-W")
    assert.same({"ended\n", 128 + 15}, {result.out, result.status})
    assert.is_truthy(result.err:find(
      "main.lua:4: a signal receiver was never closed", 1, true), result.err)
  end)

  real_it("survives a storm", function()
    receive({"SIGUSR1", "SIGUSR2"}, function(signals)
      local count = 0
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for _ in signals do count = count + 1 end
        end)
        trio.run_process("i=0; while [ $i -lt 2000 ]; do kill -USR1 $PPID; "
          .. "kill -USR2 $PPID; i=$((i+1)); done", {shell = true})
        trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope:cancel()
      end)
      assert.is_true(count >= 2 and count <= 4000, count)
    end)
  end)
end)

-- (The thread, which is kept for later, has descriptors of its own.)
describe("open_signal_receiver in threads", function()
  real_it("SIG-06 belongs to one thread at a time", function()
    local function in_thread()
      local library = require "trio"
      return pcall(library.run, function()
        return library.open_signal_receiver({"SIGUSR2"}, function()
          return "received"
        end)
      end)
    end
    local ok, err = receive({"SIGUSR1"}, function()
      return trio.to_thread.run_sync(in_thread)
    end)
    assert.is_false(ok)
    assert.is_truthy(err:find("another thread receives signals already", 1,
      true), err)
    ok, err = trio.to_thread.run_sync(in_thread)
    assert.same({true, "received"}, {ok, err})
  end)
end)
