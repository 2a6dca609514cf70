-- SPDX-License-Identifier: MIT
-- dtls.lua: what the specs of DTLS share: contexts, endpoints, a server that
-- echoes, and datagrams that are broken on purpose.

local trio = require "trio"
local C = require "spec.support.certificates"
local FakeNetwork = require "spec.support.fake_network"
local socket = trio.socket

local D = {}

--- A context for servers, one for clients that trust them.
function D.contexts()
  return C.server_context(), C.client_context()
end

local LOOPBACK = {[socket.AF_INET] = "127.0.0.1", [socket.AF_INET6] = "::1"}

--- A new endpoint; with opts.port it is bound on loopback.
function D.endpoint(opts)
  opts = opts or {}
  local family = opts.family or socket.AF_INET
  local sock = socket.socket(family, socket.SOCK_DGRAM)
  if opts.port then sock:bind({LOOPBACK[family], opts.port}) end
  return trio.DTLSEndpoint(sock, {incoming_packets_buffer = opts.buffer})
end

--- Sends back what it receives, until the association ends.
function D.echo(channel)
  local ok, err = trio.pcall(function()
    for packet in channel do channel:send(packet) end
  end)
  if not ok and not trio.isinstance(err, trio.BrokenResourceError) then
    error(err, 0)
  end
end

--- A server on loopback while body(address, endpoint, nursery) runs. opts:
--- `handler`, `family`, `buffer`, `context`.
function D.serving(opts, body)
  local server <close> = D.endpoint({
    port = 0, family = opts.family, buffer = opts.buffer,
  })
  trio.open_nursery(function(nursery)
    nursery:start(server.serve, server, opts.context or (D.contexts()),
      opts.handler or D.echo)
    body(server.socket:getsockname(), server, nursery)
    nursery.cancel_scope:cancel()
  end)
end

--- A fake network, from now on and for this run.
function D.network()
  local network = FakeNetwork.new()
  network:enable()
  return network
end

--- A connection over a fake network while body(client, server, network) runs.
--- opts: `buffer` of the client.
function D.connected(body, opts)
  opts = opts or {}
  local network = D.network()
  local server
  local _, client_context = D.contexts()
  D.serving({handler = function(channel)
    server = channel
    channel:do_handshake()
    trio.sleep_forever()
  end}, function(address)
    local endpoint <close> = D.endpoint({buffer = opts.buffer})
    local client = endpoint:connect(address, client_context)
    client:do_handshake()
    trio.testing.wait_all_tasks_blocked()
    body(client, server, network)
  end)
end

--- A handshake and an echo of `text`, sent again while it gets lost.
function D.talk(endpoint, address, context, text)
  local channel <close> = endpoint:connect(address, context)
  channel:do_handshake()
  local answer
  repeat
    trio.move_on_after(10, function()
      channel:send(text)
      -- An earlier copy may have been on its way.
      repeat answer = channel:receive() until answer == text
    end)
  until answer
end

--- The data with the bits of one byte changed.
function D.flip(data, place, bits)
  return data:sub(1, place - 1) .. string.char(data:byte(place) ~ (bits or 1))
    .. data:sub(place + 1)
end

--- Random numbers of our own, which no other code draws from.
function D.random(seed)
  local state = seed
  return function(least, most)
    state = (state * 6364136223846793005 + 1442695040888963407)
    local value = (state >> 33) & 0x7FFFFFFF
    return least + value % (most - least + 1)
  end
end

--- The library's private functions for records and cookies.
function D.private()
  local kit = {}
  for _, name in ipairs {"_dtls_records", "_dtls_cookie"} do
    assert(loadfile("lua/trio/" .. name .. ".lua"))()(trio, kit)
  end
  return kit.dtls_records, kit.dtls_cookie
end

return D
