-- SPDX-License-Identifier: MIT
-- luals_spec.lua: docs/luals/trio.d.lua defines for editors what the library
-- has, and says truly which functions wait. The manual, which api_doc_spec.lua
-- compares with the library, speaks for the methods of objects.
--
-- Where this fails after a change of the library: make luals.

local trio = require "trio"
local docs = require "spec.support.docs"

local text = docs.read("docs/luals/trio.d.lua")

-- What the file defines: {[name] = "async", "sync" or "value"}.
local defined = {}
do
  local async = false
  for line in text:gmatch("([^\n]*)\n") do
    local name = line:match("^function ([%w_.:]+)%(")
    if name then
      defined[name] = async and "async" or "sync"
    elseif line:find("^trio[%w_.]* = ") then
      defined[line:match("^[%w_.]+")] = "value"
    end
    async = line == "---@async" or async and line:find("^%-%-%-") ~= nil
  end
end

-- The public names of the module.
local function collect(t, prefix, found)
  for name, value in pairs(t) do
    if type(name) == "string" and not name:find("^_") then
      local full = prefix .. "." .. name
      found[full] = value
      if type(value) == "table" and not debug.getmetatable(value) then
        collect(value, full, found)
      end
    end
  end
  return found
end

local names = collect(trio, "trio", {})

-- What the manual says about waiting: {[name] = its item "Checkpoint"}.
local checkpoints = {}
for _, path in ipairs(docs.pages()) do
  local current = {}
  for line in docs.prose(docs.read(path)):gmatch("([^\n]*)\n") do
    if line:find("^#") then
      current = {}
      for name in line:gmatch("`([%w_.:]+)%(") do
        local known = name:find("^trio%.%a") and not name:find("^trio%.busted")
        if known or name:find(":") then current[#current + 1] = name end
      end
    end
    local said = line:match("^%* Checkpoint: (.*)")
    for _, name in ipairs(said and current or {}) do
      checkpoints[name] = checkpoints[name] or said
    end
  end
end

describe("the definitions for editors", function()
  it("are Lua", function()
    local chunk = assert(load(text, "@trio.d.lua", "t"))
    assert.equal("table", type(chunk()))
    assert.truthy(text:find("^%-%-%-@meta trio\n"))
  end)

  it("have every public name", function()
    for name in pairs(names) do
      assert.truthy(defined[name], name .. " is missing: make luals")
    end
  end)

  it("have no other name", function()
    for name in pairs(defined) do
      local of_path = name:match("^trio%.Path%.(.*)")
      if of_path then
        assert.equal("function", type(trio.Path[of_path]), name)
      elseif name:find("^trio%.") then
        assert.is_true(names[name] ~= nil, "there is no " .. name)
      end
    end
  end)

  it("have every method of the manual", function()
    for name in pairs(checkpoints) do
      assert.truthy(defined[name], name .. " is missing: make luals")
    end
  end)

  it("mark what waits, and only that", function()
    local waiting = 0
    for name, said in pairs(checkpoints) do
      local own = said:match("`" .. name:match("[%w_]+$") .. "`: (%a+)")
      local waits = own == "yes" or not own and
        (said:find("^yes") or said:find("^a %a+ point")) ~= nil
      if waits then waiting = waiting + 1 end
      if defined[name] ~= "value" then
        assert.equal(waits and "async" or "sync", defined[name],
                     name .. ": make luals")
      end
    end
    assert.is_true(waiting > 40)
    assert.equal("async", defined["trio.sleep"])
    assert.equal("async", defined["queue:get_batch"])
    assert.equal("sync", defined["queue:get_batch_nowait"])
    assert.equal("async", defined["path:exists"])
    assert.equal("sync", defined["path:with_name"])
  end)

  it("have a class for every object", function()
    for _, class in ipairs {"CancelScope", "Nursery", "Event", "Path",
                            "MemorySendChannel", "lowlevel.Task"} do
      local pattern = "\n---@class trio." .. class .. "\n"
      assert.truthy(text:find(pattern, 1, true), class)
    end
    assert.truthy(text:find("\n---@field cancelled_caught boolean\n", 1, true))
    for line in text:gmatch("([^\n]*)\n") do
      local class = line:match("^%-%-%-@return (trio%.[%w_.]+)")
      if class then
        assert.truthy(text:find("%-%-%-@class " .. class .. "%f[\n:]"), class)
      end
    end
  end)
end)

describe("the definitions of a module beside trio", function()
  local function load_definitions(name)
    local source = docs.read("docs/luals/" .. name .. ".d.lua")
    assert.truthy(source:find("^%-%-%-@meta " .. name:gsub("%p", "%%%0") ..
                              "\n"))
    return source, assert(load(source, "@" .. name, "t"))()
  end

  it("trio.busted have its functions and its options", function()
    local busted = require "trio.busted"
    local source, functions = load_definitions("trio.busted")
    for name, value in pairs(busted) do
      if not name:find("^_") then
        assert.equal(type(value), type(functions[name]), name)
      end
    end
    for name in pairs(functions) do assert.truthy(busted[name], name) end
    assert.truthy(source:find("function luassert.raises_group(", 1, true))
    local options = 0
    for name in source:gmatch("\n%-%-%-@field ([%w_]+)%? ") do
      -- It knows the option, whatever it says about the value.
      local _, problem = pcall(busted.test, {[name] = print}, function() end)
      assert.is_nil(tostring(problem):find("unknown option"), name)
      options = options + 1
    end
    for cell in docs.prose(docs.read("docs/busted.md")):gmatch(
        "\n| (`autojump_clock`.-)\n\n") do
      for row in (cell .. "\n"):gmatch("([^\n]*)\n") do
        local first = row:gsub("^| ", ""):match("^([^|]*)")
        for name in first:gmatch("`([%w_]+)`") do
          assert.truthy(source:find("@field " .. name .. "?", 1, true), name)
          options = options - 1
        end
      end
    end
    assert.equal(0, options)
    local _, problem = pcall(busted.test, {none = 1}, function() end)
    assert.truthy(tostring(problem):find("unknown option"), problem)
  end)

  it("trio.trace are a function", function()
    local _, definition = load_definitions("trio.trace")
    assert.equal("function", type(definition))
    assert.equal("function", type(require "trio.trace"))
  end)
end)
