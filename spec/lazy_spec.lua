-- SPDX-License-Identifier: MIT
-- The names of lua/trio, each there when it is first used (src/lazy.c).
local cli = require "spec.support.cli"

-- A module of its own, of which nothing was used yet.
local function fresh()
  local loaded = package.loaded
  local original = loaded.trio
  loaded.trio = nil
  local trio = require "trio"
  loaded.trio = original
  return trio
end

-- "trio.Path" = true, for all names but those of constants.
local function names_of(t, prefix, found)
  for name, value in pairs(t) do
    if type(value) ~= "number" then found[prefix .. name] = true end
    if type(value) == "table" and not debug.getmetatable(value) then
      names_of(value, prefix .. name .. ".", found)
    end
  end
  return found
end

local function value_at(value, path)
  for name in path:gmatch("[^.]+") do value = value[name] end
  return value
end

local all = names_of(fresh(), "", {})

describe("the module", function()
  it("has names in Lua of every kind", function()
    for _, name in ipairs {"Path", "serve_tcp", "to_thread.run_sync",
      "lowlevel.open_process", "testing.Sequencer", "socket.getaddrinfo",
      "abc.Stream", "SSLStream"} do
      assert.is_true(all[name], name)
    end
  end)

  it("has each name by itself", function()
    local count = 0
    for name in pairs(all) do
      assert.is_not_nil(value_at(fresh(), name), name)
      count = count + 1
    end
    assert.is_true(count > 150)
  end)

  it("has all names as soon as somebody lists some", function()
    for _, space in ipairs {"lowlevel", "testing"} do
      local trio = fresh()
      local seen = names_of(trio[space], space .. ".", {})
      for name in pairs(all) do
        if name:find("^" .. space .. "%.") then
          assert.is_true(seen[name], name)
        end
      end
    end
    local trio = fresh()
    assert.is_false(getmetatable(trio))
    assert.is_function(pairs(trio))
    assert.is_nil(getmetatable(trio))
  end)

  it("has no names but its own", function()
    local trio = fresh()
    assert.is_nil(trio.no_such_name)
    assert.is_nil(trio.lowlevel.Path)
    assert.is_nil(trio[1])
    assert.is_nil(trio.check)
  end)

  it("keeps what the program puts in the place of a name", function()
    for _, name in ipairs {"serve_tcp", "testing", "catch", "sleep"} do
      local trio, mine = fresh(), {}
      trio[name] = mine
      assert.equal(mine, trio[name])
      assert.is_function(trio.open_tcp_stream)
      assert.is_function(trio.serve_listeners)
      assert.is_function(pairs(trio))
      assert.equal(mine, trio[name])
    end
    local trio = fresh()
    trio.lowlevel.UnboundedQueue = false
    assert.is_false(trio.lowlevel.UnboundedQueue)
    trio.another = 1
    assert.equal(1, trio.another)
  end)

  it("has the same value for a name every time", function()
    local trio = fresh()
    local path, testing, memory = trio.Path, trio.testing,
      trio.testing.memory_stream_pair
    assert.is_function(pairs(trio))
    assert.equal(path, trio.Path)
    assert.equal(testing, trio.testing)
    assert.equal(memory, trio.testing.memory_stream_pair)
  end)

  it("doesn't care what the program does to the globals", function()
    local trio = fresh()
    local saved = {}
    for _, name in ipairs {"pcall", "error", "setmetatable", "type"} do
      saved[name] = _G[name]
    end
    for name in pairs(saved) do _G[name] = nil end
    local path = trio.Path("a", "b")
    for name, value in next, saved do _G[name] = value end
    assert.equal("a/b", tostring(path))
  end)

  it("adds nothing to the globals", function()
    local before = {}
    for name in pairs(_G) do before[name] = true end
    assert.is_function(pairs(fresh()))
    for name in pairs(_G) do assert.is_true(before[name], name) end
  end)

  it("can be asked again for a name after a failure", function()
    for _, name in ipairs {"Path", "serve_tcp", "to_thread", "socket",
      "testing", "lowlevel.open_process"} do
      for count = 1, 2000, 37 do
        local trio = fresh()
        local function interrupt()
          debug.sethook()
          error("interrupted")
        end
        local ok, err = pcall(function()
          debug.sethook(interrupt, "", count)
          value_at(trio, name)
          debug.sethook()
        end)
        if not ok then assert.matches("interrupted", err) end
        assert.is_not_nil(value_at(trio, name), name)
      end
    end
    local trio = fresh()
    assert.equal("b", trio.Path("a", "b").name)
    assert.is_function(trio.socket.getaddrinfo)
  end)
end)

describe("the interpreter", function()
  it("runs none of these files unless the program uses a name", function()
    local result = cli.script([[
      local trio = require "trio"
      trio.run(trio.sleep, 0)
      for _, name in ipairs {"Path", "socket", "testing", "abc", "serve_tcp"} do
        assert(rawget(trio, name) == nil, name)
      end
    ]])
    assert.same({out = "", err = "", status = 0}, result)
  end)
end)
