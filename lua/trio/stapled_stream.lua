-- SPDX-License-Identifier: MIT
-- stapled_stream.lua: trio.StapledStream: two streams, one for each direction,
-- as one stream for both. Everything is left to the halves.

local error, pcall, type, setmetatable = error, pcall, type, setmetatable

return function(trio, kit)
  local check = kit.check

  local function problem_of_half(value)
    if type(value) == "table" or type(value) == "userdata" then return nil end
    return check.expected("stream", value)
  end

  local Stapled = kit.class("trio.StapledStream", {
    send_stream = problem_of_half, receive_stream = problem_of_half,
  })
  local check_self = Stapled.check_self

  function Stapled:send_all(data)
    check_self(self, "send_all")
    return self.send_stream:send_all(data)
  end

  function Stapled:wait_send_all_might_not_block()
    check_self(self, "wait_send_all_might_not_block")
    return self.send_stream:wait_send_all_might_not_block()
  end

  --- stream:send_eof(): by the sending half's send_eof or else its aclose.
  function Stapled:send_eof()
    check_self(self, "send_eof")
    local half = self.send_stream
    if half.send_eof then return half:send_eof() end
    return half:aclose()
  end

  function Stapled:receive_some(max_bytes)
    check_self(self, "receive_some")
    return self.receive_stream:receive_some(max_bytes)
  end

  -- Note on an error of the library that another one was on its way.
  local function set_context(err, before)
    if before == nil or rawequal(err, before) then return end
    if not trio.isinstance(err, trio.Error)
      and not trio.isinstance(err, trio.ExceptionGroup) then
      return
    end
    if rawget(err, "context") == nil then err.context = before end
  end

  -- Closing it closes the receiving half, whatever became of the other one.
  local SecondHalf = {__metatable = false}

  function SecondHalf:__close(before)
    local half = self.half
    local ok, err = pcall(half.aclose, half)
    if ok then return end
    set_context(err, before)
    error(err, 0)
  end

  --- stream:aclose(): close both halves. If both fail, the error of the
  --- receiving one is raised, with the other one as its context.
  function Stapled:aclose()
    check_self(self, "aclose")
    local _ <close> = setmetatable({half = self.receive_stream}, SecondHalf)
    self.send_stream:aclose()
  end

  trio.abc.HalfCloseableStream(Stapled)

  function Stapled:__tostring()
    return ("<trio.StapledStream %p of %s and %s>"):format(self,
      tostring(self.send_stream), tostring(self.receive_stream))
  end

  --- StapledStream(send_stream, receive_stream): fields of the same names.
  function trio.StapledStream(send_stream, receive_stream)
    local problem = problem_of_half(send_stream)
    if problem then check.refuse(1, "StapledStream", problem) end
    problem = problem_of_half(receive_stream)
    if problem then check.refuse(2, "StapledStream", problem) end
    local stream = Stapled:new({})
    stream.send_stream, stream.receive_stream = send_stream, receive_stream
    return stream
  end
end
