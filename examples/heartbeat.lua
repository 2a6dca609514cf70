-- SPDX-License-Identifier: MIT
-- Background work: a task that never ends, stopped when the real work is done.

local trio = require "trio"

local function heartbeat(seconds)
  while true do
    trio.sleep(seconds)
    print("still alive at", trio.current_time())
  end
end

-- body() with a heartbeat beside it; returns what body returns.
local function with_heartbeat(seconds, body)
  return trio.open_nursery(function(nursery)
    nursery:start_soon(heartbeat, seconds)
    local result = body()
    nursery.cancel_scope:cancel()
    return result
  end)
end

local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local result = with_heartbeat(10, function()
    trio.sleep(35)
    return "the work is done"
  end)
  print(result)
end)

--[[ expected output
still alive at	10.0
still alive at	20.0
still alive at	30.0
the work is done
]]
