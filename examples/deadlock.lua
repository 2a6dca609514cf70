-- SPDX-License-Identifier: MIT
-- Deadlocks: the run says who waits for what, instead of hanging forever.

local trio = require "trio"

-- Two tasks that take the same two locks in a different order.
local function transfer(from, to)
  from:with(function()
    trio.sleep(0)
    to:with(function() print("never reached") end)
  end)
end

local function main()
  local here, there = trio.Lock(), trio.Lock()
  trio.open_nursery(function(nursery)
    nursery:start_soon({name = "one"}, transfer, here, there)
    nursery:start_soon({name = "two"}, transfer, there, here)
  end)
end

-- Without on_deadlock = "raise" this program would wait until Ctrl+C. The
-- interpreter's option for any script is: --on-deadlock raise
local ok, err = pcall(trio.run, {on_deadlock = "raise"}, main)
print(ok)
for leaf in err:leaves() do
  -- Without what differs from machine to machine: addresses and folders.
  local text = tostring(leaf):gsub("<Task '(.-)' at 0x%x+>", "task %1")
    :gsub("0x%x+ ", "")
  print((text:gsub("[^ ]*/", "")))
end

--[[ expected output
false
DeadlockError: every task is blocked and nothing is left that could wake one:
  task deadlock.lua:14 waits in the end of trio.open_nursery at deadlock.lua:16
  task one waits in Lock:with at deadlock.lua:10
    for <trio.Lock locked, 1 waiting>, held by task two
  task two waits in Lock:with at deadlock.lua:10
    for <trio.Lock locked, 1 waiting>, held by task one
]]
