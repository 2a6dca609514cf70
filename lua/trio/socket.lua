-- SPDX-License-Identifier: MIT
-- socket.lua: the parts of trio.socket that deal with names: look-ups, and the
-- methods of sockets that take an address. Also what can be replaced for a
-- run: the resolver of names and the factory of sockets.
--
-- The methods in C want numeric addresses, and say of each one whether it is
-- one (socket:_problem). Numeric addresses never reach a resolver.

local error, pcall, type, setmetatable = error, pcall, type, setmetatable

local LOOKUP_OPTIONS = {family = true, type = true, proto = true, flags = true}

return function(trio, kit)
  local check, lowlevel, socket = kit.check, trio.lowlevel, trio.socket
  local methods = socket._methods
  local new_socket, is_socket = socket._socket, socket._is_socket
  local numeric_results = socket._numeric
  local system_getaddrinfo = socket._getaddrinfo
  local system_getnameinfo = socket._getnameinfo
  local bind, connect = methods._bind, methods._connect
  local sendto, sendmsg = methods._sendto, methods._sendmsg
  local problem_of = methods._problem
  local checkpoint_if_cancelled = lowlevel.checkpoint_if_cancelled
  local shielded_checkpoint = lowlevel.cancel_shielded_checkpoint

  -- ---- what a run may replace

  local resolver = lowlevel.RunVar("trio.socket resolver")
  local factory = lowlevel.RunVar("trio.socket factory")

  local function replace(variable, value, name, method)
    if value ~= nil and type(value) ~= "table" and type(value) ~= "userdata"
    then
      check.refuse(1, name, check.expected("object", value), 1)
    elseif value ~= nil and not check.is_callable(value[method]) then
      check.refuse(1, name, ("an object with a method '%s' expected"):format(
        method), 1)
    end
    if not lowlevel.in_trio_run() then
      error(("trio.socket.%s must be called inside of a run"):format(name), 3)
    end
    local previous = variable:get(nil)
    variable:set(value)
    return previous
  end

  --- set_custom_hostname_resolver(resolver or nil): for this run; returns the
  --- one before.
  function socket.set_custom_hostname_resolver(value)
    return (replace(resolver, value, "set_custom_hostname_resolver",
      "getaddrinfo"))
  end

  --- set_custom_socket_factory(factory or nil): for this run; returns the one
  --- before.
  function socket.set_custom_socket_factory(value)
    return (replace(factory, value, "set_custom_socket_factory", "socket"))
  end

  local function current(variable)
    return lowlevel.in_trio_run() and variable:get(nil) or nil
  end

  -- ---- look-ups

  local function unknown_name(host)
    return trio.OSError(
      ("[EAI_NONAME] getaddrinfo: %q is no host name"):format(host), {
        code = "EAI_NONAME", errno = socket.EAI_NONAME, syscall = "getaddrinfo",
      })
  end

  local function look_up(host, port, opts)
    checkpoint_if_cancelled()
    local ok, found = pcall(numeric_results, host, port, opts)
    if not ok or found then
      shielded_checkpoint()
      if not ok then error(found, 0) end
      return found
    end
    local name = host and kit.idna(host)
    if host and not name then
      shielded_checkpoint()
      error(unknown_name(host))
    end
    local custom = current(resolver)
    if not custom then return system_getaddrinfo(name, port, opts) end
    found = custom:getaddrinfo(name, port, {
      family = opts.family or 0, type = opts.type or 0, proto = opts.proto or 0,
      flags = opts.flags or 0,
    })
    shielded_checkpoint()
    return found
  end

  local function check_number_options(opts, place, name)
    for key, value in pairs(opts) do
      if math.type(value) ~= "integer" then
        check.refuse(place, name, ("option '%s' must be an integer"):format(
          key), 1)
      end
    end
  end

  --- getaddrinfo(host, port [, opts]): {{family=, type=, proto=, canonname=,
  --- address=}, ...}. host and port may be nil; port may be a service's name.
  function socket.getaddrinfo(host, port, opts)
    if host ~= nil then check.string(host, 1, "getaddrinfo") end
    if port ~= nil and type(port) ~= "string" then
      port = check.integer(port, 2, "getaddrinfo", 0)
    end
    opts = check.options(opts, 3, "getaddrinfo", LOOKUP_OPTIONS)
    check_number_options(opts, 3, "getaddrinfo")
    check.task("trio.socket.getaddrinfo")
    return look_up(host, port, opts)
  end

  -- Would C take it for the numeric address of a host?
  local function is_numeric(address)
    local ok, found = pcall(numeric_results, address[1], address[2],
      {type = socket.SOCK_STREAM})
    return ok and found ~= nil
  end

  --- getnameinfo(address [, flags]): host name, service name.
  function socket.getnameinfo(address, flags)
    if type(address) ~= "table" or type(address[1]) ~= "string"
      or math.type(address[2]) ~= "integer" then
      check.refuse(1, "getnameinfo", "an address is {host, port}")
    end
    flags = flags == nil and 0 or check.integer(flags, 2, "getnameinfo", 0)
    check.task("trio.socket.getnameinfo")
    local custom = current(resolver)
    if custom then return custom:getnameinfo(address, flags) end
    if not is_numeric(address) then
      lowlevel.checkpoint()
      error(unknown_name(address[1]))
    end
    return system_getnameinfo(address, flags)
  end

  -- ---- making sockets

  local function check_integer(value, place)
    if value ~= nil then check.integer(value, place, "socket", 0, 1) end
  end

  --- socket([family [, type [, proto [, fd]]]]): by the factory, if one is
  --- set. With fd: a socket that owns this descriptor.
  function socket.socket(family, kind, proto, fd)
    check_integer(family, 1)
    check_integer(kind, 2)
    check_integer(proto, 3)
    check_integer(fd, 4)
    local custom = fd == nil and current(factory)
    if not custom then return new_socket(family, kind, proto, fd) end
    return custom:socket(family or socket.AF_INET, kind or socket.SOCK_STREAM,
      proto or 0)
  end

  --- If the socket is one of ours: a warning that it was never closed will
  --- name the program's line that now runs.
  function kit.note_origin(sock)
    if socket._is_socket(sock) then socket._set_origin(sock) end
  end

  -- ---- methods with addresses

  local function check_self(self, method)
    if is_socket(self) then return end
    error(("calling '%s' on bad self (%s)"):format(method,
      check.expected("trio.socket", self)), 3)
  end

  -- Special hosts: the wildcard, or this machine where it is connected to.
  local SPECIAL = {["<broadcast>"] = "255.255.255.255"}

  local function look_up_address(self, address, is_local)
    local host, port = address[1], address[2]
    if host == "" then host = nil end
    local flags = is_local and socket.AI_PASSIVE or 0
    if self.family == socket.AF_INET6 and self:getsockopt(socket.IPPROTO_IPV6,
        socket.IPV6_V6ONLY) == 0 then
      flags = flags | socket.AI_V4MAPPED
    end
    local found = look_up(SPECIAL[host] or host, port, {
      family = self.family, type = self.type, proto = self.proto, flags = flags,
    })
    local result = found[1] and found[1].address
    if not result then error(unknown_name(tostring(host)), 0) end
    if self.family == socket.AF_INET6 then
      result = {result[1], result[2], address[3] or result[3],
        address[4] or result[4]}
    end
    return result
  end

  -- The address for this socket with names resolved; argument `place` of
  -- `method`, which the program has called.
  local function resolve(self, address, is_local, place, method)
    local problem = problem_of(self, address)
    if problem == nil then return address end
    if problem then check.refuse(place, method, problem, 1) end
    return look_up_address(self, address, is_local)
  end

  --- socket:bind(address)
  function methods:bind(address)
    check_self(self, "bind")
    check.task("socket:bind")
    checkpoint_if_cancelled()
    bind(self, resolve(self, address, true, 1, "bind"))
    shielded_checkpoint()
  end

  -- Closes a socket whose connect was cancelled: nobody knows what it is doing.
  local Attempt = {__metatable = false}

  function Attempt:__close(err)
    if trio.isinstance(err, trio.Cancelled)
      or trio.isinstance(err, trio.KeyboardInterrupt) then
      self.socket:close()
    end
  end

  --- socket:connect(address): a cancelled one closes the socket.
  function methods:connect(address)
    check_self(self, "connect")
    check.task("socket:connect")
    local _ <close> = setmetatable({socket = self}, Attempt)
    connect(self, resolve(self, address, false, 1, "connect"))
  end

  --- socket:sendto(data, [flags,] address): how many bytes were sent.
  function methods:sendto(data, flags, address)
    check_self(self, "sendto")
    check.string(data, 1, "sendto")
    local place = 3
    if address == nil then place, flags, address = 2, nil, flags end
    if flags ~= nil then check.integer(flags, 2, "sendto", 0) end
    check.task("socket:sendto")
    return sendto(self, data, flags,
      resolve(self, address, false, place, "sendto"))
  end

  --- socket:sendmsg(data [, ancillary [, flags [, address]]])
  function methods:sendmsg(data, ancillary, flags, address)
    check_self(self, "sendmsg")
    check.task("socket:sendmsg")
    if address ~= nil then
      address = resolve(self, address, false, 4, "sendmsg")
    end
    return sendmsg(self, data, ancillary, flags, address)
  end
end
