-- SPDX-License-Identifier: MIT
-- buffered_receive_stream.lua: trio.BufferedReceiveStream: reads lines and
-- records of known length from a stream that delivers what it has.
--
-- What was received and not yet asked for stands in `_buffer`, from `_from`
-- on. A read that fails or is cancelled leaves it there, so it can be repeated
-- without loss.

local error = error

local MOST_LINE = 65536

return function(trio, kit)
  local check = kit.check

  --- What receive_until and lines raise: max_bytes came without a delimiter.
  trio.DelimiterNotFound = trio.Error:subclass("DelimiterNotFound")

  local function rest(self)
    return rawget(self, "_buffer"):sub(rawget(self, "_from"))
  end

  local Buffered = kit.class("trio.BufferedReceiveStream", nil, {
    buffered = rest,
    stream = function(self) return rawget(self, "_stream") end,
  })
  local check_async = Buffered.check_async

  local function size(self)
    return #rawget(self, "_buffer") - rawget(self, "_from") + 1
  end

  -- Take `count` bytes, and drop as many more as `extra` says.
  local function take(self, count, extra)
    local from = rawget(self, "_from")
    local data = rawget(self, "_buffer"):sub(from, from + count - 1)
    from = from + count + (extra or 0)
    if from > #rawget(self, "_buffer") then
      rawset(self, "_buffer", "")
      from = 1
    end
    rawset(self, "_from", from)
    return data
  end

  -- Put what has come behind the rest.
  local function put(self, ...)
    rawset(self, "_buffer", table.concat({rest(self), ...}))
    rawset(self, "_from", 1)
  end

  -- What has come stays in the buffer even if more does not come. Many small
  -- pieces are put together once only.
  local Pieces = {__metatable = false}

  function Pieces:__close()
    put(self.owner, table.unpack(self))
  end

  -- Receive until there are `count` bytes; false if the stream ends before.
  local function fill(self, count)
    local have = size(self)
    if have >= count then return true end
    local pieces <close> = setmetatable({owner = self}, Pieces)
    while have < count do
      local chunk = rawget(self, "_stream"):receive_some()
      if chunk == nil then return false end
      have = have + #chunk
      pieces[#pieces + 1] = chunk
      if #pieces == 100 then
        pieces[1] = table.concat(pieces)
        for i = 2, 100 do pieces[i] = nil end
      end
    end
    return true
  end

  local function ended_early(self, what)
    return trio.BrokenResourceError(
      ("the stream ended after %d bytes, before %s"):format(size(self), what))
  end

  --- stream:receive_exactly(n): n bytes; nil if the stream has ended.
  function Buffered:receive_exactly(n)
    check_async(self, "receive_exactly")
    n = check.integer(n, 1, "receive_exactly", 0)
    if size(self) >= n then
      trio.lowlevel.checkpoint()
      return take(self, n)
    end
    if fill(self, n) then return take(self, n) end
    if size(self) == 0 then return nil end
    error(ended_early(self, ("the %d that were asked for"):format(n)))
  end

  -- Where the delimiter stands in what has come, at most `limit` bytes after
  -- the beginning; receives more as needed. nil, "end" or nil, "limit".
  local function find(self, delimiter, limit)
    local searched = 0
    while true do
      local from, buffer = rawget(self, "_from"), rawget(self, "_buffer")
      local place = buffer:find(delimiter, from + searched, true)
      if place and place - from <= limit then return place - from end
      local have = size(self)
      if place or have >= limit + #delimiter then return nil, "limit" end
      searched = math.max(0, have - #delimiter + 1)
      if not fill(self, have + 1) then return nil, "end" end
    end
  end

  local function too_long(limit)
    return trio.DelimiterNotFound(
      ("no delimiter after %d bytes"):format(limit))
  end

  --- stream:receive_until(delimiter, max_bytes): what comes before the
  --- delimiter, which is dropped; nil if the stream has ended.
  function Buffered:receive_until(delimiter, max_bytes)
    check_async(self, "receive_until")
    check.string(delimiter, 1, "receive_until")
    if delimiter == "" then
      check.refuse(1, "receive_until", "the delimiter is empty")
    end
    max_bytes = check.integer(max_bytes, 2, "receive_until", 0)
    trio.lowlevel.checkpoint()
    local length, problem = find(self, delimiter, max_bytes)
    if length then return take(self, length, #delimiter) end
    if problem == "limit" then error(too_long(max_bytes)) end
    if size(self) == 0 then return nil end
    error(ended_early(self, ("the delimiter %q"):format(delimiter)))
  end

  local function next_line(self, limit)
    trio.lowlevel.checkpoint()
    local length, problem = find(self, "\n", limit)
    if problem == "limit" then error(too_long(limit)) end
    if not length and size(self) == 0 then return nil end
    local line = take(self, length or size(self), 1)
    return length and line:gsub("\r$", "") or line
  end

  --- for line in stream:lines([max_bytes]) do: without "\n" or "\r\n".
  function Buffered:lines(max_bytes)
    Buffered.check_self(self, "lines")
    if max_bytes == nil then max_bytes = MOST_LINE end
    max_bytes = check.integer(max_bytes, 1, "lines", 0)
    return function()
      check.task("iterating the lines of a BufferedReceiveStream")
      return (next_line(self, max_bytes))
    end
  end

  --- stream:receive_some([max_bytes]): what is in the buffer, else what comes.
  function Buffered:receive_some(max_bytes)
    check_async(self, "receive_some")
    if max_bytes ~= nil then
      max_bytes = check.integer(max_bytes, 1, "receive_some", 1)
    end
    if size(self) == 0 then
      return rawget(self, "_stream"):receive_some(max_bytes)
    end
    trio.lowlevel.checkpoint()
    return take(self, math.min(size(self), max_bytes or math.maxinteger))
  end

  --- stream:aclose(): close the stream below.
  function Buffered:aclose()
    check_async(self, "aclose")
    rawset(self, "_buffer", "")
    rawset(self, "_from", 1)
    rawget(self, "_stream"):aclose()
  end

  trio.abc.ReceiveStream(Buffered)

  function Buffered:__tostring()
    return ("<trio.BufferedReceiveStream %p of %s, %d bytes>"):format(self,
      tostring(rawget(self, "_stream")), size(self))
  end

  --- BufferedReceiveStream(stream): fields stream and buffered.
  function trio.BufferedReceiveStream(stream)
    if not trio.abc.implements(stream, "ReceiveStream") then
      check.refuse(1, "BufferedReceiveStream",
        check.expected("stream to receive from", stream))
    end
    return Buffered:new({_stream = stream, _buffer = "", _from = 1})
  end
end
