-- SPDX-License-Identifier: MIT
-- A pipeline: channels carry values from task to task, and end when closed.

local trio = require "trio"

local function produce(send, name, pause)
  local _ <close> = send  -- closing tells the other side that we are done
  for i = 1, 3 do
    trio.sleep(pause)
    send:send(name .. i)
  end
end

local function shout(receive, send)
  local _ <close> = send
  for word in receive do send:send(word:upper() .. "!") end
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local words_in, words_out = trio.open_memory_channel(0)
  local loud_in, loud_out = trio.open_memory_channel(0)
  trio.open_nursery(function(nursery)
    -- Two senders: each gets a clone of its own, the first end is closed.
    nursery:start_soon(produce, words_in:clone(), "quick", 2)
    nursery:start_soon(produce, words_in:clone(), "slow", 5)
    words_in:close()
    nursery:start_soon(shout, words_out, loud_in)
    for word in loud_out do print(trio.current_time(), word) end
    print("both producers are done, so the pipeline has ended")
  end)
end)

--[[ expected output
2.0	QUICK1!
4.0	QUICK2!
5.0	SLOW1!
6.0	QUICK3!
10.0	SLOW2!
15.0	SLOW3!
both producers are done, so the pipeline has ended
]]
