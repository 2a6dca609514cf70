-- SPDX-License-Identifier: MIT
-- The server of the workloads of TLS; floor_tls.c is its floor, and tls_load.c
-- starts both. Argument: a file with certificate and key. Prints three ports:
-- one that says "x" and goodbye, one that sends until the connection breaks,
-- one that receives and answers with one byte at the end.
local trio = require "trio"

local CHUNK = ("x"):rep(65536)

local context = trio.ssl.create_default_context{purpose = "client_auth"}
context:load_cert_chain(arg[1])

-- The load closes its connections when it has seen enough.
local function until_broken(handler)
  return function(stream)
    local ok, err = trio.pcall(handler, stream)
    if not ok and not trio.isinstance(err, trio.BrokenResourceError) then
      error(err, 0)
    end
  end
end

local handlers = {
  function(stream)
    stream:send_all("x")
    stream:aclose()
  end,
  function(stream)
    while true do stream:send_all(CHUNK) end
  end,
  function(stream)
    while stream:receive_some() do end
    stream:send_all("x")
    stream:aclose()
  end,
}

trio.run(function()
  trio.open_nursery(function(nursery)
    local ports = {}
    for i, handler in ipairs(handlers) do
      local listeners = nursery:start(trio.serve_ssl_over_tcp,
        until_broken(handler), 0, context,
        {host = "127.0.0.1", backlog = 1024})
      ports[i] = listeners[1].socket:getsockname()[2]
    end
    print(table.unpack(ports))
    io.stdout:flush()
  end)
end)
