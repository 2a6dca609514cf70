-- SPDX-License-Identifier: MIT
-- `make bench GROWTH=1`: what an operation costs with few and with many tasks,
-- scopes, channels and connections, for trio-lua and for the floor. Where
-- both grow alike, the memory of the machine is what is measured: a million
-- coroutines are in no cache.
--
--   build/trio-lua bench/growth.lua
--
-- Environment: QUICK=1 without the largest numbers, ROUNDS=n.
package.path = (arg[0]:match "^(.*)/[^/]*$" or ".") .. "/?.lua;" .. package.path
local measure = require "measure"

local bin, here, ours = measure.bin, measure.here, measure.ours
local quick = measure.quick
local rounds = tonumber(os.getenv "ROUNDS") or (quick and 1 or 3)
local bad = 0

-- `work`: operations in one run, or `rounds`; `from`: with fewer, it says
-- nothing. `floor`: nil where there is nothing like it.
local FLOOR, CHANNEL = "floor", "floor_channel"
local counts = {10, 1000, 100000, 1000000}
local tasks = {
  {"checkpoint", "checkpoint, of so many tasks in turn", work = 4e6,
    floor = FLOOR},
  {"beside_sleepers", "nursery in a timeout, beside so many asleep",
    rounds = 3e5},
  {"timeouts", "timeout, of so many tasks in turn", work = 1e6,
    floor = FLOOR},
  {"spawn", "spawn, so many at once", work = 1e6, floor = FLOOR},
  {"cancel_wide", "cancel, so many at once", work = 1e5, floor = FLOOR},
  {"channels", "send and receive, so many channels in turn", work = 1e6,
    floor = CHANNEL},
  {"sleep_mem", "memory of a sleeping task", unit = "B", rounds = 1,
    from = 1000, floor = FLOOR},
  {"channel_mem", "memory of a channel", unit = "B", rounds = 1,
    from = 1000},
}
local depths = {10, 100, 1000, 10000}
local nested = {
  {"cancel_deep", "scope, so many inside each other", work = 1e6,
    floor = FLOOR},
}
local connections = {10, 100, 1000, 10000}

-- The medians over the rounds of the wanted fields; nil and why not.
local function medians(command, waited, fields)
  local lists = {}
  for round = 1, rounds do
    local values, reason = measure.undisturbed(command, waited)
    if not values then return nil, reason end
    for i, field in ipairs(fields) do
      lists[i] = lists[i] or {}
      lists[i][round] = values[field]
    end
  end
  for i in ipairs(fields) do lists[i] = measure.median(lists[i]) end
  return lists
end

local function tasks_command(program, workload, count)
  local times = math.floor(workload.rounds or workload.work / count)
  local words = table.move(program, 1, #program, 1, {})
  table.move({workload[1], count, math.max(1, times)}, 1, 3, #words + 1,
    words)
  return measure.alone(words)
end

local function cell(text) return (" "):rep(9 - #text) .. text end

local function print_row(title, unit, values)
  local texts = {("%-44s %-3s"):format(title, unit)}
  for i, value in ipairs(values) do
    texts[i + 1] = cell(type(value) == "string" and value
      or measure.number(value))
  end
  print(table.concat(texts))
end

local function print_head(title, wanted)
  print()
  local texts = {}
  for i, count in ipairs(wanted) do texts[i] = ("%d"):format(count) end
  print_row(title, "", texts)
end

-- A row of values, or "failed" with the reason told at once.
local function row_of(what, wanted, run)
  local row = {}
  for i, count in ipairs(wanted) do
    local value, reason = run(count)
    if not value then
      print(("%s, %d: failed: %s"):format(what, count, reason))
      bad = bad + 1
    end
    row[i] = value or "failed"
  end
  return row
end

local function too_few(from, count) return count < (from or 0) and "-" end

local function ratios(row, floor)
  local list = {}
  for i, value in ipairs(row) do
    list[i] = tonumber(value) and tonumber(floor[i])
      and measure.ratio(value / floor[i]) or "-"
  end
  return list
end

local function print_tasks(list, wanted, title)
  print_head(title, wanted)
  for _, workload in ipairs(list) do
    local function run(program)
      return row_of(workload[1], wanted, function(count)
        local few = too_few(workload.from, count)
        if few then return few end
        local values, reason = medians(tasks_command(program, workload, count),
          2, {1})
        return values and values[1], reason
      end)
    end
    local mine = run {ours, here .. "/tasks.lua"}
    print_row(workload[2], workload.unit or "ns", mine)
    if workload.floor then
      print_row("  times the floor", "",
        ratios(mine, run {bin .. "/" .. workload.floor}))
    end
  end
end

local function print_connections(wanted)
  print_head("connections, echo of 64 B", wanted)
  local function run(...)
    local server, memory = {...}, {}
    local costs = row_of("connections", wanted, function(count)
      local command = measure.command {bin .. "/net_load", "echo", 64, count,
        quick and 0.3 or 1, table.unpack(server)}
      local values, reason = medians(command, 5, {4, 6, 7})
      if not values then return nil, reason end
      memory[#memory + 1] = too_few(1000, count)
        or (values[3] - values[2]) / count
      return values[1]
    end)
    return costs, memory
  end
  local mine, memory = run(ours, here .. "/server.lua")
  local floor, floor_memory = run(bin .. "/floor_server")
  print_row("processor time of a request", "us", mine)
  print_row("  times the floor", "", ratios(mine, floor))
  print_row("memory of a connection", "KB", memory)
  print_row("  the floor's", "KB", floor_memory)
end

io.stdout:setvbuf "line"
measure.print_circumstances {measure.line_of(ours .. " --version")}
if quick then
  counts[4], depths[4], connections[4] = nil, nil, nil
end
print_tasks(tasks, counts, "tasks or channels")
print_tasks(nested, depths, "scopes")
print_connections(connections)
measure.print_tally()
os.exit(bad == 0)
