-- SPDX-License-Identifier: MIT
-- The guard against regressions: how many instructions an operation takes, as
-- callgrind counts them. That depends on no clock and on no other program, so
-- a few percent more are a change of the code. The counts that are right are
-- kept in instructions.txt, together with the versions that they hold for:
-- with others they aren't compared, which is said.
--
--   build/trio-lua bench/guard.lua            compare; writes TAP
--   build/trio-lua bench/guard.lua update     write instructions.txt
package.path = (arg[0]:match "^(.*)/[^/]*$" or ".") .. "/?.lua;" .. package.path
local measure = require "measure"

local TOLERATED = 0.03
local path = measure.here .. "/instructions.txt"
local tasks = measure.here .. "/tasks.lua"

-- Name, tasks, and the rounds of a short run and of a long one; the difference
-- is the work, and the start cancels out. `plain`: in lua5.4, without reuse of
-- coroutines. `once`: a round is one operation, however many tasks there are.
local workloads = {
  {"checkpoint", 2, 500, 5500},
  {"spawn", 100, 10, 60},
  {"spawn", 100, 10, 60, plain = true},
  {"channel0", 1, 500, 10500},
  {"channel1024", 1, 2000, 12000},
  {"fan", 100, 10, 60},
  {"lock", 10, 50, 1050},
  {"cancel_wide", 200, 5, 15},
  {"cancel_deep", 200, 5, 25},
  {"timeout", 1, 500, 5500},
  {"stream", 1, 100, 1100},
  {"beside_sleepers", 2000, 50, 550, once = true},
  {"startup"},
}

local function name_of(workload)
  return workload[1] .. (workload.plain and "_plain" or "")
end

-- The functions of the C library that differ by processor: the plainest ones.
local LIBC = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-BMI2,-ERMS,-FSRM,"
  .. "-SSSE3,-SSE4_1,-SSE4_2,-AVX2_Usable,-AVX_Usable"

-- Start a run under callgrind; returns the pipe.
local function start(workload, rounds)
  local words = {"env", "-i", "LC_ALL=C", LIBC, "PATH=" .. os.getenv "PATH",
    "LUA_CPATH=" .. measure.ours:match "^(.*)/" .. "/?.so",
    "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
    workload.plain and "lua5.4" or measure.ours}
  local arguments = rounds and {tasks, workload[1], workload[2], rounds}
    or {"-e", "require 'trio'"}
  table.move(arguments, 1, #arguments, #words + 1, words)
  return assert(io.popen(measure.command(words) .. " 2>&1"))
end

local function count_of(pipe)
  local text = pipe:read "a"
  local good = pipe:close()
  local count = tonumber(text:match "Collected : (%d+)")
  if good and count then return count end
  error("failed: " .. (text:match "([^\n]*)\n*$" or "?"), 0)
end

-- Instructions per operation. Both runs go on at the same time.
local function count(workload)
  local short, long = workload[3], workload[4]
  if not short then return count_of(start(workload)) end
  local a, b = start(workload, short), start(workload, long)
  local less = count_of(a)
  return (count_of(b) - less) / (long - short)
    / (workload.once and 1 or workload[2])
end

local function versions()
  local function of(command) return measure.line_of(command) or "?" end
  return table.concat({of(measure.ours .. " -v"):match "^Lua [%d.]+" or "?",
    "libuv " .. of "pkg-config --modversion libuv", of "uname -m",
    of "getconf GNU_LIBC_VERSION", of "${CC:-cc} --version",
    "CFLAGS=" .. (os.getenv "BENCH_CFLAGS" or "?"), of "valgrind --version"},
    ", ")
end

local function update()
  local file = assert(io.open(path .. ".new", "w"))
  file:write("# Instructions per operation, compared by `make guard` and ",
    "written by\n# `make guard-update`: say in the commit why they changed.\n",
    "# Counted with: ", versions(), "\n")
  for _, workload in ipairs(workloads) do
    file:write(("%-16s %10.1f\n"):format(name_of(workload), count(workload)))
  end
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

local function read_file()
  local counts, with = {}, nil
  for line in io.lines(path) do
    with = line:match "^# Counted with: (.*)" or with
    local name, value = line:match "^([%w_]+) +([%d.]+)$"
    if name then counts[name] = tonumber(value) end
  end
  return counts, with
end

-- One line of the report; whether the workload is as it was.
local function compare(workload, expected)
  local name = name_of(workload)
  local ok, found = pcall(count, workload)
  if not ok then return false, name .. ": " .. found end
  if not expected then return false, name .. " is not in " .. path end
  local change = found / expected - 1
  local text = ("%s: %.0f instructions, %+.1f %%"):format(name, found,
    change * 100)
  if change > TOLERATED then
    return false, text .. " (if that must be: make guard-update)"
  elseif change < -TOLERATED then
    return true, text .. " (keep it: make guard-update)"
  end
  return true, text
end

local function check()
  local counts, with = read_file()
  local now = versions()
  if not measure.line_of "valgrind --version" then
    print "not ok 1 - valgrind is missing\n1..1"
    return false
  elseif with ~= now then
    print(("ok 1 - instructions # SKIP measured with other versions: not "
      .. "compared\n# measured with %s\n# here are %s\n1..1"):format(with, now))
    return true
  end
  local all = true
  for i, workload in ipairs(workloads) do
    local ok, text = compare(workload, counts[name_of(workload)])
    print((ok and "ok" or "not ok") .. (" %d - %s"):format(i, text))
    all = all and ok
  end
  print("1.." .. #workloads)
  return all
end

io.stdout:setvbuf "line"
if arg[1] == "update" then
  update()
else
  os.exit(check())
end
