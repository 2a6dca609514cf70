-- SPDX-License-Identifier: MIT
-- as_safe_channel: the receiving end, closing it, and wrong use.
local H = require "spec.support.helper"
local trio = require "trio"
local as_safe_channel = trio.as_safe_channel
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local function never() error("this must not be reached", 0) end

local forever = as_safe_channel(function(yield)
  local i = 0
  while true do
    i = i + 1
    yield(i)
  end
end)

describe("closing the receiving end of a safe channel", function()
  H.trio_it("SAFE-14 makes its next receive fail, and the exit clean",
    function()
      as_safe_channel(function(yield)
        yield(1)
        never()
      end)(function(receive)
        assert.equal(1, receive:receive())
        receive:aclose()
        H.raises_class(trio.ClosedResourceError, receive.receive, receive)
        H.raises_class(trio.ClosedResourceError, receive.receive_nowait,
          receive)
        H.raises_class(trio.ClosedResourceError, receive.clone, receive)
        H.raises_class(trio.ClosedResourceError, receive)
        wait_all_tasks_blocked()
        assert.matches("^<trio%.SafeReceiveChannel .* closed>$",
          tostring(receive))
      end)
    end)

  H.trio_it("SAFE-14 keeps a producer from starting", function()
    as_safe_channel(never)(function(receive)
      receive:close()
      H.raises_class(trio.ClosedResourceError, receive.receive, receive)
      wait_all_tasks_blocked()
    end)
  end)

  H.trio_it("SAFE-14 ends the loop of another task with an error", function()
    forever(function(receive)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for _ = 1, 5 do trio.lowlevel.checkpoint() end
          receive:aclose()
        end)
        H.raises_class(trio.ClosedResourceError, function()
          for _ in receive do trio.lowlevel.checkpoint() end
        end)
      end)
      wait_all_tasks_blocked()
    end)
  end)

  H.trio_it("SAFE-14 wakes a task that waits", function()
    as_safe_channel(trio.sleep_forever)(function(receive)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          H.raises_class(trio.ClosedResourceError, receive.receive, receive)
        end)
        wait_all_tasks_blocked()
        receive:close()
      end)
    end)
  end)

  H.trio_it("SAFE-14 may be done by the producer itself", function()
    local end_of_it
    as_safe_channel(function(yield)
      yield(1)
      end_of_it:aclose()
      trio.sleep(1)
      yield(2)
      never()
    end)(function(receive)
      end_of_it = receive
      H.raises_class(trio.ClosedResourceError, function()
        for value in receive do assert.equal(1, value) end
      end)
      trio.sleep(2)
      wait_all_tasks_blocked()
    end)
  end)

  H.trio_it("SAFE-14 lets the producer clean up at once", function()
    local seen, log = H.trace()
    as_safe_channel(function(yield)
      local _ <close> = trio.defer(function() log("cleanup") end)
      yield(1)
      never()
    end)(function(receive)
      receive:receive()
      wait_all_tasks_blocked()
      receive:close()
      wait_all_tasks_blocked()
      log("body")
    end)
    assert.same({"cleanup", "body"}, seen)
  end)

  H.trio_it("ends a producer that is about to send", function()
    as_safe_channel(function(yield)
      trio.sleep(5)
      yield(1)
      never()
    end)(function(receive)
      trio.move_on_after(1, function() receive:receive() end)
      trio.sleep(9)
      receive:close()
      wait_all_tasks_blocked()
    end)
  end)

  H.trio_it("may be repeated, and happens under a cancellation", function()
    forever(function(receive)
      receive:receive()
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        receive:aclose()
      end)
      assert.is_true(scope.cancelled_caught)
      receive:close()
      trio.testing.assert_checkpoints(function() receive:aclose() end)
      H.raises_class(trio.ClosedResourceError, receive.receive, receive)
    end)
  end)

  H.trio_it("happens at the end of a block", function()
    forever(function(receive)
      do
        local copy <close> = receive:clone()
        assert.equal(1, copy:receive())
        assert.equal(2, receive:statistics().open_receive_channels)
      end
      assert.equal(1, receive:statistics().open_receive_channels)
    end)
  end)
end)

