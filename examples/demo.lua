-- SPDX-License-Identifier: MIT
-- Demonstration: a server and several clients of it, on this machine.
--
--   make demo      or      trio-lua examples/demo.lua
--
-- The server does sums for whoever connects. Three clients ask at once; a
-- fourth one asks for something slow and gives it half a second. When all have
-- their answer everything is shut down.

local trio = require "trio"

local began

local function say(who, text, ...)
  print(("%4.1f s  %-7s %s"):format(trio.current_time() - began, who,
    text:format(...)))
end

-- ---- the server: a task for each connection, a line for each question

local connections = 0

local function answer(question)
  local from, to = question:match("^sum (%d+) (%d+)$")
  if not from then
    trio.sleep(60)  -- "think": the other connections are served meanwhile
    return 42
  end
  return (to - from + 1) * (from + to) // 2
end

local function serve(stream)
  connections = connections + 1
  for question in trio.BufferedReceiveStream(stream):lines() do
    stream:send_all(answer(question) .. "\n")
  end
end

-- ---- the clients

-- Connects, asks, and closes the connection however it ends.
local function ask(port, question)
  local stream <close> = trio.open_tcp_stream("127.0.0.1", port)
  stream:send_all(question .. "\n")
  return trio.BufferedReceiveStream(stream):lines()()
end

local function curious(name, port, to)
  say(name, "what is the sum of 1 to %d?", to)
  say(name, "it is %s", ask(port, ("sum 1 %d"):format(to)))
end

local function impatient(port)
  say("Dan", "think! You have half a second.")
  local scope = trio.move_on_after(0.5, function() ask(port, "think") end)
  if scope.cancelled_caught then say("Dan", "too slow, I hang up") end
end

trio.run(function()
  began = trio.current_time()
  trio.open_nursery(function(nursery)
    local listener = nursery:start(trio.serve_tcp, serve, 0,
      {host = "127.0.0.1"})[1]
    local port = listener.socket:getsockname()[2]
    say("server", "ready")

    trio.open_nursery(function(clients)
      clients:start_soon({name = "Ann"}, curious, "Ann", port, 100)
      clients:start_soon({name = "Bob"}, curious, "Bob", port, 1000)
      clients:start_soon({name = "Cleo"}, curious, "Cleo", port, 10000)
      clients:start_soon({name = "Dan"}, impatient, port)

      trio.sleep(0.2)
      say("", "the tasks are now:")
      print((trio.lowlevel.task_tree(trio.lowlevel.current_task()):gsub(
        "[^\n]+", "            %0")))
    end)

    say("server", "%d connections served; shutting down", connections)
    nursery.cancel_scope:cancel()
  end)
  say("", "nothing is left running")
end)
