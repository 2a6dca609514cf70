-- SPDX-License-Identifier: MIT
-- trio.testing.open_stream_to_socket_listener.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local connect_to = trio.testing.open_stream_to_socket_listener

local function check(listener)
  local client
  P.is_checkpoint(function() client = connect_to(listener) end)
  local server = listener:accept()
  client:send_all("x")
  assert.equal("x", server:receive_some(1))
  N.close(client.socket, server.socket, listener)
end

local function listen(family, address)
  local sock = socket.socket(family)
  sock:bind(address)
  sock:listen(10)
  return trio.SocketListener(sock)
end

describe("open_stream_to_socket_listener", function()
  N.it("TEST-08 connects to 127.0.0.1 and 0.0.0.0", function()
    check(listen(socket.AF_INET, {"127.0.0.1", 0}))
    check(listen(socket.AF_INET, {"0.0.0.0", 0}))
  end)

  N.ipv6_it("TEST-08 connects to ::1 and ::", function()
    check(listen(socket.AF_INET6, {"::1", 0}))
    check(listen(socket.AF_INET6, {"::", 0}))
  end)

  N.it("TEST-08 connects to a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    check(listen(socket.AF_UNIX, path))
    os.remove(path)
    check(listen(socket.AF_UNIX, "\0trio-lua TEST-08 " .. tostring({})))
  end)

  N.it("leaves nothing open when it fails", function()
    local listener = listen(socket.AF_INET, {"127.0.0.1", 0})
    N.is_cancelled(connect_to, listener)
    local address = listener.socket:getsockname()
    listener:close()
    local err = H.raises_class(trio.OSError, connect_to, {socket = {
      family = socket.AF_INET, getsockname = function() return address end,
    }})
    assert.equal("ECONNREFUSED", err.code)
  end)

  it("checks its argument", function()
    P.usage("listener of a socket expected, got nil", "(...)()", connect_to)
    P.usage("listener of a socket expected, got table", "(...)({})", connect_to)
    P.usage("must be called from inside a task", "(...)({socket = {}})",
      connect_to)
  end)
end)
