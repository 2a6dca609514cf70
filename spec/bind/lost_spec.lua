-- SPDX-License-Identifier: MIT
-- Coroutines that are closed by Lua's own coroutine.close while a task waits in
-- them: the wait is undone, and the task finds the coroutine dead.
-- luacheck: ignore 211/_.+
local H = require "spec.support.helper"
local trio = require "trio"
local stock = require "spec.support.stock"
local cli = require "spec.support.cli"
local checkpoint = trio.lowlevel.checkpoint

-- Runs wait() in a task, in `depth` coroutines inside of each other, and closes
-- the one of them that is at `at`. Returns what the task got.
local function close_while_waiting(depth, at, wait)
  local coroutines, got = {}, nil
  local function deeper(level)
    if level > depth then return wait() end
    local co = trio.coroutine.create(deeper)
    coroutines[level] = co
    local ok, err = trio.coroutine.resume(co, level + 1)
    if not ok then error(err, 0) end
    return err
  end
  trio.open_nursery(function(nursery)
    nursery:start_soon(function() got = table.pack(pcall(deeper, 1)) end)
    trio.testing.wait_all_tasks_blocked()
    assert.is_true(stock.close(coroutines[at]))
    coroutines = nil
    for _ = 1, 3 do collectgarbage() end
    checkpoint()
    checkpoint()
    assert.is_table(got)
    nursery.cancel_scope:cancel()
  end)
  assert.is_false(got[1])
  assert.equal("cannot resume dead coroutine", got[2])
end

-- What only the frame of the wait keeps alive.
local waits = {
  ["an event"] = function() trio.Event():wait() end,
  ["a condition"] = function()
    local condition = trio.Condition()
    condition:acquire()
    condition:wait()
  end,
  ["a channel"] = function()
    local send, receive = trio.open_memory_channel(0)
    send:send({receive})
  end,
  ["a sleep"] = function() trio.sleep(math.huge) end,
  ["a lot"] = function() trio.lowlevel.ParkingLot():park() end,
  ["a socket"] = function()
    local a, b = trio.socket.socketpair()
    a:recv(1)
    b:close()
  end,
}

describe("a coroutine closed by Lua while it waits for", function()
  for name, wait in pairs(waits) do
    H.trio_it(name, function() close_while_waiting(1, 1, wait) end,
      {real_clock = true})
  end

  H.trio_it("a channel gives its value to nobody", function()
    local send, receive = trio.open_memory_channel(0)
    close_while_waiting(1, 1, function() send:send("lost") end)
    assert.equal(0, receive:statistics().tasks_waiting_send)
    H.raises_class(trio.WouldBlock, receive.receive_nowait, receive)
  end, {real_clock = true})

  for at = 1, 3 do
    H.trio_it("an event, three deep, at level " .. at, function()
      close_while_waiting(3, at, waits["an event"])
    end, {real_clock = true})
  end
end)

describe("a coroutine that waited, and goes on,", function()
  H.trio_it("gets the values that it waited for", function()
    local send, receive = trio.open_memory_channel(0)
    local got
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.coroutine.wrap(function()
        got = {receive:receive(), receive:receive()}
        send:send(3)
      end))
      trio.testing.wait_all_tasks_blocked()
      send:send(1)
      nursery:start_soon(trio.coroutine.wrap(function() send:send(2) end))
      assert.equal(3, receive:receive())
    end)
    assert.same({1, 2}, got)
  end)

  H.trio_it("keeps its own <close> variables", function()
    local trace, log = H.trace()
    local co = trio.coroutine.create(function()
      local _a <close> = trio.defer(function() log("a") end)
      trio.sleep(1)
      do
        local _b <close> = trio.defer(function() log("b") end)
        trio.sleep(1)
      end
      log("yields")
      stock.yield()
    end)
    assert.is_true(trio.coroutine.resume(co))
    assert.same({"b", "yields"}, trace)
    assert.is_true(stock.close(co))
    assert.same({"b", "yields", "a"}, trace)
  end)
end)

describe("a task's own coroutine closed by Lua", function()
  it("ends the task with an error, where nothing is installed", function()
    local script = [[
      local trio = require "trio"
      print(pcall(trio.run, function()
        trio.open_nursery(function(nursery)
          local co
          nursery:start_soon(function()
            co = coroutine.running()
            trio.Event():wait()
          end)
          trio.testing.wait_all_tasks_blocked()
          print(coroutine.close(co))
          for _ = 1, 3 do collectgarbage() end
        end)
      end))
    ]]
    local cpath = "LUA_CPATH=" .. os.getenv("PWD") .. "/build/?.so"
    local result = cli.run(cpath .. " PROG main.lua",
      {files = {["main.lua"] = script}}, "lua5.4")
    assert.equal("", result.err)
    assert.matches("^true\nfalse\t.*cannot resume dead coroutine", result.out)
  end)

  -- Closes the coroutine of a task that has asked for it, during wait().
  -- Returns what the run raises.
  local function error_of_closed(wait)
    local ok, err = pcall(trio.run, trio.open_nursery, function(nursery)
      local co
      nursery:start_soon(function()
        co = coroutine.running()
        wait()
      end)
      trio.testing.wait_all_tasks_blocked()
      assert.is_true(stock.close(co))
      for _ = 1, 3 do collectgarbage() end
    end)
    assert.is_false(ok)
    return tostring(err)
  end

  local own_waits = {
    ["an event"] = function() trio.Event():wait() end,
    ["a sleep"] = trio.sleep_forever,
    ["a channel"] = function()
      local _, receive = trio.open_memory_channel(0)
      receive:receive()
    end,
    ["a socket"] = function()
      local a = trio.socket.socketpair()
      a:recv(1)
    end,
    ["a nursery"] = function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep, 0.01)
      end)
    end,
  }
  for name, wait in pairs(own_waits) do
    it("ends its wait for " .. name, function()
      assert.matches("cannot resume dead coroutine", error_of_closed(wait))
    end)
  end

  it("gets what it waits for, where it is only looked at", function()
    local send, receive = trio.open_memory_channel(0)
    local got = {}
    trio.run(trio.open_nursery, function(nursery)
      nursery:start_soon(function()
        assert.equal("running", coroutine.status(coroutine.running()))
        for _ = 1, 3 do got[#got + 1] = receive:receive() end
        local scope = trio.move_on_after(0.001, function()
          receive:receive()
        end)
        got[#got + 1] = scope.cancelled_caught
      end)
      for i = 1, 3 do send:send(i) end
      trio.sleep(0.01)
      nursery.cancel_scope:cancel()
    end)
    assert.same({1, 2, 3, true}, got)
  end)
end)
