-- SPDX-License-Identifier: MIT
-- files.lua: what the specs of files and paths share: folders that go away,
-- the descriptors of this process, and Lua's own io as the reference.

local trio = require "trio"

local M = {}

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a"):gsub("\n$", "")
  pipe:close()
  return text
end

--- A new folder; it is removed when the <close> variable goes.
function M.folder()
  local path = output_of("mktemp -d")
  return setmetatable({path = path}, {
    __close = function() os.execute("chmod -R u+rwx " .. path ..
                                    " && rm -rf " .. path) end,
    __div = function(self, name) return self.path .. "/" .. name end,
  })
end

function M.read_all(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

function M.write_all(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- How many descriptors of this process lead to something below `path`.
function M.descriptors(path)
  local pid = M.read_all("/proc/self/stat"):match("^%d+")
  local count = 0
  for line in output_of("ls -l /proc/" .. pid .. "/fd"):gmatch("[^\n]+") do
    if line:find(path, 1, true) then count = count + 1 end
  end
  return count
end

local function outcome_of_ours(file, action)
  local result = table.pack(pcall(file[action[1]], file,
    table.unpack(action, 2, action.n or #action)))
  if not result[1] then
    local err = result[2]
    if not trio.isinstance(err, trio.OSError) then error(err, 0) end
    return {n = 1, "errno " .. err.errno}
  end
  for i = 1, result.n do
    if result[i] == file then result[i] = "file" end
  end
  return {n = result.n - 1, table.unpack(result, 2, result.n)}
end

local function outcome_of_stock(file, action)
  local result = table.pack(file[action[1]](file,
    table.unpack(action, 2, action.n or #action)))
  if result[1] == nil and type(result[3]) == "number" then
    return {n = 1, "errno " .. result[3]}
  end
  for i = 1, result.n do
    if result[i] == file then result[i] = "file" end
  end
  return result
end

-- "text"/integer/float, shortened, so that a difference can be read.
local function shown(result)
  local words = {}
  for i = 1, result.n do
    local value = result[i]
    local word = type(value) == "string" and ("%q"):format(value)
      or tostring(value)
    if #word > 60 then word = word:sub(1, 60) .. "...#" .. #value end
    words[i] = word
  end
  return table.concat(words, ", ")
end

local function same(a, b)
  if a.n ~= b.n then return false end
  for i = 1, a.n do
    if a[i] ~= b[i] or math.type(a[i]) ~= math.type(b[i]) then return false end
  end
  return true
end

--- Do the same actions, {method, arguments...}, on a file of ours and on one
--- of Lua's; every result must be the same, and what is in the file at last.
function M.compare(folder, content, mode, actions)
  local a, b = folder / "ours", folder / "stock"
  M.write_all(a, content)
  M.write_all(b, content)
  local ours, stock = trio.open_file(a, mode), assert(io.open(b, mode))
  for i, action in ipairs(actions) do
    local x, y = outcome_of_ours(ours, action), outcome_of_stock(stock, action)
    if not same(x, y) then
      error(("mode %s, step %d, %s(%s) of %q: stock gives %s, we %s"):format(
        mode, i, action[1], shown {n = #action - 1, table.unpack(action, 2)},
        content:sub(1, 200), shown(y), shown(x)), 2)
    end
  end
  ours:aclose()
  stock:close()
  if M.read_all(a) ~= M.read_all(b) then
    error(("mode %s: the contents differ: stock %q, we %q"):format(mode,
      M.read_all(b):sub(1, 300), M.read_all(a):sub(1, 300)), 2)
  end
end

return M
