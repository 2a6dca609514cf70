-- SPDX-License-Identifier: MIT
-- Two tasks at once: a nursery starts them and waits until both have ended.

local trio = require "trio"

local function count(name, seconds)
  for i = 1, 3 do
    trio.sleep(seconds)
    print(name, i)
  end
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(count, "slow", 5)
    nursery:start_soon(count, "    quick", 2)
    print("both are started, neither has run")
  end)
  -- Nothing outlives its nursery: here both tasks have ended, for certain.
  print("both are done")
end)

--[[ expected output
both are started, neither has run
    quick	1
    quick	2
slow	1
    quick	3
slow	2
slow	3
both are done
]]
