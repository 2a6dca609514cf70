-- SPDX-License-Identifier: MIT
-- Threads: a heavy computation spread over worker threads, others going on.

local trio = require "trio"

local PIECES, SIZE = 8, 20000

-- Runs in a worker thread; everything it uses comes with it.
local function longest_chain(from, to)
  local best, length = from, 0
  for start = from, to do
    local n, steps = start, 0
    while n ~= 1 do
      n = n % 2 == 0 and n // 2 or 3 * n + 1
      steps = steps + 1
    end
    if steps > length then best, length = start, steps end
  end
  return best, length
end

trio.run(function()
  local best, length, ticks = 0, 0, 0
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      while true do
        trio.sleep(0.001)
        ticks = ticks + 1
      end
    end)
    trio.open_nursery(function(workers)
      for i = 0, PIECES - 1 do
        workers:start_soon(function()
          local n, steps = trio.to_thread.run_sync(longest_chain,
            i * SIZE + 1, (i + 1) * SIZE)
          if steps > length then best, length = n, steps end
        end)
      end
    end)
    nursery.cancel_scope:cancel()
  end)
  print(("the longest chain below %d: from %d, %d steps"):format(
    PIECES * SIZE, best, length))
  print("the loop went on meanwhile:", ticks > 3)
end)

--[[ expected output
the longest chain below 160000: from 156159, 382 steps
the loop went on meanwhile:	true
]]
