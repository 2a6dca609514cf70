-- SPDX-License-Identifier: MIT
-- Socket objects: making them, and what they do without waiting.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local cli = require "spec.support.cli"
local trio = require "trio"
local socket = trio.socket

local METHODS = {
  "accept", "bind", "close", "connect", "detach", "dup", "fileno",
  "getpeername", "getsockname", "getsockopt", "is_readable", "listen", "recv",
  "recvfrom", "recvmsg", "send", "sendmsg", "sendto", "setsockopt", "shutdown",
  "wait_writable",
}

describe("trio.socket.socket", function()
  N.it("makes a TCP socket unless told otherwise", function()
    local sock <close> = socket.socket()
    assert.equal(socket.AF_INET, sock.family)
    assert.equal(socket.SOCK_STREAM, sock.type)
    assert.equal(0, sock.proto)
    local udp <close> = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    assert.equal(socket.AF_INET6, udp.family)
    assert.equal(socket.SOCK_DGRAM, udp.type)
  end)

  N.it("is closed on exec and doesn't block", function()
    local sock <close> = socket.socket()
    assert.is_true(trio.testing._flags(sock:fileno()) ~= 0)
  end)

  N.it("finds out what a descriptor is, and owns it", function()
    for _, kind in ipairs {socket.SOCK_STREAM, socket.SOCK_DGRAM} do
      for _, family in ipairs {socket.AF_INET, socket.AF_INET6} do
        local fd = socket.socket(family, kind):detach()
        local again = socket.socket(nil, nil, nil, fd)
        assert.equal(family, again.family)
        assert.equal(kind, again.type)
        assert.equal(fd, again:fileno())
        local copy = socket.fromfd(fd)
        assert.equal(family, copy.family)
        assert.equal(kind, copy.type)
        assert.is_true(copy:fileno() ~= fd)
        copy:close()
        assert.equal(fd, again:fileno())
        again:close()
      end
    end
  end)

  N.it("knows the protocol of a descriptor", function()
    local fd = socket.socket(socket.AF_INET, socket.SOCK_STREAM):detach()
    local sock <close> = socket.socket(nil, nil, nil, fd)
    assert.equal(socket.IPPROTO_TCP, sock.proto)
  end)

  N.it("raises OSError for what the system doesn't have", function()
    local err = H.raises_class(trio.OSError, socket.socket, 12345)
    assert.equal("EAFNOSUPPORT", err.code)
    assert.equal("socket", err.syscall)
    local r, w = trio.testing._pipe()
    for _, make in ipairs {
      function() return socket.socket(nil, nil, nil, r) end,
      function() return socket.fromfd(r) end,
    } do
      err = H.raises_class(trio.OSError, make)
      assert.equal("ENOTSOCK", err.code)
    end
    trio.testing._close(r)
    trio.testing._close(w)
    assert.equal("EBADF",
      H.raises_class(trio.OSError, socket.fromfd, r).code)
  end)

  it("checks its arguments", function()
    for place = 1, 4 do
      local before = ("nil, "):rep(place - 1)
      P.usage("bad argument #" .. place ..
        " to 'socket' %(number expected, got string%)",
        "local s = ... s.socket(" .. before .. "'x')", socket)
    end
    P.usage("bad argument #1 to 'fromfd'", "(...).fromfd('x')", socket)
    P.usage("bad argument #1 to 'fromfd' %(out of range%)",
      "(...).fromfd(-1)", socket)
  end)
end)

describe("trio.socket.socketpair", function()
  N.it("makes two connected sockets", function()
    local a, b = socket.socketpair()
    assert.equal(socket.AF_UNIX, a.family)
    trio.open_nursery(function(nursery)
      for _, sock in ipairs {a, b} do
        nursery:start_soon(function()
          assert.equal(1, sock:send("h"))
          assert.equal("h", sock:recv(1))
        end)
      end
    end)
    N.close(a, b)
  end)

  N.it("raises OSError for other families", function()
    local err = H.raises_class(trio.OSError, socket.socketpair, socket.AF_INET)
    assert.equal("EOPNOTSUPP", err.code)
  end)
end)

