-- SPDX-License-Identifier: MIT
-- TCP streams and listeners on the real loopback device; and listeners on
-- sockets that are made up.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local open_tcp_listeners, open_tcp_stream =
  trio.open_tcp_listeners, trio.open_tcp_stream
local connect_to = trio.testing.open_stream_to_socket_listener

local LOOPBACK = {host = "127.0.0.1"}

local function close_all(listeners)
  for _, listener in ipairs(listeners) do listener:aclose() end
end

describe("open_tcp_stream", function()
  N.it("connects to a listener", function()
    local listener = open_tcp_listeners(0, LOOPBACK)[1]
    local port = listener.socket:getsockname()[2]
    local client
    P.is_checkpoint(function() client = open_tcp_stream("127.0.0.1", port) end)
    local server = listener:accept()
    client:send_all("x")
    assert.equal("x", server:receive_some())
    client:aclose()
    assert.is_nil(server:receive_some())
    N.close(server.socket, listener)
  end)

  N.it("EYEB-14 binds to a local address", function()
    local listener = open_tcp_listeners(0, LOOPBACK)[1]
    local port = listener.socket:getsockname()[2]
    local client = open_tcp_stream("127.0.0.1", port,
      {local_address = "127.0.0.2"})
    assert.equal("127.0.0.2", client.socket:getsockname()[1])
    if socket.IP_BIND_ADDRESS_NO_PORT then
      assert.is_true(client:getsockopt(socket.IPPROTO_IP,
        socket.IP_BIND_ADDRESS_NO_PORT) ~= 0)
    end
    local server, peer = listener.socket:accept()
    assert.equal("127.0.0.2", peer[1])
    N.close(server, client.socket)
    local err = H.raises_class(trio.OSError, open_tcp_stream, "127.0.0.1",
      port, {local_address = "::"})
    assert.truthy(err.message:find(
      ("all attempts to connect to 127.0.0.1:%d failed"):format(port), 1, true))
    client = open_tcp_stream("127.0.0.1", port, {local_address = "0.0.0.0"})
    client:aclose()
    listener:aclose()
  end)

  N.it("says why nothing worked", function()
    local listener = open_tcp_listeners(0, LOOPBACK)[1]
    local port = listener.socket:getsockname()[2]
    listener:aclose()
    local err = H.raises_class(trio.OSError, open_tcp_stream, "127.0.0.1",
      port)
    assert.equal("ECONNREFUSED", err.code)
    assert.equal("connect", err.syscall)
    assert.truthy(tostring(err):find("[ECONNREFUSED] all attempts", 1, true))
    assert.equal("ECONNREFUSED", err.cause.exceptions[1].code)
    err = H.raises_class(trio.OSError, open_tcp_stream, "::1", port)
    assert.truthy(tostring(err):find(("[::1]:%d"):format(port), 1, true))
  end)
end)

