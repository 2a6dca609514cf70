-- SPDX-License-Identifier: MIT
-- Results: tasks write them where the parent can read them after the nursery.

local trio = require "trio"

-- fn(item) for every item, all at once; the results in the order of the items.
local function map(fn, items)
  local results = {}
  trio.open_nursery(function(nursery)
    for i, item in ipairs(items) do
      nursery:start_soon(function() results[i] = fn(item) end)
    end
  end)
  return results
end

local function square(n)
  trio.sleep(10 - n)  -- the last one is ready first
  return n * n
end

local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local squares = map(square, {1, 2, 3, 4, 5, 6, 7, 8, 9})
  print(table.concat(squares, " "))
  -- No lock is needed: tasks change only where they wait, never in between.
  print("seconds:", trio.current_time())
end)

--[[ expected output
1 4 9 16 25 36 49 64 81
seconds:	9.0
]]
