-- SPDX-License-Identifier: MIT
-- A spec: tests of code that waits, in virtual time, run by plain busted:
--   busted --lua=trio-lua examples/spec/retry_spec.lua

local trio = require "trio"
require("trio.busted").configure({autojump_clock = true})

-- What is tested; usually it stands in a file of its own. Calls fn until it
-- succeeds, with a longer pause after each failure.
local function retry(attempts, fn)
  local pause = 1
  for attempt = 1, attempts do
    local ok, result = trio.pcall(fn, attempt)
    if ok then return result end
    if attempt == attempts then error(result, 0) end
    trio.sleep(pause)
    pause = pause * 2
  end
end

-- Fails so many times, then succeeds.
local function flaky(failures)
  return function(attempt)
    if attempt <= failures then error("failure " .. attempt, 0) end
    return "fine"
  end
end

describe("retry", function()
  it("returns what the function returns", function()
    assert.equal("fine", retry(3, flaky(0)))
  end)

  it("waits longer and longer", function()
    assert.equal("fine", retry(5, flaky(4)))
    assert.equal(1 + 2 + 4 + 8, trio.current_time())  -- at once, really
  end)

  it("gives up with the last error", function()
    assert.has_error(function() retry(3, flaky(9)) end, "failure 3")
  end)

  it("can be cancelled while it pauses", function()
    local scope = trio.move_on_after(2, function() retry(9, flaky(9)) end)
    assert.is_true(scope.cancelled_caught)
    assert.equal(2, trio.current_time())
  end)

  it("does not keep others waiting", function(nursery)
    local ticks = 0
    nursery:start_soon(function()
      while true do
        trio.sleep(1)
        ticks = ticks + 1
      end
    end)
    retry(4, flaky(3))
    assert.equal(6, ticks)
  end)

  it("fails in all the tasks that use it", function()
    assert.raises_group({"^failure 1$", "^failure 1$"}, function()
      trio.open_nursery(function(users)
        for _ = 1, 2 do users:start_soon(retry, 1, flaky(9)) end
      end)
    end)
  end)
end)
