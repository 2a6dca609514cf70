-- SPDX-License-Identifier: MIT
-- Lockstep streams: nothing is sent before it is received.
local H = require "spec.support.helper"
local trio = require "trio"
local testing = trio.testing
local one_way_pair = testing.lockstep_stream_one_way_pair
local wait_all_tasks_blocked = testing.wait_all_tasks_blocked
local Busy, Closed = trio.BusyResourceError, trio.ClosedResourceError

describe("a lockstep stream", function()
  H.trio_it("STREAM-15 sends when the last byte is received", function()
    local s, r = one_way_pair()
    local got, sent_at = {}, nil
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        s:send_all("abcd")
        sent_at = trio.current_time()
      end)
      for i = 1, 2 do
        trio.sleep(1)
        assert.is_nil(sent_at)
        got[i] = r:receive_some(2)
      end
    end)
    assert.same({"ab", "cd"}, got)
    assert.equal(2, sent_at)
  end)

  H.trio_it("STREAM-15 lets the receiver wait for the sender", function()
    local s, r = one_way_pair()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        assert.equal("abc", r:receive_some())
        assert.equal(1, trio.current_time())
      end)
      trio.sleep(1)
      s:send_all("abc")
    end)
  end)

  H.trio_it("STREAM-03 refuses a second receiver", function()
    local s, r = one_way_pair()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() assert.equal("x", r:receive_some()) end)
      wait_all_tasks_blocked()
      H.raises_class(Busy, r.receive_some, r)
      s:send_all("x")
    end)
  end)

  H.trio_it("STREAM-04 refuses a second sender", function()
    for _, first in ipairs {"send_all", "wait_send_all_might_not_block"} do
      local s, r = one_way_pair()
      trio.open_nursery(function(nursery)
        nursery:start_soon(s[first], s, "x")
        wait_all_tasks_blocked()
        H.raises_class(Busy, s.send_all, s, "y")
        H.raises_class(Busy, s.wait_send_all_might_not_block, s)
        nursery:start_soon(r.receive_some, r)
        wait_all_tasks_blocked()
        nursery.cancel_scope:cancel()
      end)
      trio.open_nursery(function(nursery)
        nursery:start_soon(s.send_all, s, "free again")
        assert.equal("free again", r:receive_some())
      end)
    end
  end)

  H.trio_it("STREAM-05 breaks the sender of a closed receiver", function()
    local s, r = one_way_pair()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        H.raises_class(trio.BrokenResourceError, s.send_all, s, "abc")
      end)
      assert.equal("a", r:receive_some(1))
      r:close()
    end)
    for _ = 1, 2 do
      H.raises_class(trio.BrokenResourceError, s.send_all, s, "")
    end
    testing.assert_checkpoints(function()
      s:wait_send_all_might_not_block()
    end)
  end)

  H.trio_it("STREAM-06 closes each side under a cancellation", function()
    local s, r = one_way_pair()
    for _, stream in ipairs {s, r} do
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        stream:aclose()
      end)
      assert.is_true(scope.cancelled_caught)
      assert.matches(" closed>$", tostring(stream))
    end
    H.raises_class(Closed, s.send_all, s, "x")
    H.raises_class(Closed, r.receive_some, r)
  end)

  H.trio_it("STREAM-07 wakes whoever waits on the side that closes", function()
    for _, method in ipairs {"send_all", "wait_send_all_might_not_block"} do
      local s = one_way_pair()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          H.raises_class(Closed, s[method], s, "x")
        end)
        wait_all_tasks_blocked()
        s:close()
      end)
    end
    local _, r = one_way_pair()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        H.raises_class(Closed, r.receive_some, r)
      end)
      wait_all_tasks_blocked()
      r:close()
    end)
  end)

  H.trio_it("STREAM-08 sends nothing without a receiver", function()
    local s = one_way_pair()
    testing.assert_checkpoints(function() s:send_all("") end)
    s:close()
    H.raises_class(Closed, s.send_all, s, "")
  end)

  H.trio_it("STREAM-11 ends after what was received", function()
    local s, r = one_way_pair()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        s:send_all("abc")
        s:close()
      end)
      wait_all_tasks_blocked()
      assert.equal("abc", r:receive_some())
      for _ = 1, 2 do assert.is_nil(r:receive_some()) end
      for _ in r do error("not at the end") end
    end)
  end)

  H.trio_it("STREAM-12 takes back what a cancelled send_all has left",
    function()
      local s, r = one_way_pair()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.move_on_after(1, function() s:send_all("abc") end)
          s:send_all("xyz")
        end)
        assert.equal("a", r:receive_some(1))
        trio.sleep(2)
        assert.equal("xyz", r:receive_some())
      end)
    end)

  H.trio_it("STREAM-12 goes on waiting when a send is cancelled meanwhile",
    function()
      local s, r = one_way_pair()
      local scope = trio.CancelScope()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          assert.equal("y", r:receive_some())
        end)
        wait_all_tasks_blocked()
        nursery:start_soon(function()
          scope:run(function() s:send_all("x") end)
          trio.sleep(1)
          s:send_all("y")
        end)
        trio.lowlevel.checkpoint()
        scope:cancel()
      end)
      assert.is_true(scope.cancelled_caught)
    end)

  H.trio_it("STREAM-13 waits to send until somebody receives", function()
    local s, r = one_way_pair()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(1)
        assert.equal("x", r:receive_some())
      end)
      s:wait_send_all_might_not_block()
      assert.equal(1, trio.current_time())
      s:send_all("x")
    end)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.sleep(1)
        r:close()
      end)
      s:wait_send_all_might_not_block()
      assert.equal(2, trio.current_time())
    end)
  end)

  H.trio_it("STREAM-14 carries megabytes both ways", function()
    testing.check_two_way_stream(testing.lockstep_stream_pair,
      testing.lockstep_stream_pair)
  end)

  H.trio_it("checks its arguments", function()
    local s, r = one_way_pair()
    H.raises("^[^:]*lockstep_stream_spec%.lua:%d+: bad argument #1 to "
      .. "'send_all' %(string expected, got number%)$",
      function() s:send_all(1); return 1 end)
    for _, wrong in ipairs {0, -1, 1.5, "x"} do
      H.raises("^[^:]*lockstep_stream_spec%.lua:%d+: bad argument #1 to "
        .. "'receive_some' %(", function() r:receive_some(wrong); return 1 end)
    end
    H.raises("calling 'receive_some' on bad self", r.receive_some, s)
    H.raises("LockstepSendStream has no field 'x'", function() s.x = 1 end)
  end)

  it("is refused outside of a task, by name", function()
    local s, r = one_way_pair()
    H.raises("^LockstepSendStream:send_all must be called from inside a task",
      s.send_all, s, "x")
    H.raises("^LockstepReceiveStream:receive_some must be called",
      r.receive_some, r)
    s:close()
    r:close()
  end)
end)
