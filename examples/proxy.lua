-- SPDX-License-Identifier: MIT
-- A proxy: copies both ways, and lets each side finish on its own.

local trio = require "trio"

local function copy(from, to)
  for chunk in from do to:send_all(chunk) end
  to:send_eof()  -- one direction has ended; the other one goes on
end

-- A handler that connects everybody to the host and port.
local function proxy_to(host, port)
  return function(client)
    local server <close> = trio.open_tcp_stream(host, port)
    trio.open_nursery(function(nursery)
      nursery:start_soon(copy, client, server)
      nursery:start_soon(copy, server, client)
    end)
  end
end

-- A service that answers when it has seen the whole question.
local function reverse(stream)
  local parts = {}
  for chunk in stream do table.insert(parts, chunk) end
  stream:send_all(table.concat(parts):reverse())
end

local LOOPBACK = {host = "127.0.0.1"}

local function port_of(listeners)
  return listeners[1].socket:getsockname()[2]
end

trio.run(function()
  trio.open_nursery(function(nursery)
    local backend = nursery:start(trio.serve_tcp, reverse, 0, LOOPBACK)
    local proxy = nursery:start(trio.serve_tcp,
      proxy_to("127.0.0.1", port_of(backend)), 0, LOOPBACK)

    local stream <close> = trio.open_tcp_stream("127.0.0.1", port_of(proxy))
    stream:send_all("stres")
    stream:send_all("sed")
    stream:send_eof()
    print(trio.BufferedReceiveStream(stream):receive_exactly(8))
    nursery.cancel_scope:cancel()
  end)
end)

--[[ expected output
desserts
]]
