-- SPDX-License-Identifier: MIT
-- trio_test.lua: trio.testing.trio_test turns a function that waits into one
-- that can be called from plain code, with a run of its own.

local type, select, pcall = type, select, pcall

local CLOCK = {"start_clock", "current_time", "deadline_to_sleep_time"}
local HOOKS = {
  "before_run", "after_run", "task_spawned", "task_scheduled",
  "before_task_step", "after_task_step", "task_exited", "before_io_wait",
  "after_io_wait",
}

return function(trio, kit)
  local check = kit.check

  local function member(value, name) return value[name] end

  -- How many of these methods the value has. Its __index may raise.
  local function count_methods(value, names)
    if type(value) ~= "table" and type(value) ~= "userdata" then return 0 end
    local count = 0
    for _, name in ipairs(names) do
      local ok, method = pcall(member, value, name)
      if ok and check.is_callable(method) then count = count + 1 end
    end
    return count
  end

  --- trio_test(fn): a function(...) that returns and raises what
  --- fn(...) does, called as the main task of a run. A clock among the
  --- arguments becomes the clock of the run, instruments watch it.
  function trio.testing.trio_test(fn)
    check.callable(fn, 1, "trio_test")
    return function(...)
      local clock
      local instruments = {}
      for place = 1, select("#", ...) do
        local value = select(place, ...)
        if count_methods(value, CLOCK) == #CLOCK then
          if clock ~= nil then
            check.refuse(place, "trio_test",
              "there is another clock among the arguments")
          end
          clock = value
        elseif count_methods(value, HOOKS) > 0 then
          instruments[#instruments + 1] = value
        end
      end
      return trio.run({clock = clock, instruments = instruments}, fn, ...)
    end
  end
end
