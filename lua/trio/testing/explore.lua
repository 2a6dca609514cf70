-- SPDX-License-Identifier: MIT
-- explore.lua: trio.testing.explore: run a function under many schedules.
--
-- The seed of a run decides in which order tasks run that could run at the
-- same time. So a function that fails under some order only is found by trying
-- seeds, and its seed replays the failure exactly.

local error, pcall, select, type = error, pcall, select, type

local RUNS = 100
local OPTIONS = {runs = true, autojump = true}

return function(trio, kit)
  local check = kit.check

  local function read_options(opts)
    check.options(opts, 1, "explore", OPTIONS, 1)
    local runs, autojump = opts.runs, opts.autojump
    if runs == nil then runs = RUNS end
    if math.type(runs) ~= "integer" or runs < 1 then
      check.refuse(1, "explore", "option 'runs' must be a positive integer", 1)
    elseif autojump ~= nil and type(autojump) ~= "boolean" then
      check.refuse(1, "explore", "option 'autojump' must be a boolean", 1)
    end
    return runs, autojump ~= false
  end

  local function describe(err)
    local meta = debug.getmetatable(err)
    if type(err) == "string" or (meta and meta.__tostring) then
      return tostring(err)
    end
    return ("(error object is a %s value)"):format(check.name_of(err))
  end

  local function report(seed, err)
    local text = "explore: seed %d fails: %s\n"
      .. "replay: trio.run({seed = %d}, fn)"
    error(trio.Error(text:format(seed, describe(err), seed), {
      cause = err, seed = seed, traceback = trio._traceback_of(err),
    }), 0)
  end

  local function try(seed, autojump, fn, ...)
    local clock
    if autojump then
      clock = trio.testing.MockClock({autojump_threshold = 0})
    end
    local ok, err = pcall(trio.run, {
      seed = seed, clock = clock, on_deadlock = "raise",
    }, fn, ...)
    if ok then return end
    if trio.isinstance(err, trio.KeyboardInterrupt) then error(err, 0) end
    report(seed, err)
  end

  --- explore([{runs = 100, autojump = true},] fn, ...): call fn(...) in a run
  --- for each of the seeds 1 to `runs`. Raises at the first failure, else
  --- returns how many runs there were. To hang is to fail.
  function trio.testing.explore(...)
    local first = ...
    local place, runs, autojump = 1, RUNS, true
    if check.is_options(first) then
      place, runs, autojump = 2, read_options(first)
    end
    check.callable((select(place, ...)), place, "explore")
    if trio.lowlevel.in_trio_run() then
      error("trio.testing.explore can't be called from inside a trio.run", 2)
    end
    for seed = 1, runs do try(seed, autojump, select(place, ...)) end
    return runs
  end
end
