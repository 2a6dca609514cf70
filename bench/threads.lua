-- SPDX-License-Identifier: MIT
-- A round trip to a worker thread: trio.to_thread.run_sync of a function that
-- returns its argument, against uv_queue_work in C (floor_threads.c), by
-- turns. Prints the medians and the ratio.
--
--   build/trio-lua bench/threads.lua
--
-- Environment: QUICK=1 for a short run, TURNS=n.
local trio = require "trio"

local quick = (os.getenv "QUICK" or "") ~= ""
local count = quick and 2000 or 20000
local turns = tonumber(os.getenv "TURNS") or (quick and 3 or 7)
local floor = os.getenv "FLOOR_THREADS"
  or (arg[-1]:match "^(.*)/[^/]*$" or ".") .. "/bench/floor_threads"

-- Microseconds of real time for one trip.
local function ours()
  return trio.run(function()
    local run_sync = trio.to_thread.run_sync
    local function same(x) return x end
    run_sync(same, 0)
    local start = trio.current_time()
    for i = 1, count do assert(run_sync(same, i) == i) end
    return (trio.current_time() - start) * 1e6 / count
  end)
end

local function theirs()
  local pipe = assert(io.popen(("'%s' %d"):format(floor, count)))
  local cost = pipe:read "n"
  assert(pipe:close() and cost, "floor_threads failed")
  return cost
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local lists = {ours = {}, floor = {}, ratio = {}}
for i = 1, turns do
  lists.ours[i], lists.floor[i] = ours(), theirs()
  lists.ratio[i] = lists.ours[i] / lists.floor[i]
end
print(("round trip to a thread   trio-lua %.1f us   uv_queue_work %.1f us   "
  .. "ratio %.2f"):format(median(lists.ours), median(lists.floor),
  median(lists.ratio)))
