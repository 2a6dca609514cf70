-- SPDX-License-Identifier: MIT
-- Echo: a TCP server and three clients of it, all in one program.

local trio = require "trio"

-- The server runs this in a task for each connection. The loop ends when the
-- client has sent everything; then the connection is closed.
local function echo(stream)
  for chunk in stream do stream:send_all(chunk) end
end

-- Sends in a task of its own: the server waits if nobody takes its answer.
local function ask(port, question)
  local stream <close> = trio.open_tcp_stream("127.0.0.1", port)
  local answer = {}
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      stream:send_all(question)
      stream:send_eof()  -- "that was all"
    end)
    for chunk in stream do table.insert(answer, chunk) end
  end)
  return table.concat(answer)
end

trio.run(function()
  trio.open_nursery(function(nursery)
    -- Port 0: the system picks a free one. start returns when it listens.
    local listeners = nursery:start(trio.serve_tcp, echo, 0,
      {host = "127.0.0.1"})
    local port = listeners[1].socket:getsockname()[2]

    local answers = {}
    trio.open_nursery(function(clients)
      for i, question in ipairs {"one", "two", ("x"):rep(1000000)} do
        clients:start_soon(function() answers[i] = ask(port, question) end)
      end
    end)
    print(answers[1], answers[2], #answers[3])

    nursery.cancel_scope:cancel()  -- ends the server, too
  end)
  print("closed")
end)

--[[ expected output
one	two	1000000
closed
]]
