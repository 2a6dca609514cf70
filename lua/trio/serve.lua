-- SPDX-License-Identifier: MIT
-- serve.lua: trio.serve_listeners: a task for every connection, for ever.
--
-- Where the process or the system is out of descriptors or memory the server
-- waits and tries again; every other error of accept ends it.

local error, pcall, setmetatable = error, pcall, setmetatable

-- How long to wait when there is no room for another connection.
local PAUSE = 0.1

local EXHAUSTED = {EMFILE = true, ENFILE = true, ENOMEM = true, ENOBUFS = true}
local OPTIONS = {handler_nursery = true}

return function(trio, kit)
  local check, is_native = kit.check, trio._is_socket_stream

  --- kit.task_status(first, ...): the task status that a startable function
  --- was given before its other arguments, or TASK_STATUS_IGNORED; then those.
  function kit.task_status(first, ...)
    local is_object = type(first) == "userdata" or type(first) == "table"
    if is_object and not check.is_callable(first)
      and check.is_callable(first.started) then
      return first, ...
    end
    return trio.TASK_STATUS_IGNORED, first, ...
  end

  -- Whatever the handler does, its stream is closed when it ends.
  local Closer = {__metatable = false}

  function Closer:__close()
    local stream = self.stream
    if check.name_of(stream) == "trio.SSLStream"
      and kit.is_closed_ssl_stream(stream) then
      return  -- which would be costly to do again
    end
    trio.aclose_forcefully(stream)
  end

  local function run_handler(stream, handler)
    local _ <close> = is_native(stream) and stream  -- the same, and quicker
      or setmetatable({stream = stream}, Closer)
    handler(stream)
  end

  -- The next connection; nil after a pause where there was no room for it.
  local function accept(listener, method)
    local ok, stream = pcall(method, listener)
    if ok then return stream end
    if not EXHAUSTED[kit.os_code(stream)] then error(stream, 0) end
    -- The program may replace `warn`, as it may `print`.
    warn(("accept failed (%s); trying again in %g seconds"):format(
      tostring(stream), PAUSE))
    trio.sleep(PAUSE)
    return nil
  end

  local function serve_one(listener, nursery, handler, options)
    local _ <close> = setmetatable({stream = listener}, Closer)
    local method, start_soon = listener.accept, nursery.start_soon
    trio._serves(listener)
    while true do
      local stream = accept(listener, method)
      if stream then
        local ok, err = pcall(start_soon, nursery, options, run_handler, stream,
          handler)
        if not ok then
          trio.aclose_forcefully(stream)
          error(err, 0)
        end
      end
    end
  end

  --- Check the arguments that all servers have; for functions that the program
  --- calls, as their first call.
  function kit.check_server(handler, nursery, place, name)
    check.callable(handler, 1, name, 1)
    if nursery == nil then return end
    local is_object = type(nursery) == "userdata" or type(nursery) == "table"
    if not is_object or not check.is_callable(nursery.start_soon) then
      check.refuse(place, name,
        "option 'handler_nursery' must be a nursery", 1)
    end
  end

  local function name_of_accept(listener)
    local ok, address = pcall(function()
      return listener.socket:getsockname()
    end)
    if not ok then return "accept of " .. tostring(listener) end
    if type(address) == "table" then
      address = kit.host_and_port(address[1], address[2])
    end
    return "accept at " .. tostring(address)
  end

  --- kit.serve(task_status, handler, listeners, handler_nursery)
  function kit.serve(task_status, handler, listeners, handler_nursery)
    local is_function = type(handler) == "function"
    local options = {name = is_function and handler or tostring(handler)}
    trio.open_nursery(function(nursery)
      for _, listener in ipairs(listeners) do
        nursery:start_soon({name = name_of_accept(listener)}, serve_one,
          listener, handler_nursery or nursery, handler, options)
      end
      task_status:started(listeners)
    end)
    error("the servers have ended")
  end

  --- serve_listeners([task_status,] handler, listeners [, opts])
  function trio.serve_listeners(...)
    local task_status, handler, listeners, opts = kit.task_status(...)
    opts = check.options(opts, 3, "serve_listeners", OPTIONS)
    kit.check_server(handler, opts.handler_nursery, 3, "serve_listeners")
    if type(listeners) ~= "table" or #listeners == 0 then
      check.refuse(2, "serve_listeners", "an array of listeners expected")
    end
    check.task("trio.serve_listeners")
    kit.serve(task_status, handler, listeners, opts.handler_nursery)
  end
end
