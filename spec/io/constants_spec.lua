-- SPDX-License-Identifier: MIT
-- The constants of trio.socket.
local trio = require "trio"
local socket = trio.socket

describe("trio.socket", function()
  it("has the usual constants as integers", function()
    local names = [[
      AF_INET AF_INET6 AF_UNIX AF_UNSPEC SOCK_STREAM SOCK_DGRAM SOL_SOCKET
      SO_REUSEADDR SO_KEEPALIVE SO_BROADCAST SO_LINGER SO_RCVBUF SO_SNDBUF
      SO_ERROR SO_TYPE IPPROTO_TCP IPPROTO_UDP IPPROTO_IP IPPROTO_IPV6
      IPV6_V6ONLY TCP_NODELAY MSG_PEEK MSG_OOB SHUT_RD SHUT_WR SHUT_RDWR
      AI_PASSIVE AI_NUMERICHOST NI_NUMERICHOST NI_NUMERICSERV EAI_NONAME
      SOMAXCONN]]
    for name in names:gmatch("%S+") do
      assert.equal("integer", math.type(socket[name]), name)
    end
  end)

  it("has nothing but constants in capitals", function()
    for name, value in pairs(socket) do
      if name:find("^%u") then
        assert.equal("integer", math.type(value), name)
      else
        assert.is_nil(name:find("%u"), name)
      end
    end
  end)
end)
