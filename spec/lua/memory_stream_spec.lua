-- SPDX-License-Identifier: MIT
-- Memory streams: each of them alone, the pump, and connected pairs.
local H = require "spec.support.helper"
local trio = require "trio"
local testing = trio.testing
local wait_all_tasks_blocked = testing.wait_all_tasks_blocked
local pump = testing.memory_stream_pump
local Busy, Closed = trio.BusyResourceError, trio.ClosedResourceError

local function now() return trio.current_time() end

-- fn(...) in a scope that is cancelled already.
local function cancelled(fn, ...)
  local arguments = table.pack(...)
  local scope = trio.CancelScope()
  scope:run(function()
    scope:cancel()
    fn(table.unpack(arguments, 1, arguments.n))
  end)
  assert.is_true(scope.cancelled_caught)
end

describe("a memory send stream", function()
  H.trio_it("keeps what is sent, for get_data", function()
    local s = testing.MemorySendStream()
    H.raises_class(trio.WouldBlock, s.get_data_nowait, s)
    s:send_all("123")
    s:send_all("")
    s:send_all("456")
    assert.matches(" open, 6 bytes>$", tostring(s))
    assert.equal("12", s:get_data(2))
    assert.equal("34", s:get_data_nowait(2))
    assert.equal("56", s:get_data())
    H.raises_class(trio.WouldBlock, s.get_data_nowait, s)
    s:send_all("7")
    s:close()
    assert.equal("7", s:get_data_nowait())
    assert.is_nil(s:get_data_nowait())
    assert.is_nil(s:get_data())
    assert.matches(" closed, 0 bytes>$", tostring(s))
  end)

  H.trio_it("lets get_data wait for data, and for the end", function()
    local s = testing.MemorySendStream()
    local got = {}
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        got[1] = s:get_data(10)
        got[2] = s:get_data()
        got[3] = tostring(s:get_data())
      end)
      wait_all_tasks_blocked()
      H.raises_class(Busy, s.get_data, s)
      H.raises_class(Busy, s.get_data_nowait, s)
      for _, data in ipairs {"x", "yz"} do
        s:send_all("")
        s:send_all(data)
        s:wait_send_all_might_not_block()
        wait_all_tasks_blocked()
      end
      s:close()
    end)
    assert.same({"x", "yz", "nil"}, got)
  end)

  H.trio_it("STREAM-18 calls its hooks with the data stored", function()
    local seen, log = H.trace()
    local s = testing.MemorySendStream()
    s.send_all_hook = function(...)
      log(select("#", ...))
      log(s:get_data_nowait())
      trio.sleep(1)
    end
    s.wait_send_all_might_not_block_hook = function()
      log("wait")
      trio.sleep(1)
    end
    s:send_all("data")
    s:wait_send_all_might_not_block()
    assert.same({0, "data", "wait"}, seen)
    assert.equal(2, now())
    s.send_all_hook = nil
    s:send_all("more")
    assert.equal("more", s:get_data_nowait())
  end)

  H.trio_it("STREAM-18 calls close_hook at every close", function()
    local count = 0
    local s = testing.MemorySendStream({close_hook = function()
      count = count + 1
    end})
    s:close()
    s:close()
    s:aclose()
    do
      local _ <close> = s
    end
    assert.equal(4, count)
    cancelled(s.aclose, s)
    assert.equal(5, count)
  end)

  H.trio_it("STREAM-04 refuses a second task on its side", function()
    local s = testing.MemorySendStream(nil, trio.sleep_forever)
    for _, second in ipairs {"send_all", "wait_send_all_might_not_block"} do
      local scope = trio.CancelScope()
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          scope:run(function() s:wait_send_all_might_not_block() end)
        end)
        wait_all_tasks_blocked()
        H.raises_class(Busy, s[second], s, "x")
        scope:cancel()
      end)
    end
    s:send_all("free again")
  end)

  H.trio_it("STREAM-04 notices two senders that never wait", function()
    local s = testing.MemorySendStream()
    local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery)
        nursery:start_soon(s.send_all, s, "x")
        nursery:start_soon(s.send_all, s, "y")
      end)
    assert.equal(1, #err.exceptions)
    assert.is_true(trio.isinstance(err.exceptions[1], Busy))
  end)

  H.trio_it("STREAM-08 takes an empty send, not when closed", function()
    local s = testing.MemorySendStream()
    testing.assert_checkpoints(function() s:send_all("") end)
    H.raises_class(trio.WouldBlock, s.get_data_nowait, s)
    s:close()
    H.raises_class(Closed, s.send_all, s, "")
    H.raises_class(Closed, s.send_all, s, "x")
    H.raises_class(Closed, s.wait_send_all_might_not_block, s)
  end)
