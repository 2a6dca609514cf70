-- SPDX-License-Identifier: MIT
-- SocketStream over sockets that come from a factory: used by their methods.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

-- A socket that passes everything on to a real one.
local Proxy = {}
Proxy.__index = function(self, key)
  local value = self.real[key]
  if type(value) ~= "function" then return value end
  return function(_, ...) return value(self.real, ...) end
end

local function proxy(real)
  return setmetatable({real = real}, Proxy)
end

local function proxy_pair()
  local a, b = N.pair()
  return trio.SocketStream(proxy(a)), trio.SocketStream(proxy(b))
end

local function clogged_pair()
  local a, b = proxy_pair()
  N.clog(a)
  N.clog(b)
  return a, b
end

-- A socket with just these members.
local function fake(members)
  members.type = socket.SOCK_STREAM
  return members
end

describe("a SocketStream over a foreign socket", function()
  N.it("SOCK-23 keeps the rules of half-closeable streams", function()
    trio.testing.check_half_closeable_stream(proxy_pair, clogged_pair)
  end)

  N.it("sends all, in as many parts as it takes", function()
    local sent = {}
    local stream = trio.SocketStream(fake {send = function(_, data)
      trio.lowlevel.checkpoint()
      sent[#sent + 1] = data
      return math.min(#data, 3)
    end})
    stream:send_all("12345678")
    stream:send_all({"a", "b"})
    assert.same({"12345678", "45678", "78", "ab"}, sent)
    P.is_checkpoint(stream.send_all, stream, "")
  end)

  N.it("wraps errors of the system, and no others", function()
    local err
    local stream = trio.SocketStream(fake {
      send = function() error(err, 0) end, recv = function() error(err, 0) end,
      wait_writable = function() error(err, 0) end,
      shutdown = function() error(err, 0) end,
    })
    local function each(check)
      for _, method in ipairs {"send_all", "receive_some", "send_eof",
        "wait_send_all_might_not_block"} do
        local argument = method == "send_all" and "x" or nil
        check(stream[method], stream, argument)
      end
    end
    err = trio.OSError("odd", {code = "EIO"})
    each(function(...)
      local raised = H.raises_class(trio.BrokenResourceError, ...)
      assert.equal(err, raised.cause)
    end)
    for _, fields in ipairs {{code = "EBADF"}, {errno = 9}, {errno = 88}} do
      err = trio.OSError("closed", fields)
      each(function(...) H.raises_class(trio.ClosedResourceError, ...) end)
    end
    err = trio.ClosedResourceError("here")
    each(function(...)
      assert.equal(err, H.raises_class(trio.ClosedResourceError, ...))
    end)
    err = "a string"
    each(function(...) assert.equal(err, H.raises("a string", ...)) end)
  end)

  N.it("takes nil and the empty string as the end", function()
    for _, ending in ipairs {"", false} do
      local stream = trio.SocketStream(fake {recv = function(_, size)
        assert.equal(65536, size)
        return ending or nil
      end})
      assert.is_nil(stream:receive_some())
    end
  end)

  N.it("SOCK-21 sets options where they are known", function()
    local options = {}
    local sock = fake {
      setsockopt = function(_, level, option, value)
        options[option] = value
        if option == socket.TCP_NODELAY then error(trio.OSError("no"), 0) end
        return level
      end,
      getsockopt = function() return 42 end,
    }
    local stream = trio.SocketStream(sock)
    assert.equal(1, options[socket.TCP_NODELAY])
    assert.equal(16384, options[socket.TCP_NOTSENT_LOWAT])
    assert.equal(5, stream:setsockopt(5, 6, 7))
    assert.equal(7, options[6])
    assert.equal(42, stream:getsockopt(1, 2))
    assert.equal(sock, stream.socket)
    P.refuses_writing(stream, "trio.SocketStream", {"socket", "send_all"})
    assert.matches("^<trio.SocketStream 0x%x+ of table: ", tostring(stream))
  end)

  N.it("SOCK-21 refuses what is no stream socket", function()
    P.usage("bad argument #1 to 'SocketStream' %(a stream socket",
      "local trio, x = ... trio.SocketStream(x)", trio,
      {type = socket.SOCK_DGRAM})
  end)

  N.it("closes its socket", function()
    local closed = 0
    local function new()
      return trio.SocketStream(fake {
        close = function() closed = closed + 1 end,
      })
    end
    local stream = new()
    P.is_checkpoint(stream.aclose, stream)
    N.is_cancelled(stream.aclose, stream)
    stream:close()
    do
      local _ <close> = new()
    end
    assert.equal(4, closed)
    assert.is_true(trio.abc.implements(stream, "HalfCloseableStream"))
  end)

  N.it("is closed by who reads when another task reads on", function()
    local a, b = proxy_pair()
    trio.open_nursery(function(nursery)
      local reader = N.start(nursery, a.receive_some, a)
      a:aclose()
      wait_all_tasks_blocked()
      assert.is_true(trio.isinstance(reader.err, trio.ClosedResourceError))
    end)
    b:aclose()
  end)
end)
