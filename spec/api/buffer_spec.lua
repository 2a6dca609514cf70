-- SPDX-License-Identifier: MIT
-- The buffer of a memory channel: a ring that keeps values of any type as they
-- are, grows, wraps around and lets go of what was taken out.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local settle = trio.testing.wait_all_tasks_blocked
local open = trio.open_memory_channel

-- One of every type that can be sent, with its extremes.
local function all_values()
  local values = {true, false, 0, 1, -1, math.maxinteger, math.mininteger, 0.0,
    1.5, math.huge, -math.huge, "", "text", ("x"):rep(100000), "a\0b", {}, {1},
    print, function() end, coroutine.create(print), io.stdout,
    trio.open_memory_channel(0), trio.Event(), trio, _G}
  values[#values + 1] = setmetatable({}, {__eq = function() return true end,
    __index = error, __close = error, __gc = function() end})
  return values
end

describe("the buffer", function()
  H.trio_it("keeps values of any type, by identity", function()
    local values = all_values()
    -- Through the buffer, to one who waits, and from one who waits.
    for _, size in ipairs {100, 0} do
      for _, receiver_first in ipairs {true, false} do
        local send, receive = open(size)
        local got = {}
        local function take()
          for i = 1, #values do got[i] = receive:receive() end
        end
        trio.open_nursery(function(nursery)
          if receiver_first then
            nursery:start_soon(take)
            settle()
          end
          nursery:start_soon(function()
            for i = 1, #values do send:send(values[i]) end
          end)
          settle()
          if not receiver_first then take() end
        end)
        for i, value in ipairs(values) do
          assert.is_true(rawequal(value, got[i]), "value " .. i)
          assert.equal(math.type(value), math.type(got[i]))
        end
      end
    end
  end)

  H.trio_it("keeps NaN", function()
    local send, receive = open(1)
    send:send(0 / 0)
    local got = receive:receive()
    assert.is_true(got ~= got)
  end)

  H.trio_it("takes false for a value in a loop, too", function()
    local send, receive = open(3)
    for _, value in ipairs {false, 0, ""} do send:send(value) end
    send:close()
    local got = {}
    for value in receive do got[#got + 1] = value end
    assert.same({false, 0, ""}, got)
  end)

  H.trio_it("refuses nil, and nothing has happened", function()
    local send, receive = open(1)
    for _, method in ipairs {"send", "send_nowait"} do
      for _, argument in ipairs {"", "nil", "nil, 1"} do
        P.usage("bad argument #1 to '" .. method ..
          "' %(nil can't be sent through a channel%)",
          "local send = ... send:" .. method .. "(" .. argument .. ")", send)
      end
    end
    assert.equal(0, send:statistics().current_buffer_used)
    P.would_block(receive.receive_nowait, receive)
    send:close()
    P.usage("nil can't be sent", "local send = ... send:send(nil)", send)
  end)

  it("CHAN-20 takes 100,000 values without a limit", function()
    local send, receive = open(math.huge)
    for i = 1, 100000 do send:send_nowait(i) end
    local statistics = send:statistics()
    assert.equal(100000, statistics.current_buffer_used)
    assert.equal(100000, statistics.peak_buffer_used)
    for i = 1, 100000 do
      if receive:receive_nowait() ~= i then error("wrong at " .. i) end
    end
    P.would_block(receive.receive_nowait, receive)
    for i = 1, 10 do send:send_nowait(i) end
    assert.equal(1, receive:receive_nowait())
    assert.equal(100000, send:statistics().peak_buffer_used)
  end)

  H.trio_it("CHAN-20 gives the memory of a burst back", function()
    local send, receive = open(math.huge)
    collectgarbage()
    local before = collectgarbage("count")
    for i = 1, 100000 do send:send_nowait(i) end
    for _ = 1, 100000 do receive:receive_nowait() end
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 100)
    send:send_nowait("x")
    assert.equal("x", receive:receive_nowait())
  end)

  -- A model of the channel: a plain array.
  for _, size in ipairs {1, 2, 3, 7, 8, 9, 16, 100, math.huge} do
    H.trio_it("CHAN-01 wraps around, grows, keeps the order: size " .. size,
      function()
        local send, receive = open(size)
        local model, next_value, random = {}, 1, 42
        local peak = 0
        for _ = 1, 20000 do
          random = (random * 1103515245 + 12345) % 2147483648
          -- Long rises and falls rather than a walk around zero.
          local rising = (next_value // 300) % 2 == 0
          if random // 65536 % 10 < (rising and 7 or 3) then
            local ok = pcall(send.send_nowait, send, next_value)
            assert.equal(#model < size, ok)
            if ok then table.insert(model, next_value) end
            next_value = next_value + 1
          elseif #model > 0 then
            assert.equal(table.remove(model, 1), receive:receive_nowait())
          else
            P.would_block(receive.receive_nowait, receive)
          end
          peak = math.max(peak, #model)
        end
        assert.is_true(next_value > 5000)
        assert.equal(#model, send:statistics().current_buffer_used)
        assert.equal(peak, send:statistics().peak_buffer_used)
        for _, value in ipairs(model) do
          assert.equal(value, receive:receive_nowait())
        end
      end)
  end

  H.trio_it("CHAN-09 refills a full ring from the senders, all around",
    function()
      for _, size in ipairs {1, 3, 8} do
        local send, receive = open(size)
        trio.open_nursery(function(nursery)
          for i = 1, 50 do nursery:start_soon(send.send, send, i) end
          settle()
          for i = 1, 50 do
            assert.equal(math.min(size, 51 - i),
              send:statistics().current_buffer_used)
            assert.equal(i, receive:receive_nowait())
          end
        end)
        assert.equal(size, send:statistics().peak_buffer_used)
      end
    end)

  H.trio_it("lets go of what was taken out", function()
    for _, size in ipairs {0, 4, math.huge} do
      local send, receive = open(size)
      local weak = setmetatable({}, {__mode = "k"})
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for _ = 1, 20 do
            local value = {}
            weak[value] = true
            send:send(value)
          end
        end)
        for _ = 1, 20 do assert.same({}, receive:receive()) end
      end)
      assert.equal(0, P.left_of(weak))
    end
  end)

  H.trio_it("keeps alive what nobody has taken", function()
    local send, receive = open(math.huge)
    local weak = setmetatable({}, {__mode = "k"})
    for i = 1, 20 do
      local value = {i}
      weak[value] = true
      send:send_nowait(value)
    end
    assert.equal(20, P.left_of(weak))
    assert.same({1}, receive:receive())
    assert.equal(19, P.left_of(weak))
  end)

  H.trio_it("goes with the channel, also in a circle", function()
    local weak = setmetatable({}, {__mode = "k"})
    do
      local send, receive = open(10)
      send:send_nowait(send)
      send:send_nowait(receive)
      send:send_nowait({send, receive})
      weak[send], weak[receive] = true, true
    end
    assert.equal(0, P.left_of(weak))
  end)

  H.trio_it("carries 100,000 values between two tasks", function()
    for _, size in ipairs {0, 1, 10, math.huge} do
      local send, receive = open(size)
      local count = H.many(100000) // 4
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for i = 1, count do send:send(i) end
          send:close()
        end)
        local expected = 0
        for value in receive do
          expected = expected + 1
          if value ~= expected then error("wrong at " .. expected) end
        end
        assert.equal(count, expected)
      end)
    end
  end)

  H.trio_it("CHAN-13 is dropped by the last receiver, however full", function()
    local send, receive = open(math.huge)
    for i = 1, 5000 do send:send_nowait(i) end
    for _ = 1, 2500 do receive:receive_nowait() end
    receive:close()
    assert.equal(0, send:statistics().current_buffer_used)
    assert.equal(5000, send:statistics().peak_buffer_used)
    checkpoint()
    H.raises_class(trio.BrokenResourceError, send.send, send, 1)
  end)
end)