describe("a clone of the receiving end", function()
  H.trio_it("shares the values", function()
    local got = {}
    as_safe_channel(function(yield)
      for i = 1, 6 do yield(i) end
    end)(function(receive)
      local copy = receive:clone()
      for i = 1, 3 do
        got[#got + 1] = receive:receive() * 10 + copy:receive()
        assert.equal(i, #got)
      end
    end)
    assert.same({12, 34, 56}, got)
  end)

  H.trio_it("keeps the channel open, until the body ends", function()
    local copy
    forever(function(receive)
      copy = receive:clone()
      receive:close()
      assert.equal(1, copy:receive())
    end)
    H.raises_class(trio.EndOfChannel, copy.receive, copy)
    for _ in copy do never() end
    copy:close()
  end)

  H.trio_it("in a task beyond the body ends with it", function()
    local ended = false
    trio.open_nursery(function(nursery)
      as_safe_channel(trio.sleep_forever)(function(receive)
        local copy = receive:clone()
        nursery:start_soon(function()
          for _ in copy do never() end
          ended = true
        end)
        wait_all_tasks_blocked()
      end)
    end)
    assert.is_true(ended)
  end)
end)

describe("receive_nowait of a safe channel", function()
  H.trio_it("asks for a value, and gets it later", function()
    forever(function(receive)
      for i = 1, 3 do
        H.raises_class(trio.WouldBlock, receive.receive_nowait, receive)
        H.raises_class(trio.WouldBlock, receive.receive_nowait, receive)
        wait_all_tasks_blocked()
        assert.equal(i, receive:receive_nowait())
        wait_all_tasks_blocked()
      end
    end)
  end)

  H.trio_it("asks for one value, however often it fails", function()
    local seen, log = H.trace()
    as_safe_channel(function(yield)
      for i = 1, 9 do
        log(i)
        yield(i)
      end
    end)(function(receive)
      for _ = 1, 4 do pcall(receive.receive_nowait, receive) end
      wait_all_tasks_blocked()
      assert.equal(1, receive:receive_nowait())
      wait_all_tasks_blocked()
    end)
    assert.same({1}, seen)
  end)

  H.trio_it("tells of the end", function()
    as_safe_channel(function() end)(function(receive)
      H.raises_class(trio.WouldBlock, receive.receive_nowait, receive)
      wait_all_tasks_blocked()
      H.raises_class(trio.EndOfChannel, receive.receive_nowait, receive)
    end)
  end)
end)

describe("a producer that yields behind a shield", function()
  local shielded = as_safe_channel(function(yield)
    trio.CancelScope({shield = true}):run(function()
      while true do yield(1) end
    end)
  end)

  H.trio_it("gets an error at the exit, and never hangs", function()
    H.raises_class(trio.BrokenResourceError, shielded, function(receive)
      assert.equal(1, receive:receive())
    end)
  end)

  H.trio_it("gets an error at the exit, clones or not", function()
    H.raises_class(trio.BrokenResourceError, shielded, function(receive)
      receive:clone()
      assert.equal(1, receive:receive())
      wait_all_tasks_blocked()
    end)
  end)

  H.trio_it("gets an error when the channel is closed", function()
    H.raises_class(trio.BrokenResourceError, shielded, function(receive)
      assert.equal(1, receive:receive())
      receive:close()
    end)
  end)
end)

describe("wrong use of a safe channel", function()
  H.trio_it("is refused for a value of nil, in the producer", function()
    H.raises("bad argument #1 to 'yield' %(nil can't be sent through a "
      .. "channel%)", as_safe_channel(function(yield) yield(nil) end),
      function(receive) receive:receive() end)
  end)

  H.trio_it("is refused where the producer is over", function()
    local leaked
    as_safe_channel(function(yield)
      leaked = yield
      yield(1)
    end)(function(receive)
      receive:receive()
      H.raises_class(trio.EndOfChannel, receive.receive, receive)
      H.raises_class(trio.ClosedResourceError, leaked, 2)
    end)
  end)

  H.trio_it("names the argument", function()
    H.raises("^[^:]*as_safe_channel_ends_spec%.lua:%d+: bad argument #1 to "
      .. "'as_safe_channel' %(function expected, got nil%)$",
      function() as_safe_channel(); return 1 end)
    H.raises("'as_safe_channel' %(function expected, got table%)",
      function() as_safe_channel({}); return 1 end)
    H.raises("^[^:]*as_safe_channel_ends_spec%.lua:%d+: bad argument #1 to "
      .. "'open' %(function expected, got nil%)$",
      function() forever(); return 1 end)
    H.raises("bad argument #3 to 'open' %(function expected, got number%)",
      function() forever(1, 2, 3); return 1 end)
  end)

  H.trio_it("is refused without an object, and for fields", function()
    forever(function(receive)
      for _, method in ipairs {"receive", "receive_nowait", "clone", "close",
        "aclose", "statistics"} do
        H.raises("^[^:]*as_safe_channel_ends_spec%.lua:%d+: calling '"
          .. method .. "' on bad self %(trio%.SafeReceiveChannel expected, "
          .. "got number%)$", function() receive[method](1); return 1 end)
      end
      H.raises("trio%.SafeReceiveChannel has no field 'x'",
        function() receive.x = 1 end)
    end)
  end)

  it("is refused outside of a task", function()
    H.raises("opening a channel of trio%.as_safe_channel must be called from "
      .. "inside a task", forever, function() end)
    local kept
    H.run(function() forever(function(receive) kept = receive end) end)
    H.raises("SafeReceiveChannel:receive must be called from inside a task",
      kept.receive, kept)
    H.raises("SafeReceiveChannel:aclose must be called from inside a task",
      kept.aclose, kept)
    H.raises("iterating a SafeReceiveChannel must be called from inside a task",
      kept)
  end)
end)
