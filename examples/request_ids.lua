-- SPDX-License-Identifier: MIT
-- ContextVar: a value that follows a task and the tasks it starts.

local trio = require "trio"

local request = trio.ContextVar("request", "-")

-- No function below takes the id as an argument.
local function log(text)
  print(("[%s] %s"):format(request:get(), text))
end

local function query(table_name)
  trio.sleep(2)
  log("query " .. table_name)
end

local function handle(id)
  request:set(id)  -- seen by this task and what it starts, by nobody else
  log("begin")
  trio.open_nursery(function(nursery)
    nursery:start_soon(query, "users")
    nursery:start_soon(query, "orders")
  end)
  log("end")
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  trio.open_nursery(function(nursery)
    nursery:start_soon(handle, "A1")
    trio.sleep(1)
    nursery:start_soon(handle, "B2")
  end)
  log("the main task has no request")
end)

--[[ expected output
[A1] begin
[B2] begin
[A1] query users
[A1] query orders
[A1] end
[B2] query users
[B2] query orders
[B2] end
[-] the main task has no request
]]
