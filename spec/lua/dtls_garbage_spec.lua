-- SPDX-License-Identifier: MIT
-- DTLS with peers that send garbage, and with sockets that fail. In virtual
-- time, by fixed seeds.
local C = require "spec.support.certificates"
local D = require "spec.support.dtls"
local H = require "spec.support.helper"
local N = require "spec.support.net"
local trio = require "trio"
local socket = trio.socket
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local records = D.private()

-- All kinds of datagrams that aren't what they seem.
local function bad_packets()
  local function hello(size, fragment_size, data)
    local payload = string.pack(">BI3I2I3I3", 1, size, 0, 0, fragment_size)
      .. data
    return string.pack(">BI2I8s2", 22, 0xFEFF, 0, payload)
  end
  local zeros = ("\0"):rep(10)
  local whole = hello(10, 10, zeros)
  local list = {
    "", "xyz", whole, whole .. "\0", whole:sub(1, -2), whole:sub(1, 14),
    D.flip(whole, 12, 0xFF), hello(20, 10, zeros), hello(20, 10, zeros .. "\0"),
    string.pack(">BI2I8s2", 22, 0xFEFF, 0, ""),
    string.pack(">BI2I8s2", 22, 0xFEFF, 0, ("\0"):rep(35) .. "\xFF"),
    hello(36, 36, ("\0"):rep(34) .. "\0\xFF"), ("\xFF"):rep(65507),
  }
  for kind = 18, 26 do
    list[#list + 1] = string.pack(">BI2I8s2", kind, 0xFEFD, 0, zeros)
    list[#list + 1] = string.pack(">BI2I8s2", kind, 0xFEFD, 1 << 48, zeros)
  end
  return list
end

describe("a server", function()
  H.trio_it("TLS-19 keeps nothing of a peer without a cookie", function()
    local network = D.network()
    local _, context = D.contexts()
    D.serving({handler = error}, function(address, server)
      local endpoint <close> = D.endpoint()
      local answers = 0
      function network:route(packet)
        if packet.to[2] == address[2] then
          self:deliver(packet)
        else
          -- A HelloVerifyRequest: alone, no larger than the question.
          answers = answers + 1
          assert.equal(60, #packet.data)
        end
      end
      trio.move_on_after(100, function()
        endpoint:connect(address, context):do_handshake()
      end)
      assert(answers > 5)
      assert.is_nil(next(server._channels))
    end)
  end)

  H.trio_it("TLS-19 survives garbage", function()
    D.network()
    local _, context = D.contexts()
    D.serving({}, function(address)
      local sock <close> = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      for _, packet in ipairs(bad_packets()) do
        sock:sendto(packet, address)
        wait_all_tasks_blocked()
      end
      local endpoint <close> = D.endpoint()
      D.talk(endpoint, address, context, "still there")
    end)
  end)

  H.trio_it("TLS-19 refuses a cookie that was changed at any byte", function()
    local network = D.network()
    local _, context = D.contexts()
    D.serving({handler = error}, function(address, server)
      -- What is before isn't protected, nor the number of the message: they
      -- differ each time.
      local place, size, number = 12, math.huge, 19
      function network:route(packet)
        local _, cookie = records.decode_client_hello(packet.data)
        if cookie and #cookie > 0 then
          size = #packet.data
          packet.data = D.flip(packet.data, place)
        end
        self:deliver(packet)
      end
      while place <= size do
        local endpoint <close> = D.endpoint()
        trio.move_on_after(0.5, function()
          endpoint:connect(address, context):do_handshake()
        end)
        assert.is_nil(next(server._channels))
        place = place + 1
        if place == number then place = place + 1 end
      end
      assert(size > 150)
    end)
  end)

  H.trio_it("TLS-19 takes a hello twice for one", function()
    local network = D.network()
    local _, context = D.contexts()
    local handled = 0
    local hello
    function network:route(packet)
      local _, cookie = records.decode_client_hello(packet.data)
      if cookie and #cookie > 0 then hello = packet end
      self:deliver(packet)
      self:deliver(packet)
    end
    D.serving({handler = function(channel)
      handled = handled + 1
      D.echo(channel)
    end}, function(address)
      local endpoint <close> = D.endpoint()
      local channel = endpoint:connect(address, context)
      channel:send("one")
      assert.equal("one", channel:receive())
      network:deliver(hello)
      channel:send("two")
      assert.equal("two", channel:receive())
      assert.equal(1, handled)
    end)
  end)

  H.trio_it("TLS-19 answers no hello while it doesn't serve", function()
    local network = D.network()
    local server_context, client_context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    trio.open_nursery(function(nursery)
      nursery:start(server.serve, server, server_context, error)
      nursery.cancel_scope:cancel()
    end)
    local endpoint <close> = D.endpoint()
    trio.move_on_after(100, function()
      endpoint:connect(server.socket:getsockname(), client_context)
        :do_handshake()
    end)
    assert.equal(7, network.sent)
  end)
end)

-- Deliver `packet` to the endpoint at `to`, as from the other one.
local function inject(network, from, to, data)
  network:deliver({data = data, from = from, to = to})
  wait_all_tasks_blocked()
end

local function nothing_comes(channel)
  trio.move_on_after(0.001, function() error(channel:receive()) end)
end

describe("a channel", function()
  H.trio_it("TLS-19 skips garbage", function()
    D.connected(function(client, server, network)
      local here, there = server.peer_address, client.peer_address
      for _, packet in ipairs(bad_packets()) do
        inject(network, there, here, packet)
        inject(network, here, there, packet)
        server:send("data")
        assert.equal("data", client:receive())
        client:send("data")
        assert.equal("data", server:receive())
      end
    end)
  end)

  H.trio_it("TLS-19 skips what was changed at any byte, and copies", function()
    D.connected(function(client, server, network)
      local here, there = server.peer_address, client.peer_address
      local data
      function network.route(_, packet) data = packet.data end
      server:send("the data")
      for place = 1, #data do
        for bits = 0, 7 do
          inject(network, there, here, D.flip(data, place, 1 << bits))
          nothing_comes(client)
        end
      end
      for length = 0, #data - 1 do
        inject(network, there, here, data:sub(1, length))
        nothing_comes(client)
      end
      inject(network, there, here, data)
      assert.equal("the data", client:receive())
      inject(network, there, here, data)
      nothing_comes(client)
      inject(network, there, here, data .. "\0")
      inject(network, there, here, ("\0"):rep(20) .. data)
      nothing_comes(client)
      assert.same({incoming_packets_dropped_in_trio = 0}, client:statistics())
    end)
  end)

  H.trio_it("TLS-19 sends its last volley again to who lacks it", function()
    local network = D.network()
    local _, context = D.contexts()
    local finishes = 0
    D.serving({}, function(address)
      function network:route(packet)
        local is_last = packet.from[2] == address[2]
          and packet.data:byte(14) == 4 and packet.data:byte(1) == 22
        if is_last then
          finishes = finishes + 1
          if finishes < 3 then return end
        end
        self:deliver(packet)
      end
      local endpoint <close> = D.endpoint()
      local channel = endpoint:connect(address, context)
      channel:do_handshake()
      assert.equal(3, finishes)
      assert.equal(3, trio.current_time())
    end)
  end)
end)

-- During a handshake nothing is authentic yet. It may fail, with an error, or
-- go on; it may neither hang nor crash.
describe("a handshake under attack", function()
  local function attack(mutate)
    local network = D.network()
    local _, context = D.contexts()
    local is_over = false
    local place = 0
    D.serving({}, function(address)
      while not is_over do
        place = place + 1
        local changed, count = false, 0
        function network:route(packet)
          if packet.data:byte(1) == 22 and not changed then
            count = count + #packet.data
            local at = place - (count - #packet.data)
            if at <= #packet.data then
              changed = true
              packet.data = mutate(packet.data, at)
            end
          end
          self:deliver(packet)
        end
        local endpoint <close> = D.endpoint()
        trio.move_on_after(600, function()
          local channel = endpoint:connect(address, context)
          local ok, err = trio.pcall(channel.do_handshake, channel)
          assert(ok or trio.isinstance(err, trio.BrokenResourceError), err)
        end)
        is_over = not changed
        place = place + H.many(100) // 50 + 4
      end
    end)
    assert(place > 800)
  end

  H.trio_it("TLS-19 copes with a byte changed anywhere", function()
    attack(function(data, at) return D.flip(data, at, 0x55) end)
  end)

  H.trio_it("TLS-19 copes with a datagram cut off anywhere", function()
    attack(function(data, at) return data:sub(1, at - 1) end)
  end)

  H.trio_it("TLS-19 ignores garbage in between", function()
    local network = D.network()
    local _, context = D.contexts()
    local random, bad = D.random(7), bad_packets()
    D.serving({}, function(address)
      for _ = 1, 10 do
        function network:route(packet)
          -- (Those that look like a plain part of it are for the tests above.)
          local junk = bad[random(1, 13)]
          self:deliver({data = junk, from = packet.from, to = packet.to})
          self:deliver(packet)
        end
        local endpoint <close> = D.endpoint()
        D.talk(endpoint, address, context, "through")
      end
    end)
  end)
end)

describe("the socket of an endpoint", function()
  local function os_error(code)
    return trio.OSError("[" .. code .. "]", {
      code = code, errno = socket[code], syscall = "recvfrom",
    })
  end

  H.trio_it("TLS-19 may report what happened to some datagram", function()
    D.connected(function(client, server)
      for _, code in ipairs {"ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH"} do
        client.endpoint.socket:fail(os_error(code))
        server:send(code)
        assert.equal(code, client:receive())
      end
    end)
  end)

  H.trio_it("TLS-19 may fail for good", function()
    for _, trouble in ipairs {os_error("EIO"), {}, "a string"} do
      D.connected(function(client)
        local endpoint <close> = client.endpoint
        local result
        trio.open_nursery(function(nursery)
          result = N.start(nursery, client.receive, client)
          endpoint.socket:fail(trouble)
        end)
        assert.is_true(trio.isinstance(result.err, trio.BrokenResourceError))
        assert.equal(trouble, result.err.cause)
        local err = H.raises_class(trio.BrokenResourceError, endpoint.connect,
          endpoint, client.peer_address, C.client_context())
        assert.equal(trouble, err.cause)
      end)
    end
  end)

  H.trio_it("TLS-19 ends the server when it fails", function()
    D.network()
    local server <close> = D.endpoint({port = 0})
    local trouble = os_error("EIO")
    local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery)
        nursery:start(server.serve, server, C.server_context(), error)
        server.socket:fail(trouble)
      end)
    assert.equal(trouble, err:leaves()().cause)
  end)

  H.trio_it("TLS-19 may be closed while it answers a hello", function()
    local network = D.network()
    local server_context, client_context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    trio.open_nursery(function(nursery)
      nursery:start(server.serve, server, server_context, error)
      function network:route(packet)
        self:deliver(packet)
        server.socket:close()
      end
      local endpoint <close> = D.endpoint()
      trio.move_on_after(10, function()
        endpoint:connect({"127.0.0.1", 50000}, client_context):do_handshake()
      end)
      nursery.cancel_scope:cancel()
    end)
  end)

  N.it("TLS-19 may send to ports that nobody listens at", function()
    local _, context = D.contexts()
    D.serving({}, function(address)
      local endpoint <close> = D.endpoint()
      trio.open_nursery(function(nursery)
        for port = 1, 9 do
          local channel = endpoint:connect({"127.0.0.1", port}, context)
          nursery:start_soon(channel.do_handshake, channel)
        end
        local channel = endpoint:connect(address, context)
        channel:send("xxx")
        assert.equal("xxx", channel:receive())
        nursery.cancel_scope:cancel()
      end)
    end)
  end)

  N.it("TLS-19 may be told of a refused datagram (ICMP)", function()
    local _, context = D.contexts()
    local gone = D.endpoint({port = 0})
    local address = gone.socket:getsockname()
    gone:close()
    local endpoint <close> = D.endpoint()
    -- Only a connected socket is told.
    endpoint.socket:connect(address)
    local channel = endpoint:connect(address, context)
    local scope = trio.move_on_after(20, function() channel:do_handshake() end)
    assert.is_true(scope.cancelled_caught)
    assert.is_false(endpoint._failed)
  end)
end)
