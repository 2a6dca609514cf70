-- SPDX-License-Identifier: MIT
-- Hello: trio.run runs a function as the main task and returns its results.

local trio = require "trio"

local function main(name)
  print("hello, " .. name)
  trio.sleep(0.05)  -- suspends this task; other tasks could run meanwhile
  print("still here")
  return "main returned", 42
end

-- Arguments after the function are passed to it.
print(trio.run(main, "world"))

--[[ expected output
hello, world
still here
main returned	42
]]
