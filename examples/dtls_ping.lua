-- SPDX-License-Identifier: MIT
-- Encrypted datagrams: a ping over DTLS, to two servers by one socket.

local trio = require "trio"
local socket = trio.socket

-- A certificate for this example.
os.execute("openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=me" ..
           " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem" ..
           " -out cert.pem 2>/dev/null")

local function new_endpoint()
  local sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
  sock:bind({"127.0.0.1", 0})
  return trio.DTLSEndpoint(sock)
end

local function answer_pings(channel, name)
  for ping in channel do channel:send(name .. " says: " .. ping) end
end

-- Datagrams may get lost: ask again after a second.
local function ask(channel, question)
  while true do
    channel:send(question)
    local scope, answer = trio.move_on_after(1, function()
      return channel:receive()
    end)
    if not scope.cancelled_caught then return answer end
  end
end

trio.run(function()
  local server_context = trio.ssl.create_default_context{
    purpose = "client_auth",
  }
  server_context:load_cert_chain("cert.pem", "key.pem")
  local client_context = trio.ssl.create_default_context{cafile = "cert.pem"}
  local one <close> = new_endpoint()
  local two <close> = new_endpoint()
  local client <close> = new_endpoint()
  trio.open_nursery(function(nursery)
    nursery:start(one.serve, one, server_context, answer_pings, "one")
    nursery:start(two.serve, two, server_context, answer_pings, "two")
    for _, server in ipairs {one, two} do
      local channel = client:connect(server.socket:getsockname(),
        client_context)
      print(ask(channel, "ping"), channel:version())
    end
    nursery.cancel_scope:cancel()
  end)
end)

--[[ expected output
one says: ping	DTLSv1.2
two says: ping	DTLSv1.2
]]
