-- SPDX-License-Identifier: MIT
-- A race: the first task that has a result wins and cancels the others.

local trio = require "trio"

-- Calls every function in a task of its own; returns the first result.
local function race(functions)
  local winner
  trio.open_nursery(function(nursery)
    for _, fn in ipairs(functions) do
      nursery:start_soon(function()
        local result = fn()
        if winner == nil then winner = result end
        nursery.cancel_scope:cancel("the race is over")
      end)
    end
  end)
  return winner
end

local function mirror(name, seconds)
  return function()
    local _ <close> = trio.defer(function(err)
      print(name, err == nil and "answered" or "gave up: " .. err.reason)
    end)
    trio.sleep(seconds)
    return "the answer of " .. name
  end
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  print(race {
    mirror("Oslo", 30),
    mirror("Lima", 5),
    mirror("Rome", 60),
  })
end)

--[[ expected output
Lima	answered
Oslo	gave up: the race is over
Rome	gave up: the race is over
the answer of Lima
]]
