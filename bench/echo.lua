-- SPDX-License-Identifier: MIT
-- The server of the network's benchmarks: what echo_uv.c does, with trio-lua.
-- echo_load.c starts it. Prints three ports: echo, send, receive.
local trio = require "trio"

local OUTGOING = ("x"):rep(65536)

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
    for chunk in stream do stream:send_all(chunk) end
  end,
  function(stream)
    while true do stream:send_all(OUTGOING) end
  end,
  function(stream)
    while stream:receive_some() do end
    stream:send_all("x")
  end,
}

trio.run(function()
  trio.open_nursery(function(nursery)
    local ports = {}
    for i, handler in ipairs(handlers) do
      local listeners = nursery:start(trio.serve_tcp, until_broken(handler), 0,
        {host = "127.0.0.1", backlog = 1024})
      ports[i] = listeners[1].socket:getsockname()[2]
    end
    print(table.unpack(ports))
    io.stdout:flush()
  end)
end)
