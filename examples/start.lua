-- SPDX-License-Identifier: MIT
-- Starting a service: nursery:start waits until the task says it is ready.

local trio = require "trio"

-- A function made for nursery:start takes a task status first.
local function serve(task_status, name)
  trio.sleep(1)  -- opening files, binding a port...
  if name == "broken" then error("no such service", 0) end
  print(name .. " is ready")
  task_status:started(name, 8080)
  trio.sleep_forever()
end

-- Virtual time: nobody has to wait for it (see virtual_time.lua).
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  trio.open_nursery(function(nursery)
    -- start returns what `started` was given; the task goes on.
    local name, port = nursery:start(serve, "echo")
    print("connecting to", name, port)

    -- A failure before `started` comes out of start, not of the nursery.
    print(trio.pcall(nursery.start, nursery, serve, "broken"))

    print("services running:", #nursery.child_tasks)
    nursery.cancel_scope:cancel()
  end)

  -- Called directly, such a function takes a status that does nothing.
  trio.move_on_after(2, function()
    serve(trio.TASK_STATUS_IGNORED, "direct")
  end)
end)

--[[ expected output
echo is ready
connecting to	echo	8080
false	no such service
services running:	1
direct is ready
]]
