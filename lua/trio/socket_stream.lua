-- SPDX-License-Identifier: MIT
-- socket_stream.lua: trio.SocketStream. For the sockets of this library it is
-- written in C (src/io/stream.c); here is the same for sockets that come from
-- a factory of the program, used by their methods only.

local error, pcall, type, pack, unpack =
  error, pcall, type, table.pack, table.unpack

return function(trio, kit)
  local check, socket = kit.check, trio.socket
  local native_stream = trio._socket_stream

  local Stream = kit.class("trio.SocketStream", nil, {
    socket = function(self) return rawget(self, "_socket") end,
  })

  local function closed()
    return trio.ClosedResourceError("this stream was closed by its own side")
  end

  -- The error of a socket as one of a stream.
  local function translate(err)
    local code = kit.os_code(err)
    if kit.is_closed_code(code) then return closed() end
    if not trio.isinstance(err, trio.OSError) then return err end
    return trio.BrokenResourceError("the connection is broken", {cause = err})
  end

  -- socket:method(...), with errors as a stream raises them.
  local function call(self, method, ...)
    local sock = rawget(self, "_socket")
    local results = pack(pcall(sock[method], sock, ...))
    if not results[1] then error(translate(results[2]), 0) end
    return unpack(results, 2, results.n)
  end

  local function is_open(self)
    local sock = rawget(self, "_socket")
    return sock.fileno == nil or sock:fileno() ~= -1
  end

  --- stream:send_all(data)
  function Stream:send_all(data)
    Stream.check_async(self, "send_all")
    data = check.data(data, "send_all")
    if rawget(self, "_socket").did_shutdown_SHUT_WR then error(closed()) end
    local _ <close> = rawget(self, "_busy"):claim()
    if data == "" then
      if not is_open(self) then error(closed()) end
      trio.lowlevel.checkpoint()
      return
    end
    while data ~= "" do
      data = data:sub(call(self, "send", data) + 1)
    end
  end

  --- stream:wait_send_all_might_not_block()
  function Stream:wait_send_all_might_not_block()
    Stream.check_async(self, "wait_send_all_might_not_block")
    local _ <close> = rawget(self, "_busy"):claim()
    if not is_open(self) then error(closed()) end
    call(self, "wait_writable")
  end

  --- stream:send_eof()
  function Stream:send_eof()
    Stream.check_async(self, "send_eof")
    local _ <close> = rawget(self, "_busy"):claim()
    trio.lowlevel.checkpoint()
    if rawget(self, "_socket").did_shutdown_SHUT_WR then return end
    call(self, "shutdown", socket.SHUT_WR)
  end

  --- stream:receive_some([max_bytes]): nil at the end.
  function Stream:receive_some(max_bytes)
    Stream.check_async(self, "receive_some")
    if max_bytes == nil then
      max_bytes = 65536
    else
      max_bytes = check.integer(max_bytes, 1, "receive_some", 1)
    end
    local data = call(self, "recv", max_bytes)
    if data == "" then return nil end
    return data
  end

  function Stream:close()
    Stream.check_self(self, "close")
    rawget(self, "_socket"):close()
  end

  function Stream:aclose()
    Stream.check_async(self, "aclose")
    rawget(self, "_socket"):close()
    trio.lowlevel.checkpoint()
  end

  --- stream:setsockopt(...), stream:getsockopt(...): the socket's own.
  function Stream:setsockopt(...)
    Stream.check_self(self, "setsockopt")
    local sock = rawget(self, "_socket")
    return sock:setsockopt(...)
  end

  function Stream:getsockopt(...)
    Stream.check_self(self, "getsockopt")
    local sock = rawget(self, "_socket")
    return sock:getsockopt(...)
  end

  trio.abc.HalfCloseableStream(Stream)

  function Stream:__tostring()
    return ("<trio.SocketStream %p of %s>"):format(self,
      tostring(rawget(self, "_socket")))
  end

  --- kit.check_stream_socket(value, name): raise unless it can be used as a
  --- stream socket; called by functions that the program calls.
  function kit.check_stream_socket(value, name)
    local is_object = type(value) == "table" or type(value) == "userdata"
    if not is_object or value.type == nil then
      check.refuse(1, name, check.expected("socket", value), 1)
    elseif value.type ~= socket.SOCK_STREAM then
      check.refuse(1, name, "a stream socket (SOCK_STREAM) expected", 1)
    end
  end

  -- Set an option where the socket knows it.
  local function try_option(sock, level, option, value)
    if sock.setsockopt == nil or option == nil then return end
    local ok, err = pcall(sock.setsockopt, sock, level, option, value)
    if not ok and not trio.isinstance(err, trio.OSError) then error(err, 0) end
  end

  --- SocketStream(socket): a stream over a connected stream socket.
  function trio.SocketStream(sock)
    local native = native_stream(sock)
    if native then return native end
    kit.check_stream_socket(sock, "SocketStream")
    try_option(sock, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try_option(sock, socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16384)
    return Stream:new({
      _socket = sock,
      _busy = kit.busy("another task is already sending through this stream"),
    })
  end
end
