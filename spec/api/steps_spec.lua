-- SPDX-License-Identifier: MIT
-- steps_spec.lua: guest runs that a host written in Lua drives.
local trio = require "trio"
local H = require "spec.support.helper"
local start = trio.lowlevel.start_guest_run
local pid = io.open("/proc/self/stat"):read("a"):match("^%d+")

-- Call step until the end, at most `limit` times; host(left) runs in between.
local function drive(step, host)
  for _ = 1, 100000 do
    local result = table.pack(step())
    if result[1] == nil then return table.unpack(result, 2, result.n) end
    if host then host(result[1]) end
  end
  error("the guest run does not end")
end

describe("a guest run", function()
  it("GUEST-01 gives main's results or its very error", function()
    local ok, a, b = drive(start(function(x) return x, 2 end, 1))
    assert.same({true, 1, 2}, {ok, a, b})
    local err = {}
    local failed, raised = drive(start(error, err))
    assert.is_false(failed)
    assert.equal(err, raised)
  end)

  it("GUEST-02 exists when start returns, but no code of main ran", function()
    local ran, system = false, false
    local step = start(function() ran = true trio.sleep(0) end)
    assert.is_false(ran)
    assert.equal("number", type(trio.current_time()))
    trio.lowlevel.spawn_system_task(function() system = true end)
    local called = false
    trio.lowlevel.current_trio_token():run_sync_soon(function()
      called = true
    end)
    assert.is_true((drive(step)))
    assert.is_true(ran and system and called)
  end)

  it("GUEST-03 a clock that can't start is an error of start", function()
    local clock = {start_clock = function() error("no time") end,
      current_time = function() return 0 end,
      deadline_to_sleep_time = function() return 0 end}
    H.raises_class(trio.TrioInternalError, start, {clock = clock},
      function() end)
    assert.equal(1, trio.run(function() return 1 end))
  end)

  it("GUEST-05 the host wakes a task through an event", function()
    local event = trio.Event()
    local ok, value = drive(start(function()
      event:wait()
      return "woken"
    end), function(left)
      if left == math.huge then event:set() end
    end)
    assert.same({true, "woken"}, {ok, value})
  end)

  it("GUEST-06 the host moves a deadline of a sleeping task", function()
    local scope = trio.CancelScope()
    local moved = 0
    local ok = drive(start(function()
      scope:run(trio.sleep_forever)
    end), function()
      moved = moved + 1
      if moved == 3 then scope.deadline = trio.current_time() + 1e6 end
      if moved == 5 then scope.deadline = -math.huge end
      assert(moved < 50)
    end)
    assert.is_true(ok)
    assert.is_true(scope.cancelled_caught)
  end)

  it("GUEST-07 a step that finds nothing to do is no idleness", function()
    local idle = false
    local steps = 0
    local event = trio.Event()
    assert.is_true((drive(start(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.testing.wait_all_tasks_blocked(9999)
          idle = true
        end)
        event:wait()
        nursery.cancel_scope:cancel()
      end)
    end), function()
      steps = steps + 1
      if steps == 20 then event:set() end
    end)))
    assert.is_false(idle)
  end)

  it("GUEST-08 a lowered autojump threshold is noticed", function()
    local clock = trio.testing.MockClock()
    local ok, now = drive(start({clock = clock}, function()
      trio.sleep(120)
      return trio.current_time()
    end), function() clock.autojump_threshold = 0 end)
    assert.same({true, 120}, {ok, now})
  end)

  it("GUEST-10 that is given up warns, and leaves nothing", function()
    local step = start(trio.sleep_forever) -- luacheck: ignore
    step()
    assert.is_true(trio.lowlevel.in_trio_run())
    step = nil -- luacheck: ignore
    collectgarbage() collectgarbage()
    assert.is_false(trio.lowlevel.in_trio_run())
    assert.equal(1, trio.run(function() return 1 end))
  end)

  it("GUEST-13 the host is inside a run but no task", function()
    local step = start(trio.sleep, 0)
    assert.is_true(trio.lowlevel.in_trio_run())
    assert.is_false(trio.lowlevel.in_trio_task())
    drive(step)
    assert.is_false(trio.lowlevel.in_trio_run())
  end)

  it("GUEST-04 does I/O, and waits for it only between steps", function()
    local a, b
    local waits = 0
    local ok, text = drive(start(function()
      a, b = trio.socket.socketpair()
      local text = b:recv(10)
      a:close()
      b:close()
      return text
    end), function(left)
      if left ~= math.huge then return end
      waits = waits + 1
      if waits == 3 then
        trio.lowlevel.spawn_system_task(function() a:send("hi") end)
      end
    end)
    assert.same({true, "hi"}, {ok, text})
    assert.is_true(waits >= 3)
  end)

  it("GUEST-12 gets a Ctrl+C that comes while the host runs", function()
    local sent = false
    local ok, err = drive(start(trio.sleep_forever), function()
      if not sent then
        sent = true
        io.popen("kill -INT " .. pid):close()
      end
    end)
    assert.is_false(ok)
    assert.is_true(trio.isinstance(err, trio.KeyboardInterrupt))
  end)

  it("GUEST-14 plays ping-pong with the host's own queue", function()
    local send, receive = trio.open_memory_channel(math.huge)
    local inbox, trace = {}, {}
    assert.is_true((drive(start(function()
      for i = 1, 10 do
        table.insert(inbox, i)
        table.insert(trace, receive:receive())
      end
    end), function()
      local ball = table.remove(inbox, 1)
      if ball then send:send_nowait(-ball) end
    end)))
    assert.same({-1, -2, -3, -4, -5, -6, -7, -8, -9, -10}, trace)
  end)

  it("GUEST-11 an internal error comes out at the end", function()
    local ok, err = drive(start(function()
      trio.lowlevel.spawn_system_task(error, "broken")
      trio.sleep_forever()
    end))
    assert.is_false(ok)
    assert.is_true(trio.isinstance(err, trio.TrioInternalError))
  end)

  it("names wrong use", function()
    H.raises("function expected, got number", start, 5)
    H.raises("unknown option 'x'", start, {x = 1}, function() end)
    local step = start(function() end)
    H.raises("trio%.run can't be called", trio.run, function() end)
    drive(step)
    H.raises("over", step)
    trio.run(function()
      H.raises("inside a trio%.run", start, function() end)
    end)
  end)
end)
