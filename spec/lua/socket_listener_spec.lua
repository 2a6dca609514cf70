-- SPDX-License-Identifier: MIT
-- SocketListener, over real sockets and over some that fail.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local function listening_socket()
  local sock = socket.socket()
  sock:bind({"127.0.0.1", 0})
  sock:listen(10)
  return sock
end

-- A socket whose accepts give these, one after the other.
local function fake_listener(events)
  local place = 0
  return {
    type = socket.SOCK_STREAM,
    getsockopt = function() return true end,
    close = function() end,
    accept = function()
      trio.lowlevel.checkpoint()
      place = place + 1
      local event = events[place]
      if trio.isinstance(event, trio.Error) then error(event, 0) end
      return event, nil
    end,
  }
end

local function os_error(code, errno)
  return trio.OSError("[" .. code .. "]", {code = code, errno = errno})
end

describe("a SocketListener", function()
  N.it("accepts streams", function()
    local sock = listening_socket()
    local listener = trio.SocketListener(sock)
    assert.equal(sock, listener.socket)
    local client = socket.socket()
    client:connect(sock:getsockname())
    local server
    P.is_checkpoint(function() server = listener:accept() end)
    assert.same(sock:getsockname(), server.socket:getsockname())
    assert.same(client:getsockname(), server.socket:getpeername())
    assert.equal(1, server:getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    P.is_checkpoint(listener.aclose, listener)
    P.is_checkpoint(listener.aclose, listener)
    N.close(client, server.socket)
  end)

  N.it("gives every stream the options of a SocketStream", function()
    local listener <close> = trio.SocketListener(listening_socket())
    for round = 1, 5 do
      local client <close> = socket.socket()
      client:connect(listener.socket:getsockname())
      local server <close> = listener:accept()
      local function option(name)
        return server:getsockopt(socket.IPPROTO_TCP, socket[name])
      end
      assert.equal(1, option("TCP_NODELAY"))
      assert.equal(16384, option("TCP_NOTSENT_LOWAT"))
      -- What the program does to the listening socket doesn't matter.
      if round == 3 then
        listener.socket:setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        listener.socket:setsockopt(socket.IPPROTO_TCP,
          socket.TCP_NOTSENT_LOWAT, 1000)
      end
    end
  end)

  N.it("LISTEN-08 raises ClosedResourceError once it is closed", function()
    local listener = trio.SocketListener(listening_socket())
    listener:aclose()
    H.raises_class(trio.ClosedResourceError, listener.accept, listener)
    local sock = listening_socket()
    listener = trio.SocketListener(sock)
    sock:close()
    H.raises_class(trio.ClosedResourceError, listener.accept, listener)
  end)

  N.it("LISTEN-08 does so when it is closed during an accept", function()
    local listener = trio.SocketListener(listening_socket())
    trio.open_nursery(function(nursery)
      local accept = N.start(nursery, listener.accept, listener)
      listener:close()
      wait_all_tasks_blocked()
      assert.is_true(trio.isinstance(accept.err, trio.ClosedResourceError))
    end)
  end)

  N.it("LISTEN-08 does so for a foreign socket with EBADF", function()
    for _, err in ipairs {os_error("EBADF", 9), os_error("ENOTSOCK", 88),
      trio.OSError("x", {errno = 9})} do
      local listener = trio.SocketListener(fake_listener {err})
      H.raises_class(trio.ClosedResourceError, listener.accept, listener)
    end
  end)

  N.it("LISTEN-07 goes on after what concerns one connection", function()
    local connection = {type = socket.SOCK_STREAM}
    local listener = trio.SocketListener(fake_listener {
      os_error("ECONNABORTED", 103), os_error("EPERM", 1),
      trio.OSError("protocol", {errno = 71}), connection,
      os_error("EMFILE", 24), os_error("EFAULT", 14), os_error("ENOBUFS", 105),
      connection,
    })
    P.is_checkpoint(function()
      assert.equal(connection, listener:accept().socket)
    end)
    for _, code in ipairs {"EMFILE", "EFAULT", "ENOBUFS"} do
      P.is_checkpoint(function()
        local err = H.raises_class(trio.OSError, listener.accept, listener)
        assert.equal(code, err.code)
      end)
    end
    assert.equal(connection, listener:accept().socket)
  end)

  N.it("closes a connection that is no stream", function()
    local closed = false
    local listener = trio.SocketListener(fake_listener {{
      type = socket.SOCK_STREAM, close = function() closed = true end,
      setsockopt = function() error("odd", 0) end,
    }})
    assert.equal("odd", H.raises("odd", listener.accept, listener))
    assert.is_true(closed)
  end)

  N.it("loses no connection when it is cancelled", function()
    local listener = trio.SocketListener(listening_socket())
    local client = socket.socket()
    client:connect(listener.socket:getsockname())
    N.is_cancelled(listener.accept, listener)
    local server = listener:accept()
    N.close(client, server.socket, listener)
  end)

  N.it("refuses what doesn't listen", function()
    local plain <close> = socket.socket()
    P.usage("bad argument #1 to 'SocketListener' %(a listening socket expected",
      "local trio, x = ... trio.SocketListener(x)", trio, plain)
    local udp <close> = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    P.usage("bad argument #1 to 'SocketListener' %(a stream socket",
      "local trio, x = ... trio.SocketListener(x)", trio, udp)
    P.usage("bad argument #1 to 'SocketListener' %(socket expected, got nil",
      "local trio = ... trio.SocketListener()", trio)
  end)

  N.it("shows where it listens, and has no other fields", function()
    local listener <close> = trio.SocketListener(listening_socket())
    assert.matches("^<trio.SocketListener 0x%x+ of <trio.socket .*127.0.0.1:",
      tostring(listener))
    P.refuses_writing(listener, "trio.SocketListener", {"socket", "accept"})
    assert.is_true(trio.abc.implements(listener, "Listener"))
    H.raises("SocketListener expected, got table", listener.accept, {})
  end)
end)
