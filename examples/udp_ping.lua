-- SPDX-License-Identifier: MIT
-- Datagrams: a ping over UDP, to a server that loses every third one.

local trio = require "trio"
local socket = trio.socket

local function udp_socket()
  local sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
  sock:bind({"127.0.0.1", 0})
  return sock
end

local function answer_pings(sock)
  local count = 0
  while true do
    local data, from = sock:recvfrom(1500)
    count = count + 1
    if count % 3 ~= 0 then sock:sendto(data, from) end
  end
end

-- Virtual time: nobody has to wait for the lost ones (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local server <close> = udp_socket()
  local client <close> = udp_socket()
  client:connect(server:getsockname())  -- from now on send, recv
  trio.open_nursery(function(nursery)
    nursery:start_soon(answer_pings, server)
    for i = 1, 4 do
      client:send("ping " .. i)
      local scope, data = trio.move_on_after(1, function()
        return client:recv(1500)
      end)
      print(scope.cancelled_caught and "lost" or data)
    end
    nursery.cancel_scope:cancel()
  end)
  print(trio.current_time() .. " s")
end)

--[[ expected output
ping 1
ping 2
lost
ping 4
1.0 s
]]
