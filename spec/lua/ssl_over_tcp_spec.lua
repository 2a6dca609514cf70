-- SPDX-License-Identifier: MIT
-- TLS over real connections: open_ssl_over_tcp_stream and its kin.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local trio = require "trio"

local function it(name, fn)
  return H.trio_it(name, fn, {real_clock = true})
end

local function port_of(listener)
  return listener.socket:getsockname()[2]
end

local function echo(stream)
  for chunk in stream do stream:send_all(chunk) end
end

-- Run client(port) beside a server of this handler.
local function with_server(handler, client, opts)
  trio.open_nursery(function(nursery)
    opts = opts or {}
    opts.host = "127.0.0.1"
    local listeners = nursery:start(trio.serve_ssl_over_tcp, handler, 0,
      C.server_context(), opts)
    client(port_of(listeners[1]), nursery)
    nursery.cancel_scope:cancel()
  end)
end

describe("TLS over TCP", function()
  it("TLS-16 serves clients that trust it", function()
    with_server(echo, function(port)
      local context = C.client_context()
      local stream <close> = trio.open_ssl_over_tcp_stream("127.0.0.1", port,
        {ssl_context = context})
      assert.equal("trio.SSLStream", getmetatable(stream))
      assert.equal("127.0.0.1", stream.server_hostname)
      stream:send_all("hello")
      assert.equal("hello", stream:receive_some())
      stream:aclose()
    end)
  end)

  it("TLS-16 verifies without a context", function()
    local function handler(stream) pcall(stream.do_handshake, stream) end
    with_server(handler, function(port)
      local stream <close> = trio.open_ssl_over_tcp_stream("127.0.0.1", port)
      local err = H.raises_class(trio.BrokenResourceError, stream.send_all,
        stream, "x")
      assert.equal("certificate verify failed", err.cause.reason)
      assert.is_true(trio.isinstance(err.cause, trio.SSLError))
    end)
  end)

  it("TLS-16 passes https_compatible on", function()
    local ended = trio.Event()
    with_server(function(stream)
      assert.equal("x", stream:receive_some())
      assert.is_nil(stream:receive_some())
      ended:set()
    end, function(port)
      local stream = trio.open_ssl_over_tcp_stream("127.0.0.1", port,
        {ssl_context = C.client_context(), https_compatible = true})
      stream:send_all("x")
      stream:aclose()
      ended:wait()
    end, {https_compatible = true})
  end)

  it("TLS-16 opens listeners, which close their sockets", function()
    local listeners = trio.open_ssl_over_tcp_listeners(0, C.server_context(),
      {host = "127.0.0.1", backlog = 5})
    assert.equal(1, #listeners)
    assert.equal("trio.SSLListener", getmetatable(listeners[1]))
    local socket = listeners[1].socket
    listeners[1]:aclose()
    assert.equal(-1, socket:fileno())
    H.raises_class(trio.ClosedResourceError, listeners[1].accept, listeners[1])
  end)

  it("TLS-14 passes the check of streams", function()
    local client_context, server_context = C.client_context(),
      C.server_context()
    trio.testing.check_two_way_stream(function()
      local listener <close> = trio.open_tcp_listeners(0,
        {host = "127.0.0.1"})[1]
      local a = trio.testing.open_stream_to_socket_listener(listener)
      return C.wrap(a, listener:accept(),
        {client = client_context, server = server_context})
    end)
  end)

  it("refuses wrong arguments", function()
    local context = C.server_context()
    H.raises("bad argument #3 to 'open_ssl_over_tcp_stream' %(unknown option",
      trio.open_ssl_over_tcp_stream, "x", 1, {x = 1})
    H.raises("trio.ssl.SSLContext expected", trio.open_ssl_over_tcp_stream,
      "x", 1, {ssl_context = {}})
    H.raises("'happy_eyeballs_delay' must be a number",
      trio.open_ssl_over_tcp_stream, "x", 1, {happy_eyeballs_delay = "x"})
    H.raises("bad argument #2 to 'open_ssl_over_tcp_listeners'",
      trio.open_ssl_over_tcp_listeners, 0)
    H.raises("option 'backlog'", trio.open_ssl_over_tcp_listeners, 0, context,
      {backlog = -1})
    H.raises("bad argument #3 to 'serve_ssl_over_tcp'",
      trio.serve_ssl_over_tcp, print, 0)
    H.raises("'handler_nursery' must be a nursery", trio.serve_ssl_over_tcp,
      print, 0, context, {handler_nursery = 1})
  end)

  it("closes the connection if no stream can be made", function()
    local listener <close> = trio.open_tcp_listeners(0,
      {host = "127.0.0.1"})[1]
    H.raises("for servers", trio.open_ssl_over_tcp_stream, "127.0.0.1",
      port_of(listener), {ssl_context = C.server_context()})
    local stream <close> = listener:accept()
    assert.is_nil(stream:receive_some())
  end)
end)
