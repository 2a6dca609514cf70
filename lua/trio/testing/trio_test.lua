-- SPDX-License-Identifier: MIT
-- trio_test.lua: trio.testing.trio_test turns a function that waits into one
-- that can be called from plain code, with a run of its own.

local select = select

return function(trio, kit)
  local check, implements = kit.check, trio.abc.implements

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
        if implements(value, "Clock") then
          if clock ~= nil then
            check.refuse(place, "trio_test",
              "there is another clock among the arguments")
          end
          clock = value
        elseif implements(value, "Instrument") then
          instruments[#instruments + 1] = value
        end
      end
      return trio.run({clock = clock, instruments = instruments}, fn, ...)
    end
  end
end
