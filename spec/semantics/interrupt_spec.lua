-- SPDX-License-Identifier: MIT
-- Ctrl+C: where KeyboardInterrupt is raised, and where it is not. How a whole
-- program ends is in spec/cli/interrupt_spec.lua.

local H = require "spec.support.helper"
local system = require "spec.support.system"
local cli = require "spec.support.cli"
local trio = require "trio"

local lowlevel, trio_it = trio.lowlevel, H.trio_it
local protect, unprotect =
  lowlevel.enable_ki_protection, lowlevel.disable_ki_protection

local function interrupt() system.raise "SIGINT" end

local function interrupted(fn, ...)
  return H.raises_class(trio.KeyboardInterrupt, fn, ...)
end

-- Only checkpoints raise, so that a test knows where.
local AT_CHECKPOINTS = {restrict_keyboard_interrupt_to_checkpoints = true}

-- What happens in `interrupt` when it is raised right there.
local function interrupt_and_go_on()
  interrupt()
  local sum = 0
  for i = 1, 1000 do sum = sum + i end
  return sum
end

describe("Ctrl+C", function()
  for _, other in ipairs {"blocked", "running"} do
    trio_it("KI-01 reaches main while another task is " .. other, function()
      local cancelled
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local ok, err = pcall(function()
            if other == "running" then
              interrupt()
              while true do trio.sleep(0) end
            end
            trio.sleep_forever()
          end)
          cancelled = not ok and H.is_cancelled(err)
          error(err, 0)
        end)
        if other == "blocked" then
          nursery:start_soon(interrupt)
        end
        interrupted(trio.sleep_forever)
        nursery.cancel_scope:cancel()
      end)
      assert.is_true(cancelled)
    end)
  end

  trio_it("KI-01 reaches main while threads work", function()
    trio.open_nursery(function(nursery)
      for _ = 1, 3 do
        nursery:start_soon(function()
          trio.to_thread.run_sync(function() os.execute("sleep 0.1") end)
        end)
      end
      nursery:start_soon(interrupt)
      interrupted(trio.sleep_forever)
    end)
  end, {real_clock = true})

  trio_it("KI-02 reaches main in a shielded sleep", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(interrupt)
      local scope = trio.CancelScope({shield = true})
      interrupted(function() scope:run(trio.sleep_forever) end)
      assert.is_false(scope.cancelled_caught)
    end)
  end)

  trio_it("KI-03 comes once", function()
    interrupt()
    interrupted(lowlevel.checkpoint)
    lowlevel.checkpoint()
    trio.sleep(1)
  end, AT_CHECKPOINTS)

  trio_it("KI-03 comes once from running code, too", function()
    interrupted(interrupt_and_go_on)
    lowlevel.checkpoint()
    for _ = 1, 1000 do assert.is_false(lowlevel.currently_ki_protected()) end
  end)

  trio_it("KI-04 outranks a cancellation", function()
    local scope = trio.CancelScope()
    scope:cancel()
    scope:run(function()
      assert.is_true(H.is_cancelled(select(2, pcall(lowlevel.checkpoint))))
      interrupt()
      interrupted(lowlevel.checkpoint)
      assert.is_true(H.is_cancelled(select(2, pcall(lowlevel.checkpoint))))
    end)
  end, AT_CHECKPOINTS)

  trio_it("KI-05 ends the nursery that main waits in", function()
    local cancelled
    local group = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery)
        nursery:start_soon(function()
          interrupt()
          cancelled = H.is_cancelled(select(2, pcall(trio.sleep_forever)))
        end)
      end)
    assert.equal(1, #group.exceptions)
    assert.is_true(trio.isinstance(group.exceptions[1],
      trio.KeyboardInterrupt))
    assert.is_true(cancelled)
  end)

  it("KI-06 isn't lost where main returns", function()
    local err = interrupted(H.run, function()
      interrupt()
      return "lost"
    end, AT_CHECKPOINTS)
    assert.is_nil(err.context)
  end)

  it("KI-06 has main's error as its context", function()
    local failure = {}
    local err = interrupted(H.run, function()
      interrupt()
      error(failure)
    end, AT_CHECKPOINTS)
    assert.equal(failure, err.context)
  end)

  it("KI-07 isn't lost before main starts", function()
    local started
    interrupted(H.run, function()
      started = true
      lowlevel.checkpoint()
      started = "too far"
    end, {instruments = {{before_run = interrupt}}})
    assert.not_equal("too far", started)
  end)

  it("KI-07 isn't lost behind main's end", function()
    local function init_exited(_, task)
      if task == lowlevel.current_root_task() then interrupt() end
    end
    for _, instrument in ipairs {
      {task_exited = init_exited}, {after_run = interrupt},
    } do
      local err = interrupted(H.run, function() return 1 end,
        {instruments = {instrument}})
      assert.is_nil(err.context)
    end
  end)

  it("KI-08 leaves another handler in its place", function()
    -- That of Lua's own interpreter.
    local path = system.output_of("realpath build") .. "/?.so"
    local result = cli.run("LUA_CPATH='" .. path:gsub("\n", "")
      .. "' PROG main.lua", {files = {["main.lua"] = [[
local trio = require "trio"
trio.run(function()
  io.popen("kill -INT $PPID"):close()
  trio.sleep(0.01)
  print("no KeyboardInterrupt")
end)
while true do end]]}}, cli.reference)
    assert.equal("no KeyboardInterrupt\n", result.out, result.err)
    assert.is_truthy(result.err:find("interrupted!", 1, true), result.err)
  end)

  trio_it("KI-08 gives way to a receiver and comes back", function()
    trio.open_signal_receiver({"SIGINT"}, function(signals)
      interrupt_and_go_on()
      lowlevel.checkpoint()
      assert.equal("SIGINT", signals())
    end)
    interrupted(interrupt_and_go_on)
  end)

  trio_it("KI-09 waits for an operation that can't be undone", function()
    local task = lowlevel.current_task()
    local asked = 0
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        interrupt()
        trio.sleep(1)
        lowlevel.reschedule(task, true, 1)
      end)
      assert.equal(1, lowlevel.wait_task_rescheduled(function()
        asked = asked + 1
        return lowlevel.Abort.FAILED
      end))
      assert.equal(1, asked)
      interrupted(lowlevel.checkpoint)
    end)
  end)

  trio_it("KI-09 may be raised by a slow abort", function()
    local task = lowlevel.current_task()
    local raise
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        interrupt()
        trio.sleep(1)
        lowlevel.reschedule(task, pcall(raise))
      end)
      interrupted(lowlevel.wait_task_rescheduled, function(raise_cancel)
        raise = raise_cancel
        return lowlevel.Abort.FAILED
      end)
    end)
    lowlevel.checkpoint()
  end)

  trio_it("KI-10 comes out of some checkpoints", function()
    interrupt()
    lowlevel.cancel_shielded_checkpoint()
    interrupted(lowlevel.checkpoint_if_cancelled)
    lowlevel.checkpoint_if_cancelled()
    interrupt()
    interrupted(lowlevel.checkpoint_if_cancelled)
    lowlevel.checkpoint()
  end, AT_CHECKPOINTS)

  trio_it("KI-11 may be restricted to checkpoints", function()
    assert.equal(500500, interrupt_and_go_on())
    interrupted(trio.sleep, 1)
    lowlevel.checkpoint()
  end, AT_CHECKPOINTS)

  trio_it("is raised in running code otherwise", function()
    local reached
    interrupted(function()
      interrupt_and_go_on()
      reached = true
    end)
    assert.is_nil(reached)
  end)