end)

describe("a memory receive stream", function()
  H.trio_it("STREAM-01 gives what was put, in any pieces", function()
    local r = testing.MemoryReceiveStream()
    r:put_data("123")
    r:put_data("")
    r:put_data("456")
    assert.equal("1234", r:receive_some(4))
    assert.equal("56", r:receive_some())
    r:put_data(("abcdefgh"):rep(1000))
    for _ = 1, 1000 do assert.equal("abcdefgh", r:receive_some(8)) end
    r:put_data("7")
    r:put_eof()
    assert.equal("7", r:receive_some(100))
    assert.is_nil(r:receive_some())
    assert.is_nil(r:receive_some(1))
    H.raises_class(Closed, r.put_data, r, "8")
    r:put_eof()
  end)

  H.trio_it("can be iterated", function()
    local seen, log = H.trace()
    local r = testing.MemoryReceiveStream()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for chunk in r do log(chunk) end
        log("end")
      end)
      for _, data in ipairs {"a", "bc"} do
        r:put_data(data)
        wait_all_tasks_blocked()
      end
      r:put_eof()
    end)
    assert.same({"a", "bc", "end"}, seen)
  end)

  H.trio_it("STREAM-03 refuses a second receiver", function()
    local r = testing.MemoryReceiveStream()
    local got
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() got = r:receive_some() end)
      wait_all_tasks_blocked()
      H.raises_class(Busy, r.receive_some, r)
      r:put_data("x")
    end)
    assert.equal("x", got)
  end)

  H.trio_it("STREAM-07 wakes a receiver at its close", function()
    local r = testing.MemoryReceiveStream()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        H.raises_class(Closed, r.receive_some, r)
      end)
      wait_all_tasks_blocked()
      r:put_data("too late")
      r:close()
    end)
    H.raises_class(Closed, r.receive_some, r)
    H.raises_class(Closed, r.put_data, r, "x")
    assert.matches(" closed, 0 bytes>$", tostring(r))
  end)

  H.trio_it("STREAM-18 calls its hooks", function()
    local seen, log = H.trace()
    local r
    r = testing.MemoryReceiveStream(function()
      log("receive")
      r:put_data("from the hook")
    end, function() log("close") end)
    assert.equal("from the hook", r:receive_some())
    r:put_data("unread")
    assert.matches(" open, 6 bytes>$", tostring(r))
    r:close()
    assert.matches(" closed, 0 bytes>$", tostring(r))
    r:aclose()
    H.raises_class(Closed, r.receive_some, r)
    assert.same({"receive", "close", "close"}, seen)
  end)

  H.trio_it("STREAM-09 checks the number of bytes", function()
    local r = testing.MemoryReceiveStream()
    local function refused(text, ...)
      local arguments = table.pack(...)
      H.raises("^[^:]*memory_stream_spec%.lua:%d+: bad argument #1 to "
        .. "'receive_some' %(" .. text, function()
          r:receive_some(table.unpack(arguments, 1, arguments.n))
          return 1
        end)
    end
    refused("must be at least 1", 0)
    refused("must be at least 1", -1)
    refused("number has no integer representation", 1.5)
    refused("number expected, got string", "1")
    r:put_data("123")
    assert.equal("1", r:receive_some(1.0))
    assert.equal("23", r:receive_some(nil))
  end)
end)

