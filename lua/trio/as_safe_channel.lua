-- SPDX-License-Identifier: MIT
-- as_safe_channel.lua: trio.as_safe_channel: a function that yields values
-- becomes a channel that a body receives from.
--
--   local open = trio.as_safe_channel(function(yield, ...) yield(1) end)
--   open(..., function(receive) for value in receive do ... end end)
--
-- The producer is a task in a nursery around the body. It runs on demand only:
-- not before somebody waits for a value, and after each `yield` not before
-- somebody waits for the next one. When the body ends the producer is
-- cancelled, wherever it is, and the call waits for its cleanup.
--
-- The channel has no buffer, and `demand` is where the producer is parked while
-- nobody waits. Every receive wakes it to look again: whether somebody really
-- waits is seen from the channel, so a receive that was cancelled asks for
-- nothing.

local error, pcall, pack, unpack, select =
  error, pcall, table.pack, table.unpack, select

local EXIT = "exited the body of trio.as_safe_channel"
local NOTE = "; both the body of trio.as_safe_channel and its producer failed"

return function(trio, kit)
  local check, isinstance = kit.check, trio.isinstance
  local checkpoint = trio.lowlevel.checkpoint
  local Receive = kit.class("trio.SafeReceiveChannel")
  local check_self, check_async = Receive.check_self, Receive.check_async

  -- ---- the producer's side. `state` belongs to one call of open:
  --   send, demand    the channel and the lot, see above
  --   scope           around the producer
  --   asked           a receive_nowait found nothing
  --   over            the body has ended

  -- Nobody will receive any more: end the producer. A shield around its yield
  -- keeps the cancellation away, so then it gets an error.
  local function stop(state)
    if not state.over then state.scope:cancel("the channel was closed") end
    checkpoint()
    error(trio.BrokenResourceError("nobody receives from the channel any more"))
  end

  local function wait_for_demand(state)
    while true do
      local statistics = state.send:statistics()
      if state.over or statistics.open_receive_channels == 0 then
        stop(state)
      elseif state.asked or statistics.tasks_waiting_receive > 0 then
        state.asked = false
        return
      end
      state.demand:park()
    end
  end

  local function yield_function(state)
    local send = state.send
    return function(value)
      check.task("yield")
      if value == nil then
        check.refuse(1, "yield", "nil can't be sent through a channel")
      end
      local ok, err = pcall(send.send, send, value)
      if not ok then
        if isinstance(err, trio.BrokenResourceError) then stop(state) end
        error(err, 0)
      end
      wait_for_demand(state)
    end
  end

  -- The receivers learn of the end before the nursery does: so a loop ends
  -- normally, and a producer's error is raised behind it.
  local function produce(state, producer, ...)
    local arguments = pack(...)
    local _ <close> = state.send
    state.scope:run(function()
      wait_for_demand(state)
      producer(yield_function(state), unpack(arguments, 1, arguments.n))
    end)
  end

  -- ---- the receiving end

  local function ask(self)
    self._state.demand:unpark_all()
  end

  --- receive:receive(): the next value. Raises EndOfChannel behind the last
  --- one, ClosedResourceError.
  function Receive:receive()
    check_async(self, "receive")
    ask(self)
    return self._channel:receive()
  end

  --- receive:receive_nowait(): a value that is there; where none is,
  --- WouldBlock, and the producer begins with one.
  function Receive:receive_nowait()
    check_self(self, "receive_nowait")
    local channel = self._channel
    local ok, value = pcall(channel.receive_nowait, channel)
    if ok then return value end
    if isinstance(value, trio.WouldBlock) then
      self._state.asked = true
      ask(self)
    end
    error(value, 0)
  end

  --- for value in receive do
  function Receive:__call()
    check.task("iterating a SafeReceiveChannel")
    ask(self)
    return self._channel()
  end

  --- receive:clone(): another end of the same channel.
  function Receive:clone()
    check_self(self, "clone")
    return Receive:new({
      _channel = self._channel:clone(), _state = self._state, _closed = false,
    })
  end

  -- The producer may have to find out that nobody is left.
  local function close(self)
    self._closed = true
    self._channel:close()
    ask(self)
  end

  function Receive:close()
    check_self(self, "close")
    close(self)
  end

  function Receive:aclose()
    check_async(self, "aclose")
    close(self)
    checkpoint()
  end

  Receive.__close = close

  function Receive:statistics()
    check_self(self, "statistics")
    return self._channel:statistics()
  end

  function Receive:__tostring()
    return ("<trio.SafeReceiveChannel %p %s>"):format(self,
      self._closed and "closed" or "open")
  end

  -- ---- opening

  -- Closing it ends the body's side.
  local Exit = {__metatable = false}

  function Exit:__close(err)
    if err == nil then self.nursery.cancel_scope:cancel(EXIT) end
    self.state.over = true
    close(self.receive)
  end

  -- Raise what the nursery's group stands for: its only error; where there are
  -- two, the group. Groups of the program are never taken apart.
  local function raise_from(group)
    local list = group.exceptions
    local count, only, cancelled = 0, nil, nil
    for i = 1, list.n or #list do
      local err = list[i]
      if isinstance(err, trio.KeyboardInterrupt) then
        error(trio.KeyboardInterrupt(err.message, {cause = group}), 0)
      elseif isinstance(err, trio.Cancelled) then
        cancelled = cancelled or err
      else
        count, only = count + 1, err
      end
    end
    if count == 0 then error(cancelled, 0) end
    if count == 1 then error(only, 0) end
    group.message = group.message .. NOTE
    error(group, 0)
  end

  -- Called with the arguments of the producer, then the body.
  local function open(producer, ...)
    local count = select("#", ...)
    local body = select(count, ...)
    local arguments = pack(...)
    local send, channel = trio.open_memory_channel(0)
    local state = {
      send = send, demand = trio.lowlevel.ParkingLot(),
      scope = trio.CancelScope(), asked = false, over = false,
    }
    local results
    local ok, err = pcall(trio.open_nursery, {strict_exception_groups = true},
      function(nursery)
        nursery:start_soon({name = "producer of trio.as_safe_channel"},
          produce, state, producer, unpack(arguments, 1, count - 1))
        local receive = Receive:new({
          _channel = channel, _state = state, _closed = false,
        })
        local _ <close> = setmetatable({
          nursery = nursery, state = state, receive = receive,
        }, Exit)
        results = pack(body(receive))
      end)
    if not ok then
      if isinstance(err, trio.ExceptionGroup) then raise_from(err) end
      error(err, 0)
    end
    return unpack(results, 1, results.n)
  end

  --- as_safe_channel(producer): the function open(..., body), which calls
  --- producer(yield, ...) in a task and body(receive), and returns body's
  --- results.
  function trio.as_safe_channel(producer)
    check.callable(producer, 1, "as_safe_channel")
    return function(...)
      local count = math.max(select("#", ...), 1)
      check.callable((select(count, ...)), count, "open")
      check.task("opening a channel of trio.as_safe_channel")
      trio.lowlevel.checkpoint_if_cancelled()
      return open(producer, ...)
    end
  end
end
