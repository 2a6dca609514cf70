-- SPDX-License-Identifier: MIT
-- A worker pool: one task for each job, a CapacityLimiter for those at work.

local trio = require "trio"

-- Calls fn(job) for all jobs, at most `limit` at once; the results in order.
-- The limiter is asked before a task is started: a thousand jobs that wait
-- would be a thousand tasks.
local function pool(limit, jobs, fn)
  local limiter, results = trio.CapacityLimiter(limit), {}
  trio.open_nursery(function(nursery)
    for i, job in ipairs(jobs) do
      limiter:acquire_on_behalf_of(i)
      nursery:start_soon(function()
        local _ <close> = trio.defer(function()
          limiter:release_on_behalf_of(i)
        end)
        results[i] = fn(job, limiter)
      end)
    end
  end)
  return results
end

local function download(size, limiter)
  local began = trio.current_time()
  trio.sleep(size)
  print(("%g to %g: %g MB, %d of %d busy"):format(began, trio.current_time(),
    size, limiter.borrowed_tokens, limiter.total_tokens))
  if size == 5 then limiter.total_tokens = 3 end  -- it may change at any time
  return size / 2
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local results = pool(2, {3, 5, 4, 2, 2, 6, 1}, download)
  print(table.concat(results, " "))
end)

--[[ expected output
0 to 3: 3 MB, 2 of 2 busy
0 to 5: 5 MB, 2 of 2 busy
3 to 7: 4 MB, 3 of 3 busy
5 to 7: 2 MB, 3 of 3 busy
5 to 7: 2 MB, 2 of 3 busy
7 to 8: 1 MB, 2 of 3 busy
7 to 13: 6 MB, 1 of 3 busy
1.5 2.5 2.0 1.0 1.0 3.0 0.5
]]
