-- SPDX-License-Identifier: MIT
-- lockstep_stream.lua: streams without any buffer: send_all returns when the
-- last byte of its data has been received, not before.
--
-- Both sides share one Wire, and wait for the other one in one parking lot:
-- whatever happens wakes both, and each looks whether that was it.

local error = error

return function(trio, kit)
  local check, testing = kit.check, trio.testing
  local checkpoint = trio.lowlevel.checkpoint

  local Wire = {}
  Wire.__index = Wire

  local function new_wire()
    return setmetatable({
      bytes = kit.bytes(),  -- what the task in send_all has left to send
      send_closed = false, receive_closed = false,
      receiving = false,    -- does a task wait in receive_some?
      lot = trio.lowlevel.ParkingLot(),
      send_busy = kit.busy("another task is already sending"),
      receive_busy = kit.busy("another task is already receiving"),
    }, Wire)
  end

  local function closed_error()
    return trio.ClosedResourceError("the stream was closed by its own side")
  end

  -- Wait until is_done(); but nobody waits once a side is closed.
  function Wire:wait_until(is_done)
    while not (is_done() or self.send_closed or self.receive_closed) do
      self.lot:park()
    end
    checkpoint()
  end

  -- Closing it ends a send_all, also one that was cancelled: then what is left
  -- of the data never gets through.
  local Withdrawal = {__metatable = false}

  function Withdrawal:__close()
    self.bytes:clear()
  end

  function Wire:send_all(data)
    local _ <close> = self.send_busy:claim()
    if self.send_closed then error(closed_error()) end
    local bytes = self.bytes
    local broken = trio.BrokenResourceError("the other side is closed")
    if self.receive_closed then error(broken) end
    local _ <close> = setmetatable({bytes = bytes}, Withdrawal)
    bytes:push(data)
    self.lot:unpark_all()
    self:wait_until(function() return bytes.size == 0 end)
    if self.send_closed then error(closed_error()) end
    if bytes.size > 0 then error(broken) end
  end

  function Wire:wait_send()
    local _ <close> = self.send_busy:claim()
    if self.send_closed then error(closed_error()) end
    self:wait_until(function() return self.receiving end)
    if self.send_closed then error(closed_error()) end
  end

  -- Closing it ends the wait in receive_some.
  local Reception = {__metatable = false}

  function Reception:__close()
    self.wire.receiving = false
  end

  -- A send_all that is cancelled meanwhile takes its data back: then go on
  -- waiting.
  function Wire:wait_for_data()
    local _ <close> = setmetatable({wire = self}, Reception)
    self.receiving = true
    self.lot:unpark_all()
    local function is_done() return self.bytes.size > 0 end
    repeat
      self:wait_until(is_done)
    until is_done() or self.send_closed or self.receive_closed
  end

  function Wire:receive_some(limit)
    local _ <close> = self.receive_busy:claim()
    if self.receive_closed then error(closed_error()) end
    self:wait_for_data()
    if self.receive_closed then error(closed_error()) end
    if self.bytes.size == 0 then return nil end
    local data = self.bytes:take(limit)
    self.lot:unpark_all()
    return data
  end

  function Wire:close(side)
    self[side] = true
    self.lot:unpark_all()
  end

  -- ---- the two ends

  local Send = kit.class("trio.testing.LockstepSendStream")
  local Receive = kit.class("trio.testing.LockstepReceiveStream")

  function Send:send_all(data)
    Send.check_async(self, "send_all")
    check.string(data, 1, "send_all")
    self._wire:send_all(data)
  end

  function Send:wait_send_all_might_not_block()
    Send.check_async(self, "wait_send_all_might_not_block")
    self._wire:wait_send()
  end

  function Receive:receive_some(max_bytes)
    Receive.check_async(self, "receive_some")
    if max_bytes ~= nil then
      max_bytes = check.integer(max_bytes, 1, "receive_some", 1)
    end
    return self._wire:receive_some(max_bytes)
  end

  -- Both ends close in the same way. `side` is the wire's field.
  local function add_closing(class, side)
    function class:close()
      class.check_self(self, "close")
      self._wire:close(side)
    end

    function class:aclose()
      class.check_async(self, "aclose")
      self._wire:close(side)
      checkpoint()
    end

    function class:__tostring()
      return ("<%s %p %s>"):format(class.__name, self,
        self._wire[side] and "closed" or "open")
    end
  end

  add_closing(Send, "send_closed")
  add_closing(Receive, "receive_closed")
  trio.abc.SendStream(Send)
  trio.abc.ReceiveStream(Receive)

  --- lockstep_stream_one_way_pair() -> send stream, receive stream
  function testing.lockstep_stream_one_way_pair()
    local wire = new_wire()
    return Send:new({_wire = wire}), Receive:new({_wire = wire})
  end

  --- lockstep_stream_pair() -> two connected StapledStreams
  function testing.lockstep_stream_pair()
    return kit.stapled_pair(testing.lockstep_stream_one_way_pair)
  end
end
