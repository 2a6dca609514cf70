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
