-- SPDX-License-Identifier: MIT
-- api_doc_spec.lua: the manual and the library know the same names.
--
-- The public API is that of spec/support/api.lua, and the module trio.busted.
--   * Every function and method has an entry: a heading "### `signature`", or a
--     row of a table whose first cell is the signature.
--   * Every other value and every field is named in backquotes somewhere;
--     numbers excepted: they are constants of the system.
--   * Every entry names something that exists, and says what an entry must say.

local trio = require "trio"
local api = require "spec.support.api"
local docs = require "spec.support.docs"

-- The names in a heading or cell: "trio.sleep", "scope:cancel".
local function names_in(text)
  local found = {}
  for quoted in text:gmatch("`([^`]+)`") do
    local name = quoted:match("^([%a_][%w_.:]*)%(")
      or quoted:match("^trio%.[%w_.]+$")
    if name then found[#found + 1] = name end
  end
  return found
end

-- The entries of a page: {heading =, names =, text =}.
local function entries_of(page)
  local entries, current = {}, nil
  for line in page:gmatch("([^\n]*)\n") do
    if line:find("^### `%a") then
      current = {heading = line, names = names_in(line), text = "\n"}
      entries[#entries + 1] = current
    elseif line:find("^#") then
      current = nil
    elseif current then
      current.text = current.text .. line .. "\n"
    end
  end
  return entries
end

-- What the pages say: entries, the set of names that have one, and the prose.
local function read_manual()
  local manual = {entries = {}, documented = {}, prose = {}}
  local function note(list)
    for _, name in ipairs(list) do manual.documented[name] = true end
  end
  for _, path in ipairs(docs.pages()) do
    local text = docs.prose(docs.read(path))
    table.insert(manual.prose, text)
    for _, entry in ipairs(entries_of(text)) do
      entry.path = path
      table.insert(manual.entries, entry)
      note(entry.names)
    end
    if not docs.compares(path) then
      for cell in text:gmatch("\n| ([^|]*) |") do note(names_in(cell)) end
    end
  end
  manual.prose = table.concat(manual.prose, "\n")
  return manual
end

-- Here it is only looked at.
local busted = require "trio.busted"
busted.configure({enabled = false})

local OBJECTS = api.objects
local names = api.collect_names(trio, "trio", {})
api.collect_names(busted, "trio.busted", names)
local classes = api.collect_classes(names)
local manual = read_manual()

-- Does a page have the name in backquotes, alone or within an expression?
local function is_mentioned(name)
  local pattern = "%f[%w]" .. name:gsub("%p", "%%%0") .. "%f[^%w_]"
  for quoted in manual.prose:gmatch("`([^`\n]+)`") do
    if quoted:find(pattern) then return true end
  end
  return false
end

-- Is there a class whose objects the manual calls that, with that method?
local function has_method(object, method)
  if object == "Class" then return method == "subclass" end
  for class, members in pairs(classes) do
    if OBJECTS[class] == object and members[method] ~= nil then return true end
  end
  return false
end

local function exists(name)
  local object, method = name:match("^([%w_]+):([%w_]+)$")
  if object then return has_method(object, method) end
  for _, known in pairs(OBJECTS) do
    if name == known then return true end  -- one that is called
  end
  if name == "Class" or names[name] then return true end
  local value = {trio = trio, assert = assert}
  for part in name:gmatch("[^.]+") do
    value = type(value) == "table" and value[part] or nil
  end
  return value ~= nil
end

-- What an entry of a function lacks, or nil.
local function missing_in(entry)
  if not entry.heading:find("(", 1, true) then return nil end
  local wanted = {"Returns", "Raises", "Checkpoint", "Trio"}
  if entry.heading:find("%([^)]") then table.insert(wanted, 1, "Arguments") end
  for _, word in ipairs(wanted) do
    if not entry.text:find("\n%* " .. word .. "[^\n]*: ") then return word end
  end
  return nil
end

local function sorted(t)
  local list = {}
  for key in pairs(t) do list[#list + 1] = key end
  table.sort(list)
  return list
end

describe("the manual has", function()
  for _, name in ipairs(sorted(names)) do
    it(name, function()
      if type(names[name]) == "function" then
        assert.truthy(manual.documented[name], name .. " has no entry")
      else
        assert.truthy(is_mentioned(name), name .. " is not mentioned")
      end
    end)
  end

  for _, class in ipairs(sorted(classes)) do
    it("the members of " .. class, function()
      for _, member in ipairs(sorted(classes[class])) do
        local object = member == "subclass" and "Class" or OBJECTS[class]
        assert.truthy(object, "what does the manual call a " .. class .. "?")
        local is_method = type(classes[class][member]) == "function"
        if is_method and api.is_public(member) then
          local name = object .. ":" .. member
          assert.truthy(manual.documented[name], name .. " has no entry")
        elseif api.is_public(member) then
          local name = object .. "." .. member
          assert.truthy(is_mentioned(name), name .. " is not mentioned")
        end
      end
    end)
  end
end)

describe("an entry of the manual", function()
  for _, entry in ipairs(manual.entries) do
    it(entry.heading:sub(5), function()
      assert.is_true(#entry.names > 0, "no name in " .. entry.heading)
      for _, name in ipairs(entry.names) do
        assert.truthy(exists(name), entry.path .. ": there is no " .. name)
      end
      assert.is_nil(missing_in(entry))
    end)
  end
end)

describe("this check", function()
  it("finds names and classes", function()
    assert.equal("function", type(names["trio.lowlevel.checkpoint"]))
    assert.is_nil(names["trio.testing._counters"])
    assert.equal("function", type(classes["trio.Nursery"].start_soon))
    assert.truthy(classes["trio.Nursery"].child_tasks)
    assert.truthy(classes["trio.lowlevel.UnboundedQueue"].get_batch)
  end)

  it("misses what nobody wrote", function()
    assert.is_false(is_mentioned("trio.no_such_name"))
    assert.is_true(is_mentioned("trio.Cancelled"))
    assert.is_false(exists("trio.lowlevel.no_such_name"))
    assert.is_false(exists("scope:no_such_name"))
    assert.is_true(exists("scope:cancel"))
  end)

  it("reads entries", function()
    local entry = entries_of("### `x:go(n)`\n\n* Arguments: n\n" ..
                             "* Returns: n\n* Raises: n\n* Trio: n\n\n" ..
                             "## Next\n* Checkpoint: n\n")[1]
    assert.same({"x:go"}, entry.names)
    assert.equal("Checkpoint", missing_in(entry))
  end)
end)
