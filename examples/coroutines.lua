-- SPDX-License-Identifier: MIT
-- Coroutines of your own: a generator may wait; its yields stay its own.

local trio = require "trio"

-- In trio-lua the global `coroutine` knows about tasks. Under another Lua
-- call trio.install() first, or use trio.coroutine.
local function ticks(count, seconds)
  return coroutine.wrap(function()
    for i = 1, count do
      trio.sleep(seconds)   -- suspends the whole task
      coroutine.yield(i)    -- goes to the `for` loop below
    end
  end)
end

local function listen(name, seconds)
  for i in ticks(3, seconds) do print(name, i, trio.current_time()) end
end

local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(listen, "slow", 5)
    nursery:start_soon(listen, "quick", 2)
  end)

  -- A timeout around the loop reaches into the generator.
  local seen = 0
  local scope = trio.move_on_after(10, function()
    for _ in ticks(1000, 3) do seen = seen + 1 end
  end)
  print("seen:", seen, "timed out:", scope.cancelled_caught)

  -- Where Lua can't suspend, the error says so and names the function.
  local _, err = trio.pcall(table.sort, {1, 2}, function(a, b)
    trio.sleep(0)
    return a < b
  end)
  print((err:gsub("^.-:%d+: ", "")))
end)

--[[ expected output
quick	1	2.0
quick	2	4.0
slow	1	5.0
quick	3	6.0
slow	2	10.0
slow	3	15.0
seen:	3	timed out:	true
trio.sleep can't wait here: Lua can't suspend inside the C function 'table.sort'
]]
