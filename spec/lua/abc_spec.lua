-- SPDX-License-Identifier: MIT
-- trio.abc: the mixins for a program's own classes, and implements.
local H = require "spec.support.helper"
local trio = require "trio"
local abc = trio.abc
local implements = abc.implements

local NAMES = {
  "AsyncResource", "SendStream", "ReceiveStream", "Stream",
  "HalfCloseableStream", "Listener", "SendChannel", "ReceiveChannel",
  "Channel", "Clock", "Instrument", "HostnameResolver", "SocketFactory",
}

-- A receive stream that gives the words, one for each call.
local Words = abc.ReceiveStream({})

function Words:receive_some()
  trio.lowlevel.checkpoint()
  self.place = (self.place or 0) + 1
  return self[self.place]
end

function Words:aclose()
  self.closed = true
  trio.lowlevel.checkpoint()
end

local function words(...)
  return setmetatable({...}, Words)
end

-- A send stream that takes at most three bytes in a call.
local Slow = abc.SendStream({})

function Slow:send_some(data)
  trio.lowlevel.checkpoint()
  self[#self + 1] = data:sub(1, 3)
  return #data:sub(1, 3)
end

function Slow:wait_send_all_might_not_block() end  -- luacheck: ignore 212
function Slow:aclose() end  -- luacheck: ignore 212

local function slow() return setmetatable({}, Slow) end

describe("a mixin", function()
  H.trio_it("makes a receive stream iterable", function()
    local seen, log = H.trace()
    for word in words("one", "two", "three") do log(word) end
    assert.same({"one", "two", "three"}, seen)
  end)

  H.trio_it("closes at the end of a block", function()
    local stream = words()
    do
      local _ <close> = stream
    end
    assert.is_true(stream.closed)
  end)

  H.trio_it("closes with close rather than aclose, where there is one",
    function()
      local seen, log = H.trace()
      local Both = abc.AsyncResource({
        close = function() log("close") end,
        aclose = function() log("aclose") end,
      })
      do
        local _ <close> = setmetatable({}, Both)
      end
      assert.same({"close"}, seen)
    end)

  H.trio_it("closes under a cancellation, too", function()
    local stream = words()
    local scope = trio.CancelScope()
    scope:run(function()
      local _ <close> = stream
      scope:cancel()
      trio.lowlevel.checkpoint()
    end)
    assert.is_true(scope.cancelled_caught)
    assert.is_true(stream.closed)
  end)

  H.trio_it("makes a channel iterable, up to its end", function()
    local Countdown = abc.ReceiveChannel({})
    function Countdown:receive()
      trio.lowlevel.checkpoint()
      if self.n == 0 then error(trio.EndOfChannel("zero")) end
      self.n = self.n - 1
      return self.n
    end
    function Countdown:aclose() self.n = nil end
    local seen, log = H.trace()
    for n in setmetatable({n = 3}, Countdown) do log(n) end
    assert.same({2, 1, 0}, seen)
    H.raises("attempt to", function()
      for _ in setmetatable({}, Countdown) do log(1) end
    end)
  end)

  H.trio_it("derives send_all from send_some", function()
    local stream = slow()
    stream:send_all("12345678")
    assert.same({"123", "456", "78"}, stream)
  end)

  H.trio_it("derives send_all of parts", function()
    local stream = slow()
    stream:send_all({"12", "345", "", "6"})
    assert.same({"123", "456"}, stream)
  end)

  H.trio_it("lets a send_all of nothing be a checkpoint", function()
    for _, nothing in ipairs {"", {}} do
      local stream = slow()
      trio.testing.assert_checkpoints(function() stream:send_all(nothing) end)
      assert.same({""}, stream)
    end
  end)

  H.trio_it("refuses two tasks in a derived send_all", function()
    local stream = slow()
    trio.open_nursery(function(nursery)
      nursery:start_soon(stream.send_all, stream, "12345")
      trio.lowlevel.checkpoint()
      H.raises_class(trio.BusyResourceError, stream.send_all, stream, "x")
    end)
    assert.same({"123", "45"}, stream)
    stream:send_all("again")
  end)

  H.trio_it("checks what goes into a derived send_all", function()
    local stream = slow()
    for _, wrong in ipairs {1, false, print, {1}, {"x", {}}} do
      H.raises("^[^:]*abc_spec%.lua:%d+: bad argument #1 to 'send_all' %(.*"
        .. "string.* expected, got ", function()
          stream:send_all(wrong)
          return 1
        end)
    end
    H.raises("got nil", function() stream:send_all(); return 1 end)
    assert.same({}, stream)
  end)

  H.trio_it("checks what comes from send_some", function()
    for _, wrong in ipairs {0, -1, 6, 1.5, "x"} do
      local stream = slow()
      rawset(stream, "send_some", function() return wrong end)
      H.raises("send_some must return how many bytes it has sent, got ",
        stream.send_all, stream, "12345")
    end
  end)

  it("leaves what the class has itself", function()
    local function own() end
    local class = abc.Stream({__call = own, send_all = own, __index = own})
    assert.equal(own, class.__call)
    assert.equal(own, class.send_all)
    assert.equal(own, class.__index)
    assert.equal("function", type(class.__close))
  end)

  it("leaves what a parent class has, but for metamethods", function()
    local function own() end
    local parent = {send_all = own, __call = own}
    local class = abc.Stream(setmetatable({}, {__index = parent}))
    assert.is_nil(rawget(class, "send_all"))
    assert.equal("function", type(rawget(class, "__call")))
    assert.are_not.equal(own, rawget(class, "__call"))
    assert.equal(class, class.__index)
  end)

  it("may be copied by hand", function()
    local class = {}
    for name, value in pairs(abc.ReceiveStream) do class[name] = value end
    assert.equal(abc.ReceiveStream.__call, class.__call)
    assert.equal(abc.ReceiveStream.__close, class.__close)
  end)

  it("names itself and its bad argument", function()
    for _, name in ipairs(NAMES) do
      assert.equal("trio.abc." .. name, tostring(abc[name]))
      H.raises("^[^:]*abc_spec%.lua:%d+: bad argument #1 to '" .. name
        .. "' %(table expected, got nil%)$",
        function() local class = abc[name](); return class end)
    end
  end)
end)

describe("implements", function()
  -- Which of the names the value implements.
  local function interfaces(value)
    local found = {}
    for _, name in ipairs(NAMES) do
      if implements(value, name) then found[#found + 1] = name end
    end
    return table.concat(found, " ")
  end

  it("knows the library's own objects", function()
    local testing = trio.testing
    local send, receive = trio.open_memory_channel(0)
    assert.equal("AsyncResource SendChannel", interfaces(send))
    assert.equal("AsyncResource ReceiveChannel", interfaces(receive))
    assert.equal("Clock", interfaces(testing.MockClock()))
    assert.equal("AsyncResource SendStream",
      interfaces(testing.MemorySendStream()))
    assert.equal("AsyncResource ReceiveStream",
      interfaces(testing.MemoryReceiveStream()))
    assert.equal(
      "AsyncResource SendStream ReceiveStream Stream HalfCloseableStream",
      interfaces((testing.memory_stream_pair())))
    assert.equal("", interfaces(trio.Event()))
  end)

  it("knows a program's own", function()
    local function f() end
    assert.equal("AsyncResource Listener", interfaces({
      accept = f, aclose = setmetatable({}, {__call = f}),
    }))
    assert.equal("AsyncResource SendChannel ReceiveChannel Channel",
      interfaces({send = f, receive = f, aclose = f}))
    assert.equal("HostnameResolver",
      interfaces({getaddrinfo = f, getnameinfo = f}))
    assert.equal("SocketFactory", interfaces({socket = f}))
    assert.equal("Instrument", interfaces({task_exited = f}))
    assert.equal("AsyncResource ReceiveStream", interfaces(words()))
  end)

  it("wants every method, and methods that can be called", function()
    local function f() end
    assert.is_false(implements({accept = f}, "Listener"))
    assert.is_false(implements({accept = f, aclose = 1}, "Listener"))
    assert.is_false(implements({}, "Instrument"))
  end)

  it("counts a derived send_all only with send_some", function()
    assert.is_true(implements(slow(), "SendStream"))
    assert.is_false(implements(setmetatable({}, abc.SendStream({
      wait_send_all_might_not_block = print, aclose = print,
    })), "SendStream"))
  end)

  it("takes the mixin for its name", function()
    assert.is_true(implements(words(), abc.ReceiveStream))
    assert.is_false(implements(words(), abc.SendStream))
  end)

  it("is false for what can't have methods, and for strict tables", function()
    for _, value in ipairs {false, 1, "text", print} do
      assert.equal("", interfaces(value))
    end
    assert.equal("", interfaces(nil))
    assert.equal("", interfaces(setmetatable({}, {
      __index = function() error("strict") end,
    })))
  end)

  it("names a bad argument", function()
    H.raises("^[^:]*abc_spec%.lua:%d+: bad argument #2 to 'implements' "
      .. "%(unknown interface 'Steam'%)$",
      function() local is = implements({}, "Steam"); return is end)
    H.raises("name of an interface expected, got nil",
      function() local is = implements({}); return is end)
    H.raises("name of an interface expected, got table",
      function() local is = implements({}, {}); return is end)
  end)
end)
