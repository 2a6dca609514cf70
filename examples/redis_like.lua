-- SPDX-License-Identifier: MIT
-- A key-value store: `trio-lua redis_like.lua 6379` serves redis-cli.

local trio = require "trio"

local data, commands = {}, {}  -- a command returns a string, integer or nil

function commands.PING(text) return text or "PONG" end
function commands.GET(key) return data[key] end
function commands.SET(key, value) data[key] = value; return "OK" end

function commands.INCR(key)
  local number = math.tointeger(data[key] or 0)
  if not number then error("value is not an integer", 0) end
  data[key] = tostring(number + 1)
  return number + 1
end

local function encode(ok, reply)
  if not ok then return ("-ERR %s\r\n"):format(reply) end
  if reply == nil then return "$-1\r\n" end
  if math.type(reply) == "integer" then return (":%d\r\n"):format(reply) end
  return ("$%d\r\n%s\r\n"):format(#reply, reply)
end

-- "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n" is {"GET", "x"}; nil at the end.
local function read_command(stream)
  local head = stream:receive_until("\r\n", 100)
  if not head then return nil end
  local words = {}
  for i = 1, tonumber(head:match("^%*(%d+)$")) do
    local size = stream:receive_until("\r\n", 100):match("^%$(%d+)$")
    words[i] = stream:receive_exactly(size + 2):sub(1, -3)
  end
  return words
end

local function serve(stream)
  trio.catch({{trio.BrokenResourceError, function() end}}, function()
    for words in read_command, trio.BufferedReceiveStream(stream) do
      local name = words[1]:upper()
      local run = commands[name] or function() error("unknown " .. name, 0) end
      stream:send_all(encode(trio.pcall(run, table.unpack(words, 2))))
    end
  end)
end

trio.run(function()
  if arg[1] then trio.serve_tcp(serve, math.tointeger(arg[1])) end  -- for ever
  local client, server = trio.testing.memory_stream_pair()
  trio.open_nursery(function(nursery)
    nursery:start_soon(serve, server)
    client:send_all("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")
    client:send_eof()
    print(trio.BufferedReceiveStream(client):lines()())
  end)
end)
--[[ expected output
:1
]]
