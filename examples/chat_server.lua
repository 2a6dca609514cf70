-- SPDX-License-Identifier: MIT
-- Chat: what one client writes goes to all others, and nobody can block them.

local trio = require "trio"

local members = {}  -- name -> send end of a channel of lines

local function tell(others_than, line)
  for name, send in pairs(members) do
    -- Who doesn't read until the channel is full misses a line.
    if name ~= others_than then trio.pcall(send.send_nowait, send, line) end
  end
end

local function member(stream)
  local lines = trio.BufferedReceiveStream(stream):lines()
  local name = lines()
  local send, receive = trio.open_memory_channel(100)
  members[name] = send
  tell(name, name .. " is here")
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      for line in receive do stream:send_all(line .. "\n") end
    end)
    for line in lines do tell(name, name .. ": " .. line) end
    nursery.cancel_scope:cancel()
  end)
  members[name] = nil
  tell(name, name .. " has left")
end

trio.run(function()
  trio.open_nursery(function(nursery)
    local listener = nursery:start(trio.serve_tcp, member, 0,
      {host = "127.0.0.1"})[1]
    local ann <close> = trio.testing.open_stream_to_socket_listener(listener)
    local heard_by_ann = trio.BufferedReceiveStream(ann):lines()
    ann:send_all("Ann\n")
    trio.testing.wait_all_tasks_blocked()

    local bob <close> = trio.testing.open_stream_to_socket_listener(listener)
    bob:send_all("Bob\nhello\nhow are you?\n")
    for _ = 1, 3 do print("Ann hears", heard_by_ann()) end
    ann:send_all("fine!\n")
    print("Bob hears", trio.BufferedReceiveStream(bob):lines()())
    bob:aclose()
    print("Ann hears", heard_by_ann())
    nursery.cancel_scope:cancel()
  end)
end)

--[[ expected output
Ann hears	Bob is here
Ann hears	Bob: hello
Ann hears	Bob: how are you?
Bob hears	Ann: fine!
Ann hears	Bob has left
]]
