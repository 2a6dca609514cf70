-- SPDX-License-Identifier: MIT
-- coverage.lua: how many of the promised behaviours (spec/behaviours.txt) have
-- a spec. An id counts where it stands in the name of a test, that is in the
-- string given to a function called it, something_it or describe. Pending tests
-- do not count. Run from the project's root: `make coverage`.

local areas = {}         -- in the order of the file: {name, total, title, ids}
local known = {}         -- id -> title
local inexpressible = {}  -- {id, reason}
local unexpressed = {}   -- id -> true

local function read_behaviours(path)
  local area, refusing
  for line in io.lines(path) do
    local name, total, title = line:match("^== (%u+) (%d+) (.*)")
    local id, text = line:match("^(%u+%-%d%d) (.*)")
    if name then
      area = {name = name, total = tonumber(total), title = title, ids = {}}
      areas[#areas + 1] = area
    elseif line == "== not expressible" then
      refusing = true
    elseif id and refusing then
      assert(known[id], id .. " is no known behaviour")
      inexpressible[#inexpressible + 1] = {id, text}
      unexpressed[id] = true
    elseif id then
      assert(id:find(area.name .. "-", 1, true) == 1, id .. " stands elsewhere")
      assert(not known[id], id .. " stands twice")
      known[id] = text
      area.ids[#area.ids + 1] = id
    end
  end
  for _, a in ipairs(areas) do
    assert(#a.ids == a.total, "wrong total of " .. a.name)
  end
end

-- The ids in the names of a file's tests: id -> number of tests.
local function count_tests(path, count)
  local file = assert(io.open(path))
  local text = ("\n" .. file:read("a")):gsub("\n%s*%-%-[^\n]*", "")
  file:close()
  for called, name in text:gmatch('%f[%w_]([%w_]+)[%s(]*"([^"\n]*)"') do
    if called == "it" or called:find("_it$") or called == "describe" then
      for id in name:gmatch("%u+%-%d%d") do
        if known[id] then
          count[id] = (count[id] or 0) + 1
        else
          io.stderr:write(path, ": unknown behaviour ", id, "\n")
        end
      end
    end
  end
end

read_behaviours("spec/behaviours.txt")
local count = {}
local find = assert(io.popen("find spec -name '*_spec.lua' | sort"))
for path in find:lines() do count_tests(path, count) end
find:close()

local covered_sum, total_sum = 0, 0
for _, area in ipairs(areas) do
  local covered, total, missing = 0, 0, {}
  for _, id in ipairs(area.ids) do
    if count[id] then covered = covered + 1 end
    if not unexpressed[id] or count[id] then total = total + 1 end
    if not count[id] and not unexpressed[id] then
      missing[#missing + 1] = id:match("%d+")
    end
  end
  covered_sum, total_sum = covered_sum + covered, total_sum + total
  print(("%-7s %3d/%-3d %s"):format(area.name, covered, total, area.title))
  if covered > 0 and #missing > 0 then
    print("                missing: " .. table.concat(missing, " "))
  end
end
print(("%-7s %3d/%-3d"):format("total", covered_sum, total_sum))
if #inexpressible > 0 then print("\nnot expressible:") end
for _, item in ipairs(inexpressible) do
  print(("  %s %s: %s"):format(item[1], known[item[1]], item[2]))
end
