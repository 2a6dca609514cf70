-- SPDX-License-Identifier: MIT
-- server.lua with luv's callbacks. Prints three ports, 0 for what it doesn't
-- have.
local uv = require "luv"

local CHUNK = ("x"):rep(65536)

local function hang_up(client)
  if not client:is_closing() then client:close() end
end

local function echo(client)
  client:read_start(function(err, data)
    if err or not data then
      hang_up(client)
    else
      client:write(data)
    end
  end)
end

-- Tries to write at once; only a rest is queued, and waited for.
local function send(client)
  local function more(err)
    while not err do
      local sent = client:try_write(CHUNK) or 0
      if sent < #CHUNK then
        client:write(CHUNK:sub(sent + 1), more)
        return
      end
    end
    hang_up(client)
  end
  more()
end

local function serve(handler)
  local server = uv.new_tcp()
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen(1024, function(err)
    assert(not err, err)
    local client = uv.new_tcp()
    assert(server:accept(client))
    client:nodelay(true)
    handler(client)
  end))
  return server:getsockname().port
end

print(serve(echo), serve(send), 0)
io.stdout:flush()
uv.run()
