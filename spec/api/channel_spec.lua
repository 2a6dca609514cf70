-- SPDX-License-Identifier: MIT
-- Memory channels: sending, receiving, waiting on either side, cancellation,
-- statistics, arguments. Closing: channel_close_spec.lua.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local settle = trio.testing.wait_all_tasks_blocked
local open = trio.open_memory_channel

local function check(send, expected)
  local statistics = send:statistics()
  for name, value in pairs(expected) do
    assert.equal(value, statistics[name], name)
  end
end

describe("a memory channel", function()
  H.trio_it("CHAN-01 hands values over in their order", function()
    local send, receive = open(2)
    P.is_no_checkpoint(send.send_nowait, send, 1)
    P.is_checkpoint(send.send, send, 2)
    P.would_block(send.send_nowait, send, 3)
    P.is_checkpoint(function() assert.equal(1, receive:receive()) end)
    P.is_no_checkpoint(function()
      assert.equal(2, receive:receive_nowait())
    end)
    P.would_block(receive.receive_nowait, receive)
  end)

  H.trio_it("CHAN-01 send returns nothing, receive one value", function()
    local send, receive = open(2)
    assert.equal(0, select("#", send:send("a", "extra")))
    assert.equal(0, select("#", send:send_nowait("b", "extra")))
    assert.same({"a", n = 1}, table.pack(receive:receive()))
    assert.same({"b", n = 1}, table.pack(receive:receive_nowait()))
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        assert.same({"c", n = 1}, table.pack(receive:receive("extra")))
      end)
      nursery:start_soon(function()
        settle()
        assert.equal(0, select("#", send:send("c", "extra")))
      end)
    end)
  end)

  it("CHAN-02 has a size: a whole number, or no limit", function()
    local function refused(problem, argument)
      P.usage("bad argument #1 to 'open_memory_channel' %(" .. problem,
        "local trio = ... trio.open_memory_channel(" .. argument .. ")", trio)
    end
    local kind = "integer or math%.huge expected, got "
    refused(kind .. "no value", "")
    refused(kind .. "nil", "nil")
    refused(kind .. "1%.0", "1.0")
    refused(kind .. "1%.5", "1.5")
    refused(kind .. "%-?nan", "0/0")
    refused(kind .. "%-inf", "-math.huge")
    refused(kind .. "string", "'1'")
    refused(kind .. "table", "{}")
    refused("must not be negative", "-1")
    assert.equal(2, select("#", open(0)))
    assert.equal(2, select("#", open(math.huge)))
    assert.equal(2, select("#", open(math.maxinteger)))
  end)

  H.trio_it("CHAN-04 of size 0 is a rendezvous", function()
    local send, receive = open(0)
    P.would_block(send.send_nowait, send, 1)
    P.would_block(receive.receive_nowait, receive)
    local sent_at
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        P.is_checkpoint(send.send, send, "x")
        sent_at = trio.current_time()
      end)
      trio.sleep(3)
      assert.is_nil(sent_at)
      P.is_checkpoint(function() assert.equal("x", receive:receive()) end)
    end)
    assert.equal(3, sent_at)
    P.would_block(receive.receive_nowait, receive)
  end)

  H.trio_it("CHAN-04 the receiver may come first", function()
    local send, receive = open(0)
    local got
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() got = receive:receive() end)
      trio.sleep(3)
      P.is_no_checkpoint(send.send_nowait, send, "x")
      assert.is_nil(got)
      P.would_block(send.send_nowait, send, "y")
    end)
    assert.equal("x", got)
  end)

  H.trio_it("CHAN-05 received, then cancelled: nothing is lost", function()
    for _, size in ipairs {0, 1, math.huge} do
      local send, receive = open(size)
      local scope, got = trio.CancelScope(), nil
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          scope:run(function() got = receive:receive() end)
        end)
        settle()
        send:send_nowait(5)
        scope:cancel()
      end)
      assert.equal(5, got)
      assert.is_false(scope.cancelled_caught)
      assert.is_true(scope.cancel_called)
    end
  end)

  H.trio_it("CHAN-05 sent, then cancelled: nothing is doubled", function()
    local send, receive = open(0)
    local scope, sent = trio.CancelScope(), nil
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function()
          send:send(5)
          sent = true
        end)
      end)
      settle()
      assert.equal(5, receive:receive_nowait())
      scope:cancel()
    end)
    assert.is_true(sent)
    assert.is_false(scope.cancelled_caught)
    P.would_block(receive.receive_nowait, receive)
  end)

  H.trio_it("CHAN-06 a cancelled send takes its value back", function()
    for _, size in ipairs {0, 2} do
      local send, receive = open(size)
      for i = 1, size do send:send_nowait(i) end
      local scopes = {}
      trio.open_nursery(function(nursery)
        for i = 1, 3 do
          scopes[i] = trio.CancelScope()
          nursery:start_soon(function()
            scopes[i]:run(function() send:send("sender " .. i) end)
          end)
          settle()
        end
        check(send, {tasks_waiting_send = 3})
        scopes[2]:cancel()
        check(send, {tasks_waiting_send = 2})
        for i = 1, size do assert.equal(i, receive:receive_nowait()) end
        assert.equal("sender 1", receive:receive_nowait())
        assert.equal("sender 3", receive:receive_nowait())
        P.would_block(receive.receive_nowait, receive)
      end)
      assert.is_true(scopes[2].cancelled_caught)
      assert.is_false(scopes[1].cancelled_caught)
      check(send, {tasks_waiting_send = 0, current_buffer_used = 0})
    end
  end)

  H.trio_it("CHAN-07 a cancelled receive takes no value", function()
    local send, receive = open(1)
    local scope = trio.move_on_after(10, function() receive:receive() end)
    assert.is_true(scope.cancelled_caught)
    scope = trio.move_on_after(10, function()
      for _ in receive do error("not reached") end
    end)
    assert.is_true(scope.cancelled_caught)
    check(send, {tasks_waiting_receive = 0})
    send:send("x")
    check(send, {current_buffer_used = 1})
    assert.equal("x", receive:receive())
  end)

  H.trio_it("CHAN-08 what is free may be taken by anybody", function()
    local send, receive = open(1)
    for i = 1, 2 do
      send:send_nowait(i)
      assert.equal(i, receive:receive_nowait())
    end
  end)

  H.trio_it("CHAN-08 a value belongs to the receiver that waits", function()
    local send, receive = open(1)
    local got
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() got = receive:receive() end)
      settle()
      send:send_nowait(2)
      P.would_block(receive.receive_nowait, receive)
      check(send, {current_buffer_used = 0, tasks_waiting_receive = 0})
    end)
    assert.equal(2, got)
  end)

  H.trio_it("CHAN-08 room belongs to the sender that waits", function()
    local send, receive = open(1)
    send:send_nowait(1)
    P.would_block(send.send_nowait, send, "x")
    trio.open_nursery(function(nursery)
      nursery:start_soon(send.send, send, 2)
      settle()
      assert.equal(1, receive:receive_nowait())
      P.would_block(send.send_nowait, send, 3)
      assert.equal(2, receive:receive())
    end)
  end)

  H.trio_it("CHAN-09 senders that wait move up in their order", function()
    local send, receive = open(1)
    trio.open_nursery(function(nursery)
      for i = 1, 3 do
        nursery:start_soon(send.send, send, i)
        settle()
      end
      check(send, {current_buffer_used = 1, tasks_waiting_send = 2})
      assert.equal(1, receive:receive_nowait())
      check(send, {current_buffer_used = 1, tasks_waiting_send = 1})
      assert.equal(2, receive:receive_nowait())
      check(send, {current_buffer_used = 1, tasks_waiting_send = 0})
      assert.equal(3, receive:receive_nowait())
      check(send, {current_buffer_used = 0})
      P.would_block(receive.receive_nowait, receive)
    end)
  end)

  H.trio_it("CHAN-10 receivers that wait are served in their order", function()
    for _, size in ipairs {0, 1, 5} do
      local send, receive = open(size)
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        for i = 0, 2 do
          nursery:start_soon(function() log(i .. receive:receive()) end)
          settle()
        end
        for _, value in ipairs {"a", "b", "c"} do send:send(value) end
      end)
      assert.same({"0a", "1b", "2c"}, trace)
      check(send, {current_buffer_used = 0, peak_buffer_used = 0})
    end
  end)

  H.trio_it("CHAN-17 many producers, each with a clone", function()
    local send, receive = open(0)
    local got = {}
    trio.open_nursery(function(nursery)
      for i = 0, 9 do
        nursery:start_soon(function(own)
          local _ <close> = own
          for j = 3 * i, 3 * i + 2 do own:send(j) end
        end, send:clone())
      end
      send:close()
      for value in receive do got[#got + 1] = value end
    end)
    assert.equal(30, #got)
    table.sort(got)
    for i = 1, 30 do assert.equal(i - 1, got[i]) end
  end)

  H.trio_it("CHAN-18 many consumers get something each", function()
    local send, receive = open(1)
    local counts, got = {}, {}
    trio.open_nursery(function(nursery)
      for i = 1, 5 do
        counts[i] = 0
        nursery:start_soon(function()
          for value in receive do
            counts[i] = counts[i] + 1
            got[#got + 1] = value
          end
        end)
      end
      settle()
      for i = 1, 10 do send:send(i) end
      send:close()
    end)
    for i = 1, 5 do assert.equal(2, counts[i]) end
    table.sort(got)
    assert.same({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got)
  end)

  H.trio_it("CHAN-19 an end that nobody closes keeps consumers waiting",
    function()
      local send, receive = open(0)
      local got = 0
      local scope = trio.move_on_after(100, function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(function(own)
            local _ <close> = own
            own:send("x")
          end, send:clone())
          for _ in receive do got = got + 1 end
        end)
      end)
      assert.is_true(scope.cancelled_caught)
      assert.equal(1, got)
      check(send, {open_send_channels = 1})
    end)

  H.trio_it("CHAN-20 without a limit nobody waits to send", function()
    local send, receive = open(math.huge)
    for i = 0, 9 do send:send_nowait(i) end
    send:send(10)
    send:close()
    local got = {}
    for value in receive do got[#got + 1] = value end
    assert.same({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got)
  end)

  H.trio_it("CHAN-21 gives statistics at both ends", function()
    local send, receive = open(2)
    assert.same({current_buffer_used = 0, max_buffer_size = 2,
      open_send_channels = 1, open_receive_channels = 1,
      tasks_waiting_send = 0, tasks_waiting_receive = 0,
      peak_buffer_used = 0}, send:statistics())
    for _, value in pairs(send:statistics()) do
      assert.equal("integer", math.type(value))
    end
    send:send_nowait(1)
    check(receive, {current_buffer_used = 1, peak_buffer_used = 1})
    local second = send:clone()
    check(send, {open_send_channels = 2})
    send:close()
    check(send, {open_send_channels = 1})
    local other = receive:clone()
    check(second, {open_receive_channels = 2})
    other:close()
    check(second, {open_receive_channels = 1})
    trio.open_nursery(function(nursery)
      second:send_nowait(2)
      check(send, {current_buffer_used = 2, peak_buffer_used = 2})
      for _ = 1, 2 do nursery:start_soon(second.send, second, 3) end
      settle()
      check(send, {tasks_waiting_send = 2})
      assert.same(send:statistics(), receive:statistics())
      nursery.cancel_scope:cancel()
      check(send, {tasks_waiting_send = 0})
    end)
    while pcall(receive.receive_nowait, receive) do end
    check(send, {current_buffer_used = 0, peak_buffer_used = 2})
    trio.open_nursery(function(nursery)
      nursery:start_soon(receive.receive, receive)
      settle()
      check(send, {tasks_waiting_receive = 1})
      nursery.cancel_scope:cancel()
    end)
    check(send, {tasks_waiting_receive = 0})
    assert.equal(math.huge, open(math.huge):statistics().max_buffer_size)
  end)

  H.trio_it("CHAN-22 the peak counts what lay in the buffer", function()
    local send, receive = open(0)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() for _ = 1, 3 do send:send(1) end end)
      for _ = 1, 3 do receive:receive() end
    end)
    check(send, {peak_buffer_used = 0})
    send, receive = open(1)
    trio.open_nursery(function(nursery)
      for i = 1, 2 do nursery:start_soon(send.send, send, i) end
      settle()
      assert.equal(1, receive:receive())
      assert.equal(2, receive:receive())
    end)
    check(send, {peak_buffer_used = 1})
  end)

  H.trio_it("CHAN-25 a slow consumer holds the producer back", function()
    local send, receive = open(0)
    local consumed, ahead = 0, 0
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        local _ <close> = send
        for i = 0, 2 do
          send:send(i)
          ahead = math.max(ahead, i - consumed)
        end
      end)
      for value in receive do
        assert.equal(consumed, value)
        trio.sleep(1)
        consumed = consumed + 1
      end
      assert.equal(3, trio.current_time())
    end)
    assert.equal(3, consumed)
    assert.is_true(ahead <= 1)
  end)

  it("CHAN-01 may be used outside of a run, where nothing waits", function()
    local send, receive = open(2)
    send:send_nowait(1)
    local other = send:clone()
    other:send_nowait(2)
    P.would_block(send.send_nowait, send, 3)
    assert.equal(1, receive:receive_nowait())
    check(send, {current_buffer_used = 1, open_send_channels = 2})
    for _, call in ipairs {"send:send(3)", "receive:receive()",
        "send:aclose()", "receive:aclose()", "receive()"} do
      P.usage("must be called from inside a task",
        "local send, receive = ... " .. call, send, receive)
    end
    send:close()
    other:close()
    assert.equal(2, receive:receive_nowait())
    H.raises_class(trio.EndOfChannel, receive.receive_nowait, receive)
  end)

  it("CHAN-26 outlives a run", function()
    local send, receive = open(1)
    H.run(function() send:send("first run") end)
    H.run(function()
      assert.equal("first run", receive:receive())
      trio.open_nursery(function(nursery)
        for i = 1, 3 do nursery:start_soon(send.send, send, i) end
        settle()
        nursery.cancel_scope:cancel()
      end)
      check(send, {tasks_waiting_send = 0, current_buffer_used = 1})
    end)
    H.run(function()
      assert.equal(1, receive:receive())
      local scope = trio.move_on_after(1, function() receive:receive() end)
      assert.is_true(scope.cancelled_caught)
    end)
  end)

  it("shows its state", function()
    local send, receive = open(2)
    assert.matches("^<trio%.MemorySendChannel 0x%x+ open, 0 buffered>$",
      tostring(send))
    assert.matches("^<trio%.MemoryReceiveChannel 0x%x+ open, 0 buffered>$",
      tostring(receive))
    send:send_nowait(1)
    assert.matches(" open, 1 buffered>$", tostring(send))
    send:close()
    assert.matches(" closed, 1 buffered>$", tostring(send))
    assert.matches(" open, 1 buffered>$", tostring(receive))
    receive:close()
    assert.matches(" closed, 0 buffered>$", tostring(receive))
  end)

  it("refuses another self, and to be written to", function()
    local send, receive = open(1)
    P.refuses_others(send, "trio.MemorySendChannel",
      {"send_nowait", "send", "clone", "close", "aclose", "statistics"})
    P.refuses_others(receive, "trio.MemoryReceiveChannel",
      {"receive", "receive_nowait", "clone", "close", "aclose", "statistics"})
    P.refuses_writing(send, "trio.MemorySendChannel", {"send", "close"})
    P.refuses_writing(receive, "trio.MemoryReceiveChannel", {"receive"})
    P.usage("trio%.MemorySendChannel expected, got trio%.MemoryReceiveChannel",
      "local send, receive = ... send.close(receive)", send, receive)
    assert.is_nil(receive.send)
    assert.is_nil(send.receive)
    H.raises("attempt to call", function() send() end)
  end)

  H.trio_it("in coroutines, as a stage between two channels", function()
    local send, receive = open(0)
    local squares = coroutine.wrap(function()
      for value in receive do coroutine.yield(value * value) end
    end)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for i = 1, 4 do
          checkpoint()
          send:send(i)
        end
        send:close()
      end)
      local got = {}
      for value in squares do got[#got + 1] = value end
      assert.same({1, 4, 9, 16}, got)
    end)
  end)
end)
