-- SPDX-License-Identifier: MIT
-- reference_spec.lua: every public name is used by a spec, every field and
-- option is known to the manual (and fields to the editors' definitions), and
-- every name of trio.h is explained and used. That every function has an entry
-- in the manual and a definition is for api_doc_spec and luals_spec.

local trio = require "trio"
local api = require "spec.support.api"
local docs = require "spec.support.docs"

local function files(command)
  local pipe = assert(io.popen("find " .. command .. " | sort"))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

local function read_all(command)
  local texts = {}
  for _, path in ipairs(files(command)) do
    texts[#texts + 1] = docs.read(path)
  end
  return table.concat(texts, "\n")
end

local function sorted(t)
  local list = {}
  for key in pairs(t) do list[#list + 1] = key end
  table.sort(list)
  return list
end

-- The set of words that follow one of these characters.
local function words_after(text, characters)
  local found = {}
  for word in text:gmatch("[" .. characters .. "]([%a_][%w_]*)") do
    found[word] = true
  end
  return found
end

-- The code of all specs, but for those that only compare lists of names.
local specs = read_all("spec -name '*.lua' ! -name 'api_doc_spec.lua' " ..
  "! -name 'luals_spec.lua' ! -name 'reference_spec.lua' " ..
  "! -path spec/support/api.lua"):gsub("%-%-[^\n]*", "")
-- trio.sleep, scope:cancel, "get_extra"; options = 1, "options".
local used = words_after(specs, ".:\"'")
local used_as_option = words_after(specs, "%s{,(\"'%[.")

local names = api.collect_names(trio, "trio", {})
local classes = api.collect_classes(names)
local definitions = docs.read("docs/luals/trio.d.lua")
local manual = {}
for _, path in ipairs(docs.pages()) do
  manual[#manual + 1] = docs.prose(docs.read(path))
end
manual = table.concat(manual, "\n")

-- The options that functions take, as the sources declare them:
-- {[name] = file}.
local function collect_options()
  local found = {}
  local function note(list, pattern, path)
    for name in list:gmatch(pattern) do found[name] = path end
  end
  for _, path in ipairs(files("src -name '*.c' ! -path '*/cli/*'")) do
    for list in docs.read(path):gmatch(
        "const char %*const known[%w_]*%[%] = (%b{})") do
      note(list, '"([%w_]+)"', path)
    end
  end
  for _, path in ipairs(files("lua -name '*.lua'")) do
    local text = docs.read(path)
    for list in text:gmatch("OPTIONS = (%b{})") do
      note(list, "([%w_]+) =", path)
    end
    for list in text:gmatch("check%.options(%b())") do
      note(list, "([%w_]+) = true", path)
    end
  end
  return found
end

-- Is it in backquotes, alone or as `name = value`?
local function is_mentioned(option)
  return manual:find("`" .. option .. "`", 1, true)
    or manual:find("`[^`\n]*%f[%w_]" .. option .. "%f[^%w_][^`\n]*`")
end

describe("a spec uses", function()
  -- Constants are left to the specs of what takes them.
  local function is_function(value)
    local class = debug.getmetatable(value)
    return type(value) == "function"
      or type(class) == "table" and rawget(class, "__call") ~= nil
  end

  for _, name in ipairs(sorted(names)) do
    local check = is_function(names[name]) and it or function() end
    check(name, function()
      assert.truthy(used[name:match("[%w_]+$")], name .. " is in no spec")
    end)
  end

  for _, class in ipairs(sorted(classes)) do
    it("the members of " .. class, function()
      for _, member in ipairs(sorted(classes[class])) do
        if api.is_public(member) then
          assert.truthy(used[member], class .. ": " .. member ..
                        " is in no spec")
        end
      end
    end)
  end
end)

describe("the fields of objects", function()
  it("are defined for editors", function()
    for class, members in pairs(classes) do
      for member, value in pairs(members) do
        if api.is_public(member) and type(value) ~= "function" then
          assert.truthy(definitions:find("\n---@field " .. member .. " ", 1,
            true), class .. "." .. member .. " is missing: make luals")
        end
      end
    end
  end)
end)

describe("an option", function()
  local options = collect_options()

  it("is declared in a way that is found here", function()
    for _, name in ipairs {"shield", "strict_exception_groups", "seed",
                           "happy_eyeballs_delay", "capture_stdout"} do
      assert.truthy(options[name], name)
    end
  end)

  for _, name in ipairs(sorted(options)) do
    it(name .. " is in the manual and in a spec", function()
      assert.truthy(is_mentioned(name), options[name] .. ": " .. name)
      assert.truthy(used_as_option[name], options[name] .. ": " .. name)
    end)
  end
end)

describe("the C API", function()
  local header = docs.read("include/trio.h")
  local code = header:gsub("//[^\n]*", "")
  local page = docs.read("docs/embedding.md")
  local programs = read_all(
    "examples/embed spec/fixtures src/main.c src/cli -name '*.c'")
  local functions = {}
  for name in code:gmatch("\nTRIO_API [^;(]-([%w_]+)%(") do
    functions[#functions + 1] = name
  end

  it("is found here", function() assert.is_true(#functions >= 12) end)

  for _, name in ipairs(functions) do
    it(name .. " says what it does, is in the manual and in use", function()
      local word = "%f[%w_]" .. name .. "%f[^%w_]"
      assert.truthy(header:find("//[^\n]*\nTRIO_API [^;(]-" .. word),
                    name .. " has no comment")
      assert.truthy(page:find(word), name .. " is not in docs/embedding.md")
      -- That one Lua calls by its name.
      assert.truthy(programs:find(word) or name == "luaopen_trio_busted",
                    name .. " is in no program")
    end)
  end

  it("has no constant that the manual does not explain", function()
    for name in code:gmatch("%f[%w_](TRIO_[%u_]+)") do
      if name ~= "TRIO_API" and name ~= "TRIO_H" then
        assert.truthy(page:find("`" .. name .. "`", 1, true), name)
      end
    end
  end)
end)

describe("the page of `make reference`", function()
  local pipe = assert(io.popen(
    (os.getenv("TRIO_LUA") or "build/trio-lua") .. " .dev/reference.lua"))
  local page = pipe:read("a")
  local ok = pipe:close()
  local ids, links = {}, {}
  for id in page:gmatch(' id="([^"]+)"') do ids[id] = (ids[id] or 0) + 1 end
  for id in page:gmatch(' href="#([^"]+)"') do links[id] = true end

  it("has every function and method, once", function()
    assert.is_true(ok)
    for name, value in pairs(names) do
      if type(value) == "function" then assert.equal(1, ids[name], name) end
    end
    for class, members in pairs(classes) do
      for member, value in pairs(members) do
        local object = member == "subclass" and "Class" or api.objects[class]
        if api.is_public(member) and type(value) == "function" then
          local name = object .. ":" .. member
          assert.equal(1, ids[name], name)
        end
      end
    end
  end)

  it("has links that lead somewhere, and to everything", function()
    for id in pairs(links) do assert.truthy(ids[id], id) end
    for id in pairs(ids) do assert.truthy(links[id], id) end
  end)

  it("has what trio.h declares, with its comments", function()
    for line in docs.read("include/trio.h"):gmatch("\nTRIO_API ([^\n;]*)") do
      line = line:gsub("[&<>]", "")
      assert.truthy(page:find("\n?<pre>" .. line:gsub("%p", "%%%0")), line)
    end
    assert.truthy(page:find("<p>Like lua_pcall for a main function", 1, true))
  end)

  it("is well-formed", function()
    local open = {}
    for close, tag, rest in page:gmatch("<(/?)(%w+)([^>]*)>") do
      if close == "/" then
        assert.equal(tag, table.remove(open))
      elseif tag ~= "meta" then
        open[#open + 1] = tag
        assert.is_nil(rest:find("<", 1, true))
      end
    end
    assert.same({}, open)
  end)
end)