end)

describe("protection from Ctrl+C", function()
  trio_it("lets a function end, and raises right behind it", function()
    local sum, reached
    interrupted(function()
      protect(function() sum = interrupt_and_go_on() end)()
      reached = true
    end)
    assert.equal(500500, sum)
    assert.is_nil(reached)
    lowlevel.checkpoint()
  end)

  trio_it("passes arguments and results", function()
    for _, wrap in ipairs {protect, unprotect} do
      local function fn(...) return select("#", ...), ... end
      assert.same({3, 1, nil, nil, n = 4}, table.pack(wrap(fn)(1, nil, nil)))
      assert.same({0, n = 1}, table.pack(wrap(fn)()))
      assert.equal("x", wrap(setmetatable({}, {
        __call = function(_, x) return x end,
      }))("x"))
    end
  end)

  trio_it("doesn't hold at checkpoints", function()
    protect(function()
      interrupt_and_go_on()
      interrupted(lowlevel.checkpoint)
      lowlevel.checkpoint()
    end)()
  end)

  trio_it("can be taken off inside", function()
    local before, inside
    protect(function()
      before = interrupt_and_go_on()
      interrupted(unprotect(function()
        inside = lowlevel.currently_ki_protected()
        local sum = 0
        for i = 1, 100 do sum = sum + i end
      end))
    end)()
    assert.equal(500500, before)
    assert.is_nil(inside)
  end)

  trio_it("ends with an error, and the next checkpoint raises", function()
    local failure = {}
    local ok, err = pcall(protect(function()
      interrupt()
      error(failure)
    end))
    -- The pcall may have been the last thing before the interruption.
    assert.is_false(ok)
    assert.equal(failure, err)
    interrupted(lowlevel.checkpoint)
  end)

  trio_it("reaches into coroutines", function()
    local protected, sum
    interrupted(function()
      protect(function()
        coroutine.wrap(function()
          protected = lowlevel.currently_ki_protected()
          sum = interrupt_and_go_on()
        end)()
      end)()
      error("not reached")
    end)
    assert.is_true(protected)
    assert.equal(500500, sum)
    -- And out of them: the innermost mark decides.
    coroutine.wrap(function()
      protect(function()
        coroutine.wrap(unprotect(function()
          assert.is_false(lowlevel.currently_ki_protected())
        end))()
        assert.is_true(lowlevel.currently_ki_protected())
      end)()
      assert.is_false(lowlevel.currently_ki_protected())
    end)()
  end)

  trio_it("holds across waits", function()
    local protected = {}
    protect(function()
      trio.sleep(1)
      protected[1] = lowlevel.currently_ki_protected()
      trio.move_on_after(1, function()
        trio.sleep_forever()
      end)
      protected[2] = lowlevel.currently_ki_protected()
    end)()
    assert.same({true, true}, protected)
    assert.is_false(lowlevel.currently_ki_protected())
  end)

  trio_it("is not inherited by tasks", function()
    local child
    protect(function()
      trio.open_nursery(function(nursery)
        assert.is_true(lowlevel.currently_ki_protected())
        nursery:start_soon(function()
          child = lowlevel.currently_ki_protected()
        end)
      end)
    end)()
    assert.is_false(child)
  end)

  trio_it("holds in system tasks and queued functions", function()
    local seen, log = H.trace()
    lowlevel.spawn_system_task(function()
      log(lowlevel.currently_ki_protected())
    end)
    lowlevel.current_trio_token():run_sync_soon(function()
      log(lowlevel.currently_ki_protected())
    end)
    trio.testing.wait_all_tasks_blocked()
    assert.same({true, true}, seen)
  end)

  it("holds outside of runs", function()
    assert.is_true(lowlevel.currently_ki_protected())
  end)

  it("needs a function", function()
    H.raises("function expected, got no value", protect)
    H.raises("function expected, got table", unprotect, {})
  end)

  it("survives impatience: a second and a third Ctrl+C", function()
    local result = cli.script([[
local trio = require "trio"
local function now() io.popen("kill -INT $PPID"):close() end
local work = trio.lowlevel.enable_ki_protection(function()
  for _ = 1, 3 do
    now()
    for _ = 1, 100000 do end
  end
  print("worked")
end)
local ok, err = pcall(trio.run, function()
  work()
  print("not reached")
end)
print(ok, trio.isinstance(err, trio.KeyboardInterrupt))]])
    assert.equal("worked\nfalse\ttrue\n", result.out, result.err)
    assert.equal(0, result.status)
  end)
end)
