-- SPDX-License-Identifier: MIT
-- Supervision: what fails is started again, after a pause that doubles.

local trio = require "trio"

local function now() return ("%4g s "):format(trio.current_time()) end

-- Runs fn until it returns. When it fails it is started again after a pause,
-- which doubles until fn has been well for a minute. Gives up after `tries`
-- failures without such a minute.
local function supervise(name, fn, tries)
  local pause, failures = 1, 0
  while true do
    local began = trio.current_time()
    local ok, err = trio.pcall(fn)  -- a cancellation is no failure
    if ok then return end
    if trio.current_time() - began >= 60 then pause, failures = 1, 0 end
    failures = failures + 1
    if failures == tries then error(name .. " is given up: " .. err, 0) end
    print(now() .. name .. ": " .. err .. "; again in " .. pause .. " s")
    trio.sleep(pause)
    pause = math.min(pause * 2, 60)
  end
end

local connections = 0
local function connection()
  connections = connections + 1
  trio.sleep(connections == 4 and 100 or 2)  -- the fourth one is good
  error("lost", 0)
end

local function heartbeat()
  local _ <close> = trio.defer(function() print(now() .. "heart stops") end)
  while true do trio.sleep(1) end
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  trio.catch({{function() return true end, function(group)
    print(now() .. group.exceptions[1])
  end}}, trio.open_nursery, function(nursery)
    nursery:start_soon(supervise, "connection", connection, 4)
    nursery:start_soon(supervise, "heart", heartbeat, 4)
  end)
end)

--[[ expected output
   2 s connection: lost; again in 1 s
   5 s connection: lost; again in 2 s
   9 s connection: lost; again in 4 s
 113 s connection: lost; again in 1 s
 116 s connection: lost; again in 2 s
 120 s connection: lost; again in 4 s
 126 s heart stops
 126 s connection is given up: lost
]]