describe("open_tcp_listeners", function()
  N.it("LISTEN-01 listens on every address, at any free port", function()
    local listeners
    P.is_checkpoint(function() listeners = open_tcp_listeners(0) end)
    assert.is_true(#listeners >= 1)
    for _, listener in ipairs(listeners) do
      local address = listener.socket:getsockname()
      assert.truthy(address[1] == "0.0.0.0" or address[1] == "::")
      assert.is_true(address[2] > 0)
    end
    -- Two clients wait in the queue.
    local listener = listeners[1]
    local c1, c2 = connect_to(listener), connect_to(listener)
    local s1, s2 = listener:accept(), listener:accept()
    s1:send_all("x")
    s2:send_all("x")
    assert.equal("x", c1:receive_some(1))
    assert.equal("x", c2:receive_some(1))
    N.close(c1.socket, c2.socket, s1.socket, s2.socket)
    close_all(listeners)
  end)

  N.it("LISTEN-01 listens on one host and port", function()
    local probe = socket.socket()
    probe:bind({"127.0.0.1", 0})
    local port = probe:getsockname()[2]
    probe:close()
    local listeners = open_tcp_listeners(port, LOOPBACK)
    assert.equal(1, #listeners)
    assert.same({"127.0.0.1", port}, listeners[1].socket:getsockname())
    close_all(listeners)
  end)

  N.ipv6_it("LISTEN-02 listens for one family only", function()
    local listener = open_tcp_listeners(0, {host = "::1"})[1]
    local all = open_tcp_listeners(0, {host = "::"})[1]
    for _, v6 in ipairs {listener, all} do
      local port = v6.socket:getsockname()[2]
      local err = H.raises_class(trio.OSError, open_tcp_stream, "127.0.0.1",
        port)
      assert.equal("ECONNREFUSED", err.code)
      local stream = open_tcp_stream("::1", port)
      stream:aclose()
    end
    N.close(listener, all)
  end)

  N.it("LISTEN-03 takes a port that was just in use", function()
    local l1 = open_tcp_listeners(0, LOOPBACK)[1]
    local address = l1.socket:getsockname()
    local err = H.raises_class(trio.OSError, open_tcp_listeners, address[2],
      LOOPBACK)
    assert.equal("EADDRINUSE", err.code)
    assert.truthy(err.message:find("127.0.0.1:" .. address[2], 1, true))
    local probe <close> = socket.socket()
    probe:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    assert.equal("EADDRINUSE",
      H.raises_class(trio.OSError, probe.bind, probe, address).code)

    local c1 = connect_to(l1)
    local s1 = l1:accept()      -- stays established
    local c2 = connect_to(l1)
    l1:accept():aclose()        -- waits for late packets
    l1:aclose()
    local l2 = open_tcp_listeners(address[2], LOOPBACK)[1]
    assert.same(address, l2.socket:getsockname())
    assert.same(address, s1.socket:getsockname())
    assert.same(address, c2.socket:getpeername())
    N.close(c1.socket, s1.socket, c2.socket, l2)
  end)
end)

-- ---- on sockets that are made up

local FakeSocket = {}
FakeSocket.__index = FakeSocket

function FakeSocket.getsockopt(_, level, option)
  assert.same({socket.SOL_SOCKET, socket.SO_ACCEPTCONN}, {level, option})
  return 1
end

function FakeSocket:setsockopt(...) self.options[#self.options + 1] = {...} end
function FakeSocket:bind(address) self.address = address end
function FakeSocket:close() self.closed = true end

function FakeSocket:listen(backlog)
  self.backlog = backlog
  if self.poisoned then error(trio.OSError("whoops")) end
end

-- Sockets that listen, the nth of which fails, and families that raise.
local function fake_sockets(poisoned, refused)
  local made = {}
  local factory = {}
  function factory.socket(_, family, kind, proto)
    if refused and refused[family] then error(refused[family], 0) end
    local sock = setmetatable({
      family = family, type = kind, proto = proto, options = {},
      poisoned = #made + 1 == poisoned,
    }, FakeSocket)
    made[#made + 1] = sock
    return sock
  end
  socket.set_custom_socket_factory(factory)
  return made
end

local function fake_names(...)
  local targets = {...}
  socket.set_custom_hostname_resolver({
    getaddrinfo = function(_, _, port, opts)
      assert.equal(socket.AI_PASSIVE, opts.flags)
      local found = {}
      for i, target in ipairs(targets) do
        found[i] = {
          family = target[1], type = socket.SOCK_STREAM, proto = 0,
          canonname = "", address = {target[2], port},
        }
      end
      return found
    end,
  })
end

local V4, V6 = socket.AF_INET, socket.AF_INET6

local function unsupported(errno)
  return trio.OSError("nope", {errno = errno or 97})  -- EAFNOSUPPORT
end

describe("open_tcp_listeners, where something fails,", function()
  H.trio_it("LISTEN-04 closes what it has opened", function()
    local made = fake_sockets(3)
    fake_names({V4, "1.1.1.1"}, {V4, "2.2.2.2"}, {V4, "3.3.3.3"})
    local err = H.raises_class(trio.OSError, open_tcp_listeners, 80,
      {host = "example.org"})
    assert.equal("OSError: whoops", tostring(err))
    assert.equal(3, #made)
    for _, sock in ipairs(made) do assert.is_true(sock.closed) end
  end)

  for _, fails in ipairs {{V4}, {V6}, {V4, V6}} do
    for _, tries in ipairs {{V4}, {V6}, {V4, V6}} do
      local refused, works = {}, 0
      for _, family in ipairs(fails) do refused[family] = unsupported() end
      for _, family in ipairs(tries) do
        if not refused[family] then works = works + 1 end
      end
      H.trio_it(("LISTEN-05 lives without families %s for %s"):format(
        table.concat(fails, " "), table.concat(tries, " ")), function()
        fake_sockets(nil, refused)
        local targets = {}
        for i, family in ipairs(tries) do targets[i] = {family, "foo"} end
        fake_names(table.unpack(targets))
        if works > 0 then
          local listeners = open_tcp_listeners(80, {host = "example.org"})
          assert.equal(works, #listeners)
          for _, listener in ipairs(listeners) do
            assert.is_nil(refused[listener.socket.family])
          end
          return
        end
        local err = H.raises_class(trio.OSError, open_tcp_listeners, 80,
          {host = "example.org"})
        assert.equal("EAFNOSUPPORT", err.code)
        assert.equal(97, err.errno)
        assert.is_true(trio.isinstance(err.cause, trio.ExceptionGroup))
        assert.equal(#tries, #err.cause.exceptions)
        for _, one in ipairs(err.cause.exceptions) do
          assert.truthy(tostring(one):find("nope", 1, true))
        end
      end)
    end
  end

  H.trio_it("LISTEN-05 doesn't survive other errors", function()
    local odd = unsupported(22)  -- EINVAL
    local made = fake_sockets(nil, {[V6] = odd})
    fake_names({V4, "foo"}, {V6, "bar"})
    local err = H.raises_class(trio.OSError, open_tcp_listeners, 80,
      {host = "example.org"})
    assert.equal(odd, err)
    assert.is_true(made[1].closed)
  end)

  H.trio_it("LISTEN-06 bounds the backlog", function()
    local made = fake_sockets()
    for given, expected in pairs {[99999999] = 65535, [10] = 10, [1] = 1} do
      open_tcp_listeners(0, {backlog = given})
      assert.equal(expected, made[#made].backlog)
    end
    open_tcp_listeners(0)
    assert.equal(65535, made[#made].backlog)
  end)

  H.trio_it("reuses addresses, and keeps IPv6 to itself", function()
    local made = fake_sockets()
    fake_names({V4, "1.2.3.4"}, {V6, "::1"})
    open_tcp_listeners(80, {host = "example.org"})
    local reuse = {socket.SOL_SOCKET, socket.SO_REUSEADDR, 1}
    assert.same({reuse}, made[1].options)
    assert.same({reuse, {socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1}},
      made[2].options)
    assert.same({"1.2.3.4", 80}, made[1].address)
  end)

  N.it("LISTEN-06 checks its arguments", function()
    for _, opts in ipairs {"nil", "{host = '127.0.0.1'}"} do
      for _, wrong in ipairs {"nil", "'80'", "'http'", "1.5"} do
        P.usage("bad argument #1 to 'open_tcp_listeners'",
          ("(...)(%s, %s)"):format(wrong, opts), open_tcp_listeners)
      end
    end
    for _, wrong in ipairs {"0.0", "2.18", "'x'", "-1"} do
      P.usage("option 'backlog' must be an integer",
        ("(...)(0, {backlog = %s})"):format(wrong), open_tcp_listeners)
    end
    P.usage("option 'host' must be a string", "(...)(0, {host = 1})",
      open_tcp_listeners)
    P.usage("unknown option 'hots'", "(...)(0, {hots = 1})",
      open_tcp_listeners)
  end)
end)

describe("serve_tcp", function()
  N.it("LISTEN-10 starts, and gives its listeners", function()
    trio.open_nursery(function(nursery)
      local listeners = nursery:start(trio.serve_tcp, function(stream)
        stream:send_all("x")
      end, 0)
      assert.is_true(#listeners >= 1)
      for _, listener in ipairs(listeners) do
        local stream <close> = connect_to(listener)
        assert.equal("x", stream:receive_some(1))
        assert.is_nil(stream:receive_some(1))
      end
      nursery.cancel_scope:cancel()
    end)
  end)

  N.it("LISTEN-14 ends with its handler's error in two groups", function()
    local V = trio.Error("V")
    local err = H.raises_class(trio.ExceptionGroup, function()
      trio.open_nursery(function(nursery)
        local listeners = nursery:start(trio.serve_tcp, function()
          error(V, 0)
        end, 0, LOOPBACK)
        local _ <close> = connect_to(listeners[1])
        trio.sleep_forever()
      end)
    end)
    assert.equal(1, #err.exceptions)
    H.group_of(err.exceptions[1], V)
  end)

  N.it("can be called directly, with options", function()
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.serve_tcp, function() end, 0,
        {host = "127.0.0.1", backlog = 5})
      trio.testing.wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    N.is_cancelled(trio.serve_tcp, trio.TASK_STATUS_IGNORED, function() end, 0)
  end)

  it("checks its arguments", function()
    local serve = trio.serve_tcp
    P.usage("bad argument #1 to 'serve_tcp' %(function expected, got nil%)",
      "(...)()", serve)
    P.usage("bad argument #2 to 'serve_tcp' %(number expected, got nil%)",
      "(...)(print)", serve)
    P.usage("unknown option 'x'", "(...)(print, 0, {x = 1})", serve)
    P.usage("option 'handler_nursery' must be a nursery",
      "(...)(print, 0, {handler_nursery = {}})", serve)
    P.usage("trio.serve_tcp must be called from inside a task",
      "(...)(print, 0)", serve)
  end)
end)
