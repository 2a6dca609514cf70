-- SPDX-License-Identifier: MIT
-- Memory channels: closing ends and clones, from any side, also while others
-- wait, and what everybody gets then.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local settle = trio.testing.wait_all_tasks_blocked
local open = trio.open_memory_channel

local Closed, Broken = trio.ClosedResourceError, trio.BrokenResourceError
local End = trio.EndOfChannel

local function raises(Class, object, method, ...)
  return H.raises_class(Class, object[method], object, ...)
end

-- Runs `act` at the first time that a task is scheduled while fn runs.
local function interfere(act, fn)
  local instrument = {task_scheduled = function()
    local once = act
    act = nil
    if once then once() end
  end}
  trio.lowlevel.add_instrument(instrument)
  fn()
  trio.lowlevel.remove_instrument(instrument)
  assert.is_nil(act)
end

describe("an instrument that sees a task woken", function()
  H.trio_it("may interrupt the others that wait for the same end", function()
    local send, receive = open(0)
    local seen, scope = {}, trio.CancelScope()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        seen[1] = raises(Closed, send, "send", 1)
      end)
      nursery:start_soon(function()
        scope:run(function() send:send(2) end)
      end)
      nursery:start_soon(function()
        seen[2] = raises(Closed, send, "send", 3)
      end)
      settle()
      interfere(function() scope:cancel() end, function() send:close() end)
    end)
    assert.equal(2, #seen)
    assert.is_true(scope.cancelled_caught)
    assert.equal(0, receive:statistics().tasks_waiting_send)
    raises(End, receive, "receive")
  end)

  H.trio_it("may fill the buffer, from which something was taken", function()
    local send, receive = open(8)
    trio.open_nursery(function(nursery)
      for i = 1, 8 do send:send_nowait(i) end
      nursery:start_soon(function() send:send(9) end)
      settle()
      local taken
      interfere(function()
        assert.equal(8, receive:statistics().current_buffer_used)
        assert.equal(2, receive:receive_nowait())
        send:send_nowait(10)
      end, function()
        taken = receive:receive_nowait()
      end)
      assert.equal(1, taken)
      for i = 3, 10 do assert.equal(i, receive:receive_nowait()) end
    end)
  end)
end)

