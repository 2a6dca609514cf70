-- SPDX-License-Identifier: MIT
-- memory_stream.lua: trio.testing.MemorySendStream, MemoryReceiveStream and
-- what moves data from one to the other.
--
-- Each stream alone only keeps bytes: what was sent, for the test to fetch;
-- what the test put there, to be received. A pair is connected by the hooks of
-- its sending stream, which pump. There is no limit to what they keep, so
-- sending never waits, unless a hook does.

local pcall, error, select, type = pcall, error, select, type

return function(trio, kit)
  local check, testing = kit.check, trio.testing
  local checkpoint = trio.lowlevel.checkpoint

  -- Two turns for the others before anything happens, so that it shows when
  -- two tasks use one side at once.
  local function give_turns()
    checkpoint()
    checkpoint()
  end

  local function check_limit(max_bytes, method)
    if max_bytes == nil then return nil end
    return (check.integer(max_bytes, 1, method, 1, 1))
  end

  -- ---- bytes that a task can wait for. Closing is what the sender does: no
  -- more comes in, and behind the last byte there is nil.

  local Queue = {}
  Queue.__index = Queue

  local function new_queue()
    return setmetatable({
      bytes = kit.bytes(), closed = false, lot = trio.lowlevel.ParkingLot(),
      busy = kit.busy("another task is already fetching data"),
    }, Queue)
  end

  function Queue:check_open()
    if self.closed then
      error(trio.ClosedResourceError("the stream was closed by its own side"))
    end
  end

  function Queue:put(data)
    self:check_open()
    if data == "" then return end
    self.bytes:push(data)
    self.lot:unpark_all()
  end

  function Queue:close()
    self.closed = true
    self.lot:unpark_all()
  end

  local function take(self, limit)
    if self.bytes.size == 0 then return nil end
    return self.bytes:take(limit)
  end

  function Queue:get_nowait(limit)
    local _ <close> = self.busy:claim()
    if not self.closed and self.bytes.size == 0 then
      error(trio.WouldBlock("there is no data"))
    end
    return take(self, limit)
  end

  function Queue:get(limit)
    local _ <close> = self.busy:claim()
    if not self.closed and self.bytes.size == 0 then
      self.lot:park()
    else
      checkpoint()
    end
    return take(self, limit)
  end

  -- ---- hooks

  local function problem_of_hook(value)
    if value == nil or check.is_callable(value) then return nil end
    return check.expected("function", value)
  end

  local function run_hook(hook)
    if hook ~= nil then hook() end
  end

  -- Set the fields `names` of a new stream from the arguments of its maker, or
  -- from one table of options instead.
  local function set_hooks(stream, names, maker, ...)
    local first, by_name = ..., check.is_options((...))
    if by_name then
      local known = {}
      for _, name in ipairs(names) do known[name] = true end
      check.options(first, 1, maker, known, 1)
    end
    for place, name in ipairs(names) do
      local hook = (select(place, ...))
      if by_name then hook = first[name] end
      local problem = problem_of_hook(hook)
      if problem and by_name then
        check.refuse(1, maker, ("option '%s': %s"):format(name, problem), 1)
      elseif problem then
        check.refuse(place, maker, problem, 1)
      end
      stream[name] = hook
    end
    return stream
  end

  -- ---- the sending stream

  local Send = kit.class("trio.testing.MemorySendStream", {
    send_all_hook = problem_of_hook,
    wait_send_all_might_not_block_hook = problem_of_hook,
    close_hook = problem_of_hook,
  })

  --- stream:send_all(data): keep the data, then call send_all_hook.
  function Send:send_all(data)
    Send.check_async(self, "send_all")
    check.string(data, 1, "send_all")
    local _ <close> = self._busy:claim()
    give_turns()
    self._outgoing:put(data)
    run_hook(self.send_all_hook)
  end

  --- stream:wait_send_all_might_not_block(): call the hook of that name.
  function Send:wait_send_all_might_not_block()
    Send.check_async(self, "wait_send_all_might_not_block")
    local _ <close> = self._busy:claim()
    give_turns()
    self._outgoing:check_open()
    run_hook(self.wait_send_all_might_not_block_hook)
  end

  local function close_send(self)
    self._outgoing:close()
    run_hook(self.close_hook)
  end

  --- stream:close(): nothing more can be sent; call close_hook, every time.
  function Send:close()
    Send.check_self(self, "close")
    close_send(self)
  end

  function Send:aclose()
    Send.check_async(self, "aclose")
    close_send(self)
    checkpoint()
  end

  --- stream:get_data([max_bytes]): what was sent, waiting for at least one
  --- byte; nil at the end.
  function Send:get_data(max_bytes)
    Send.check_async(self, "get_data")
    local limit = check_limit(max_bytes, "get_data")
    return self._outgoing:get(limit)
  end

  --- stream:get_data_nowait([max_bytes]): the same at once, or WouldBlock.
  function Send:get_data_nowait(max_bytes)
    Send.check_self(self, "get_data_nowait")
    local limit = check_limit(max_bytes, "get_data_nowait")
    return self._outgoing:get_nowait(limit)
  end

  trio.abc.SendStream(Send)

  local function tell(self, queue, closed)
    return ("<%s %p %s, %d bytes>"):format(self.__name, self,
      closed and "closed" or "open", queue.bytes.size)
  end

  function Send:__tostring()
    return tell(self, self._outgoing, self._outgoing.closed)
  end

  --- MemorySendStream([send_all_hook, wait_send_all_might_not_block_hook,
  --- close_hook]), or a table with these names. Each hook is a field, called
  --- without arguments.
  function testing.MemorySendStream(...)
    local stream = Send:new({
      _outgoing = new_queue(),
      _busy = kit.busy("another task is using this stream"),
    })
    return (set_hooks(stream, {
      "send_all_hook", "wait_send_all_might_not_block_hook", "close_hook",
    }, "MemorySendStream", ...))
  end

  -- ---- the receiving stream

  local Receive = kit.class("trio.testing.MemoryReceiveStream", {
    receive_some_hook = problem_of_hook, close_hook = problem_of_hook,
  })

  -- The closed queue is the end of the data; that we have closed is another
  -- thing.
  local function check_receive_open(self)
    if self._closed then
      error(trio.ClosedResourceError("the stream was closed by its own side"))
    end
  end

  --- stream:receive_some([max_bytes]): call receive_some_hook, then wait for
  --- data; nil at the end.
  function Receive:receive_some(max_bytes)
    Receive.check_async(self, "receive_some")
    local limit = check_limit(max_bytes, "receive_some")
    local _ <close> = self._busy:claim()
    give_turns()
    check_receive_open(self)
    run_hook(self.receive_some_hook)
    local data = self._incoming:get(limit)
    check_receive_open(self)
    return data
  end

  local function close_receive(self)
    self._closed = true
    self._incoming.bytes:clear()
    self._incoming:close()
    run_hook(self.close_hook)
  end

  --- stream:close(): drop the data; call close_hook, every time.
  function Receive:close()
    Receive.check_self(self, "close")
    close_receive(self)
  end

  function Receive:aclose()
    Receive.check_async(self, "aclose")
    close_receive(self)
    checkpoint()
  end

  --- stream:put_data(data): let it be received. ClosedResourceError behind the
  --- end.
  function Receive:put_data(data)
    Receive.check_self(self, "put_data")
    check.string(data, 1, "put_data")
    self._incoming:put(data)
  end

  --- stream:put_eof(): behind what is there, the data ends.
  function Receive:put_eof()
    Receive.check_self(self, "put_eof")
    self._incoming:close()
  end

  trio.abc.ReceiveStream(Receive)

  function Receive:__tostring()
    return tell(self, self._incoming, self._closed)
  end

  --- MemoryReceiveStream([receive_some_hook, close_hook]), or a table with
  --- these names.
  function testing.MemoryReceiveStream(...)
    local stream = Receive:new({
      _incoming = new_queue(), _closed = false,
      _busy = kit.busy("another task is using this stream"),
    })
    return (set_hooks(stream, {"receive_some_hook", "close_hook"},
      "MemoryReceiveStream", ...))
  end

  -- ---- pairs

  local PUMP_OPTIONS = {max_bytes = true}

  local function is_count(value)
    return type(value) == "number" and math.tointeger(value) ~= nil
      and value >= 1
  end

  local function pump(send_stream, receive_stream, limit)
    local outgoing, incoming = send_stream._outgoing, receive_stream._incoming
    local ok, data = pcall(outgoing.get_nowait, outgoing, limit)
    if not ok then
      if trio.isinstance(data, trio.WouldBlock) then return false end
      error(data, 0)
    end
    if data == nil then
      incoming:close()
    elseif incoming.closed then
      error(trio.BrokenResourceError("the receiving stream was closed"))
    else
      incoming:put(data)
    end
    return true
  end

  --- memory_stream_pump(send, receive [, {max_bytes =}]): move what was sent,
  --- or the end, to where it is received. Returns whether there was anything.
  function testing.memory_stream_pump(send_stream, receive_stream, opts)
    local name = "memory_stream_pump"
    if not Send.is(send_stream) then
      check.refuse(1, name, check.expected(Send.__name, send_stream))
    elseif not Receive.is(receive_stream) then
      check.refuse(2, name, check.expected(Receive.__name, receive_stream))
    end
    local limit = check.options(opts, 3, name, PUMP_OPTIONS).max_bytes
    if limit ~= nil and not is_count(limit) then
      check.refuse(3, name, "option 'max_bytes' must be a positive integer")
    end
    return pump(send_stream, receive_stream, limit)
  end

  --- memory_stream_one_way_pair() -> send stream, receive stream
  function testing.memory_stream_one_way_pair()
    local send_stream = testing.MemorySendStream()
    local receive_stream = testing.MemoryReceiveStream()
    local function move() pump(send_stream, receive_stream) end
    send_stream.send_all_hook = move
    send_stream.close_hook = move
    return send_stream, receive_stream
  end

  -- Two pairs for one direction each, as two streams for both.
  function kit.stapled_pair(one_way_pair)
    local send_1, receive_1 = one_way_pair()
    local send_2, receive_2 = one_way_pair()
    return trio.StapledStream(send_1, receive_2),
      trio.StapledStream(send_2, receive_1)
  end

  --- memory_stream_pair() -> two connected StapledStreams
  function testing.memory_stream_pair()
    return kit.stapled_pair(testing.memory_stream_one_way_pair)
  end
end
