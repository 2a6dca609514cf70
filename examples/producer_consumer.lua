-- SPDX-License-Identifier: MIT
-- Backpressure: a small buffer holds a quick producer back to what is consumed.

local trio = require "trio"

local function report(text, i)
  print(("%4.1f  %s %d"):format(trio.current_time(), text, i))
end

-- Could make ten items in a second.
local function produce(send)
  local _ <close> = send  -- closing is how the consumer learns of the end
  for i = 1, 6 do
    trio.sleep(0.1)
    send:send(i)  -- waits while two items lie in the buffer
    report("produced", i)
  end
end

-- Needs a second for each.
local function consume(receive)
  for i in receive do
    trio.sleep(1)
    report("        consumed", i)
  end
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local send, receive = trio.open_memory_channel(2)
  trio.open_nursery(function(nursery)
    nursery:start_soon(produce, send)
    nursery:start_soon(consume, receive)
  end)
  print("in the buffer at most:", receive:statistics().peak_buffer_used)
end)

--[[ expected output
 0.1  produced 1
 0.2  produced 2
 0.3  produced 3
 1.1          consumed 1
 1.1  produced 4
 2.1          consumed 2
 2.1  produced 5
 3.1          consumed 3
 3.1  produced 6
 4.1          consumed 4
 5.1          consumed 5
 6.1          consumed 6
in the buffer at most:	2
]]
