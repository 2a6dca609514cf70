-- SPDX-License-Identifier: MIT
-- A limit: start a hundred tasks, but let only three work at a time.

local trio = require "trio"

local limiter = trio.CapacityLimiter(3)
local working, most, done = 0, 0, 0

local function work()
  limiter:with(function()
    working = working + 1
    most = math.max(most, working)
    trio.sleep(1)
    working = working - 1
    done = done + 1
  end)
end

local function report()
  for time = 10.5, 30.5, 10 do
    trio.sleep_until(time)
    local waiting = limiter:statistics().tasks_waiting
    print(time, "done: " .. done, "waiting: " .. waiting)
  end
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(report)
    for _ = 1, 100 do nursery:start_soon(work) end
  end)
  print("all done at", trio.current_time(), "at most at once:", most)
end)

--[[ expected output
10.5	done: 30	waiting: 67
20.5	done: 60	waiting: 37
30.5	done: 90	waiting: 7
all done at	34.0	at most at once:	3
]]
