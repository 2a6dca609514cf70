-- SPDX-License-Identifier: MIT
-- StapledStream: two halves as one stream.
local H = require "spec.support.helper"
local trio = require "trio"
local StapledStream = trio.StapledStream

-- A half that logs each call, and what it returns.
local function half(log, name, extra)
  local stream = {}
  for _, method in ipairs {"send_all", "wait_send_all_might_not_block",
    "receive_some", "aclose", extra} do
    stream[method] = function(self, ...)
      assert.equal(stream, self)
      log({name, method, ...})
      trio.lowlevel.checkpoint()
      if method == "receive_some" then return "data" end
    end
  end
  return stream
end

describe("a stapled stream", function()
  H.trio_it("STREAM-17 leaves each direction to its half", function()
    local seen, log = H.trace()
    local send, receive = half(log, "send"), half(log, "receive")
    local stream = StapledStream(send, receive)
    assert.equal(send, stream.send_stream)
    assert.equal(receive, stream.receive_stream)
    stream:send_all("x")
    stream:wait_send_all_might_not_block()
    assert.equal("data", stream:receive_some(10))
    assert.equal("data", stream:receive_some())
    assert.same({
      {"send", "send_all", "x"}, {"send", "wait_send_all_might_not_block"},
      {"receive", "receive_some", 10}, {"receive", "receive_some"},
    }, seen)
  end)

  H.trio_it("STREAM-17 ends by the half's send_eof, if it has one", function()
    local seen, log = H.trace()
    StapledStream(half(log, "send", "send_eof"), half(log, "r")):send_eof()
    assert.same({{"send", "send_eof"}}, seen)
  end)

  H.trio_it("STREAM-17 ends by the half's aclose else", function()
    local seen, log = H.trace()
    StapledStream(half(log, "send"), half(log, "r")):send_eof()
    assert.same({{"send", "aclose"}}, seen)
  end)

  H.trio_it("STREAM-17 closes both halves", function()
    local seen, log = H.trace()
    StapledStream(half(log, "send"), half(log, "receive")):aclose()
    assert.same({{"send", "aclose"}, {"receive", "aclose"}}, seen)
  end)

  H.trio_it("STREAM-17 closes the second half if the first one fails",
    function()
      local seen, log = H.trace()
      local first = trio.Error("first")
      local send = half(log, "send")
      function send.aclose() error(first) end
      local stream = StapledStream(send, half(log, "receive"))
      assert.equal(first, H.raises_class(trio.Error, stream.aclose, stream))
      assert.is_nil(first.context)
      assert.same({{"receive", "aclose"}}, seen)
    end)

  H.trio_it("STREAM-17 raises the second error, the first as its context",
    function()
      local first, second = trio.Error("first"), trio.Error("second")
      local stream = StapledStream({aclose = function() error(first) end},
        {aclose = function() error(second) end})
      assert.equal(second, H.raises_class(trio.Error, stream.aclose, stream))
      assert.equal(first, second.context)
    end)

  H.trio_it("raises the second error, whatever it is", function()
    for _, second in ipairs {"text", false, {}} do
      local stream = StapledStream({aclose = function() error("first") end},
        {aclose = function() error(second, 0) end})
      local ok, err = pcall(stream.aclose, stream)
      assert.is_false(ok)
      assert.is_true(rawequal(second, err))
    end
    local same = trio.Error("same")
    local failing = {aclose = function() error(same) end}
    local stream = StapledStream(failing, failing)
    H.raises_class(trio.Error, stream.aclose, stream)
    assert.is_nil(same.context)
  end)

  H.trio_it("closes both halves under a cancellation", function()
    local a = trio.testing.memory_stream_pair()
    local scope = trio.CancelScope()
    scope:run(function()
      scope:cancel()
      a:aclose()
    end)
    assert.is_true(scope.cancelled_caught)
    H.raises_class(trio.ClosedResourceError, a.send_all, a, "x")
    H.raises_class(trio.ClosedResourceError, a.receive_some, a)
  end)

  H.trio_it("can be iterated, and closes at the end of a block", function()
    local seen, log = H.trace()
    local chunks = {"a", "b"}
    local receive = {
      receive_some = function() return table.remove(chunks, 1) end,
      aclose = function() log("closed") end,
    }
    do
      local stream <close> = StapledStream(half(print, "send"), receive)
      stream.send_stream = {aclose = function() end}
      for chunk in stream do log(chunk) end
    end
    assert.same({"a", "b", "closed"}, seen)
  end)

  H.trio_it("keeps every rule where its halves do", function()
    trio.testing.check_half_closeable_stream(trio.testing.memory_stream_pair)
  end)
end)

describe("a stapled stream's wrong use", function()
  it("names the argument", function()
    H.raises("^[^:]*stapled_stream_spec%.lua:%d+: bad argument #1 to "
      .. "'StapledStream' %(stream expected, got nil%)$",
      function() local s = StapledStream(); return s end)
    H.raises("bad argument #2 to 'StapledStream' %(stream expected, got "
      .. "number%)", function() local s = StapledStream({}, 1); return s end)
  end)

  it("of its fields is refused", function()
    local stream = StapledStream({}, {})
    local other = {}
    stream.send_stream = other
    assert.equal(other, stream.send_stream)
    H.raises("^[^:]*stapled_stream_spec%.lua:%d+: field 'receive_stream' of "
      .. "trio%.StapledStream: stream expected, got nil$",
      function() stream.receive_stream = nil end)
    H.raises("trio%.StapledStream has no field 'x'",
      function() stream.x = 1 end)
    H.raises("field 'aclose' of trio%.StapledStream is read%-only",
      function() stream.aclose = print end)
    assert.matches("^<trio%.StapledStream .*>$", tostring(stream))
  end)

  it("is refused without an object", function()
    local stream = StapledStream({}, {})
    for _, method in ipairs {"send_all", "wait_send_all_might_not_block",
      "send_eof", "receive_some", "aclose"} do
      H.raises("calling '" .. method .. "' on bad self %(trio%.StapledStream "
        .. "expected, got nil%)", stream[method])
    end
  end)
end)
