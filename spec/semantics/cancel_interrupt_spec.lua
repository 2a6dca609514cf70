-- SPDX-License-Identifier: MIT
-- A Ctrl+C as the origin of a cancellation.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel

-- Sends this process the signal of Ctrl+C. (os.execute would block it.)
local function interrupt_self()
  local pipe = assert(io.popen("kill -INT $PPID"))
  pipe:close()
end

describe("Ctrl+C", function()
  H.trio_it("CANCEL-64 in a parent that waits cancels its children", function()
    local seen = {}
    local parent = lowlevel.current_task().name
    local ok, group = pcall(trio.open_nursery, function(nursery)
      for i = 1, 2 do
        nursery:start_soon(function()
          seen[i] = H.raises_class(trio.Cancelled, function()
            while true do lowlevel.checkpoint() end
          end)
        end)
      end
      nursery:start_soon(interrupt_self)
    end)
    assert.is_false(ok)
    assert.is_true(trio.isinstance(group, trio.ExceptionGroup))
    assert.equal(1, #group.exceptions)
    assert.is_true(trio.isinstance(group.exceptions[1],
      trio.KeyboardInterrupt))
    for i = 1, 2 do
      assert.equal("KeyboardInterrupt", seen[i].source)
      assert.is_nil(seen[i].reason)
      assert.is_truthy(seen[i].source_task:find(parent, 1, true))
    end
  end, {restrict_keyboard_interrupt_to_checkpoints = true})
end)