describe("a socket", function()
  N.it("refuses other objects as self", function()
    local sock <close> = socket.socket()
    for _, method in ipairs(METHODS) do
      for _, wrong in ipairs {{}, 1, "x", io.stdout, trio.Event()} do
        local ok, err = pcall(sock[method], wrong)
        assert.is_false(ok)
        assert.is_string(err)
        assert.matches("trio%.socket expected, got ", err)
        assert.matches("'" .. method .. "'", H.raises("expected, got",
          assert(load("local m, x = ... m." .. method .. "(x)")), sock, wrong))
      end
    end
  end)

  N.it("has no fields to write", function()
    local sock <close> = socket.socket()
    P.refuses_writing(sock, "trio.socket",
      {"family", "type", "proto", "did_shutdown_SHUT_WR"})
  end)

  N.it("SOCK-11 has the descriptor -1 once closed or detached", function()
    local sock = socket.socket()
    assert.is_true(sock:fileno() >= 0)
    P.is_no_checkpoint(sock.close, sock)
    assert.equal(-1, sock:fileno())
    sock:close()
    sock = socket.socket()
    local fd = sock:fileno()
    assert.equal(fd, sock:detach())
    assert.equal(-1, sock:fileno())
    H.raises_class(trio.ClosedResourceError, sock.detach, sock)
    trio.testing._close(fd)
  end)

  N.it("SOCK-11 closes at the end of its block", function()
    local outer
    do
      local sock <close> = socket.socket()
      outer = sock
    end
    assert.equal(-1, outer:fileno())
  end)

  N.it("SOCK-11 has a dup that lives on", function()
    local a, b = N.pair()
    local a2 = a:dup()
    assert.is_true(a2:fileno() ~= a:fileno())
    assert.equal(a.family, a2.family)
    a:close()
    a2:send("x")
    assert.equal("x", b:recv(1))
    N.close(a2, b)
  end)

  N.it("SOCK-11 knows whether it can still send", function()
    local a, b = N.pair()
    a:send("x")
    assert.equal("x", b:recv(1))
    assert.is_false(a.did_shutdown_SHUT_WR)
    a:shutdown(socket.SHUT_WR)
    assert.is_true(a.did_shutdown_SHUT_WR)
    assert.is_false(b.did_shutdown_SHUT_WR)
    assert.is_nil(b:recv(1))
    b:send("y")
    assert.equal("y", a:recv(1))
    a:shutdown(socket.SHUT_RD)
    N.close(a, b)
    a, b = N.pair()
    a:shutdown(socket.SHUT_RD)
    assert.is_false(a.did_shutdown_SHUT_WR)
    N.close(a, b)
    a, b = N.pair()
    a:shutdown(socket.SHUT_RDWR)
    assert.is_true(a.did_shutdown_SHUT_WR)
    N.close(a, b)
  end)

  N.it("raises OSError where shutdown fails", function()
    local sock <close> = socket.socket()
    local err = H.raises_class(trio.OSError, sock.shutdown, sock,
      socket.SHUT_WR)
    assert.equal("ENOTCONN", err.code)
    assert.is_false(sock.did_shutdown_SHUT_WR)
  end)

  N.it("raises ClosedResourceError once it is closed", function()
    local sock = socket.socket()
    sock:close()
    local arguments = {
      bind = {{"127.0.0.1", 0}}, connect = {{"127.0.0.1", 0}}, recv = {1},
      recvfrom = {1}, recvmsg = {1}, send = {"x"}, sendmsg = {"x"},
      sendto = {"x", {"127.0.0.1", 1}}, getsockopt = {1, 2},
      setsockopt = {1, 2, 3}, shutdown = {1},
    }
    for _, method in ipairs(METHODS) do
      if method ~= "close" and method ~= "fileno" then
        H.raises_class(trio.ClosedResourceError, sock[method], sock,
          table.unpack(arguments[method] or {}))
      end
    end
  end)

  N.it("has options", function()
    local sock <close> = socket.socket()
    local TCP, NODELAY = socket.IPPROTO_TCP, socket.TCP_NODELAY
    for _, value in ipairs {1, 0} do
      sock:setsockopt(TCP, NODELAY, value)
      assert.equal(value, sock:getsockopt(TCP, NODELAY))
      sock:setsockopt(TCP, NODELAY, value == 1)
      assert.equal(value, sock:getsockopt(TCP, NODELAY))
    end
    local linger = string.pack("i4i4", 1, 7)
    sock:setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert.equal(linger, sock:getsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
      #linger))
    local err = H.raises_class(trio.OSError, sock.setsockopt, sock, TCP, 9999,
      1)
    assert.equal("ENOPROTOOPT", err.code)
    H.raises_class(trio.OSError, sock.getsockopt, sock, TCP, 9999)
    P.usage("bad argument #3 to 'setsockopt' %(number expected, got no value%)",
      "(...):setsockopt(1, 2)", sock)
    P.usage("bad argument #3 to 'getsockopt' %(out of range%)",
      "(...):getsockopt(1, 2, 10000)", sock)
  end)

  N.it("says whether a read would wait", function()
    local a, b = N.pair()
    assert.is_false(a:is_readable())
    b:send("x")
    trio.lowlevel.wait_readable(a)
    assert.is_true(a:is_readable())
    assert.equal("x", a:recv(1))
    assert.is_false(a:is_readable())
    N.close(a, b)
  end)

  N.it("shows its addresses", function()
    local listener <close> = socket.socket()
    listener:bind({"127.0.0.1", 0})
    listener:listen(1)
    local port = listener:getsockname()[2]
    assert.matches("^<trio.socket 0x%x+ fd %d+, 127.0.0.1:" .. port .. ">$",
      tostring(listener))
    local client = socket.socket()
    client:connect(listener:getsockname())
    assert.matches(" to 127.0.0.1:" .. port .. ">$", tostring(client))
    client:close()
    assert.matches("^<trio.socket 0x%x+ closed>$", tostring(client))
    local a, b = N.pair()
    assert.matches("^<trio.socket 0x%x+ fd %d+>$", tostring(a))
    N.close(a, b)
  end)
end)

describe("a socket that nobody closes", function()
  local function warnings(script)
    local result = cli.run("PROG -W s.lua", {files = {["s.lua"] = script}})
    assert.equal(0, result.status, result.err)
    return result.err
  end

  it("is closed when it is collected, and reported with its line", function()
    assert.matches("^Lua warning: s.lua:3: a stream socket was never closed",
      warnings([[
local trio = require "trio"
trio.run(function()
  local sock = trio.socket.socket()
  sock = nil
  collectgarbage()
  print "still running"
end)]]))
  end)

  it("is closed at the end of the run, and reported", function()
    local text = warnings([[
local trio = require "trio"
trio.run(function()
  a, b = trio.socket.socketpair()
  c = a:dup()
  d = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
  c:close()
end)
assert(a:fileno() == -1 and d:fileno() == -1)]])
    local _, count = text:gsub("Lua warning: s.lua:3: a stream socket was", "")
    assert.equal(2, count)
    assert.matches("s.lua:5: a datagram socket was never closed", text)
    assert.is_nil(text:find("s.lua:4:", 1, true))
  end)

  it("is reported with the line that called the library", function()
    local text = warnings([[
local trio = require "trio"
trio.run(function()
  l = trio.open_tcp_listeners(0, {host = "127.0.0.1"})[1]
  s = trio.testing.open_stream_to_socket_listener(l)
  t = trio.open_tcp_stream("127.0.0.1", l.socket:getsockname()[2])
  u = l:accept()
  v = l.socket:accept()
end)]])
    for line = 3, 7 do
      assert.matches("s.lua:" .. line .. ": a stream socket", text)
    end
  end)

  it("is closed before the program's end without a run", function()
    assert.matches("s.lua:1: a stream socket was never closed", warnings(
      "a = require 'trio'.socket.socketpair()"))
  end)
end)

describe("a resource's owner", function()
  N.it("PIPE-02 doesn't close a number that is used again", function()
    local old = socket.socket()
    local fd = old:fileno()
    old:close()
    local new = socket.socket()
    assert.equal(fd, new:fileno())
    old:close()
    old = nil  -- luacheck: ignore
    collectgarbage()
    assert.equal(fd, new:fileno())
    assert.equal(socket.SOCK_STREAM, new:getsockopt(socket.SOL_SOCKET,
      socket.SO_TYPE))
    new:close()
  end)
end)
