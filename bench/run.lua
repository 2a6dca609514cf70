-- SPDX-License-Identifier: MIT
-- The table of `make bench`: trio-lua beside a floor in C that does the same
-- with nothing around it, and beside other systems, as far as they are
-- installed. Every program is measured in a process of its own, the floor
-- right before and right after it, and the ratio is to the mean of these two:
-- so a slow spell of the machine hits both. Medians over the rounds. It judges
-- nothing: slow is no failure. An unfinished measure is.
--
--   build/trio-lua bench/run.lua [WORKLOAD...]
--
-- Environment: QUICK=1 for a short run, ROUNDS=n, PEERS=go,luv or PEERS=none,
-- REALTIME=1 on a machine that has other work to do (needs its permission).
package.path = (arg[0]:match "^(.*)/[^/]*$" or ".") .. "/?.lua;" .. package.path
local measure = require "measure"
local workloads = require "workloads"

local quick = measure.quick
local rounds = tonumber(os.getenv "ROUNDS") or (quick and 2 or 5)
local scale = quick and 0.25 or 1
local number, ratio_text = measure.number, measure.ratio

-- ---- who takes part

local function first_of(commands)
  for _, command in ipairs(commands) do
    local line = measure.line_of(command)
    if line then return line end
  end
end

local PYTHON = " -c 'import sys, trio; print(sys.executable)'"

