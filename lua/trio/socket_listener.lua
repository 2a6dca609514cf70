-- SPDX-License-Identifier: MIT
-- socket_listener.lua: trio.SocketListener: accepts connections as streams.
-- Failures that concern one connection only are nobody's business; those that
-- concern the listener, or the whole process, are the caller's.
--
-- For the sockets of this library it is written in C (src/io/listener.c); here
-- is the same for sockets that come from a factory of the program.

local error, pcall = error, pcall

-- Errors of accept that belong to the connection that was to be accepted.
local HARMLESS = {}
for code in ([[EPERM ECONNABORTED EPROTO ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET
    EHOSTUNREACH EOPNOTSUPP ENETUNREACH ENOSR ESOCKTNOSUPPORT EPROTONOSUPPORT
    ETIMEDOUT ECONNRESET]]):gmatch("%u+") do
  HARMLESS[code] = true
end

return function(trio, kit)
  local check, socket = kit.check, trio.socket
  local native_listener = trio._socket_listener
  local Listener = kit.class("trio.SocketListener", nil, {
    socket = function(self) return rawget(self, "_socket") end,
  })

  -- The stream of a new connection, which is closed if that can't be made.
  local function stream_of(connection)
    local ok, stream = pcall(trio.SocketStream, connection)
    if ok then return stream end
    connection:close()
    error(stream, 0)
  end

  --- listener:accept(): a stream.
  function Listener:accept()
    Listener.check_async(self, "accept")
    local sock = rawget(self, "_socket")
    local accept = sock.accept
    while true do
      local ok, connection = pcall(accept, sock)
      if ok then return stream_of(connection) end
      local code = kit.os_code(connection)
      if kit.is_closed_code(code) then
        error(trio.ClosedResourceError("this listener is closed"))
      elseif not HARMLESS[code] then
        error(connection, 0)
      end
    end
  end

  function Listener:close()
    Listener.check_self(self, "close")
    rawget(self, "_socket"):close()
  end

  function Listener:aclose()
    Listener.check_async(self, "aclose")
    rawget(self, "_socket"):close()
    trio.lowlevel.checkpoint()
  end

  trio.abc.Listener(Listener)

  function Listener:__tostring()
    return ("<trio.SocketListener %p of %s>"):format(self,
      tostring(rawget(self, "_socket")))
  end

  -- Not every system can tell.
  local function is_listening(sock)
    if not socket.SO_ACCEPTCONN or sock.getsockopt == nil then return true end
    local ok, value = pcall(sock.getsockopt, sock, socket.SOL_SOCKET,
      socket.SO_ACCEPTCONN)
    if ok then return value ~= 0 and value ~= false end
    if not trio.isinstance(value, trio.OSError) then error(value, 0) end
    return true
  end

  --- SocketListener(socket): for a stream socket that listens.
  function trio.SocketListener(sock)
    kit.check_stream_socket(sock, "SocketListener")
    if not is_listening(sock) then
      check.refuse(1, "SocketListener", "a listening socket expected")
    end
    return native_listener(sock) or Listener:new({_socket = sock})
  end
end
