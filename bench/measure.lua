-- SPDX-License-Identifier: MIT
-- What the scripts of the benchmarks share: running a program undisturbed,
-- medians, numbers as text. Never judges what it measures.
local M = {}

M.here = arg[0]:match "^(.*)/[^/]*$" or "."
M.ours = arg[-1]
M.bin = (M.ours:match "^(.*)/[^/]*$" or ".") .. "/bench"
M.quick = (os.getenv "QUICK" or "") ~= ""

-- A program that had to wait for its processor for more than this share of
-- its time is measured again, so often at most.
local TOLERATED = M.quick and 0.1 or 0.08
local TURNS = M.quick and 2 or 4
M.tally = {measured = 0, again = 0, disturbed = 0}

function M.quoted(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

function M.command(words)
  local list = {}
  for i, word in ipairs(words) do list[i] = M.quoted(word) end
  return table.concat(list, " ")
end

-- The first line that a command prints, or nil when it fails.
function M.line_of(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null </dev/null"))
  local line = pipe:read "l"
  return pipe:close() and line or nil
end

-- The numbers that a command prints; nil and the reason when it fails or
-- prints fewer than `count`.
local function numbers_of(command, count)
  local errors = os.tmpname()
  local pipe = assert(io.popen(command .. " 2>" .. M.quoted(errors)))
  local text = pipe:read "a"
  local good, _, status = pipe:close()
  local file = assert(io.open(errors))
  local reason = file:read "l"
  file:close()
  os.remove(errors)
  local values = {}
  for word in text:gmatch "%S+" do values[#values + 1] = tonumber(word) end
  if good and #values >= count then return values end
  return nil, reason or ("status %s, printed %q"):format(status, text)
end

-- The same for a program that says, as its number `waited`, which share of
-- its time it had to wait; or that doesn't, if that is nil.
function M.undisturbed(command, waited)
  M.tally.measured = M.tally.measured + 1
  if not waited then return numbers_of(command, 1) end
  local best
  for turn = 1, TURNS do
    local values, reason = numbers_of(command, waited)
    if not values then return nil, reason end
    if not best or values[waited] < best[waited] then best = values end
    if best[waited] <= TOLERATED then return best end
    if turn < TURNS then M.tally.again = M.tally.again + 1 end
  end
  M.tally.disturbed = M.tally.disturbed + 1
  return best
end

-- A command that runs a program on a processor of its own; count and how: see
-- alone.c.
function M.alone(words, count)
  return M.command {M.bin .. "/alone", 120, count or 0, table.unpack(words)}
end

-- A file to read: 256 MiB, in a quick run 32; and the end of it.
local data_file
function M.data_file()
  if data_file then return data_file end
  data_file = os.tmpname()
  local file = assert(io.open(data_file, "wb"))
  local piece = ("0123456789abcdef"):rep(65536)
  for _ = 1, M.quick and 32 or 256 do assert(file:write(piece)) end
  assert(file:close())
  return data_file
end

-- A certificate with its key, for the servers of TLS.
local certificate
function M.certificate()
  if certificate then return certificate end
  certificate = os.tmpname()
  assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt "
    .. "ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=localhost "
    .. "-keyout %s.key -out %s 2>/dev/null && cat %s.key >>%s && rm %s.key")
    :gsub("%%s", certificate)))
  return certificate
end

function M.remove_files()
  if data_file then os.remove(data_file) end
  if certificate then os.remove(certificate) end
end

function M.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

-- Three digits.
function M.number(value)
  if value >= 9995 then
    return value >= 999500 and ("%.3g M"):format(value / 1e6)
      or ("%.0f k"):format(value / 1e3)
  end
  local digits = value >= 99.95 and 0 or value >= 9.995 and 1 or 2
  return ("%." .. digits .. "f"):format(value)
end

function M.ratio(value)
  return (value >= 9.995 and "%.0f" or value >= 0.0995 and "%.2f" or "%.3f")
    :format(value)
end

-- Machine, versions, day.
function M.print_circumstances(versions)
  local function field(path, pattern)
    local file = io.open(path)
    local text = file and file:read "a" or ""
    if file then file:close() end
    return text:match(pattern) or "?"
  end
  print(("%s, %s, %s processors (%s), %s"):format(os.date "%Y-%m-%d",
    field("/etc/os-release", 'PRETTY_NAME="([^"]*)"'),
    M.line_of "getconf _NPROCESSORS_ONLN" or "?",
    field("/proc/cpuinfo", "model name%s*:%s*([^\n]*)"),
    M.line_of "uname -sr" or "?"))
  print(table.concat(versions, ", "))
end

function M.print_tally()
  print(("%d measurements; %d were made again because the program had to wait "
    .. "for its\nprocessor, %d stayed disturbed."):format(M.tally.measured,
    M.tally.again, M.tally.disturbed))
end

return M
