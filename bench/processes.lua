-- SPDX-License-Identifier: MIT
-- Starting a process and waiting for its end: trio.run_process of /bin/true,
-- against uv_spawn in C (floor_spawn.c), by turns. Prints the medians and the
-- ratio.
--
--   build/trio-lua bench/processes.lua
--
-- Environment: QUICK=1 for a short run, TURNS=n.
local trio = require "trio"

local quick = (os.getenv "QUICK" or "") ~= ""
local count = quick and 200 or 1000
local turns = tonumber(os.getenv "TURNS") or (quick and 3 or 7)
local floor = os.getenv "FLOOR_SPAWN"
  or (arg[-1]:match "^(.*)/[^/]*$" or ".") .. "/bench/floor_spawn"

-- Microseconds of real time for one process.
local function ours()
  return trio.run(function()
    local start = trio.current_time()
    for _ = 1, count do trio.run_process {"/bin/true"} end
    return (trio.current_time() - start) * 1e6 / count
  end)
end

local function theirs()
  local pipe = assert(io.popen(("'%s' %d"):format(floor, count)))
  local cost = pipe:read "n"
  assert(pipe:close() and cost, "floor_spawn failed")
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
print(("a process from start to end   trio-lua %.1f us   uv_spawn %.1f us   "
  .. "ratio %.2f"):format(median(lists.ours), median(lists.floor),
  median(lists.ratio)))
