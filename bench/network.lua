-- SPDX-License-Identifier: MIT
-- Runs the measures of echo_load.c against echo.lua and echo_uv.c by turns and
-- prints the medians with their ratio, pair by pair. It judges nothing.
--
--   build/trio-lua bench/network.lua [MEASURE...]
--
-- Environment: QUICK=1 for a short run, PAIRS=n for the number of turns.
-- Loopback only; each measure takes a fraction of a second.
local ours = arg[-1]
local here = arg[0]:match "^(.*)/[^/]*$" or "."
local bin = (ours:match "^(.*)/[^/]*$" or ".") .. "/bench"
local quick = (os.getenv "QUICK" or "") ~= ""
local turns = tonumber(os.getenv "PAIRS") or (quick and 3 or 7)
local seconds = quick and 0.3 or 0.6

local measures = {
  { name = "echo", size = 64, connections = 50, title = "echo 64 B",
    unit = "/s", aim = ">= 0.75, p99 <= 1.5" },
  { name = "echo", size = 16384, connections = 50, title = "echo 16 KiB",
    unit = "/s", aim = ">= 0.75, p99 <= 1.5" },
  { name = "connect", size = 64, connections = 50,
    title = "connect, echo, close", unit = "/s" },
  { name = "send", size = 1, connections = 1, title = "server sends",
    unit = "MB/s", aim = ">= 0.9" },
  { name = "receive", size = 1, connections = 1, title = "server receives",
    unit = "MB/s", aim = ">= 0.9" },
}

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- {rate, p50, p99, processor time}, or nil when it failed.
local function measured(measure, server)
  local pipe = assert(io.popen(("%s/echo_load %s %d %d %g %s"):format(
    quoted(bin), measure.name, measure.size, measure.connections, seconds,
    server)))
  local values = {pipe:read("n", "n", "n", "n")}
  return pipe:close() and #values == 4 and values or nil
end

local function median(list)
  table.sort(list)
  local middle = #list // 2
  if #list % 2 == 1 then return list[middle + 1] end
  return (list[middle] + list[middle + 1]) / 2
end

-- The median of column `n`, of the first list or of the ratios.
local function column(n, mine, theirs)
  local values = {}
  for i = 1, #mine do
    values[i] = theirs and mine[i][n] / theirs[i][n] or mine[i][n]
  end
  return median(values)
end

local function compare(measure)
  local mine, theirs = {}, {}
  for i = 1, turns do
    mine[i] = measured(measure, quoted(ours) .. " " .. quoted(here
      .. "/echo.lua"))
    theirs[i] = measured(measure, quoted(bin) .. "/echo_uv")
    if not mine[i] or not theirs[i] then
      print(("%-22s failed: %s"):format(measure.title,
        mine[i] and "echo_uv" or "trio-lua"))
      return false
    end
  end
  local latency = ""
  if measure.unit == "/s" then
    latency = ("%5.0f %5.0f %6.2f"):format(column(2, mine), column(3, mine),
      column(3, mine, theirs))
  end
  print(("%-22s %9.0f %9.0f %-5s %5.2f  %-18s %7.1f %7.1f %5.2f  %s"):format(
    measure.title, column(1, mine), column(1, theirs), measure.unit,
    column(1, mine, theirs), latency, column(4, mine), column(4, theirs),
    column(4, mine, theirs), measure.aim or ""))
  return true
end

local function is_wanted(name)
  for _, wanted in ipairs(arg) do if wanted == name then return true end end
  return #arg == 0
end

io.stdout:setvbuf "line"
print(("Servers against plain C on libuv, over loopback; medians of %d turns."
  ):format(turns))
print(("%-22s %9s %9s       %5s  %5s %5s %6s %7s %7s %5s  %s"):format("",
  "trio-lua", "libuv", "ratio", "p50", "p99", "ratio", "CPU us", "libuv",
  "ratio", "aim"))
local failures = 0
for _, measure in ipairs(measures) do
  if is_wanted(measure.name) and not compare(measure) then
    failures = failures + 1
  end
end
print("p50, p99: microseconds; CPU: the server's processor time for one "
  .. "request or MB")
os.exit(failures == 0)
