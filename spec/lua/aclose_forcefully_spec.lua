-- SPDX-License-Identifier: MIT
-- aclose_forcefully: closing without waiting.
local H = require "spec.support.helper"
local trio = require "trio"
local aclose_forcefully = trio.aclose_forcefully

describe("aclose_forcefully", function()
  H.trio_it("STREAM-20 cancels the close that it begins", function()
    local seen, log = H.trace()
    local resource = {}
    function resource.aclose(self)
      assert.equal(resource, self)
      local _ <close> = trio.defer(function(err)
        log(H.is_cancelled(err))
        log(err.reason)
      end)
      log(trio.current_effective_deadline())
      trio.sleep(100)
      log("never")
    end
    assert.equal(0, select("#", aclose_forcefully(resource)))
    assert.same({-math.huge, true, "trio.aclose_forcefully"}, seen)
    assert.equal(0, trio.current_time())
  end)

  H.trio_it("STREAM-20 closes the library's own things", function()
    local send, receive = trio.open_memory_channel(0)
    trio.testing.assert_checkpoints(function() aclose_forcefully(send) end)
    H.raises_class(trio.ClosedResourceError, send.send_nowait, send, 1)
    H.raises_class(trio.EndOfChannel, receive.receive, receive)
  end)

  H.trio_it("STREAM-18 calls the close hook of a memory stream", function()
    local count = 0
    local function hook() count = count + 1 end
    aclose_forcefully(trio.testing.MemorySendStream(nil, nil, hook))
    aclose_forcefully(trio.testing.MemoryReceiveStream(nil, hook))
    assert.equal(2, count)
  end)

  H.trio_it("lets an error of the close pass", function()
    local value = {}
    local err = H.raises("^table", aclose_forcefully, {
      aclose = function() error(value) end,
    })
    assert.is_true(rawequal(value, err))
  end)

  H.trio_it("lets a cancellation from outside pass, after it has closed",
    function()
      local send = trio.open_memory_channel(0)
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        aclose_forcefully(send)
      end)
      H.raises_class(trio.ClosedResourceError, send.send_nowait, send, 1)
    end)

  H.trio_it("names a bad argument", function()
    for _, wrong in ipairs {false, 1, "text", {}, {aclose = 1}} do
      H.raises("^[^:]*aclose_forcefully_spec%.lua:%d+: bad argument #1 to "
        .. "'aclose_forcefully' %(something with a method aclose expected, "
        .. "got " .. type(wrong) .. "%)$",
        function() aclose_forcefully(wrong); return 1 end)
    end
    H.raises("got nil", function() aclose_forcefully(); return 1 end)
  end)

  it("is refused outside of a task", function()
    local called = false
    H.raises("^trio%.aclose_forcefully must be called from inside a task",
      aclose_forcefully, {aclose = function() called = true end})
    assert.is_false(called)
  end)
end)
