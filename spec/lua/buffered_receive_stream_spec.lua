-- SPDX-License-Identifier: MIT
-- BufferedReceiveStream: lines and records from a stream of any pieces.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local Buffered = trio.BufferedReceiveStream
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

-- A stream that delivers these pieces, then ends, or waits for ever.
local function pieces(list, and_waits)
  local place = 0
  local stream = {closed = 0}
  function stream.receive_some()
    trio.lowlevel.checkpoint()
    place = place + 1
    if list[place] == nil and and_waits then trio.sleep_forever() end
    return list[place]
  end
  function stream.aclose()
    stream.closed = stream.closed + 1
    trio.lowlevel.checkpoint()
  end
  return stream
end

-- Every way of cutting text into at most three pieces, and single bytes.
local function cuts(text)
  local list = {{text}}
  for i = 1, #text - 1 do
    list[#list + 1] = {text:sub(1, i), text:sub(i + 1)}
    for j = i + 1, #text - 1 do
      list[#list + 1] = {
        text:sub(1, i), text:sub(i + 1, j), text:sub(j + 1),
      }
    end
  end
  local bytes = {}
  for byte in text:gmatch(".") do bytes[#bytes + 1] = byte end
  list[#list + 1] = bytes
  return list
end

describe("receive_exactly", function()
  H.trio_it("gives that many bytes, however they come", function()
    for _, list in ipairs(cuts "abcdefgh") do
      local stream = Buffered(pieces(list))
      assert.equal("abc", stream:receive_exactly(3))
      assert.equal("", stream:receive_exactly(0))
      assert.equal("defgh", stream:receive_exactly(5))
      assert.is_nil(stream:receive_exactly(1))
      assert.is_nil(stream:receive_exactly(1))
    end
  end)

  H.trio_it("raises where the stream ends before, and keeps it", function()
    local stream = Buffered(pieces {"abc", "de"})
    local err = H.raises_class(trio.BrokenResourceError,
      stream.receive_exactly, stream, 10)
    assert.truthy(err.message:find("ended after 5 bytes", 1, true))
    assert.equal("abcde", stream.buffered)
    assert.equal("abcde", stream:receive_exactly(5))
  end)

  H.trio_it("loses nothing when it is cancelled", function()
    local stream = Buffered(pieces({"abc", "def"}, true))
    local scope = trio.move_on_after(1, function()
      stream:receive_exactly(10)
    end)
    assert.is_true(scope.cancelled_caught)
    assert.equal("abcdef", stream.buffered)
    N.is_cancelled(stream.receive_exactly, stream, 3)
    assert.equal("abc", stream:receive_exactly(3))
    assert.equal("def", stream.buffered)
  end)

  H.trio_it("is a checkpoint", function()
    local stream = Buffered(pieces {"abc"})
    P.is_checkpoint(stream.receive_exactly, stream, 1)
    P.is_checkpoint(stream.receive_exactly, stream, 1)
    P.is_checkpoint(stream.receive_exactly, stream, 0)
  end)

  H.trio_it("puts many small pieces together", function()
    local list = {}
    for i = 1, 5000 do list[i] = ("%04d"):format(i) end
    local stream = Buffered(pieces(list))
    assert.equal(table.concat(list), stream:receive_exactly(20000))
  end)
end)

describe("receive_until", function()
  H.trio_it("gives what comes before the delimiter", function()
    for _, list in ipairs(cuts "ab--c-d----e--") do
      local stream = Buffered(pieces(list))
      assert.equal("ab", stream:receive_until("--", 100))
      assert.equal("c-d", stream:receive_until("--", 3))
      assert.equal("", stream:receive_until("--", 0))
      assert.equal("e", stream:receive_until("--", 100))
      assert.is_nil(stream:receive_until("--", 100))
    end
  end)

  H.trio_it("raises where it is too long, and keeps it", function()
    for _, list in ipairs(cuts "abcde\n") do
      local stream = Buffered(pieces(list))
      local err = H.raises_class(trio.DelimiterNotFound, stream.receive_until,
        stream, "\n", 4)
      assert.truthy(err.message:find("4 bytes", 1, true))
      assert.equal("abcde", stream:receive_until("\n", 5))
    end
  end)

  H.trio_it("reads no more than it must to know that", function()
    local stream = Buffered(pieces({"abcdef"}, true))
    H.raises_class(trio.DelimiterNotFound, stream.receive_until, stream, "--",
      4)
    H.raises_class(trio.DelimiterNotFound, stream.receive_until, stream, "--",
      0)
  end)

  H.trio_it("raises where the stream ends before", function()
    local stream = Buffered(pieces {"abc"})
    local err = H.raises_class(trio.BrokenResourceError, stream.receive_until,
      stream, "\n", 100)
    assert.truthy(err.message:find('the delimiter "\\\n"', 1, true))
    assert.equal("abc", stream.buffered)
    assert.equal("abc", stream:receive_some())
    assert.is_nil(stream:receive_some())
  end)

  H.trio_it("takes the delimiter as it is, and is a checkpoint", function()
    local stream = Buffered(pieces {"a.b%w"})
    P.is_checkpoint(function()
      assert.equal("a.b", stream:receive_until("%", 10))
    end)
    assert.equal("", stream:receive_until("w", 10))
  end)

  H.trio_it("loses nothing when it is cancelled", function()
    local stream = Buffered(pieces({"one", " line"}, true))
    trio.move_on_after(1, function() stream:receive_until("\n", 100) end)
    assert.equal("one line", stream.buffered)
  end)
end)

describe("lines", function()
  H.trio_it("end with a newline, and perhaps a carriage return", function()
    for _, list in ipairs(cuts "one\ntwo\r\n\n\rx\r\r\nlast") do
      local stream, lines = Buffered(pieces(list)), {}
      for line in stream:lines() do lines[#lines + 1] = line end
      assert.same({"one", "two", "", "\rx\r", "last"}, lines)
    end
  end)

  H.trio_it("are no longer than allowed", function()
    local stream = Buffered(pieces {"short\n", ("x"):rep(70000)})
    local next_line = stream:lines()
    assert.equal("short", next_line())
    H.raises_class(trio.DelimiterNotFound, next_line)
    assert.is_true(#stream.buffered >= 65536)
    stream = Buffered(pieces {"12345\n123456\n"})
    next_line = stream:lines(5)
    assert.equal("12345", next_line())
    H.raises_class(trio.DelimiterNotFound, next_line)
  end)

  H.trio_it("each is a checkpoint", function()
    local stream = Buffered(pieces {"a\nb\n"})
    local next_line = stream:lines()
    for _, expected in ipairs {"a", "b"} do
      P.is_checkpoint(function() assert.equal(expected, next_line()) end)
    end
    assert.is_nil(next_line())
  end)
end)

describe("a BufferedReceiveStream", function()
  H.trio_it("receives what it has first", function()
    local stream = Buffered(pieces {"abcdef", "gh"})
    assert.equal("", stream.buffered)
    assert.equal("ab", stream:receive_exactly(2))
    assert.equal("cdef", stream.buffered)
    P.is_checkpoint(function() assert.equal("c", stream:receive_some(1)) end)
    assert.equal("def", stream:receive_some(100))
    assert.equal("gh", stream:receive_some())
    assert.is_nil(stream:receive_some())
  end)

  H.trio_it("passes max_bytes and errors on", function()
    local given
    local below = {
      receive_some = function(_, max) given = max error("broken", 0) end,
      aclose = function() end,
    }
    local stream = Buffered(below)
    H.raises("broken", stream.receive_some, stream, 5)
    assert.equal(5, given)
    H.raises("broken", stream.receive_exactly, stream, 5)
    H.raises("broken", stream.receive_until, stream, "x", 5)
    assert.equal(below, stream.stream)
  end)

  H.trio_it("is iterated, and closes the stream below", function()
    local below = pieces {"a", "b"}
    do
      local stream <close> = Buffered(below)
      assert.equal("ab", N.read_all(stream))
    end
    assert.equal(1, below.closed)
    local stream = Buffered(pieces {"abc"})
    stream:receive_exactly(1)
    N.is_cancelled(stream.aclose, stream)
    assert.equal("", stream.buffered)
    assert.equal(1, stream.stream.closed)
    assert.is_true(trio.abc.implements(stream, "ReceiveStream"))
  end)

  N.it("works over a real stream", function()
    local a, b = N.stream_pair()
    trio.open_nursery(function(nursery)
      local stream = Buffered(b)
      local reader = N.start(nursery, stream.receive_until, stream, "\n", 100)
      a:send_all("one li")
      wait_all_tasks_blocked()
      assert.is_false(reader.done)
      a:send_all("ne\nmore")
      wait_all_tasks_blocked()
      assert.equal("one line", reader.value)
      assert.equal("more", stream.buffered)
      stream:aclose()
    end)
    a:aclose()
  end)

  H.trio_it("checks its arguments", function()
    local stream = Buffered(pieces {})
    P.usage("stream to receive from expected, got number", "(...)(1)", Buffered)
    P.usage("stream to receive from expected, got table", "(...)({})", Buffered)
    P.usage("bad argument #1 to 'receive_exactly' %(must be at least 0%)",
      "(...):receive_exactly(-1)", stream)
    P.usage("bad argument #1 to 'receive_until' %(the delimiter is empty%)",
      "(...):receive_until('', 1)", stream)
    P.usage("bad argument #2 to 'receive_until' %(number expected, got nil%)",
      "(...):receive_until('x')", stream)
    P.usage("bad argument #1 to 'lines'", "(...):lines('x')", stream)
    P.usage("bad argument #1 to 'receive_some' %(must be at least 1%)",
      "(...):receive_some(0)", stream)
    P.refuses_writing(stream, "trio.BufferedReceiveStream",
      {"buffered", "stream", "lines"})
    assert.matches("^<trio.BufferedReceiveStream 0x%x+ of table: .*, 0 bytes>$",
      tostring(stream))
  end)
end)
