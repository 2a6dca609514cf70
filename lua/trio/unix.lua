-- SPDX-License-Identifier: MIT
-- unix.lua: streams over Unix sockets: trio.open_unix_socket and its
-- counterpart trio.open_unix_listener.

local error, pcall = error, pcall

local LISTENER_OPTIONS = {backlog = true}

return function(trio, kit)
  local check, socket = kit.check, trio.socket

  -- Closes the socket if the block is left by an error.
  local OnError = {__metatable = false}

  function OnError:__close(err)
    if err ~= nil then self.socket:close() end
  end

  local function new_socket()
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
  end

  local function check_path(path, name)
    if type(path) == "userdata" or type(path) == "table" then
      local meta = debug.getmetatable(path)
      if meta and meta.__name == "trio.Path" then path = tostring(path) end
    end
    check.string(path, 1, name, 1)
    local problem = socket._path_problem(path)
    if problem then check.refuse(1, name, problem, 1) end
    return path
  end

  local function connect(path)
    local sock = new_socket()
    local _ <close> = setmetatable({socket = sock}, OnError)
    sock:connect(path)
    return sock
  end

  --- open_unix_socket(path): a stream. An abstract name begins with "\0".
  function trio.open_unix_socket(path)
    path = check_path(path, "open_unix_socket")
    check.task("trio.open_unix_socket")
    local stream = trio.SocketStream(connect(path))
    kit.note_origin(stream.socket)
    return stream
  end

  -- Is there a socket file at the path that nobody listens at any more?
  local function is_left_behind(path)
    if not socket._is_socket_file(path) then return false end
    local ok, sock = pcall(connect, path)
    if ok then
      sock:close()
      return false
    end
    if not trio.isinstance(sock, trio.OSError) then error(sock, 0) end
    return kit.os_code(sock) == "ECONNREFUSED"
  end

  local function bind(sock, path)
    local ok, err = pcall(sock.bind, sock, path)
    if ok then return end
    if kit.os_code(err) ~= "EADDRINUSE" or path:find("^\0")
      or not is_left_behind(path) then
      error(err, 0)
    end
    os.remove(path)
    sock:bind(path)
  end

  --- open_unix_listener(path [, opts]): a SocketListener. A socket file that
  --- an earlier server has left behind is replaced.
  function trio.open_unix_listener(path, opts)
    path = check_path(path, "open_unix_listener")
    opts = check.options(opts, 2, "open_unix_listener", LISTENER_OPTIONS)
    local backlog = opts.backlog == nil and socket.SOMAXCONN or opts.backlog
    if math.type(backlog) ~= "integer" or backlog < 0 then
      check.refuse(2, "open_unix_listener",
        "option 'backlog' must be an integer, not negative")
    end
    check.task("trio.open_unix_listener")
    local sock = new_socket()
    local _ <close> = setmetatable({socket = sock}, OnError)
    bind(sock, path)
    sock:listen(backlog)
    kit.note_origin(sock)
    return trio.SocketListener(sock)
  end
end
