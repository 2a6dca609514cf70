-- SPDX-License-Identifier: MIT
-- os.exit(code, true) closes the Lua state in the middle of a run: what the run
-- owns in C goes with it, whatever its tasks are doing.

local cli = require "spec.support.cli"

-- The script: `waiting` is the body of a task that waits when another one
-- leaves. A finalizer that is older than the run looks at what is left.
local function script(waiting, leave)
  local text = [[
local trio = require "trio"
local function blocks() return trio.testing._counters().blocks end
trio.run(trio.sleep, 0)  -- what the state keeps for later runs
local lock, lot, event = trio.Lock(), trio.lowlevel.ParkingLot(), trio.Event()
local before
local probe = setmetatable({}, {__gc = function()
  print(blocks() - before, trio.lowlevel.in_trio_run(),
        lot:statistics().tasks_waiting)
  event:set()
end})
collectgarbage()
before = blocks()
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      WAITING
    end)
    nursery:start_soon(function()
      trio.CancelScope{shield = true}:run(function()
        trio.testing.wait_all_tasks_blocked()
        local closed <close> = setmetatable({}, {__close = print})
        LEAVE
      end)
    end)
  end)
end)
print("never here", lock, probe)
]]
  return (text:gsub("WAITING", waiting):gsub("LEAVE", leave))
end

-- `left`: blocks that libuv gives back when its loop is closed, after that.
local function check(waiting, leave, left)
  local result = cli.script(script(waiting, leave or "os.exit(3, true)"))
  assert.equal("", result.err)
  assert.matches("^" .. (left or "0") .. "\tfalse\t0\n$", result.out)
  assert.equal(3, result.status)
end

describe("os.exit(code, true) inside a run", function()
  it("frees cancel statuses, deadlines and reasons", function()
    check [[
      trio.move_on_after(5, function()
        nursery.cancel_scope:cancel("enough")
        trio.CancelScope{shield = true}:run(trio.sleep_forever)
      end)]]
  end)

  it("takes sleeping tasks out of their locks and lots", function()
    check [[
      nursery:start_soon(function() lot:park() end)
      nursery:start_soon(function() lock:acquire() lock:acquire() end)
      lock:acquire()
      lot:park()]]
  end)

  it("forgets the errors of children that have failed", function()
    check [[
      nursery:start_soon(error, "lost")
      trio.CancelScope{shield = true}:run(function() event:wait() end)]]
  end)

  it("stops watching descriptors", function()
    check([[
      local socket = trio.socket.socket()
      socket:bind{"127.0.0.1", 0}
      socket:listen()
      nursery:start_soon(trio.sleep_forever)
      socket:accept()]])
  end)

  it("abandons look-ups", function()
    check([[trio.socket.getaddrinfo("localhost", "80")]], nil, "[01]")
  end)

  it("works in a call of run_sync_soon", function()
    check("trio.sleep_forever()", [[
      trio.lowlevel.current_trio_token():run_sync_soon(os.exit, 3, true)
      trio.sleep_forever()]])
  end)

  it("works in an abort function", function()
    check([[
      trio.lowlevel.wait_task_rescheduled(function() os.exit(3, true) end)]],
      "nursery.cancel_scope.deadline = 0 trio.sleep_forever()")
  end)

  it("works with a clock and a schedule of its own", function()
    local result = cli.script [[
local trio = require "trio"
local clock = {start_clock = function() end, current_time = os.clock}
function clock:deadline_to_sleep_time(deadline)
  return deadline - self.current_time()
end
trio.run({clock = clock, seed = 5}, function()
  trio.open_nursery(function(nursery)
    for _ = 1, 100 do nursery:start_soon(trio.sleep, 60) end
    trio.sleep(0)
    os.exit(4, true)
  end)
end)]]
    assert.equal("", result.err)
    assert.equal(4, result.status)
  end)
end)
