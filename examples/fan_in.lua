-- SPDX-License-Identifier: MIT
-- Fan in: many senders, each with a clone; the last one to close ends the loop.

local trio = require "trio"

local function sensor(name, period, count, send)
  local _ <close> = send  -- each closes its own clone, however it ends
  for i = 1, count do
    trio.sleep(period)
    send:send(("%s %d"):format(name, i))
  end
  print(name .. " has ended")
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local send, receive = trio.open_memory_channel(0)
  trio.open_nursery(function(nursery)
    nursery:start_soon(sensor, "wind", 3, 2, send:clone())
    nursery:start_soon(sensor, "rain", 5, 2, send:clone())
    nursery:start_soon(sensor, "sun", 4, 3, send:clone())
    -- Nothing is sent through the first end. If it stayed open, the loop
    -- below would wait for ever.
    send:close()
    print("senders:", receive:statistics().open_send_channels)
    for reading in receive do print(trio.current_time(), reading) end
    print("senders:", receive:statistics().open_send_channels)
  end)
end)

--[[ expected output
senders:	3
3.0	wind 1
4.0	sun 1
5.0	rain 1
6.0	wind 2
wind has ended
8.0	sun 2
10.0	rain 2
rain has ended
12.0	sun 3
sun has ended
senders:	0
]]
