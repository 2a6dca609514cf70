-- SPDX-License-Identifier: MIT
-- network.lua: trio.testing.open_stream_to_socket_listener: a connection to a
-- server of the same program, wherever it listens.

local LOOPBACK = {["0.0.0.0"] = "127.0.0.1", ["::"] = "::1"}

-- Closes the socket if the block is left by an error.
local OnError = {__metatable = false}

function OnError:__close(err)
  if err ~= nil then self.socket:close() end
end

return function(trio, kit)
  local check, socket = kit.check, trio.socket

  --- open_stream_to_socket_listener(listener): a stream.
  function trio.testing.open_stream_to_socket_listener(listener)
    local is_object = type(listener) == "table" or type(listener) == "userdata"
    if not is_object or listener.socket == nil then
      check.refuse(1, "open_stream_to_socket_listener",
        check.expected("listener of a socket", listener))
    end
    check.task("trio.testing.open_stream_to_socket_listener")
    local family = listener.socket.family
    local address = listener.socket:getsockname()
    if type(address) == "table" then
      address[1] = LOOPBACK[address[1]] or address[1]
    end
    local sock = socket.socket(family, socket.SOCK_STREAM)
    local _ <close> = setmetatable({socket = sock}, OnError)
    sock:connect(address)
    kit.note_origin(sock)
    return trio.SocketStream(sock)
  end
end
