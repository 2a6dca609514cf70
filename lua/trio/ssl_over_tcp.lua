-- SPDX-License-Identifier: MIT
-- ssl_over_tcp.lua: trio.open_ssl_over_tcp_stream, open_ssl_over_tcp_listeners
-- and serve_ssl_over_tcp: as those of tcp.lua, with TLS.

local STREAM_OPTIONS = {
  happy_eyeballs_delay = true, local_address = true, https_compatible = true,
  ssl_context = true,
}
local LISTENER_OPTIONS = {host = true, backlog = true, https_compatible = true}
local SERVER_OPTIONS = {
  host = true, backlog = true, https_compatible = true, handler_nursery = true,
}

return function(trio, kit)
  local check = kit.check

  --- open_ssl_over_tcp_stream(host, port [, opts]): an SSLStream; its
  --- handshake is yet to come.
  function trio.open_ssl_over_tcp_stream(host, port, opts)
    local name = "open_ssl_over_tcp_stream"
    check.string(host, 1, name)
    port = check.integer(port, 2, name, 0)
    opts = check.options(opts, 3, name, STREAM_OPTIONS)
    local delay = kit.check_connecting(opts, 3, name)
    if opts.ssl_context ~= nil then
      kit.check_ssl_context(opts.ssl_context, 3, name)
    end
    check.task("trio.open_ssl_over_tcp_stream")
    local context = opts.ssl_context or trio.ssl.create_default_context()
    return kit.wrap_ssl(
      kit.connect_tcp(host, port, delay, opts.local_address), context,
      {server_hostname = host, https_compatible = opts.https_compatible})
  end

  local function listen(port, context, opts)
    local listeners = kit.listen_tcp(opts.host, port, opts.backlog)
    for place, listener in ipairs(listeners) do
      listeners[place] = trio.SSLListener(listener, context,
        {https_compatible = opts.https_compatible})
    end
    return listeners
  end

  --- open_ssl_over_tcp_listeners(port, context [, opts])
  function trio.open_ssl_over_tcp_listeners(port, context, opts)
    local name = "open_ssl_over_tcp_listeners"
    port = check.integer(port, 1, name, 0)
    kit.check_ssl_context(context, 2, name)
    opts = check.options(opts, 3, name, LISTENER_OPTIONS)
    kit.check_listening(opts, 3, name)
    check.task("trio.open_ssl_over_tcp_listeners")
    return listen(port, context, opts)
  end

  --- serve_ssl_over_tcp([task_status,] handler, port, context [, opts])
  function trio.serve_ssl_over_tcp(...)
    local name = "serve_ssl_over_tcp"
    local task_status, handler, port, context, opts = kit.task_status(...)
    opts = check.options(opts, 4, name, SERVER_OPTIONS)
    kit.check_server(handler, opts.handler_nursery, 4, name)
    port = check.integer(port, 2, name, 0)
    kit.check_ssl_context(context, 3, name)
    kit.check_listening(opts, 4, name)
    check.task("trio.serve_ssl_over_tcp")
    kit.serve(task_status, handler, listen(port, context, opts),
      opts.handler_nursery)
  end
end
