-- SPDX-License-Identifier: MIT
-- dtls_endpoint.lua: trio.DTLSEndpoint: any number of DTLS associations over
-- one UDP socket, as a client, as a server, or both. Each is a DTLSChannel,
-- see dtls_channel.lua.
--
-- A system task of the run receives for all of them. It holds the endpoint
-- only while it has a datagram in hands, so an endpoint that the program has
-- forgotten is collected, and closed. About a peer nothing is remembered
-- until it has shown by a cookie that its address is its own.

local error, pcall, setmetatable = error, pcall, setmetatable

local MAX_DATAGRAM = 65535

local OPTIONS = {incoming_packets_buffer = true}
local CONNECT_OPTIONS = {server_hostname = true}

-- What a pending error of a UDP socket says about some peer (ICMP), or about
-- the network for now. The datagram is lost, as any may be.
local HARMLESS = {}
for code in ([[ECONNREFUSED ECONNRESET EHOSTUNREACH ENETUNREACH EHOSTDOWN
    ENETDOWN ENETRESET ETIMEDOUT EMSGSIZE EPERM EACCES ENOBUFS ENOMEM
    EADDRNOTAVAIL EPROTO ENONET]]):gmatch("%u+") do
  HARMLESS[code] = true
end

return function(trio, kit)
  local check, socket = kit.check, trio.socket
  local openssl = trio.ssl._dtls
  local records, cookie = kit.dtls_records, kit.dtls_cookie
  local new_channel = kit.new_dtls_channel
  local Endpoint = kit.class("trio.DTLSEndpoint", nil, {
    socket = function(self) return rawget(self, "_socket") end,
    incoming_packets_buffer = function(self) return rawget(self, "_room") end,
  })

  -- ---- sizes of datagrams

  local function overhead_of(sock)
    return sock.family == socket.AF_INET6 and 48 or 28  -- IP and UDP
  end

  --- kit.dtls_usual_mtu(socket): the payload of a datagram on Ethernet.
  function kit.dtls_usual_mtu(sock)
    return 1500 - overhead_of(sock)
  end

  --- kit.dtls_smallest_mtu(socket): what every network can carry.
  function kit.dtls_smallest_mtu(sock)
    return (sock.family == socket.AF_INET6 and 1280 or 576)
      - overhead_of(sock)
  end

  -- ---- addresses

  -- Peers are told apart by this text. (The flow label isn't part of it.)
  local function key_of(address)
    return ("%s %d %d"):format(address[1], address[2], address[4] or 0)
  end

  -- The address as recvfrom of this socket will give it.
  local function numeric_address(sock, address, place, name)
    if type(address) ~= "table" or type(address[1]) ~= "string"
      or math.type(address[2]) ~= "integer" then
      check.refuse(place, name, "an address is {host, port}", 1)
    end
    local ok, found = pcall(socket._numeric, address[1], address[2], {
      family = sock.family, type = socket.SOCK_DGRAM,
      flags = sock.family == socket.AF_INET6 and socket.AI_V4MAPPED or 0,
    })
    if not ok or not found then
      check.refuse(place, name, ("%q is no numeric address of the socket's "
        .. "family"):format(address[1]), 1)
    end
    local result = found[1].address
    if sock.family == socket.AF_INET6 then
      result[3] = address[3] or result[3]
      result[4] = address[4] or result[4]
    end
    return result
  end

  -- ---- receiving

  --- Is it an error that one lost datagram explains?
  function kit.is_harmless_to_dtls(err)
    return HARMLESS[kit.os_code(err)] ~= nil
  end

  local function is_closed(err)
    return trio.isinstance(err, trio.ClosedResourceError)
      or kit.is_closed_code(kit.os_code(err))
  end

  local function challenge(endpoint, address, number, hello)
    local packet = records.hello_verify_request(number,
      cookie.make(endpoint._key, key_of(address), hello))
    endpoint._send_lock:with(function()
      local ok, err = trio.pcall(endpoint.socket.sendto, endpoint.socket,
        packet, address)
      if not ok and not kit.is_harmless_to_dtls(err) then error(err, 0) end
    end)
  end

  -- Put it where the datagrams of its peer go from now on.
  local function associate(endpoint, channel)
    local key = key_of(channel.peer_address)
    local older = endpoint._channels[key]
    if older then kit.replace_dtls_channel(older) end
    endpoint._channels[key] = channel
  end

  local function accept(endpoint, address, packet, number, hello)
    local older = endpoint._channels[key_of(address)]
    -- A second copy of the datagram that began it.
    if older and older._hello == hello then return end
    local engine = trio.ssl._engine(endpoint._context, true)
    openssl.prepare(engine)
    engine:feed(packet)
    if not openssl.listen(engine) then return end
    local channel = new_channel(endpoint, address, engine)
    channel._hello = hello
    -- The first records after the HelloVerifyRequest need higher numbers than
    -- it had: that of the first hello, which is lower than this one's.
    channel._number = number
    associate(endpoint, channel)
    endpoint._new_channels:send_nowait(channel)
  end

  local function take_client_hello(endpoint, packet, address)
    if not endpoint._context then return end  -- we aren't serving
    local number, given, hello = records.decode_client_hello(packet)
    if not number then return end
    if cookie.is_valid(endpoint._key, given, key_of(address), hello) then
      accept(endpoint, address, packet, number, given .. hello)
    else
      challenge(endpoint, address, number, hello)
    end
  end

  local function take_datagram(reference, packet, address)
    local endpoint = reference.endpoint
    if not endpoint then return end
    if records.is_client_hello(packet) then
      take_client_hello(endpoint, packet, address)
      return
    end
    local channel = endpoint._channels[key_of(address)]
    if not channel then return end
    if channel._ready and records.is_plain_handshake(packet) then
      kit.resend_dtls_volley(channel)
    else
      kit.deliver_to_dtls_channel(channel, packet)
    end
  end

  -- Nothing can be received any more: whoever waits learns it.
  local function fail(reference, err)
    local endpoint = reference.endpoint
    if not endpoint or endpoint._closed then return end
    endpoint._failed = err
    for _, channel in pairs(endpoint._channels) do
      kit.break_dtls_channel(channel, err)
    end
    endpoint._new_channels:close()
  end

  local function receive_for_ever(reference, sock)
    while true do
      local ok, packet, address = trio.pcall(sock.recvfrom, sock,
        MAX_DATAGRAM)
      if ok then
        take_datagram(reference, packet, address)
      elseif not kit.is_harmless_to_dtls(packet) then
        error(packet, 0)
      end
    end
  end

  -- An error that left it would end the whole run as an internal one.
  local function receive_loop(reference, sock)
    local _, err = trio.pcall(receive_for_ever, reference, sock)
    if not is_closed(err) then fail(reference, err) end
  end

  --- Let the endpoint receive from now on. Not earlier than that: some systems
  --- refuse it for a socket that isn't bound, which sending does.
  function kit.start_dtls_receiving(endpoint)
    if endpoint._receiving then return end
    trio.lowlevel.spawn_system_task({name = tostring(endpoint)}, receive_loop,
      setmetatable({endpoint = endpoint}, {__mode = "v"}), endpoint.socket)
    endpoint._receiving = true
  end

  -- ---- the endpoint

  local function check_open(self)
    if self._closed then
      error(trio.ClosedResourceError("this endpoint is closed"))
    elseif self._failed then
      error(trio.BrokenResourceError("the socket of this endpoint has failed: "
        .. tostring(self._failed), {cause = self._failed}))
    end
  end

  -- What OpenSSL needs of a trio.ssl context, which may be one for TLS.
  local function datagram_context(context, place, name)
    local result = openssl.context(context)
    if not result then
      check.refuse(place, name, check.expected("context of trio.ssl",
        context), 1)
    end
    return result
  end

  --- endpoint:connect(address, context [, opts]): a channel to this peer. Does
  --- no I/O. Option server_hostname.
  function Endpoint:connect(address, context, opts)
    Endpoint.check_self(self, "connect")
    context = datagram_context(context, 2, "connect")
    opts = check.options(opts, 3, "connect", CONNECT_OPTIONS)
    local name = kit.check_server_hostname(opts.server_hostname, "connect")
    check_open(self)
    address = numeric_address(self.socket, address, 1, "connect")
    local function new_engine()
      local engine = trio.ssl._engine(context, false, name or address[1])
      openssl.prepare(engine)
      return engine
    end
    local channel = new_channel(self, address, new_engine(), new_engine)
    associate(self, channel)
    return channel
  end

  local function run_handler(channel, handler, ...)
    local _ <close> = channel
    handler(channel, ...)
  end

  -- Handlers until the endpoint is closed, and until they have ended.
  local function handle_all(self, handler, ...)
    local arguments = table.pack(...)
    trio.open_nursery(function(nursery)
      for channel in self._accepted do
        nursery:start_soon(run_handler, channel, handler,
          table.unpack(arguments, 1, arguments.n))
      end
    end)
  end

  local Serving = {__metatable = false}

  function Serving:__close()
    self.endpoint._context = false
  end

  -- The task status may stand before the endpoint, where nursery:start puts
  -- it, or behind it, as in a call with a colon.
  local function startable(self, ...)
    if Endpoint.is(self) then
      local function swap(status, ...) return status, self, ... end
      return swap(kit.task_status(...))
    end
    return kit.task_status(self, ...)
  end

  local function serve(status, self, context, handler, ...)
    Endpoint.check_async(self, "serve")
    context = datagram_context(context, 1, "serve")
    check.callable(handler, 2, "serve")
    check_open(self)
    if self.socket:getsockname()[2] == 0 then
      error("a socket must be bound before its endpoint can serve", 2)
    elseif self._context then
      error(trio.BusyResourceError("another task is serving already"))
    end
    local _ <close> = setmetatable({endpoint = self}, Serving)
    self._context, self._key = context, self._key or cookie.new_key()
    kit.start_dtls_receiving(self)
    status:started()
    handle_all(self, handler, ...)
    if self._failed then check_open(self) end
  end

  --- endpoint.serve([task_status,] endpoint, context, handler, ...): a task
  --- that runs handler(channel, ...) for each peer that connects.
  function Endpoint.serve(...)
    return serve(startable(...))
  end

  --- endpoint:close(): the socket, and all channels.
  function Endpoint:close()
    Endpoint.check_self(self, "close")
    if self._closed then return end
    self._closed = true
    self.socket:close()
    local channels = {}  -- closing one takes it out of the table
    for _, channel in pairs(self._channels) do
      channels[#channels + 1] = channel
    end
    for _, channel in ipairs(channels) do channel:close() end
    self._new_channels:close()
  end

  function Endpoint:__close()
    self:close()
  end

  --- kit.forget_dtls_channel(endpoint, channel): it is closed.
  function kit.forget_dtls_channel(endpoint, channel)
    local key = key_of(channel.peer_address)
    if endpoint._channels[key] == channel then
      endpoint._channels[key] = nil
    end
  end

  -- Collected, though it is open. A finalizer may run at any time, so the run
  -- closes it, which ends the system task.
  function Endpoint:__gc()
    if self._closed then return end
    if pcall(self._token.run_sync_soon, self._token, self.close, self) then
      warn(self._where .. "a DTLSEndpoint was never closed")
    end
  end

  function Endpoint:__tostring()
    return ("<trio.DTLSEndpoint %p of %s>"):format(self, tostring(self.socket))
  end

  -- The line of the program that runs now, as "file:line: ".
  local function position()
    local level = 2
    while true do
      local info = debug.getinfo(level, "Sl")
      if not info then return "" end
      if info.currentline > 0 and not info.source:find("^=trio/") then
        return ("%s:%d: "):format(info.short_src, info.currentline)
      end
      level = level + 1
    end
  end

  local function check_room(room)
    if room == nil then return 10 end
    if type(room) ~= "number" or not (room >= 0)
      or room ~= math.huge and math.tointeger(room) == nil then
      check.refuse(2, "DTLSEndpoint", "option 'incoming_packets_buffer' must "
        .. "be a whole number or math.huge", 1)
    end
    return room
  end

  --- DTLSEndpoint(socket [, opts]): of a datagram socket, which it owns from
  --- now on. Option incoming_packets_buffer.
  function trio.DTLSEndpoint(sock, opts)
    local is_object = type(sock) == "userdata" or type(sock) == "table"
    if not is_object or sock.type ~= socket.SOCK_DGRAM then
      check.refuse(1, "DTLSEndpoint", is_object
        and "DTLS needs a SOCK_DGRAM socket"
        or check.expected("socket", sock))
    end
    opts = check.options(opts, 2, "DTLSEndpoint", OPTIONS)
    local room = check_room(opts.incoming_packets_buffer)
    if not trio.lowlevel.in_trio_run() then
      error("a DTLSEndpoint can only be made inside of a run", 2)
    end
    local new_channels, accepted = trio.open_memory_channel(math.huge)
    return Endpoint:new({
      _socket = sock, _room = room,
      _token = trio.lowlevel.current_trio_token(),
      _where = position(),
      _key = false,             -- for cookies; made by `serve`
      -- By address. Those that the program has forgotten aren't kept.
      _channels = setmetatable({}, {__mode = "v"}),
      _new_channels = new_channels, _accepted = accepted,  -- of peers
      _context = false,         -- while it serves
      _send_lock = trio.Lock(), -- two tasks can't wait for one socket
      _receiving = false,       -- the system task was started
      _failed = false,          -- the error of the socket that ended it
      _closed = false,
    })
  end
end
