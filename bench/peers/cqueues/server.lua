-- SPDX-License-Identifier: MIT
-- server.lua with cqueues. Prints three ports, 0 for what it doesn't have.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local CHUNK = ("x"):rep(65536)
local controller = cqueues.new()

local function echo(client)
  repeat local data = client:read(-65536)  -- what is there, up to 64 KiB
  until not data or not client:write(data)
end

local function send(client)
  while client:write(CHUNK) do end
end

local function serve(handler)
  local server = assert(socket.listen {
    host = "127.0.0.1", port = 0, nodelay = true,
  })
  assert(server:listen())
  controller:wrap(function()
    while true do
      local client = server:accept {nodelay = true}
      client:setmode("bn", "bn")
      client:setbufsiz(65536, 65536)
      client:onerror(function(_, _, code) return code end)
      controller:wrap(function()
        handler(client)
        client:close()
      end)
    end
  end)
  local _, _, port = server:localname()
  return port
end

print(serve(echo), serve(send), 0)
io.stdout:flush()
assert(controller:loop())
