-- SPDX-License-Identifier: MIT
-- Virtual time: with a MockClock a year of sleeping takes no time at all.

local trio = require "trio"

local DAY = 24 * 60 * 60

local function backup()
  for night = 1, 3 do
    trio.sleep(DAY)
    print(("backup %d at %g days"):format(night, trio.current_time() / DAY))
  end
end

local function yearly_report()
  trio.sleep(365 * DAY)
  print(("report at %g days"):format(trio.current_time() / DAY))
end

-- With autojump_threshold = 0 the clock jumps to the next deadline as soon as
-- every task is blocked. Timeouts and sleeps keep their exact order.
local clock = trio.testing.MockClock({autojump_threshold = 0})
local before = os.time()
trio.run({clock = clock}, function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(yearly_report)
    nursery:start_soon(backup)
  end)
end)
print("real time passed:", os.time() - before < 5 and "next to none" or "much")

-- Without autojump the program moves the clock itself.
clock = trio.testing.MockClock()
trio.run({clock = clock}, function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      trio.sleep(10)
      print("woken at", trio.current_time())
    end)
    trio.testing.wait_all_tasks_blocked()
    clock:jump(9)
    trio.testing.wait_all_tasks_blocked()
    print("nothing at", trio.current_time())
    clock:jump(1)
  end)
end)

--[[ expected output
backup 1 at 1 days
backup 2 at 2 days
backup 3 at 3 days
report at 365 days
real time passed:	next to none
nothing at	9.0
woken at	10.0
]]
