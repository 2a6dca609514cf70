-- SPDX-License-Identifier: MIT
-- ssl_stream.lua: trio.SSLStream: TLS over any stream, by Trio's state machine.
--
-- The engine (src/tls/engine.c) does TLS between strings. Here its output goes
-- to the transport and the transport's data to the engine, while one task may
-- send, one receive, and each may have to do the other's work: an engine that
-- reads may have to send, and the other way round. Two rules keep that right:
--   * Between a call of the engine and the place in the queue for sending what
--     it has put out, nothing waits: the records must leave in their order.
--   * Whoever lacks input, and finds that another task has got some while he
--     waited for his turn, asks the engine again before he receives more.
--
-- A stream is OK until anything went wrong that leaves the two sides with
-- different ideas (BROKEN) or until it was closed (CLOSED).

local error, pcall, setmetatable, type = error, pcall, setmetatable, type

local OK, BROKEN, CLOSED = "open", "broken", "closed"

-- How much to read at once, and how long an alert may take to be sent.
local READ_SIZE = 65536
local ALERT_SECONDS = 1

local OPTIONS = {
  server_hostname = true, server_side = true, https_compatible = true,
  session = true,
}

local CERTIFICATE_OPTIONS = {binary = true}

local CONTEXT, SESSION = "trio.ssl.SSLContext", "trio.ssl.SSLSession"

-- The fields that the program may set.
local SETTABLE = {context = CONTEXT, session = SESSION}

