-- SPDX-License-Identifier: MIT
-- A rate limiter: three requests in ten seconds, whoever comes first.

local trio = require "trio"

-- limiter:wait() returns at most `count` times in any `seconds`.
local RateLimiter = {}
RateLimiter.__index = RateLimiter

local function new_rate_limiter(count, seconds)
  return setmetatable({count = count, seconds = seconds, times = {},
    turn = trio.Lock()}, RateLimiter)
end

function RateLimiter:wait()
  self.turn:with(function()  -- in the order in which they came
    if #self.times == self.count then
      trio.sleep_until(self.times[1] + self.seconds)
      table.remove(self.times, 1)  -- only now: the sleep may be cancelled
    end
    table.insert(self.times, trio.current_time())
  end)
end

local function say(text, ...)
  print(("%2g s  "):format(trio.current_time()) .. text:format(...))
end

local function client(name, limiter, requests, patience)
  local scope = trio.move_on_after(patience, function()
    for i = 1, requests do
      limiter:wait()
      say("%s, request %d", name, i)
    end
  end)
  if scope.cancelled_caught then say("%s gives up", name) end
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  local limiter = new_rate_limiter(3, 10)
  trio.open_nursery(function(nursery)
    nursery:start_soon(client, "Ada", limiter, 4, 60)
    nursery:start_soon(client, "Bob", limiter, 3, 60)
    nursery:start_soon(client, "Eve", limiter, 2, 5)
  end)
end)

--[[ expected output
 0 s  Ada, request 1
 0 s  Bob, request 1
 0 s  Eve, request 1
 5 s  Eve gives up
10 s  Ada, request 2
10 s  Bob, request 2
10 s  Ada, request 3
20 s  Bob, request 3
20 s  Ada, request 4
]]
