-- SPDX-License-Identifier: MIT
-- net.lua: what the specs of sockets and streams share.
--
--   local N = require "spec.support.net"
--   N.it("SOCK-06 a cancelled recv consumes nothing", function() ... end)

local H = require "spec.support.helper"
local trio = require "trio"
local it = require "busted".it
local socket = trio.socket
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local N = {}

--- H.trio_it around a test that must close every descriptor that it opens:
--- what is left open would be closed by the end of the run.
function N.it(name, fn, opts)
  return H.trio_it(name, function()
    local before = trio.testing._open_descriptors()
    fn()
    local after = trio.testing._open_descriptors()
    if after ~= before then
      error(("left open: %d descriptors, %d before"):format(after, before), 0)
    end
  end, opts)
end

--- Two connected sockets: a Unix pair, or over TCP.
function N.pair() return socket.socketpair() end

function N.tcp_pair(family)
  local host = family == socket.AF_INET6 and "::1" or "127.0.0.1"
  local listener <close> = socket.socket(family)
  listener:bind({host, 0})
  listener:listen(1)
  local client = socket.socket(family)
  client:connect(listener:getsockname())
  return client, (listener:accept())
end

function N.stream_pair()
  local a, b = N.pair()
  return trio.SocketStream(a), trio.SocketStream(b)
end

function N.tcp_stream_pair()
  local a, b = N.tcp_pair()
  return trio.SocketStream(a), trio.SocketStream(b)
end

--- Two FdStreams over a pipe: sender, receiver.
function N.pipe_pair()
  local r, w = trio.testing._pipe()
  return trio.lowlevel.FdStream(w), trio.lowlevel.FdStream(r)
end

--- Send until sending would wait.
function N.clog(stream)
  local data = ("x"):rep(10000)
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      while true do stream:send_all(data) end
    end)
    wait_all_tasks_blocked()
    nursery.cancel_scope:cancel()
  end)
end

--- Send on a socket until that would wait; how many bytes went.
function N.fill(sock)
  local sent = 0
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      while true do sent = sent + sock:send(("x"):rep(65536)) end
    end)
    wait_all_tasks_blocked()
    nursery.cancel_scope:cancel()
  end)
  return sent
end

--- Receive on a socket until that would wait; how many bytes came.
function N.drain(sock)
  local received = 0
  trio.open_nursery(function(nursery)
    nursery:start_soon(function()
      while true do received = received + #sock:recv(65536) end
    end)
    wait_all_tasks_blocked()
    nursery.cancel_scope:cancel()
  end)
  return received
end

--- Everything up to the end of the stream.
function N.read_all(stream)
  local parts = {}
  for chunk in stream do parts[#parts + 1] = chunk end
  return table.concat(parts)
end

--- Close all of them.
function N.close(...)
  for i = 1, select("#", ...) do
    local resource = select(i, ...)
    if resource.close then resource:close() else resource:aclose() end
  end
end

--- Start fn(...) in the nursery and wait until it is blocked. The result has
--- `done`, and `err` if it raised; Cancelled goes on.
function N.start(nursery, fn, ...)
  local result = {done = false}
  nursery:start_soon(function(...)
    local ok, err = trio.pcall(fn, ...)
    result.done = true
    if ok then result.value = err else result.err = err end
  end, ...)
  wait_all_tasks_blocked()
  return result
end

--- fn in a cancelled scope: it must raise Cancelled.
function N.is_cancelled(fn, ...)
  local args, reached = table.pack(...), false
  local scope = trio.move_on_after(math.huge, function(scope)
    scope:cancel()
    fn(table.unpack(args, 1, args.n))
    reached = true
  end)
  assert(not reached and scope.cancelled_caught, "it was not cancelled")
end

--- Is IPv6 there?
N.has_ipv6 = (function()
  local ok = pcall(trio.run, function()
    local sock <close> = socket.socket(socket.AF_INET6)
    sock:bind({"::1", 0})
  end)
  return ok
end)()

--- A test that needs IPv6.
function N.ipv6_it(name, fn)
  if N.has_ipv6 then return N.it(name, fn) end
  return it(name .. " (no IPv6 here)", function() end)
end

return N