return function(trio, kit)
  local check, lowlevel = kit.check, trio.lowlevel
  local new_engine, is_native = trio.ssl._engine, trio._is_socket_stream

  local function check_handshake(self, name)
    if not self._handshaken then
      error(trio.NeedHandshakeError(
        ("call do_handshake before using %s"):format(name)))
    end
  end

  local Stream = kit.class("trio.SSLStream", nil, {
    transport_stream = function(self) return rawget(self, "_transport") end,
    context = function(self) return self._engine:context() end,
    server_side = function(self) return self._server_side end,
    server_hostname = function(self) return rawget(self, "_hostname") end,
    session = function(self) return (self._engine:session()) end,
    session_reused = function(self)
      check_handshake(self, "session_reused")
      return self._engine:session_reused()
    end,
  })

  --- kit.is_closed_ssl_stream(stream)
  function kit.is_closed_ssl_stream(stream)
    return stream._state == CLOSED
  end

  local newindex = Stream.__newindex

  function Stream:__newindex(key, value)
    local class = SETTABLE[key]
    if not class then return newindex(self, key, value) end
    if check.name_of(value) ~= class then
      error(("field '%s' of trio.SSLStream: %s"):format(key,
        check.expected(class, value)), 2)
    end
    self._engine["set_" .. key](self._engine, value)
  end

  local function check_open(self)
    if self._state == BROKEN then
      error(trio.BrokenResourceError("this TLS stream is broken"))
    elseif self._state == CLOSED then
      error(trio.ClosedResourceError("this stream was closed by its own side"))
    end
  end

  -- ---- the transport

  -- An error that leaves the block breaks the stream.
  local Spoiler = {__metatable = false}

  function Spoiler:__close(err)
    if err ~= nil and self.stream._state == OK then
      self.stream._state = BROKEN
    end
  end

  local Unlocker = {__metatable = false}

  function Unlocker:__close()
    self.lock:release()
  end

  -- A free lock is taken at once: what follows is a checkpoint.
  local function acquire(lock)
    if lock:locked() then lock:acquire() else lock:acquire_nowait() end
  end

  -- Send what the engine has put out. However this fails, some unknown part of
  -- it may have been sent.
  local function send(self, output)
    local _ <close> = self._spoiler
    acquire(self._send_lock)
    local _ <close> = self._send_unlocker
    if self._tickets then
      output, self._tickets = self._tickets .. output, false
    end
    self._transport:send_all(output)
  end

  -- Get more input, unless another task does.
  local function receive(self)
    local rounds = self._rounds
    acquire(self._receive_lock)
    local _ <close> = self._receive_unlocker
    if rounds ~= self._rounds then return end
    self._engine:feed(self._transport:receive_some())
    self._rounds = rounds + 1
  end

  -- ---- the engine

  local function is_eof(err)
    return trio.isinstance(err, trio.SSLError)
      and err.reason == "unexpected eof while reading"
  end

  -- The engine has failed. The peer is told why, if it listens.
  local function fail(self, err, alert)
    if self._state == OK then self._state = BROKEN end
    if alert and not is_eof(err) then
      trio.move_on_after(ALERT_SECONDS, function()
        trio.pcall(send, self, alert)
      end)
    end
    if not trio.isinstance(err, trio.SSLError) then error(err, 0) end
    error(trio.BrokenResourceError("TLS: " .. err.message, {cause = err}))
  end

  -- Call the engine: its result, and what must be sent next. Where it raises,
  -- for lack of memory, what it has put out is lost.
  local function operate(self, method, ...)
    local engine, state = self._engine, self._state
    self._state = BROKEN
    local result, err = engine[method](engine, ...)
    local output = engine:take()
    self._state = state
    if err ~= nil then fail(self, err, output) end
    return result, output
  end

  -- A server of TLS 1.3 puts session tickets out when its handshake ends, and
  -- its client may not be reading then: they go with what is sent next.
  local function hold_tickets(self, output)
    if self._server_side and self._engine:version() == "TLSv1.3" then
      self._tickets = output or false
      return nil
    end
    return output
  end

  -- Call a method of the engine until it is done, at least one checkpoint.
  local function advance(self, method, argument)
    lowlevel.checkpoint_if_cancelled()
    local has_waited = false
    while true do
      local result, output = operate(self, method, argument)
      if result and method == "handshake" then
        output = hold_tickets(self, output)
      end
      if output then
        send(self, output)
        has_waited = true
      end
      if result ~= false then
        if not has_waited then lowlevel.cancel_shielded_checkpoint() end
        return result
      end
      if not output then
        receive(self)
        has_waited = true
      end
    end
  end

  -- ---- the handshake

  local HandshakeEnd = {__metatable = false}

  -- Those who wait for it look at the state then.
  function HandshakeEnd:__close(err)
    local stream = self.stream
    if err ~= nil and stream._state == OK then stream._state = BROKEN end
    stream._handshake_ended:set()
  end

  -- One task does the handshake, others wait for its end.
  local function ensure_handshake(self)
    if self._handshaken then return end
    if not self._handshake_ended then
      self._handshake_ended = trio.Event()
      local _ <close> = setmetatable({stream = self}, HandshakeEnd)
      advance(self, "handshake", self)
      self._handshaken = true
    else
      self._handshake_ended:wait()
      check_open(self)
    end
  end

  --- stream:do_handshake(): does nothing but a checkpoint if it was done.
  function Stream:do_handshake()
    Stream.check_async(self, "do_handshake")
    check_open(self)
    if self._handshaken then
      lowlevel.checkpoint()
    else
      ensure_handshake(self)
    end
  end

  -- ---- data

  -- f(self, ...); for HTTPS, the end of a transport without a goodbye is an
  -- end, from then on.
  local function call_until_end(self, f, ...)
    if not self._https_compatible then return f(self, ...) end
    local ok, result = pcall(f, self, ...)
    if ok then return result end
    if not trio.isinstance(result, trio.BrokenResourceError)
      or not is_eof(result.cause) then
      error(result, 0)
    end
    self._ended = true
    lowlevel.checkpoint()
    return nil
  end

  --- stream:receive_some([max_bytes]): nil at the end.
  function Stream:receive_some(max_bytes)
    Stream.check_async(self, "receive_some")
    if max_bytes == nil then
      max_bytes = READ_SIZE
    else
      max_bytes = check.integer(max_bytes, 1, "receive_some", 1)
    end
    local _ <close> = self._receiving:claim()
    if self._ended and self._state == BROKEN then
      lowlevel.checkpoint()
      return nil
    end
    check_open(self)
    if not self._handshaken then
      call_until_end(self, ensure_handshake)
      if self._ended then return nil end
    end
    return call_until_end(self, advance, "read", max_bytes)
  end

  -- Where a part has been sent and the rest is not, the peer would take what
  -- comes next for the rest: so the stream is broken then.
  local function write(self, data)
    local from = 1
    repeat
      local result, output = operate(self, "write", data, from)
      if output then
        send(self, output)
      elseif not result then
        receive(self)
      end
      from = result or from
    until from > #data
  end

  --- stream:send_all(data)
  function Stream:send_all(data)
    Stream.check_async(self, "send_all")
    data = check.data(data, "send_all")
    local _ <close> = self._sending:claim()
    check_open(self)
    ensure_handshake(self)
    if data == "" then
      lowlevel.checkpoint()
      return
    end
    lowlevel.checkpoint_if_cancelled()
    local _ <close> = self._spoiler
    write(self, data)
  end

  --- stream:wait_send_all_might_not_block()
  function Stream:wait_send_all_might_not_block()
    Stream.check_async(self, "wait_send_all_might_not_block")
    local _ <close> = self._sending:claim()
    check_open(self)
    -- A task that receives may be sending: its turn ends first. Should another
    -- one want to send meanwhile, it waits as long as the transport would
    -- make it wait anyway.
    acquire(self._send_lock)
    local _ <close> = self._send_unlocker
    self._transport:wait_send_all_might_not_block()
  end

  -- ---- the end

  --- stream:unwrap(): the transport, and what was received after the end of
  --- TLS. Both sides have said goodbye then.
  function Stream:unwrap()
    Stream.check_async(self, "unwrap")
    local _ <close> = self._receiving:claim()
    local _ <close> = self._sending:claim()
    check_open(self)
    ensure_handshake(self)
    advance(self, "shutdown")
    local transport, trailing = self._transport, self._engine:trailing()
    self._state = CLOSED
    self._transport = nil
    self._engine:close()
    return transport, trailing
  end

  -- Say goodbye, without waiting for the peer's: it may be sending only, and
  -- would never see ours. Where that fails the peer is gone or busy with
  -- another task, and the transport is closed without.
  local function say_goodbye(self)
    ensure_handshake(self)
    local ok, err = pcall(advance, self, "shutdown", true)
    if ok or trio.isinstance(err, trio.BrokenResourceError)
      or trio.isinstance(err, trio.BusyResourceError) then
      return
    end
    error(err, 0)
  end

  local EngineCloser = {__metatable = false}

  function EngineCloser:__close()
    self.engine:close()
  end

  --- stream:aclose(): with a goodbye, unless https_compatible.
  function Stream:aclose()
    Stream.check_async(self, "aclose")
    local transport = self._transport
    if self._state == CLOSED then
      lowlevel.checkpoint()
      return
    end
    local _ <close> = setmetatable({engine = self._engine}, EngineCloser)
    if self._state == BROKEN or self._https_compatible then
      self._state = CLOSED
      transport:aclose()
      return
    end
    local ok, err = pcall(say_goodbye, self)
    self._state = CLOSED
    if ok then
      transport:aclose()
    else
      trio.aclose_forcefully(transport)
      error(err, 0)
    end
  end

  trio.abc.Stream(Stream)

  -- ---- what is known

  for _, name in ipairs {
    "cipher", "shared_ciphers", "version", "selected_alpn_protocol",
    "get_channel_binding",
  } do
    Stream[name] = function(self, argument)
      Stream.check_self(self, name)
      check_handshake(self, name)
      local engine = self._engine
      return (engine[name](engine, argument))
    end
  end

  --- stream:getpeercert([opts])
  function Stream:getpeercert(opts)
    Stream.check_self(self, "getpeercert")
    opts = check.options(opts, 1, "getpeercert", CERTIFICATE_OPTIONS)
    check_handshake(self, "getpeercert")
    return (self._engine:getpeercert(opts.binary))
  end

  --- stream:compression(): always nil: it would be a weakness.
  function Stream:compression()
    Stream.check_self(self, "compression")
    check_handshake(self, "compression")
    return nil
  end

  --- stream:pending(): how many bytes are decrypted and wait to be received.
  function Stream:pending()
    Stream.check_self(self, "pending")
    return self._engine:pending()
  end

  function Stream:__tostring()
    return ("<trio.SSLStream %p %s of %s>"):format(self, self._state,
      tostring(rawget(self, "_transport")))
  end

  --- kit.check_ssl_context(value, place, name): for functions that the program
  --- calls.
  function kit.check_ssl_context(value, place, name)
    if check.name_of(value) ~= CONTEXT then
      check.refuse(place, name, check.expected(CONTEXT, value), 1)
    elseif value.protocol ~= "tls" then
      check.refuse(place, name, "a context for TLS expected, not for DTLS", 1)
    end
  end

  local function check_session(session)
    if session == nil or check.name_of(session) == SESSION then return end
    check.refuse(3, "SSLStream", "option 'session' must be a " .. SESSION, 1)
  end

  --- kit.check_server_hostname(host, name): of the options at place 3; as the
  --- name system knows it. Likewise.
  function kit.check_server_hostname(host, name)
    if host == nil then return nil end
    if type(host) ~= "string" then
      check.refuse(3, name, "option 'server_hostname' must be a string", 1)
    end
    local ascii = kit.idna(host)
    if ascii then return ascii end
    check.refuse(3, name, "option 'server_hostname' is not the name of a host",
      1)
  end

  --- SSLStream(transport, context [, opts])
  function trio.SSLStream(transport, context, opts)
    if not is_native(transport)
      and not trio.abc.implements(transport, "Stream") then
      check.refuse(1, "SSLStream", check.expected("stream", transport))
    end
    kit.check_ssl_context(context, 2, "SSLStream")
    opts = check.options(opts, 3, "SSLStream", OPTIONS)
    check_session(opts.session)
    local engine = new_engine(context, opts.server_side,
      kit.check_server_hostname(opts.server_hostname, "SSLStream"))
    if opts.session then engine:set_session(opts.session) end
    local self = Stream:new({
      _transport = transport, _engine = engine, _state = OK,
      _server_side = not not opts.server_side,
      _hostname = opts.server_hostname,
      _https_compatible = not not opts.https_compatible,
      _handshaken = false,
      _handshake_ended = false,  -- an event, once a handshake has begun
      _tickets = false,          -- held back
      _ended = false,            -- without a goodbye, as HTTPS does
      _rounds = 0,               -- how often input was received
      _send_lock = trio.StrictFIFOLock(), _receive_lock = trio.Lock(),
      _sending = kit.busy("another task is sending through this stream"),
      _receiving = kit.busy("another task is receiving from this stream"),
    })
    rawset(self, "_spoiler", setmetatable({stream = self}, Spoiler))
    rawset(self, "_send_unlocker",
      setmetatable({lock = self._send_lock}, Unlocker))
    rawset(self, "_receive_unlocker",
      setmetatable({lock = self._receive_lock}, Unlocker))
    return self
  end
end
