-- SPDX-License-Identifier: MIT
-- Cleanup: trio.defer runs a function on any exit, and it may wait there.

local trio = require "trio"

-- Inside a cancelled scope every wait raises Cancelled at once. trio.defer
-- shields its function from that, so that a farewell can still be sent.
local function session(farewell_takes)
  local _ <close> = trio.defer(function(err)
    print("  leaving because of:", err)
    trio.sleep(farewell_takes)
    print("  farewell sent")
  end, {timeout = 5})
  print("  working")
  trio.sleep(60)
end

local function main()
  print("cancelled while working:")
  local scope = trio.move_on_after(1, function() session(2) end)
  print("  timed out:", scope.cancelled_caught, "at", trio.current_time())

  print("a cleanup that is too slow itself:")
  scope = trio.move_on_after(1, function() session(3600) end)
  print("  timed out:", scope.cancelled_caught, "at", trio.current_time())

  print("a shield by hand:")
  scope = trio.move_on_after(1, function()
    trio.CancelScope({shield = true}):run(function() trio.sleep(2) end)
    print("  the shielded part ended at", trio.current_time())
    trio.sleep(60)
    print("  never printed")
  end)
  print("  timed out:", scope.cancelled_caught, "at", trio.current_time())
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, main)

--[[ expected output
cancelled while working:
  working
  leaving because of:	Cancelled: cancelled due to deadline
  farewell sent
  timed out:	true	at	3.0
a cleanup that is too slow itself:
  working
  leaving because of:	Cancelled: cancelled due to deadline
  timed out:	true	at	9.0
a shield by hand:
  the shielded part ended at	11.0
  timed out:	true	at	11.0
]]