-- How a peer shows that it is there, and its version.
local function find(peer)
  local name = peer.name
  peer.program = "lua5.4"
  if name == "go" then
    local built = measure.line_of(measure.bin .. "/peer_go startup 1 1 && echo")
    return built and measure.line_of "go version" or built
  elseif name == "node" then
    peer.program = "node"
    return measure.line_of "node -p '\"Node.js \" + process.version'"
  elseif name == "trio" then
    peer.program = first_of {"python3" .. PYTHON, "/usr/bin/python3" .. PYTHON}
    return peer.program and measure.line_of(peer.program .. " -c 'import sys, "
      .. "trio; print(\"Trio\", trio.__version__, \"on Python\", "
      .. "sys.version.split()[0])'")
  elseif name == "luv" then
    return measure.line_of [[lua5.4 -e 'print("luv on libuv "
      .. require "luv".version_string())']]
  end
  return measure.line_of [[lua5.4 -e 'print("cqueues "
    .. require "cqueues".VERSION)']]
end

local function find_peers(versions)
  local found, missing = {}, {}
  local wanted = os.getenv "PEERS" or ""
  for _, peer in ipairs(workloads.peers) do
    local is_wanted = wanted == ""
      or ("," .. wanted .. ","):find("," .. peer.name .. ",", 1, true)
    local version = is_wanted and find(peer)
    if version then
      found[#found + 1] = peer
      versions[#versions + 1] = version:gsub("^go version ", "")
    elseif is_wanted then
      missing[#missing + 1] = peer.title .. " (" .. peer.package .. ")"
    end
  end
  return found, missing
end

-- ---- measuring

local function mean(a, b) return (a + b) / 2 end

-- All numbers of a line: by system the values and the ratios of all rounds.
local function note(line, results, system, values, before, after)
  local field = line.field or 1
  local base = mean(before[field], after[field])
  local value = values[field]
  local is_inverse = line.cost
  local result = results[system.name] or {values = {}, ratios = {}}
  results[system.name] = result
  table.insert(result.values, value)
  table.insert(result.ratios, is_inverse and base / value or value / base)
end

-- One round; returns what went wrong, by name of the system.
local function run_round(workload, systems, all, failures)
  local function once(system)
    local command = workload.start(workload, system, scale)
    if not command or failures[system.name] then return nil end
    local values, reason = measure.undisturbed(command, workload.waited)
    if not values then failures[system.name] = reason end
    return values
  end
  local floor = {name = "floor"}
  local before = once(floor)
  for _, system in ipairs(systems) do
    local values = before and once(system)
    local after = values and once(floor)
    if not before or failures.floor then return end
    if after then
      for i, line in ipairs(workload.lines) do
        note(line, all[i], system, values, before, after)
        note(line, all[i], floor, after, before, after)
      end
      before = after
    end
  end
end

-- ---- the table

local WIDTH = {title = 24, number = 8, ratio = 6, target = 13, peer = 8}

local function cell(text, width) return (" "):rep(width - #text) .. text end

local function is_met(line, results)
  local ours = results.ours
  local ratio = measure.median(ours.ratios)
  if line.limit then return measure.median(ours.values) <= line.limit end
  if line.no_worse_than then
    local other = results[line.no_worse_than]
    if not other then return nil end
    return ratio <= measure.median(other.ratios)
  end
  if not line.target then return nil end
  if line.less then return ratio <= line.target end
  return ratio >= line.target
end

local function target_text(line, results)
  local met = is_met(line, results)
  local text = line.limit and ("<= %d %s"):format(line.limit, line.unit)
    or line.no_worse_than and "<= " .. line.no_worse_than
    or line.target and (line.less and "<= " or ">= ") .. line.target or ""
  return met == false and text .. " !" or text .. "  "
end

local function print_line(line, results, systems)
  local texts = {("%-" .. WIDTH.title .. "s"):format(line.title)}
  for _, name in ipairs {"floor", "ours"} do
    texts[#texts + 1] = cell(number(measure.median(results[name].values)),
      WIDTH.number)
  end
  texts[#texts + 1] = (" %-4s"):format(line.unit)
  texts[#texts + 1] = cell(ratio_text(measure.median(results.ours.ratios)),
    WIDTH.ratio)
  texts[#texts + 1] = cell(target_text(line, results), WIDTH.target)
  for i = 2, #systems do
    local result = results[systems[i].name]
    texts[#texts + 1] = cell(result and ratio_text(
      measure.median(result.ratios)) or "-", WIDTH.peer)
  end
  print(table.concat(texts))
end

local function print_head(systems)
  local texts = {(" "):rep(WIDTH.title), cell("floor", WIDTH.number),
    cell("trio-lua", WIDTH.number + 1), (" "):rep(4),
    cell("ratio", WIDTH.ratio), cell("target  ", WIDTH.target)}
  for i = 2, #systems do
    texts[#texts + 1] = cell(systems[i].title, WIDTH.peer)
  end
  print(table.concat(texts))
end

local bad = 0

local function run_workload(workload, systems)
  local all, failures = {}, {}
  for i in ipairs(workload.lines) do all[i] = {} end
  for round = 1, rounds do  -- a quick run does the peers once
    local some = quick and round > 1 and {systems[1]} or systems
    run_round(workload, some, all, failures)
  end
  for i, line in ipairs(workload.lines) do
    if all[i].ours then print_line(line, all[i], systems) end
  end
  for name, reason in pairs(failures) do
    print(("%s: failed: %s: %s"):format(workload.name, name, reason))
    bad = bad + 1
  end
end

local function is_chosen(name)
  for _, wanted in ipairs(arg) do if wanted == name then return true end end
  return #arg == 0
end

local function main()
  io.stdout:setvbuf "line"
  local versions = {
    measure.line_of(measure.ours .. " --version"),
    "libuv " .. (measure.line_of "pkg-config --modversion libuv" or "?"),
    measure.line_of "${CC:-cc} --version" or "?"}
  local peers, missing = find_peers(versions)
  local systems = {{name = "ours"}, table.unpack(peers)}
  measure.print_circumstances(versions)
  if #missing > 0 then
    print("Not installed, so not compared: " .. table.concat(missing, ", "))
  end
  print(("Medians of %d rounds. Ratio, ours and the peers': to the floor; "
    .. "large is good where the\ntarget says >=, small where it says <=."
    ):format(rounds))
  print()
  print_head(systems)
  for _, workload in ipairs(workloads.list) do
    if is_chosen(workload.name) then run_workload(workload, systems) end
  end
  print()
  print("!: misses its target.  -: can't do this, or has no program for it"
    .. (quick and ", or is left out of quick runs." or "."))
  measure.print_tally()
end

local ok, err = pcall(main)
measure.remove_files()
if not ok then error(err, 0) end
os.exit(bad == 0)
