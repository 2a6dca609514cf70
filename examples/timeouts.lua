-- SPDX-License-Identifier: MIT
-- Timeouts: limit any code from outside, however deep it waits inside.

local trio = require "trio"

local function download(seconds)
  trio.sleep(seconds)  -- stands for something that takes a while
  return "the page"
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  -- move_on_after: give up after a while and go on.
  local scope, page = trio.move_on_after(2, function()
    return download(60)
  end)
  print("slow:", page, "timed out:", scope.cancelled_caught)

  scope, page = trio.move_on_after(60, function() return download(1) end)
  print("fast:", page, "timed out:", scope.cancelled_caught)

  -- fail_after: being too slow is an error.
  local ok, err = trio.pcall(trio.fail_after, 2, function()
    return download(60)
  end)
  print(ok, err)

  -- The body gets the scope: the limit may move while the work goes on.
  local parts = 0
  scope = trio.move_on_after(5, function(limit)
    for _ = 1, 4 do
      download(3)
      parts = parts + 1
      limit.relative_deadline = 5  -- progress: start counting again
    end
  end)
  print("parts:", parts, "timed out:", scope.cancelled_caught)
end)

--[[ expected output
slow:	nil	timed out:	true
fast:	the page	timed out:	false
false	TooSlowError: the time limit has passed
parts:	4	timed out:	false
]]
