-- SPDX-License-Identifier: MIT
-- helper.lua: what every spec needs. trio_it runs a test as the main task of
-- a run under virtual time and then proves that nothing was left behind; the
-- assertions below look at errors by identity, never by their text alone.
--
--   local H = require "spec.support.helper"
--   H.trio_it("TIME-03 sleepers wake in the order of their deadlines",
--     function() ... end)
--
-- It may be required from any spec file, and inside a run as well as outside.

local trio = require "trio"
local it = require "busted".it

local H = {}

-- The interpreter under test, and the command line that starts it (with the
-- wrapper of a checking run, such as valgrind, in front).
H.interpreter = os.getenv("TRIO_LUA") or "build/trio-lua"
H.command = (os.getenv("TRIO_WRAPPER") or "") .. " " .. H.interpreter

-- `count`, or a small part of it where every step is slow: in a checking run
-- that collects all garbage at each, or with TRIO_SMALL in the environment.
function H.many(count)
  if os.getenv("TRIO_SMALL") or H.interpreter:find("gcstress", 1, true) then
    return math.max(count // 100, math.min(count, 50))
  end
  return count
end

-- Options of ours; everything else goes to trio.run.
local OWN = {clock = true, real_clock = true}

--- Run fn as the main task, under a MockClock that jumps as soon as every task
--- is blocked. opts: `clock` (another clock), `real_clock = true`, and any
--- option of trio.run. Returns and raises what trio.run does.
function H.run(fn, opts)
  local options = {}
  for name, value in pairs(opts or {}) do
    if not OWN[name] then options[name] = value end
  end
  if opts and opts.clock then
    options.clock = opts.clock
  elseif not (opts and opts.real_clock) then
    options.clock = trio.testing.MockClock({autojump_threshold = 0})
  end
  return trio.run(options, fn)
end

-- The first run of a Lua state makes what later runs use again.
local warmed_up = false
local function warm_up()
  if not warmed_up then trio.run(function() end) end
  warmed_up = true
end

-- The counters once everything collectable is gone: the first collection runs
-- finalizers, the second one frees what they let go.
local function settled_counters()
  collectgarbage()
  collectgarbage()
  return trio.testing._counters()
end

-- An error object keeps its traceback in a field that busted does not know.
local function show_traceback(err)
  if type(err) ~= "table" or type(err.traceback) ~= "string" then return err end
  if not (trio.isinstance(err, trio.Error)
      or trio.isinstance(err, trio.ExceptionGroup)) then
    return err
  end
  return tostring(err) .. "\n" .. err.traceback
end

local function check_nothing_left(before)
  local after = settled_counters()
  for _, counter in ipairs {"tasks", "timers", "blocks"} do
    if after[counter] ~= before[counter] then
      error(("left behind: %s went from %s to %s"):format(counter,
        tostring(before[counter]), tostring(after[counter])), 0)
    end
  end
end

--- it() around H.run; afterwards the live tasks, timers and C allocations must
--- be what they were before. (A tail call: busted takes the caller's line.)
function H.trio_it(name, fn, opts)
  return it(name, function()
    warm_up()
    local before = settled_counters()
    local ok, err = pcall(H.run, fn, opts)
    if not ok then error(show_traceback(err), 0) end
    check_nothing_left(before)
  end)
end

local function describe(value)
  if type(value) == "string" then return ("%q"):format(value) end
  return tostring(value)
end

-- The error that fn(...) raises; a failure of the test when it raises none.
local function error_of(fn, ...)
  local results = table.pack(pcall(fn, ...))
  if not results[1] then return results[2] end
  for i = 1, results.n do results[i] = describe(results[i]) end
  error("expected an error, got a normal return (" ..
    table.concat(results, ", ", 2, results.n) .. ")", 3)
end

--- fn(...) must raise. A string error must match the Lua pattern; of an error
--- object its text must. Returns the error value.
function H.raises(pattern, fn, ...)
  local err = error_of(fn, ...)
  local text = type(err) == "string" and err or tostring(err)
  if not text:find(pattern) then
    error(("expected an error like %q, got %s"):format(pattern,
      describe(err)), 2)
  end
  return err
end

--- fn(...) must raise an instance of Class. Returns it.
function H.raises_class(Class, fn, ...)
  local err = error_of(fn, ...)
  if not trio.isinstance(err, Class) then
    error(("expected an instance of %s, got %s"):format(tostring(Class),
      describe(err)), 2)
  end
  return err
end

-- The members of a group as text, for messages.
local function members(list, n)
  local words = {}
  for i = 1, n do words[i] = describe(list[i]) end
  return "[" .. table.concat(words, ", ") .. "]"
end

-- Number of members: arrays with nil in them carry `n`.
local function check_group(err, want)
  if not trio.isinstance(err, trio.ExceptionGroup) then
    error("expected an ExceptionGroup, got " .. describe(err), 3)
  end
  local count = err.exceptions.n or #err.exceptions
  if count ~= want.n then
    error(("expected a group of %d, got %d: %s"):format(want.n, count,
      members(err.exceptions, count)), 3)
  end
end

--- err must be a group of exactly these values, in this order. Returns it.
function H.group_of(err, ...)
  local want = table.pack(...)
  check_group(err, want)
  for i = 1, want.n do
    if not rawequal(err.exceptions[i], want[i]) then
      error(("member %d of the group: expected %s in %s"):format(i,
        describe(want[i]), members(err.exceptions, want.n)), 2)
    end
  end
  return err
end

--- The same in any order.
function H.group_set(err, ...)
  local want = table.pack(...)
  check_group(err, want)
  local taken = {}
  for i = 1, want.n do
    local found
    for j = 1, want.n do
      if not taken[j] and rawequal(err.exceptions[j], want[i]) then
        found = j
        break
      end
    end
    if not found then
      error(("the group lacks %s: %s"):format(describe(want[i]),
        members(err.exceptions, want.n)), 2)
    end
    taken[found] = true
  end
  return err
end

--- Is this value a Cancelled?
function H.is_cancelled(err)
  return trio.isinstance(err, trio.Cancelled)
end

--- A list and the function that appends to it: `local trace, log = H.trace()`.
function H.trace()
  local list = {}
  return list, function(x) list[#list + 1] = x end
end

return H