describe("the pump", function()
  H.trio_it("STREAM-19 says whether it moved anything", function()
    local s, r = testing.MemorySendStream(), testing.MemoryReceiveStream()
    assert.is_false(pump(s, r))
    s:send_all("abc")
    assert.is_true(pump(s, r, {max_bytes = 2}))
    assert.equal("ab", r:receive_some())
    assert.is_true(pump(s, r))
    assert.is_false(pump(s, r))
    assert.equal("c", r:receive_some())
    s:close()
    assert.is_true(pump(s, r))
    assert.is_nil(r:receive_some())
  end)

  H.trio_it("STREAM-19 breaks at a closed receiver", function()
    local s, r = testing.MemorySendStream(), testing.MemoryReceiveStream()
    r:close()
    assert.is_false(pump(s, r))
    s:send_all("x")
    H.raises_class(trio.BrokenResourceError, pump, s, r)
  end)

  H.trio_it("checks its arguments", function()
    local s, r = testing.MemorySendStream(), testing.MemoryReceiveStream()
    local function refused(text, ...)
      local arguments = table.pack(...)
      H.raises("^[^:]*memory_stream_spec%.lua:%d+: bad argument #" .. text,
        function()
          pump(table.unpack(arguments, 1, arguments.n))
          return 1
        end)
    end
    refused("1 to 'memory_stream_pump' %(trio%.testing%.MemorySendStream "
      .. "expected, got trio%.testing%.MemoryReceiveStream%)$", r, s)
    refused("2 .*MemoryReceiveStream expected, got nil", s)
    refused("3 .*table expected, got number", s, r, 5)
    refused("3 .*unknown option 'max'", s, r, {max = 5})
    for _, wrong in ipairs {0, 1.5, "5", 0 / 0} do
      refused("3 .*option 'max_bytes' must be a positive integer", s, r,
        {max_bytes = wrong})
    end
  end)
end)

describe("a pair of memory streams", function()
  H.trio_it("STREAM-01 moves data at once", function()
    local a, b = testing.memory_stream_pair()
    a:send_all("123")
    a:send_all("456")
    assert.equal("1234", b:receive_some(4))
    assert.equal("56", b:receive_some())
    b:send_all("back")
    assert.equal("back", a:receive_some())
  end)

  H.trio_it("STREAM-02 may end one direction", function()
    local a, b = testing.memory_stream_pair()
    a:send_all("last")
    a:send_eof()
    assert.equal("last", b:receive_some())
    for _ = 1, 3 do assert.is_nil(b:receive_some()) end
    H.raises_class(Closed, a.send_all, a, "x")
    b:send_all("back")
    assert.equal("back", a:receive_some())
    a:send_eof()
  end)

  H.trio_it("STREAM-05 breaks the sender of a closed receiver", function()
    local s, r = testing.memory_stream_one_way_pair()
    r:close()
    for _ = 1, 2 do
      H.raises_class(trio.BrokenResourceError, s.send_all, s, "x")
    end
  end)

  H.trio_it("STREAM-06 closes each side under a cancellation", function()
    local s, r = testing.memory_stream_one_way_pair()
    cancelled(s.aclose, s)
    cancelled(r.aclose, r)
    H.raises_class(Closed, s.send_all, s, "x")
    H.raises_class(Closed, s.wait_send_all_might_not_block, s)
    H.raises_class(Closed, r.receive_some, r)
  end)

  H.trio_it("STREAM-10 closes repeatedly, each a checkpoint", function()
    local s, r = testing.memory_stream_one_way_pair()
    for _, stream in ipairs {s, r, (testing.memory_stream_pair())} do
      for _ = 1, 3 do
        testing.assert_checkpoints(function() stream:aclose() end)
      end
    end
  end)

  H.trio_it("STREAM-11 delivers what was sent before the close", function()
    local s, r = testing.memory_stream_one_way_pair()
    s:send_all("abc")
    s:aclose()
    assert.equal("ab", r:receive_some(2))
    assert.equal("c", r:receive_some(2))
    assert.is_nil(r:receive_some(2))
  end)

  H.trio_it("STREAM-12 survives cancelled operations", function()
    local s, r = testing.memory_stream_one_way_pair()
    cancelled(s.send_all, s, "x")
    cancelled(s.wait_send_all_might_not_block, s)
    cancelled(r.receive_some, r)
    trio.move_on_after(1, function() r:receive_some() end)
    s:send_all("y")
    s:aclose()
    assert.equal("y", r:receive_some())
    assert.is_nil(r:receive_some())
    r:aclose()
  end)

  H.trio_it("STREAM-16 may trickle, by a hook", function()
    local a, b = testing.memory_stream_pair()
    local seen, log = H.trace()
    a.send_stream.send_all_hook = function()
      while pump(a.send_stream, b.receive_stream, {max_bytes = 1}) do
        trio.sleep(1)
      end
    end
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        a:send_all("123")
        a:send_eof()
      end)
      for byte in b do log({now(), byte}) end
      log({now(), "end"})
    end)
    assert.same({{0, "1"}, {1, "2"}, {2, "3"}, {3, "end"}}, seen)
  end)

  H.trio_it("STREAM-14 carries megabytes both ways", function()
    testing.check_two_way_stream(testing.memory_stream_pair)
  end)
