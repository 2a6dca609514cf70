-- SPDX-License-Identifier: MIT
-- fake_network.lua: UDP sockets of a network that exists in this program only,
-- so that what it does to datagrams is up to the test, and happens in virtual
-- time.
--
--   local network = FakeNetwork.new()
--   network:enable()                    -- trio.socket.socket makes its sockets
--   function network:route(packet)      -- {data=, from=, to=, (addresses)}
--     if ... then self:deliver(packet) end
--   end
--
-- A packet to a port that nobody has bound is lost.

local trio = require "trio"
local socket = trio.socket

local FIRST_PORT = 50000
local LOOPBACK = {[socket.AF_INET] = "127.0.0.1", [socket.AF_INET6] = "::1"}
local WILDCARD = {["0.0.0.0"] = true, ["::"] = true, [""] = true}

local FakeNetwork = {}
FakeNetwork.__index = FakeNetwork

local FakeSocket = {}
FakeSocket.__index = FakeSocket

local function key_of(address) return address[1] .. " " .. address[2] end

local function os_error(code, call)
  return trio.OSError(("[%s] %s"):format(code, call), {
    code = code, errno = socket[code], syscall = call,
  })
end

function FakeNetwork.new()
  return setmetatable({bound = {}, next_port = FIRST_PORT, sent = 0},
    FakeNetwork)
end

--- Let trio.socket.socket make sockets of this network, for this run.
function FakeNetwork:enable()
  trio.socket.set_custom_socket_factory({socket = function(_, family, kind)
    return self:socket(family, kind)
  end})
end

function FakeNetwork:socket(family, kind)
  assert(kind == socket.SOCK_DGRAM, "this network has datagrams only")
  local send, receive = trio.open_memory_channel(math.huge)
  return setmetatable({
    network = self, family = family or socket.AF_INET, type = kind, proto = 0,
    send = send, receive = receive, closed = false,
  }, FakeSocket)
end

--- What happens to a packet; tests replace it.
function FakeNetwork:route(packet)
  self:deliver(packet)
end

--- Hand the packet to the socket that it is for.
function FakeNetwork:deliver(packet)
  local sock = self.bound[key_of(packet.to)]
  if sock and not sock.closed then sock.send:send_nowait(packet) end
end

function FakeSocket:__tostring()
  return ("<fake socket %p>"):format(self)
end

local function check_open(self, call)
  if self.closed then
    error(trio.ClosedResourceError("this socket is closed: " .. call), 0)
  end
end

local function bind(self, address)
  local host, port = address[1], address[2]
  if WILDCARD[host] then host = LOOPBACK[self.family] end
  local network = self.network
  if port == 0 then
    port = network.next_port
    network.next_port = port + 1
  end
  local name = {host, port}
  if self.family == socket.AF_INET6 then name[3], name[4] = 0, 0 end
  if network.bound[key_of(name)] then
    error(os_error("EADDRINUSE", "bind"), 0)
  end
  network.bound[key_of(name)] = self
  self.name = name
end

function FakeSocket:bind(address)
  check_open(self, "bind")
  trio.lowlevel.checkpoint()
  bind(self, address)
end

function FakeSocket:getsockname()
  check_open(self, "getsockname")
  if not self.name then
    return {self.family == socket.AF_INET6 and "::" or "0.0.0.0", 0}
  end
  return table.move(self.name, 1, #self.name, 1, {})
end

function FakeSocket:sendto(data, address)
  check_open(self, "sendto")
  trio.lowlevel.checkpoint()
  check_open(self, "sendto")
  if not self.name then bind(self, {"", 0}) end
  local network = self.network
  network.sent = network.sent + 1
  network:route({data = data, from = self:getsockname(), to = address})
  return #data
end

function FakeSocket:recvfrom(max_bytes)
  check_open(self, "recvfrom")
  if not self.name then bind(self, {"", 0}) end
  local packet = self.receive:receive()
  if packet.error then error(packet.error, 0) end
  return packet.data:sub(1, max_bytes), packet.from
end

--- Let the next recvfrom of this socket raise.
function FakeSocket:fail(err)
  self.send:send_nowait({error = err})
end

function FakeSocket:close()
  if self.closed then return end
  self.closed = true
  if self.name then self.network.bound[key_of(self.name)] = nil end
  self.receive:close()
end

FakeSocket.__close = FakeSocket.close

return FakeNetwork