describe("closing", function()
  H.trio_it("CHAN-03 the send end ends the channel", function()
    local send, receive = open(2)
    send:send_nowait("last")
    assert.equal(0, select("#", send:close()))
    for _, method in ipairs {"send", "send_nowait"} do
      raises(Closed, send, method, "too late")
    end
    raises(Closed, send, "clone")
    send:close()
    send:aclose()
    assert.equal("last", receive:receive())
    for _, method in ipairs {"receive", "receive_nowait"} do
      for _ = 1, 2 do raises(End, receive, method) end
    end
    for _ in receive do error("not reached") end
    receive:aclose()
    for _, method in ipairs {"receive", "receive_nowait", "clone"} do
      raises(Closed, receive, method)
    end
    receive:aclose()
    receive:close()
  end)

  H.trio_it("CHAN-03 the errors say which side closed", function()
    local send, receive = open(0)
    send:close()
    assert.matches("^EndOfChannel: every sending end",
      tostring(raises(End, receive, "receive_nowait")))
    assert.matches("^ClosedResourceError: this end",
      tostring(raises(Closed, send, "send_nowait", 1)))
    send, receive = open(0)
    receive:close()
    assert.matches("^BrokenResourceError: every receiving end",
      tostring(raises(Broken, send, "send_nowait", 1)))
  end)

  H.trio_it("CHAN-03 also to those who wait", function()
    local send, receive = open(0)
    local texts = {}
    local function note(name, object, method, ...)
      local _, err = pcall(object[method], object, ...)
      texts[name] = tostring(err)
    end
    trio.open_nursery(function(nursery)
      local other = send:clone()
      nursery:start_soon(note, "own send", other, "send", 1)
      nursery:start_soon(note, "no receiver", send, "send", 1)
      settle()
      other:close()
      receive:close()
    end)
    send, receive = open(0)
    trio.open_nursery(function(nursery)
      local other = receive:clone()
      nursery:start_soon(note, "own receive", other, "receive")
      nursery:start_soon(note, "no sender", receive, "receive")
      settle()
      other:close()
      send:close()
    end)
    for name, text in pairs {
      ["own send"] = "^ClosedResourceError: this end of the channel",
      ["own receive"] = "^ClosedResourceError: this end of the channel",
      ["no receiver"] = "^BrokenResourceError: every receiving end",
      ["no sender"] = "^EndOfChannel: every sending end"} do
      assert.matches(text, texts[name])
    end
  end)

  H.trio_it("CHAN-03 close is no checkpoint, aclose is one", function()
    for _, which in ipairs {1, 2} do
      local ends = {open(0)}
      P.is_no_checkpoint(ends[which].close, ends[which])
      P.is_checkpoint(ends[which].aclose, ends[which])
      ends = {open(0)}
      P.is_checkpoint(ends[which].aclose, ends[which])
      raises(Closed, ends[which], "clone")
    end
  end)

  H.trio_it("CHAN-11 a send end tells those who wait there", function()
    local send, receive = open(0)
    local got
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() got = P.outcome(send.send, send, 1) end)
      settle()
      send:close()
      assert.equal(0, send:statistics().tasks_waiting_send)
    end)
    assert.equal("closed", got)
    raises(End, receive, "receive")
  end)

  H.trio_it("CHAN-12 the only receive end breaks the senders", function()
    for _, size in ipairs {0, 1} do
      local send, receive = open(size)
      for i = 1, size do send:send_nowait(i) end
      local got = {}
      trio.open_nursery(function(nursery)
        for i = 1, 3 do
          nursery:start_soon(function()
            got[i] = P.outcome(send.send, send, i)
          end)
        end
        settle()
        receive:close()
      end)
      assert.same({"broken", "broken", "broken"}, got)
      raises(Broken, send, "send", 1)
      raises(Broken, send, "send_nowait", 1)
      raises(Broken, send:clone(), "send_nowait", 1)
    end
  end)

  H.trio_it("CHAN-13 the last receive end drops the buffer", function()
    local send, receive = open(3)
    local weak = setmetatable({}, {__mode = "k"})
    for _ = 1, 3 do
      local value = {}
      weak[value] = true
      send:send_nowait(value)
    end
    assert.equal(3, P.left_of(weak))
    receive:close()
    assert.equal(0, send:statistics().current_buffer_used)
    assert.equal(3, send:statistics().peak_buffer_used)
    assert.equal(0, P.left_of(weak))
    raises(Broken, send, "send_nowait", 1)
    send:close()
    raises(Closed, send, "send_nowait", 1)
    raises(Closed, send, "send", 1)
    raises(Closed, receive, "receive")
  end)

  H.trio_it("CHAN-14 one of two send ends fails its own senders only",
    function()
      local one, receive = open(0)
      local two = one:clone()
      local got = {}
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          got[1] = P.outcome(one.send, one, "a")
        end)
        nursery:start_soon(function()
          got[2] = P.outcome(two.send, two, "b")
        end)
        settle()
        one:close()
        assert.equal("b", receive:receive())
        P.would_block(receive.receive_nowait, receive)
      end)
      assert.same({"closed", "done"}, got)
      two:close()
      raises(End, receive, "receive")
    end)

  H.trio_it("CHAN-15 one of two receive ends, then the senders' side",
    function()
      local send, one = open(0)
      local two = one:clone()
      local got = {}
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() got[1] = P.outcome(one.receive, one) end)
        nursery:start_soon(function() got[2] = P.outcome(two.receive, two) end)
        settle()
        one:close()
        send:close()
      end)
      assert.same({"closed", "end"}, got)
    end)

  H.trio_it("CHAN-15 one of two receive ends: the other gets the value",
    function()
      local send, one = open(0)
      local two = one:clone()
      local got = {}
      trio.open_nursery(function(nursery)
        nursery:start_soon(function() got[1] = P.outcome(one.receive, one) end)
        nursery:start_soon(function() got[2] = P.outcome(two.receive, two) end)
        settle()
        one:close()
        send:send("ok")
      end)
      assert.same({"closed", "ok"}, got)
    end)

  H.trio_it("CHAN-16 a channel lives while any clone is open", function()
    local send, receive = open(10)
    local second, third = receive:clone(), receive:clone()
    send:send_nowait(1)
    receive:close()
    second:close()
    raises(Closed, receive, "clone")
    raises(Closed, second, "clone")
    send:send_nowait(2)
    local fourth = third:clone()
    third:close()
    assert.equal(1, fourth:receive_nowait())
    assert.equal(2, fourth:receive_nowait())
    fourth:close()
    raises(Broken, send, "send_nowait", 3)
    local late = send:clone()                -- a sender may still be cloned
    raises(Broken, late, "send_nowait", 3)
    send:close()
    raises(Closed, send, "clone")
  end)

  H.trio_it("CHAN-16 a receiver may be cloned after the end", function()
    local send, receive = open(1)
    send:send_nowait(1)
    send:close()
    local other = receive:clone()
    assert.equal(1, other:receive())
    raises(End, other, "receive")
    raises(End, receive, "receive")
  end)

  H.trio_it("CHAN-23 iterating an end of one's own that is closed fails",
    function()
      local send, receive = open(1)
      receive:close()
      H.raises_class(Closed, function()
        for _ in receive do error("not reached") end
      end)
      send:close()
      send, receive = open(1)
      send:send_nowait(1)
      H.raises_class(Closed, function()
        for value in receive do
          assert.equal(1, value)
          receive:close()
        end
      end)
      send, receive = open(1)
      local got
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          got = P.outcome(function() for _ in receive do end end)
        end)
        settle()
        receive:close()
        assert.equal(0, send:statistics().open_receive_channels)
      end)
      assert.equal("closed", got)
    end)

  H.trio_it("CHAN-24 aclose closes although it is cancelled", function()
    for which, method in ipairs {"send_nowait", "receive_nowait"} do
      local ends = {open(1)}
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        ends[which]:aclose()
        error("not reached")
      end)
      assert.is_true(scope.cancelled_caught)
      raises(Closed, ends[which], method, 1)
    end
  end)

  H.trio_it("CHAN-24 close and <close> raise nothing there", function()
    for which, method in ipairs {"send_nowait", "receive_nowait"} do
      for _, way in ipairs {"close", "<close>"} do
        local ends = {open(1)}
        local scope, reached = trio.CancelScope(), nil
        scope:run(function()
          scope:cancel()
          if way == "close" then
            ends[which]:close()
          else
            local _ <close> = ends[which]
          end
          reached = true
        end)
        assert.is_true(reached)
        assert.is_false(scope.cancelled_caught)
        raises(Closed, ends[which], method, 1)
      end
    end
  end)

  H.trio_it("CHAN-24 a <close> variable closes on any way out", function()
    local send, receive = open(1)
    H.raises("^mine$", function()
      local _ <close> = send
      error("mine", 0)
    end)
    raises(Closed, send, "send_nowait", 1)
    local scope = trio.move_on_after(1, function()
      local _ <close> = receive
      trio.sleep_forever()
    end)
    assert.is_true(scope.cancelled_caught)
    raises(Closed, receive, "receive_nowait")
  end)

  H.trio_it("CHAN-26 collecting an end does not close it", function()
    local send, receive = open(1)
    local weak = setmetatable({}, {__mode = "k"})
    do
      local other = send:clone()
      weak[other] = true
    end
    assert.equal(0, P.left_of(weak))
    assert.equal(2, send:statistics().open_send_channels)
    send:close()
    P.would_block(receive.receive_nowait, receive)
    local scope = trio.move_on_after(1, function() receive:receive() end)
    assert.is_true(scope.cancelled_caught)
  end)

  H.trio_it("CHAN-26 waiting tasks keep their ends alive", function()
    local weak = setmetatable({}, {__mode = "k"})
    local got, sent
    trio.open_nursery(function(nursery)
      do
        local send, receive = open(0)
        weak[send], weak[receive] = true, true
        nursery:start_soon(function(own) got = own:receive() end, receive)
      end
      settle()
      assert.equal(1, P.left_of(weak))         -- the send end is gone
      local receive = next(weak)
      nursery.cancel_scope:cancel()
      assert.equal(1, receive:statistics().open_send_channels)
    end)
    trio.open_nursery(function(nursery)
      local send, receive = open(0)
      nursery:start_soon(function(own)
        own:send({"value"})
        sent = true
      end, send)
      weak[send], send = true, nil
      settle()
      collectgarbage()
      collectgarbage()
      assert.is_nil(send)
      assert.same({"value"}, receive:receive())
    end)
    assert.is_nil(got)
    assert.is_true(sent)
    assert.equal(0, P.left_of(weak))
  end)
end)