end)

describe("a memory stream's wrong use", function()
  H.trio_it("names the argument", function()
    local s, r = testing.MemorySendStream(), testing.MemoryReceiveStream()
    for _, wrong in ipairs {1, false, {}} do
      for _, f in ipairs {
        function() s:send_all(wrong); return 1 end,
        function() r:put_data(wrong); return 1 end,
      } do
        H.raises("^[^:]*memory_stream_spec%.lua:%d+: bad argument #1 to "
          .. "'%w+_%w+' %(string expected, got " .. type(wrong) .. "%)$", f)
      end
    end
    H.raises("#1 to 'get_data' %(must be at least 1%)", s.get_data, s, 0)
    H.raises("#1 to 'get_data_nowait' %(number expected, got boolean%)",
      s.get_data_nowait, s, true)
    s:send_all("still fine")
  end)

  it("names the hook", function()
    local function refused(text, maker, ...)
      local arguments = table.pack(...)
      H.raises("^[^:]*memory_stream_spec%.lua:%d+: " .. text, function()
        local s = testing[maker](table.unpack(arguments, 1, arguments.n))
        return s
      end)
    end
    refused("bad argument #1 to 'MemorySendStream' %(function expected, got "
      .. "number%)$", "MemorySendStream", 1)
    refused("bad argument #3 to 'MemorySendStream' %(function expected, got "
      .. "string%)$", "MemorySendStream", nil, print, "x")
    refused("bad argument #2 to 'MemoryReceiveStream' ", "MemoryReceiveStream",
      nil, 1)
    refused("bad argument #1 to 'MemorySendStream' %(option 'close_hook': "
      .. "function expected, got number%)$", "MemorySendStream",
      {close_hook = 1})
    refused("bad argument #1 to 'MemoryReceiveStream' %(unknown option "
      .. "'send_all_hook'%)$", "MemoryReceiveStream", {send_all_hook = print})
  end)

  it("of fields is refused", function()
    local s = testing.MemorySendStream({close_hook = print})
    assert.equal(print, s.close_hook)
    assert.is_nil(s.send_all_hook)
    H.raises("^[^:]*memory_stream_spec%.lua:%d+: field 'send_all_hook' of "
      .. "trio%.testing%.MemorySendStream: function expected, got number$",
      function() s.send_all_hook = 1 end)
    H.raises("MemorySendStream has no field 'receive_some_hook'",
      function() s.receive_some_hook = print end)
    H.raises("field 'close' of .* is read%-only",
      function() s.close = print end)
  end)

  it("is refused outside of a task, by name", function()
    local s, r = testing.memory_stream_one_way_pair()
    for _, method in ipairs {"send_all", "wait_send_all_might_not_block",
      "get_data", "aclose"} do
      H.raises("^MemorySendStream:" .. method .. " must be called from inside "
        .. "a task", s[method], s, "x")
    end
    H.raises("^MemoryReceiveStream:receive_some must be called",
      r.receive_some, r)
    H.raises("^MemoryReceiveStream:aclose must be called", r.aclose, r)
    H.raises("calling 'send_all' on bad self", s.send_all, r, "x")
    s:close()
    r:close()
  end)
end)
