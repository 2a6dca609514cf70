-- SPDX-License-Identifier: MIT
-- sequencer.lua: trio.testing.Sequencer: blocks of several tasks in one order.
--
--   local seq = trio.testing.Sequencer()
--   seq(1, function() ... end)   -- in one task: second
--   seq(0, function() ... end)   -- in another one: first
--
-- Block n waits for the end of block n - 1. A wait that is cancelled breaks the
-- sequence for good: the order that the test relies on can't come any more. So
-- it raises a plain error, which no cancel scope takes for its own.

local error, pcall = error, pcall

return function(trio, kit)
  local check = kit.check
  local Sequencer = kit.class("trio.testing.Sequencer")

  local BROKEN = "the sequence is broken: "

  -- The event that lets block n begin.
  local function event_of(self, n)
    local event = self._events[n]
    if not event then
      event = trio.Event()
      self._events[n] = event
    end
    return event
  end

  local function wait_for_turn(self, n)
    local event = event_of(self, n)
    local ok, err = pcall(event.wait, event)
    if not ok and not trio.isinstance(err, trio.Cancelled) then
      error(err, 0)
    elseif not ok then
      self._broken = n
      for _, other in pairs(self._events) do other:set() end
      error(("%sthe wait for block %d was cancelled"):format(BROKEN, n), 3)
    elseif self._broken then
      error(("%sblock %d was cancelled"):format(BROKEN, self._broken), 3)
    end
  end

  -- Closing it ends a block, however its body was left.
  local Turn = {__metatable = false}

  function Turn:__close()
    event_of(self.sequencer, self.n + 1):set()
  end

  --- seq(n, body): run body as block n and return its results.
  function Sequencer:__call(n, body)
    n = check.integer(n, 1, "Sequencer", 0)
    check.callable(body, 2, "Sequencer")
    check.task("trio.testing.Sequencer")
    if self._claimed[n] then
      error(("block %d of the sequence is used twice"):format(n), 2)
    elseif self._broken then
      error(("%sblock %d was cancelled"):format(BROKEN, self._broken), 2)
    end
    self._claimed[n] = true
    if n > 0 then wait_for_turn(self, n) end
    local _ <close> = setmetatable({sequencer = self, n = n}, Turn)
    return body()
  end

  function Sequencer:__tostring()
    return ("<trio.testing.Sequencer %p%s>"):format(self,
      self._broken and " broken" or "")
  end

  --- Sequencer(): a sequence that begins with block 0.
  function trio.testing.Sequencer()
    return Sequencer:new({_events = {}, _claimed = {}, _broken = false})
  end
end
