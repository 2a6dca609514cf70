-- SPDX-License-Identifier: MIT
-- tcp.lua: trio.open_tcp_stream, open_tcp_listeners and serve_tcp.
--
-- open_tcp_stream tries the addresses of a name one after the other, without
-- waiting for each to fail ("Happy Eyeballs", RFC 8305): the next attempt
-- begins when the one before has failed or has taken a while. The first
-- success ends all others.

local error, pcall, setmetatable = error, pcall, setmetatable

local DELAY = 0.25          -- between two attempts
local MOST_BACKLOG = 65535

local STREAM_OPTIONS = {happy_eyeballs_delay = true, local_address = true}
local LISTENER_OPTIONS = {host = true, backlog = true}
local SERVER_OPTIONS = {host = true, backlog = true, handler_nursery = true}

return function(trio, kit)
  local check, socket = kit.check, trio.socket

  -- ---- connecting

  --- Let the first address of another family than the first one's be the
  --- second one to be tried.
  function kit.reorder_addresses(targets)
    for place = 2, #targets do
      if targets[place].family ~= targets[1].family then
        table.insert(targets, 2, table.remove(targets, place))
        return
      end
    end
  end

  --- "example.org:80", "[::1]:80"
  function kit.host_and_port(host, port)
    local form = host:find(":", 1, true) and "[%s]:%s" or "%s:%s"
    return form:format(host, port)
  end

  -- Closes all sockets that are still in it, however the block is left.
  local OpenSockets = {__metatable = false}

  function OpenSockets:__close()
    local errors = {}
    for sock in pairs(self) do
      local ok, err = pcall(sock.close, sock)
      if not ok then errors[#errors + 1] = err end
    end
    if #errors == 1 then error(errors[1], 0) end
    if #errors > 1 then error(trio.ExceptionGroup("", errors)) end
  end

  local function bind_to(sock, local_address, target)
    if socket.IP_BIND_ADDRESS_NO_PORT and sock.setsockopt then
      local ok, err = pcall(sock.setsockopt, sock, socket.IPPROTO_IP,
        socket.IP_BIND_ADDRESS_NO_PORT, 1)
      if not ok and not trio.isinstance(err, trio.OSError) then
        error(err, 0)
      end
    end
    local ok, err = pcall(sock.bind, sock, {local_address, 0})
    if ok then return end
    if not trio.isinstance(err, trio.OSError) then error(err, 0) end
    error(trio.OSError(("local_address %q does not go with the address %s")
      :format(local_address, kit.host_and_port(table.unpack(target.address))), {
        code = err.code, errno = err.errno, syscall = "bind", cause = err,
      }))
  end

  local function connect(race, target)
    local sock = socket.socket(target.family, target.type, target.proto)
    race.sockets[sock] = true
    if race.local_address then bind_to(sock, race.local_address, target) end
    sock:connect(target.address)
    race.winner = sock
    race.nursery.cancel_scope:cancel("another attempt has connected")
  end

  local function attempt(race, target, failed)
    local ok, err = pcall(connect, race, target)
    if ok then return end
    if not trio.isinstance(err, trio.OSError) then error(err, 0) end
    race.errors[#race.errors + 1] = err
    failed:set()
  end

  local function run_race(race, targets, delay)
    trio.open_nursery(function(nursery)
      race.nursery = nursery
      for _, target in ipairs(targets) do
        local failed = trio.Event()
        nursery:start_soon({
          name = "connect to " .. kit.host_and_port(
            tostring(target.address[1]), target.address[2]),
        }, attempt, race, target, failed)
        trio.move_on_after(delay, function() failed:wait() end)
      end
    end)
  end

  -- What all attempts failed with, if it is the same.
  local function common_field(errors, name)
    for _, err in ipairs(errors) do
      if err[name] ~= errors[1][name] then return nil end
    end
    return errors[1][name]
  end

  local function all_failed(errors, host, port)
    local where = kit.host_and_port(host, port)
    local message = ("all attempts to connect to %s failed"):format(where)
    local code = common_field(errors, "code")
    return trio.OSError((code and "[" .. code .. "] " or "") .. message, {
      code = code,
      errno = common_field(errors, "errno"), syscall = "connect",
      address = {host, port}, cause = trio.ExceptionGroup(message, errors),
    })
  end

  --- kit.check_connecting(opts, place, name): the delay. For functions that
  --- the program calls.
  function kit.check_connecting(opts, place, name)
    local delay = opts.happy_eyeballs_delay
    if delay == nil then delay = DELAY end
    if type(delay) ~= "number" or not (delay >= 0) then
      check.refuse(place, name,
        "option 'happy_eyeballs_delay' must be a number, not negative", 1)
    end
    if opts.local_address ~= nil and type(opts.local_address) ~= "string" then
      check.refuse(place, name, "option 'local_address' must be a string", 1)
    end
    return delay
  end

  --- kit.connect_tcp(host, port, delay, local_address): a connected socket's
  --- stream.
  function kit.connect_tcp(host, port, delay, local_address)
    local where = kit.host_and_port(host, port)
    local targets = socket.getaddrinfo(host, port, {type = socket.SOCK_STREAM})
    if #targets == 0 then
      error(trio.OSError("the look-up of " .. where .. " had no results"))
    end
    targets = table.move(targets, 1, #targets, 1, {})
    kit.reorder_addresses(targets)
    local race = {
      sockets = setmetatable({}, OpenSockets), errors = {},
      local_address = local_address,
    }
    local _ <close> = race.sockets
    run_race(race, targets, delay)
    if not race.winner then error(all_failed(race.errors, host, port)) end
    local stream = trio.SocketStream(race.winner)
    race.sockets[race.winner] = nil
    kit.note_origin(race.winner)
    return stream
  end

  --- open_tcp_stream(host, port [, opts]): a connected stream.
  function trio.open_tcp_stream(host, port, opts)
    check.string(host, 1, "open_tcp_stream")
    port = check.integer(port, 2, "open_tcp_stream", 0)
    opts = check.options(opts, 3, "open_tcp_stream", STREAM_OPTIONS)
    local delay = kit.check_connecting(opts, 3, "open_tcp_stream")
    check.task("trio.open_tcp_stream")
    return kit.connect_tcp(host, port, delay, opts.local_address)
  end

  -- ---- listening

  --- kit.check_listening(opts, place, name): likewise.
  function kit.check_listening(opts, place, name)
    if opts.host ~= nil and type(opts.host) ~= "string" then
      check.refuse(place, name, "option 'host' must be a string", 1)
    end
    if opts.backlog == nil then return end
    if math.type(opts.backlog) ~= "integer" or opts.backlog < 0 then
      check.refuse(place, name,
        "option 'backlog' must be an integer, not negative", 1)
    end
  end

  local function listen(sock, target, backlog)
    sock:setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if target.family == socket.AF_INET6 then
      sock:setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    end
    sock:bind(target.address)
    sock:listen(math.min(backlog or MOST_BACKLOG, MOST_BACKLOG))
    return trio.SocketListener(sock)
  end

  local function unsupported(errors)
    local message = "this system supports none of the kinds of socket that "
      .. "the address could use"
    return trio.OSError(message, {
      code = "EAFNOSUPPORT", errno = errors[1].errno, syscall = "socket",
      cause = trio.ExceptionGroup(message, errors),
    })
  end

  --- kit.listen_tcp(host, port, backlog): an array of listeners.
  function kit.listen_tcp(host, port, backlog)
    local targets = socket.getaddrinfo(host, port, {
      type = socket.SOCK_STREAM, flags = socket.AI_PASSIVE,
    })
    local listeners, refused = {}, {}
    local sockets <close> = setmetatable({}, OpenSockets)
    for _, target in ipairs(targets) do
      local ok, sock = pcall(socket.socket, target.family, target.type,
        target.proto)
      if ok then
        sockets[sock] = true
        listeners[#listeners + 1] = listen(sock, target, backlog)
      elseif kit.os_code(sock) == "EAFNOSUPPORT" then
        refused[#refused + 1] = sock
      else
        error(sock, 0)
      end
    end
    if #listeners == 0 and #refused > 0 then error(unsupported(refused)) end
    for sock in pairs(sockets) do
      sockets[sock] = nil
      kit.note_origin(sock)
    end
    return listeners
  end

  --- open_tcp_listeners(port [, opts]): one listener for each address.
  function trio.open_tcp_listeners(port, opts)
    port = check.integer(port, 1, "open_tcp_listeners", 0)
    opts = check.options(opts, 2, "open_tcp_listeners", LISTENER_OPTIONS)
    kit.check_listening(opts, 2, "open_tcp_listeners")
    check.task("trio.open_tcp_listeners")
    return kit.listen_tcp(opts.host, port, opts.backlog)
  end

  --- serve_tcp([task_status,] handler, port [, opts])
  function trio.serve_tcp(...)
    local task_status, handler, port, opts = kit.task_status(...)
    opts = check.options(opts, 3, "serve_tcp", SERVER_OPTIONS)
    kit.check_server(handler, opts.handler_nursery, 3, "serve_tcp")
    port = check.integer(port, 2, "serve_tcp", 0)
    kit.check_listening(opts, 3, "serve_tcp")
    check.task("trio.serve_tcp")
    kit.serve(task_status, handler, kit.listen_tcp(opts.host, port,
      opts.backlog), opts.handler_nursery)
  end
end
