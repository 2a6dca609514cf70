-- SPDX-License-Identifier: MIT
-- Shutdown: on SIGTERM take no new work, finish what was begun, then end.

local trio = require "trio"

-- One piece of work. What has been begun is finished, but not at any price.
local function handle(number)
  trio.CancelScope({shield = true, relative_deadline = 10}):run(function()
    print("begin", number)
    trio.sleep(0.5)
    print("end", number)
  end)
end

-- New work every 10 ms, until it is cancelled.
local function serve(nursery)
  for number = 1, math.huge do
    nursery:start_soon(handle, number)
    trio.sleep(0.01)
    if number == 2 then
      -- This program ends itself; usually somebody else does.
      trio.run_process("kill -TERM $PPID", {shell = true})
      trio.sleep_forever()
    end
  end
end

trio.run(function()
  trio.open_signal_receiver({"SIGTERM", "SIGINT"}, function(signals)
    trio.open_nursery(function(nursery)
      nursery:start_soon(serve, nursery)
      print("shutting down on " .. signals())
      nursery.cancel_scope:cancel("shutdown")
    end)
  end)
  print("everything is finished")
end)

--[[ expected output
begin	1
begin	2
shutting down on SIGTERM
end	1
end	2
everything is finished
]]
