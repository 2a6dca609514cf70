-- SPDX-License-Identifier: MIT
-- SocketStream over the library's own sockets. FdStream: fd_stream_spec.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local function clogged(maker)
  return function()
    local a, b = maker()
    N.clog(a)
    N.clog(b)
    return a, b
  end
end

local pairs_of = {
  ["a Unix pair"] = N.stream_pair, ["a TCP connection"] = N.tcp_stream_pair,
}

for what, maker in pairs(pairs_of) do
  describe("a SocketStream over " .. what, function()
    N.it("SOCK-23 keeps the rules of half-closeable streams", function()
      trio.testing.check_half_closeable_stream(maker, nil)
    end)

    N.it("SOCK-23 keeps them when it is clogged", function()
      trio.testing.check_half_closeable_stream(maker, clogged(maker))
    end)

    N.it("STREAM-01 gives what was sent, in other pieces", function()
      local a, b = maker()
      a:send_all("123")
      a:send_all("456")
      wait_all_tasks_blocked()
      assert.equal("1234", b:receive_some(4))
      assert.equal("56", b:receive_some())
      N.close(a.socket, b.socket)
    end)

    N.it("STREAM-02 send_eof ends one direction", function()
      local a, b = maker()
      a:send_all("x")
      P.is_checkpoint(a.send_eof, a)
      assert.equal("x", b:receive_some())
      for _ = 1, 3 do assert.is_nil(b:receive_some()) end
      H.raises_class(trio.ClosedResourceError, a.send_all, a, "y")
      b:send_all("back")
      assert.equal("back", a:receive_some())
      N.close(a.socket, b.socket)
    end)

    N.it("STREAM-03 refuses a second receiver", function()
      local a, b = maker()
      trio.open_nursery(function(nursery)
        local first = N.start(nursery, a.receive_some, a)
        H.raises_class(trio.BusyResourceError, a.receive_some, a)
        b:send_all("x")
        wait_all_tasks_blocked()
        assert.equal("x", first.value)
      end)
      N.close(a.socket, b.socket)
    end)

    N.it("STREAM-04 refuses a second sender", function()
      local a, b = maker()
      N.clog(a)
      trio.open_nursery(function(nursery)
        N.start(nursery, a.send_all, a, "x")
        H.raises_class(trio.BusyResourceError, a.send_all, a, "y")
        H.raises_class(trio.BusyResourceError, a.send_all, a, "")
        H.raises_class(trio.BusyResourceError,
          a.wait_send_all_might_not_block, a)
        H.raises_class(trio.BusyResourceError, a.send_eof, a)
        nursery.cancel_scope:cancel()
      end)
      trio.open_nursery(function(nursery)
        N.start(nursery, a.wait_send_all_might_not_block, a)
        H.raises_class(trio.BusyResourceError, a.send_all, a, "y")
        H.raises_class(trio.BusyResourceError, a.send_eof, a)
        nursery.cancel_scope:cancel()
      end)
      N.drain(b.socket)
      a:send_all("again")
      assert.equal("again", b:receive_some())
      N.close(a.socket, b.socket)
    end)

    N.it("STREAM-05 breaks when the receiver closes, and stays so", function()
      local a, b = maker()
      b:aclose()
      local err = H.raises_class(trio.BrokenResourceError, function()
        for _ = 1, 100 do a:send_all(("x"):rep(100000)) end
      end)
      assert.is_true(trio.isinstance(err.cause, trio.OSError))
      H.raises_class(trio.BrokenResourceError, a.send_all, a, "x")
      a:aclose()
    end)

    N.it("STREAM-06 closes though it is cancelled", function()
      local a, b = maker()
      N.is_cancelled(a.aclose, a)
      assert.equal(-1, a.socket:fileno())
      H.raises_class(trio.ClosedResourceError, a.send_all, a, "x")
      H.raises_class(trio.ClosedResourceError, a.receive_some, a)
      trio.aclose_forcefully(b)
      assert.equal(-1, b.socket:fileno())
    end)

    N.it("STREAM-07 wakes whoever waits when it is closed", function()
      for _, method in ipairs {
        "receive_some", "send_all", "wait_send_all_might_not_block",
      } do
        local a, b = maker()
        N.clog(a)
        trio.open_nursery(function(nursery)
          local wait = N.start(nursery, a[method], a,
            method == "send_all" and "x" or nil)
          assert.is_false(wait.done)
          a:aclose()
          wait_all_tasks_blocked()
          assert.is_true(trio.isinstance(wait.err, trio.ClosedResourceError))
        end)
        b:aclose()
      end
    end)

    N.it("STREAM-08 sends nothing at a checkpoint", function()
      local a, b = maker()
      P.is_checkpoint(a.send_all, a, "")
      a:send_all("x")
      assert.equal("x", b:receive_some())
      a:aclose()
      H.raises_class(trio.ClosedResourceError, a.send_all, a, "")
      b:aclose()
    end)

    N.it("STREAM-09 checks max_bytes", function()
      local a, b = maker()
      for _, wrong in ipairs {0, -1} do
        P.usage("bad argument #1 to 'receive_some' %(must be positive%)",
          "local a, x = ... a:receive_some(x)", a, wrong)
      end
      P.usage("bad argument #1 to 'receive_some' %(number has no integer",
        "(...):receive_some(1.5)", a)
      P.usage("bad argument #1 to 'receive_some' %(number expected",
        "(...):receive_some('x')", a)
      b:send_all("xyz")
      assert.equal("xyz", a:receive_some(nil))
      N.close(a.socket, b.socket)
    end)

    N.it("STREAM-10 may be closed again and again", function()
      local a, b = maker()
      for _ = 1, 3 do P.is_checkpoint(a.aclose, a) end
      b:aclose()
    end)

    N.it("STREAM-11 delivers what was sent before the close", function()
      local a, b = maker()
      a:send_all("first")
      a:aclose()
      assert.equal("first", b:receive_some())
      assert.is_nil(b:receive_some())
      b:aclose()
    end)

    N.it("STREAM-12 works on after operations were cancelled", function()
      local a, b = maker()
      N.is_cancelled(a.send_all, a, "never")
      N.is_cancelled(a.receive_some, a)
      N.is_cancelled(a.wait_send_all_might_not_block, a)
      trio.open_nursery(function(nursery)
        N.start(nursery, a.receive_some, a)
        nursery.cancel_scope:cancel()
      end)
      a:send_all("x")
      assert.equal("x", b:receive_some())
      N.close(a.socket, b.socket)
    end)

    N.it("STREAM-13 waiting to send wakes in time", function()
      local a, b = maker()
      P.is_checkpoint(a.wait_send_all_might_not_block, a)
      N.clog(a)
      trio.open_nursery(function(nursery)
        local wait = N.start(nursery, a.wait_send_all_might_not_block, a)
        assert.is_false(wait.done)
        N.drain(b.socket)
        wait_all_tasks_blocked()
        assert.is_true(wait.done)
      end)
      N.clog(a)
      trio.open_nursery(function(nursery)
        local wait = N.start(nursery, a.wait_send_all_might_not_block, a)
        b:aclose()
        wait_all_tasks_blocked()
        assert.is_true(wait.done)
      end)
      a:aclose()
      H.raises_class(trio.ClosedResourceError,
        a.wait_send_all_might_not_block, a)
    end)

    N.it("STREAM-14 carries a megabyte both ways", function()
      local a, b = maker()
      local data = {}
      for i = 1, 16384 do data[i] = string.pack("I4", i * 2654435761 % 2^32) end
      data = table.concat(data):rep(16)
      local seed = 1

      local function random(limit)  -- the same on every machine
        seed = seed * 1103515245 + 12345 & 0x7fffffff
        return 1 + seed % limit
      end

      local function sender(stream)
        local sent = 0
        while sent < #data do
          local part = data:sub(sent + 1, sent + random(100000))
          stream:send_all(part)
          sent = sent + #part
        end
        stream:send_eof()
      end

      local function receiver(stream)
        local parts = {}
        while true do
          local part = stream:receive_some(random(100000))
          if not part then break end
          parts[#parts + 1] = part
        end
        assert.is_true(table.concat(parts) == data)
      end

      trio.open_nursery(function(nursery)
        for _, stream in ipairs {a, b} do
          nursery:start_soon(sender, stream)
          nursery:start_soon(receiver, stream)
        end
      end)
      N.close(a.socket, b.socket)
    end)

    N.it("SOCK-18 tells its own close from its peer's", function()
      local a, b = maker()
      b:aclose()
      assert.is_nil(a:receive_some())
      assert.is_nil(a:receive_some())
      H.raises_class(trio.BrokenResourceError, function()
        a:send_all("x")
        a:send_all("x")
      end)
      a:aclose()
      H.raises_class(trio.ClosedResourceError, a.send_all, a, "")
      H.raises_class(trio.ClosedResourceError, a.receive_some, a)
      H.raises_class(trio.ClosedResourceError, a.send_eof, a)
    end)

    N.it("SOCK-19 takes a second send_eof", function()
      local a, b = maker()
      a:send_eof()
      P.is_checkpoint(a.send_eof, a)
      H.raises_class(trio.ClosedResourceError, a.send_all, a, "x")
      a:wait_send_all_might_not_block()
      b:send_all("x")
      assert.equal("x", a:receive_some())
      N.close(a.socket, b.socket)
    end)

    N.it("SOCK-20 sends ten megabytes to a slow reader", function()
      local TOTAL = 10000000
      local a, b = maker()
      local received = 0
      trio.open_nursery(function(nursery)
        local sender = N.start(nursery, a.send_all, a, ("x"):rep(TOTAL))
        assert.is_false(sender.done)
        while received < TOTAL do
          trio.sleep(0.001)
          received = received + #b:receive_some()
        end
      end)
      assert.equal(TOTAL, received)
      a:send_all("e")
      assert.equal("e", b:receive_some(10))
      a:send_eof()
      assert.is_nil(b:receive_some(10))
      N.close(a.socket, b.socket)
    end)

    N.it("SOCK-22 has what was sent before it was made", function()
      local a, b = maker()
      b:send_all("x")
      b:aclose()
      local again = trio.SocketStream(a.socket)
      assert.equal("x", again:receive_some(1))
      assert.is_nil(again:receive_some(1))
      again:aclose()
    end)

    N.it("is iterated, and closes at the end of its block", function()
      local a, b = maker()
      do
        local sender <close> = a
        sender:send_all("one")
        wait_all_tasks_blocked()
      end
      assert.equal("one", N.read_all(b))
      assert.equal(-1, a.socket:fileno())
      b:aclose()
    end)

    N.it("sends several strings as one", function()
      local a, b = maker()
      a:send_all({"a", "", "bc"})
      a:send_all({})
      a:send_eof()
      assert.equal("abc", N.read_all(b))
      P.usage("an array of strings expected", "(...):send_all({1})", b)
      P.usage("string expected, got number", "(...):send_all(1)", b)
      P.usage("string expected, got nil", "(...):send_all()", b)
      N.close(a.socket, b.socket)
    end)
  end)
end

describe("a cancelled send_all", function()
  N.it("has sent a part from the beginning", function()
    local a, b = N.stream_pair()
    local data = {}
    for i = 1, 200000 do data[i] = ("%07d\n"):format(i) end
    data = table.concat(data)
    trio.open_nursery(function(nursery)
      N.start(nursery, a.send_all, a, data)
      nursery.cancel_scope:cancel()
    end)
    a:aclose()
    local received = N.read_all(b)
    assert.is_true(#received > 0 and #received < #data)
    assert.is_true(data:sub(1, #received) == received)
    b:aclose()
  end)
end)

describe("a cancelled receive_some", function()
  N.it("has taken nothing, whenever the data came", function()
    local a, b = N.stream_pair()
    local received = {}
    for i = 1, 60 do
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          received[#received + 1] = b:receive_some()
        end)
        wait_all_tasks_blocked()
        -- Data, and a cancellation that comes before, with or after it.
        if i % 3 == 0 then nursery.cancel_scope:cancel() end
        trio.CancelScope({shield = true}):run(function()
          a:send_all(("%03d "):format(i))
          if i % 3 == 1 then nursery.cancel_scope:cancel() end
          if i % 2 == 1 then wait_all_tasks_blocked() end
        end)
        nursery.cancel_scope:cancel()
      end)
    end
    a:aclose()
    received[#received + 1] = N.read_all(b)
    local expected = {}
    for i = 1, 60 do expected[i] = ("%03d "):format(i) end
    assert.equal(table.concat(expected), table.concat(received))
    b:aclose()
  end)
end)

describe("trio.SocketStream", function()
  N.it("SOCK-21 has TCP_NODELAY on", function()
    local a, b = N.tcp_stream_pair()
    local TCP, NODELAY = socket.IPPROTO_TCP, socket.TCP_NODELAY
    assert.equal(1, a:getsockopt(TCP, NODELAY))
    assert.equal(16384, a:getsockopt(TCP, socket.TCP_NOTSENT_LOWAT))
    a:setsockopt(TCP, NODELAY, 0)
    assert.equal(0, a:getsockopt(TCP, NODELAY))
    assert.equal(string.pack("i4", 0), a:getsockopt(TCP, NODELAY, 4))
    P.usage("bad argument #3 to 'setsockopt'", "(...):setsockopt(1, 2)", a)
    N.close(a.socket, b.socket)
  end)

  N.it("SOCK-21 refuses what is no stream socket", function()
    local udp <close> = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    P.usage("bad argument #1 to 'SocketStream' %(a stream socket",
      "local trio, x = ... trio.SocketStream(x)", trio, udp)
    for _, wrong in ipairs {1, "x", {}, io.stdout, trio.Event()} do
      P.usage("bad argument #1 to 'SocketStream' %(socket expected, got ",
        "local trio, x = ... trio.SocketStream(x)", trio, wrong)
    end
  end)

  N.it("has its socket as a field, and no other", function()
    local a, b = N.stream_pair()
    assert.equal("trio.socket", getmetatable(a.socket))
    P.refuses_writing(a, "trio.SocketStream", {"socket", "send_all"})
    assert.matches("^<trio.SocketStream 0x%x+ fd %d+>$", tostring(a))
    N.close(a.socket, b.socket)
    assert.matches("^<trio.SocketStream 0x%x+ closed>$", tostring(a))
  end)

  N.it("implements the interface", function()
    local a, b = N.stream_pair()
    assert.is_true(trio.abc.implements(a, "HalfCloseableStream"))
    N.close(a.socket, b.socket)
  end)

  N.it("refuses other objects as self", function()
    local a, b = N.stream_pair()
    for _, method in ipairs {
      "send_all", "receive_some", "send_eof", "aclose", "setsockopt",
      "getsockopt", "wait_send_all_might_not_block",
    } do
      for _, wrong in ipairs {{}, 1, io.stdout, a.socket} do
        H.raises("trio%.SocketStream expected, got ",
          assert(load("local m, x = ... m." .. method .. "(x)")), a, wrong)
      end
    end
    N.close(a.socket, b.socket)
  end)

  N.it("may share its socket with the program", function()
    local a, b = N.stream_pair()
    N.clog(a)
    trio.open_nursery(function(nursery)
      N.start(nursery, a.socket.wait_writable, a.socket)
      H.raises_class(trio.BusyResourceError, a.send_all, a, "x")
      nursery.cancel_scope:cancel()
    end)
    N.drain(b.socket)
    a:send_all("y")
    assert.equal("y", b.socket:recv(10))
    N.close(a.socket, b.socket)
  end)
end)

describe("a StapledStream of two SocketStreams", function()
  local function stapled_pair()
    local a, b = N.stream_pair()
    local c, d = N.stream_pair()
    return trio.StapledStream(a, d), trio.StapledStream(c, b)
  end

  N.it("keeps the rules of half-closeable streams", function()
    trio.testing.check_half_closeable_stream(stapled_pair,
      clogged(stapled_pair))
  end)
end)
