-- SPDX-License-Identifier: MIT
-- dtls_channel.lua: DTLSChannel: one association of a DTLSEndpoint, which
-- hands it the datagrams of its peer. OpenSSL does the cryptography; here are
-- the handshake's timer and its retransmissions, because OpenSSL's own go by
-- the real clock and know nothing of tasks.
--
-- Between touching the engine and handing its output over nothing waits, so
-- any number of tasks may use a channel at once.

local error, pcall = error, pcall

-- Of a volley of the handshake; doubled after each loss.
local FIRST_TIMEOUT, LONGEST_TIMEOUT = 1, 60
-- After so many losses of a volley the network may be unable to carry
-- datagrams of this size.
local LOSSES_BEFORE_SMALLER = 2
-- OpenSSL takes nothing smaller.
local SMALLEST_MTU = 256
-- What one record can hold.
local MAX_RECORD = 16384

local HANDSHAKE_OPTIONS = {initial_retransmit_timeout = true}

return function(trio, kit)
  local check, records = kit.check, kit.dtls_records
  local openssl = trio.ssl._dtls
  local Channel = kit.class("trio.DTLSChannel", nil, {
    endpoint = function(self) return rawget(self, "_endpoint") end,
    peer_address = function(self) return rawget(self, "_address") end,
    context = function(self)
      return self._engine and self._engine:context() or nil
    end,
  })
  local newindex = Channel.__newindex

  -- For an sni_callback.
  function Channel:__newindex(key, value)
    if key ~= "context" or not self._engine then
      return newindex(self, key, value)
    end
    local context = openssl.context(value)
    if not context then
      error(check.expected("context of trio.ssl", value), 2)
    end
    self._engine:set_context(context)
  end

  local check_self, check_async = Channel.check_self, Channel.check_async
  local checkpoint_if_cancelled = trio.lowlevel.checkpoint_if_cancelled
  local shielded_checkpoint = trio.lowlevel.cancel_shielded_checkpoint

  --- kit.new_dtls_channel(endpoint, address, engine, renew): the endpoint keeps
  --- it in its table. renew(), of a client: another engine of the same kind.
  function kit.new_dtls_channel(endpoint, address, engine, renew)
    local send, receive = trio.open_memory_channel(
      endpoint.incoming_packets_buffer)
    local channel = Channel:new({
      _endpoint = endpoint, _address = address, _engine = engine,
      _send = send, _receive = receive,  -- datagrams of the peer
      _dropped = 0,          -- of them, for lack of room
      _cleartext = {},       -- received with another one in one datagram
      _lock = trio.Lock(),   -- who does the handshake
      _ready = false,        -- the handshake is done
      _volley = {},          -- the last one that we made
      _losses = 0,           -- how often that got no answer
      _number = 0,           -- of the next record in the handshake
      _mtu = 0, _ciphertext_mtu = 0,  -- in the handshake, and the program's
      _renew = renew or false,
      _cookie_number = math.huge,  -- of the first hello with a cookie
      _hello = false,        -- what began it, if we are the server
      _ended = false,        -- the peer said good-bye
      _closed = false,
      _broken = false,       -- else why it can't be used any more
      _cause = false,        -- the error behind that, if there is one
    })
    channel:set_ciphertext_mtu(kit.dtls_usual_mtu(endpoint.socket))
    return channel
  end

  -- ---- states

  local function check_usable(self)
    if self._closed then
      error(trio.ClosedResourceError("this channel is closed"))
    elseif self._broken then
      error(trio.BrokenResourceError(self._broken, {
        cause = self._cause or nil,
      }))
    end
  end

  -- No more datagrams will come; who waits for one learns why.
  local function break_with(self, message, cause)
    if self._broken then return end
    self._broken, self._cause = message, cause or false
    self._send:close()
  end

  --- The peer has begun anew, or we have.
  function kit.replace_dtls_channel(self)
    break_with(self, "this association was replaced by a newer one")
  end

  --- The endpoint can't receive any more.
  function kit.break_dtls_channel(self, cause)
    break_with(self, "the socket has failed: " .. tostring(cause), cause)
  end

  --- A datagram has come.
  function kit.deliver_to_dtls_channel(self, packet)
    if self._ended or self._broken then return end
    if not pcall(self._send.send_nowait, self._send, packet) then
      self._dropped = self._dropped + 1
    end
  end

  -- The next datagram of the peer.
  local function next_datagram(self)
    local ok, packet = trio.pcall(self._receive.receive, self._receive)
    if ok and not self._closed then return packet end
    check_usable(self)
    error(packet, 0)
  end

  -- ---- sending

  local function send_datagram(self, packet)
    local endpoint = self._endpoint
    endpoint._send_lock:with(function()
      endpoint.socket:sendto(packet, self._address)
    end)
  end

  local function send_volley(self, messages)
    local packets
    packets, self._number = records.encode_volley(messages, self._mtu,
      self._number)
    for _, packet in ipairs(packets) do send_datagram(self, packet) end
  end

  -- For what may get lost: a system that refuses it is no reason to stop.
  local function try_to_send_volley(self, messages)
    local ok, err = trio.pcall(send_volley, self, messages)
    if not ok and not kit.is_harmless_to_dtls(err) then error(err, 0) end
  end

  --- The peer has sent a part of the handshake again, though we are done: the
  --- last thing that we have sent got lost.
  function kit.resend_dtls_volley(self)
    try_to_send_volley(self, self._volley)
  end

  -- ---- the handshake

  -- Keep what OpenSSL reads of a datagram ("" for what it has held back).
  -- What it writes meanwhile are answers to what was sent twice, with numbers
  -- of its own: we do that ourselves.
  local function read(self, packet)
    local engine, list = self._engine, self._cleartext
    engine:feed(packet)
    repeat
      local data, problem = engine:read(MAX_RECORD)
      if data then
        list[#list + 1] = data
      elseif problem then
        break_with(self, tostring(problem), problem)
      elseif data == nil then  -- the peer said good-bye
        self._ended = true
        self._send:close()
      end
    until not data
    engine:take()
  end

  local function refuse(self, problem, alert)
    break_with(self, problem and "the handshake has failed: "
      .. tostring(problem) or "the peer has refused the handshake", problem)
    try_to_send_volley(self, alert)  -- for the peer to know
    if problem ~= nil and not trio.isinstance(problem, trio.SSLError) then
      error(problem, 0)  -- of an sni_callback
    end
    check_usable(self)
  end

  -- Has the server refused the cookie that it gave us? Because so much was lost
  -- that it is too old, or because the server was restarted. In both cases the
  -- timer has expired; who refuses every cookie can't make us run in circles.
  local function is_cookie_refused(self, packet)
    if not packet or self._losses == 0 then return false end
    local number = records.hello_verify_number(packet)
    return number ~= nil and number >= self._cookie_number
  end

  -- From the first hello on: OpenSSL can't take a second cookie.
  local function begin_anew(self)
    self._engine = self._renew()
    openssl.set_mtu(self._engine, self._ciphertext_mtu)
    self._cookie_number = math.huge
  end

  -- Let OpenSSL go on, with a datagram of the peer if there is one. Returns
  -- whether there is a new volley to send, which stands in self._volley.
  local function advance(self, packet)
    if is_cookie_refused(self, packet) then
      begin_anew(self)
      packet = nil
    end
    local engine = self._engine
    if packet then engine:feed(packet) end
    local done, problem = engine:handshake(self)
    local messages = records.decode_volley(engine:take() or "") or {}
    if done == nil then refuse(self, problem, messages) end
    if done then
      self._ready, self._volley = true, messages
      read(self, "")
      return true
    end
    if #messages == 0 then return false end
    if records.is_second_hello(messages) then
      self._cookie_number = self._number
    end
    self._volley = messages
    return true
  end

  -- The whole handshake. One that was cancelled goes on where it was.
  local function shake_hands(self, initial_timeout)
    local timeout = initial_timeout
    self._losses = 0
    advance(self)
    while not self._ready do
      send_volley(self, self._volley)
      kit.start_dtls_receiving(self._endpoint)
      local _, answered = trio.move_on_after(timeout, function()
        repeat until advance(self, next_datagram(self))
        return true
      end)
      if answered then
        -- RFC 6347, 4.2.4.1: the first value again only after a volley that
        -- got through at once.
        if self._losses == 0 then timeout = initial_timeout end
        self._losses = 0
      else
        timeout = math.min(2 * timeout, LONGEST_TIMEOUT)
        self._losses = self._losses + 1
        if self._losses == LOSSES_BEFORE_SMALLER then
          self._mtu = math.min(self._mtu,
            kit.dtls_smallest_mtu(self._endpoint.socket))
        end
      end
    end
    send_volley(self, self._volley)
  end

  local function need_handshake(self, timeout)
    self._lock:with(function()
      check_usable(self)
      if not self._ready then shake_hands(self, timeout) end
    end)
  end

  --- channel:do_handshake([opts]): once; option initial_retransmit_timeout.
  function Channel:do_handshake(opts)
    check_async(self, "do_handshake")
    opts = check.options(opts, 1, "do_handshake", HANDSHAKE_OPTIONS)
    local timeout = opts.initial_retransmit_timeout or FIRST_TIMEOUT
    if type(timeout) ~= "number" or not (timeout > 0) then
      check.refuse(1, "do_handshake",
        "option 'initial_retransmit_timeout' must be a positive number")
    end
    need_handshake(self, timeout)
  end

  -- ---- data

  --- channel:send(data): one datagram.
  function Channel:send(data)
    check_async(self, "send")
    check.string(data, 1, "send")
    if data == "" or #data > MAX_RECORD then
      check.refuse(1, "send", ("1 to %d bytes expected"):format(MAX_RECORD))
    end
    if not self._ready then need_handshake(self, FIRST_TIMEOUT) end
    check_usable(self)
    local engine = self._engine
    local sent, problem = engine:write(data)
    if not sent then break_with(self, tostring(problem), problem) end
    check_usable(self)
    send_datagram(self, engine:take())
  end

  --- channel:receive(): the next datagram; what isn't valid is skipped.
  function Channel:receive()
    check_async(self, "receive")
    if not self._ready then need_handshake(self, FIRST_TIMEOUT) end
    checkpoint_if_cancelled()
    local list, waited = self._cleartext, false
    if self._closed then check_usable(self) end
    while #list == 0 do
      check_usable(self)
      if self._ended then
        error(trio.EndOfChannel("the peer has closed this association"))
      end
      waited = true
      read(self, next_datagram(self))
    end
    local data = table.remove(list, 1)
    if #list > 0 then
      -- More than one in a datagram: wake another task that waits for it.
      pcall(self._send.send_nowait, self._send, "")
    end
    if not waited then shielded_checkpoint() end
    return data
  end

  -- ---- the rest

  --- channel:set_ciphertext_mtu(bytes): the largest payload of a datagram
  --- that gets to the peer.
  function Channel:set_ciphertext_mtu(mtu)
    check_self(self, "set_ciphertext_mtu")
    mtu = check.integer(mtu, 1, "set_ciphertext_mtu", SMALLEST_MTU)
    self._mtu, self._ciphertext_mtu = mtu, mtu
    if not self._closed then openssl.set_mtu(self._engine, mtu) end
  end

  local function check_handshake(self, name)
    check_self(self, name, 1)
    if not self._ready then
      error(trio.NeedHandshakeError(
        ("call do_handshake before using %s"):format(name)))
    end
    check_usable(self)
  end

  --- channel:get_cleartext_mtu(): what `send` can take for that.
  function Channel:get_cleartext_mtu()
    check_handshake(self, "get_cleartext_mtu")
    return openssl.data_mtu(self._engine)
  end

  for _, name in ipairs {
    "getpeercert", "cipher", "version", "selected_alpn_protocol",
  } do
    Channel[name] = function(self, argument)
      check_handshake(self, name)
      local engine = self._engine
      return engine[name](engine, argument)
    end
  end

  function Channel:statistics()
    check_self(self, "statistics")
    return {incoming_packets_dropped_in_trio = self._dropped}
  end

  --- channel:close(): who waits for a datagram gets a ClosedResourceError.
  --- The peer isn't told.
  function Channel:close()
    check_self(self, "close")
    if self._closed then return end
    self._closed = true
    kit.forget_dtls_channel(self._endpoint, self)
    self._receive:close()
    self._send:close()
    self._engine = false
  end

  --- channel:aclose(): the same, and a checkpoint.
  function Channel:aclose()
    check_async(self, "aclose")
    self:close()
    trio.lowlevel.checkpoint()
  end

  trio.abc.Channel(Channel)

  local function state_of(self)
    if self._closed then return "closed" end
    if self._broken then return "broken" end
    return self._ready and "open" or "new"
  end

  function Channel:__tostring()
    return ("<trio.DTLSChannel %p to %s, %s>"):format(self,
      kit.host_and_port(self._address[1], self._address[2]), state_of(self))
  end
end
