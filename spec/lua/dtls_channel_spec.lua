-- SPDX-License-Identifier: MIT
-- DTLSChannel: what a program sees of one association.
local D = require "spec.support.dtls"
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

describe("a DTLSChannel", function()
  N.it("TLS-19 shakes hands when it is first used", function()
    local _, context = D.contexts()
    D.serving({}, function(address)
      local endpoint <close> = D.endpoint()
      local channel = endpoint:connect(address, context)
      channel:send("xyz")
      assert.equal("xyz", channel:receive())
    end)
  end)

  N.it("TLS-19 is full duplex from the beginning", function()
    local server_context, client_context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    local endpoint <close> = D.endpoint()
    local received = {}
    local function both(channel, text)
      trio.open_nursery(function(nursery)
        nursery:start_soon(channel.send, channel, text)
        nursery:start_soon(channel.do_handshake, channel)
        nursery:start_soon(function()
          local data = channel:receive()
          received[#received + 1] = data
        end)
      end)
    end
    trio.open_nursery(function(nursery)
      nursery:start(server.serve, server, server_context, function(channel)
        both(channel, "from server")
      end)
      both(endpoint:connect(server.socket:getsockname(), client_context),
        "from client")
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    table.sort(received)
    assert.same({"from client", "from server"}, received)
  end)

  H.trio_it("TLS-19 checks its arguments", function()
    D.connected(function(channel)
      local send = "local channel, data = ... channel:send(data)"
      P.usage("bad argument #1 to 'send' .string expected, got number", send,
        channel, 5)
      P.usage("1 to 16384 bytes expected", send, channel, "")
      P.usage("1 to 16384 bytes expected", send, channel, ("x"):rep(16385))
      local mtu = "local channel, mtu = ... channel:set_ciphertext_mtu(mtu)"
      P.usage("number expected, got string", mtu, channel, "x")
      P.usage("must be at least 256", mtu, channel, 255)
      local code = "local channel, opts = ... channel:do_handshake(opts)"
      P.usage("unknown option 'x'", code, channel, {x = 1})
      for _, wrong in ipairs {0, -1, 0 / 0, "1"} do
        P.usage("'initial_retransmit_timeout' must be a positive number", code,
          channel, {initial_retransmit_timeout = wrong})
      end
      P.usage("field 'peer_address' of trio.DTLSChannel is read%-only",
        "(...).peer_address = 1", channel)
      for _, method in ipairs {
        "do_handshake", "send", "receive", "close", "aclose", "statistics",
        "set_ciphertext_mtu", "get_cleartext_mtu", "version",
      } do
        P.usage("calling '" .. method .. "' on bad self",
          "local object, wrong = ... object." .. method .. "(wrong)", channel,
          {})
      end
      assert.is_true(trio.abc.implements(channel, "Channel"))
      assert.matches("open>$", tostring(channel))
    end)
  end)

  H.trio_it("TLS-19 carries the largest record, and every byte", function()
    D.connected(function(client, server)
      local bytes = {}
      for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
      bytes = table.concat(bytes)
      client:send(bytes)
      assert.equal(bytes, server:receive())
      local largest = ("x"):rep(16384)
      server:send(largest)
      assert.equal(largest, client:receive())
    end)
  end)

  N.it("TLS-19 is closed", function()
    local _, context = D.contexts()
    D.serving({}, function(address)
      local endpoint <close> = D.endpoint()
      local channel = endpoint:connect(address, context)
      channel:do_handshake()
      P.is_no_checkpoint(channel.close, channel)
      local Closed = trio.ClosedResourceError
      H.raises_class(Closed, channel.send, channel, "abc")
      H.raises_class(Closed, channel.receive, channel)
      H.raises_class(Closed, channel.do_handshake, channel)
      H.raises_class(Closed, channel.get_cleartext_mtu, channel)
      H.raises_class(Closed, function() for _ in channel do end end)
      channel:close()
      P.is_checkpoint(channel.aclose, channel)
      assert.matches("closed>$", tostring(channel))
      channel:set_ciphertext_mtu(1000)
      do local _ <close> = endpoint:connect(address, context) end
      local again = endpoint:connect(address, context)
      N.is_cancelled(again.aclose, again)
      H.raises_class(Closed, again.receive, again)
    end)
  end)

  H.trio_it("TLS-19 wakes who receives when it is closed", function()
    D.connected(function(client)
      trio.open_nursery(function(nursery)
        local result = N.start(nursery, client.receive, client)
        client:close()
        wait_all_tasks_blocked()
        assert.is_true(trio.isinstance(result.err, trio.ClosedResourceError))
      end)
    end)
  end)

  H.trio_it("TLS-19 may be closed when a datagram has just come", function()
    D.connected(function(client)
      trio.open_nursery(function(nursery)
        local result = N.start(nursery, client.receive, client)
        client._send:send_nowait("handed over")
        client:close()
        wait_all_tasks_blocked()
        assert.is_true(trio.isinstance(result.err, trio.ClosedResourceError))
      end)
    end)
  end)

  H.trio_it("TLS-19 can be closed in the middle of a handshake", function()
    local network = D.network()
    local _, context = D.contexts()
    D.serving({}, function(address)
      for count = 1, 5 do
        local left = count
        local endpoint <close> = D.endpoint()
        local channel = endpoint:connect(address, context)
        function network:route(packet)
          left = left - 1
          if left == 0 then channel:close() else self:deliver(packet) end
        end
        H.raises_class(trio.ClosedResourceError, channel.receive, channel)
      end
    end)
  end)

  H.trio_it("TLS-19 counts what comes beyond the buffer", function()
    for _, buffer in ipairs {10, 20} do
      D.network()
      local _, context = D.contexts()
      D.serving({}, function(address)
        local endpoint <close> = D.endpoint({buffer = buffer})
        local channel = endpoint:connect(address, context)
        for i = 1, buffer + 15 do
          channel:send(tostring(i))
          trio.sleep(1)
        end
        assert.same({incoming_packets_dropped_in_trio = 15},
          channel:statistics())
        for i = 1, buffer do assert.equal(tostring(i), channel:receive()) end
        channel:send("buffer clear now")
        assert.equal("buffer clear now", channel:receive())
      end)
    end
  end)

  H.trio_it("TLS-19 is received from by several tasks", function()
    D.connected(function(client, server)
      local received = {}
      trio.open_nursery(function(nursery)
        for _ = 1, 5 do
          nursery:start_soon(function()
            local text = client:receive()
            received[#received + 1] = text
          end)
        end
        wait_all_tasks_blocked()
        for i = 1, 5 do server:send(tostring(i)) end
      end)
      assert.same({"1", "2", "3", "4", "5"}, received)
    end)
  end)

  H.trio_it("TLS-19 loses nothing when receive is cancelled", function()
    D.connected(function(client, server)
      server:send("one")
      wait_all_tasks_blocked()
      N.is_cancelled(client.receive, client)
      trio.open_nursery(function(nursery)
        nursery:start_soon(client.receive, client)
        nursery.cancel_scope:cancel()
      end)
      trio.move_on_after(0, function() trio.sleep(1) end)
      assert.equal("one", client:receive())
      trio.move_on_after(1, function() client:receive() end)
      server:send("two")
      assert.equal("two", client:receive())
      N.is_cancelled(client.send, client, "never mind")
      client:send("three")
      local text = server:receive()
      if text == "never mind" then text = server:receive() end
      assert.equal("three", text)
    end)
  end)

  H.trio_it("TLS-19 gives each of several records in a datagram", function()
    D.connected(function(client, server, network)
      local held = {}
      function network.route(_, packet) held[#held + 1] = packet end
      for i = 1, 5 do server:send(tostring(i)) end
      local function deliver(first, last)
        local parts = {}
        for i = first, last do parts[#parts + 1] = held[i].data end
        network:deliver({
          data = table.concat(parts), from = held[1].from, to = held[1].to,
        })
        wait_all_tasks_blocked()
      end
      deliver(1, 2)
      assert.equal("1", client:receive())
      P.is_checkpoint(function() assert.equal("2", client:receive()) end)
      local received = {}
      trio.open_nursery(function(nursery)
        for _ = 1, 3 do
          nursery:start_soon(function()
            local text = client:receive()
            received[#received + 1] = text
          end)
        end
        wait_all_tasks_blocked()
        deliver(3, 5)
      end)
      assert.same({"3", "4", "5"}, received)
    end)
  end)

  H.trio_it("TLS-19 keeps data that overtakes the end of the handshake",
    function()
      local network = D.network()
      local server_context, client_context = D.contexts()
      local server <close> = D.endpoint({port = 0})
      local endpoint <close> = D.endpoint()
      local address = server.socket:getsockname()
      trio.open_nursery(function(nursery)
        nursery:start(server.serve, server, server_context, function(channel)
          channel:do_handshake()
          channel:send("early")
        end)
        local channel = endpoint:connect(address, client_context)
        local held
        -- The last volley of the server comes behind its data.
        function network:route(packet)
          local is_finish = packet.from[2] == address[2]
            and packet.data:byte(14) == 4
          if is_finish and not held then
            held = packet
            return
          end
          self:deliver(packet)
          if held and packet.data:byte(1) == 23 then self:deliver(held) end
        end
        assert.equal("early", channel:receive())
        assert.equal(0, trio.current_time())
        nursery.cancel_scope:cancel()
      end)
    end)

  H.trio_it("TLS-19 ends when the peer says good-bye", function()
    D.connected(function(client, server)
      -- As other implementations do; ours says nothing.
      server:send("last")
      server._engine:shutdown(true)
      server.endpoint.socket:sendto(server._engine:take(), server.peer_address)
      assert.equal("last", client:receive())
      trio.open_nursery(function(nursery)
        local one = N.start(nursery, client.receive, client)
        local two = N.start(nursery, client.receive, client)
        assert.is_true(trio.isinstance(one.err, trio.EndOfChannel))
        assert.is_true(trio.isinstance(two.err, trio.EndOfChannel))
      end)
      for _ in client do error("nothing was expected") end
    end)
  end)

  H.trio_it("TLS-19 knows what was negotiated", function()
    local network = D.network()
    assert.truthy(network)
    local server_context, client_context = D.contexts()
    server_context:set_alpn_protocols({"b", "a"})
    client_context:set_alpn_protocols({"a", "b"})
    D.serving({context = server_context}, function(address)
      local endpoint <close> = D.endpoint()
      local channel = endpoint:connect(address, client_context)
      for _, method in ipairs {"cipher", "version", "getpeercert",
        "selected_alpn_protocol"} do
        H.raises_class(trio.NeedHandshakeError, channel[method], channel)
      end
      channel:do_handshake()
      assert.equal("DTLSv1.2", channel:version())
      assert.equal("b", channel:selected_alpn_protocol())
      assert.matches("GCM", channel:cipher().name)
      assert.truthy(channel:getpeercert())
      assert.is_string(channel:getpeercert(true))
    end)
  end)
end)

describe("an association", function()
  H.trio_it("TLS-19 is broken by a newer one of the client", function()
    D.connected(function(client, server)
      local _, context = D.contexts()
      local waiting
      trio.open_nursery(function(nursery)
        waiting = N.start(nursery, server.receive, server)
        local again = client.endpoint:connect(client.peer_address, context)
        local Broken = trio.BrokenResourceError
        H.raises_class(Broken, client.send, client, "x")
        H.raises_class(Broken, client.receive, client)
        H.raises_class(Broken, client.do_handshake, client)
        assert.is_false(waiting.done)
        again:do_handshake()
        wait_all_tasks_blocked()
        assert.is_true(trio.isinstance(waiting.err, Broken))
        H.raises_class(Broken, server.send, server, "x")
        client:close()  -- leaves the newer one alone
        again:send("x")
      end)
    end)
  end)

  N.it("TLS-19 can be made by either side", function()
    local server_context, client_context = D.contexts()
    local a <close> = D.endpoint({port = 0})
    local b <close> = D.endpoint({port = 0})
    trio.open_nursery(function(nursery)
      nursery:start(a.serve, a, server_context, D.echo)
      nursery:start(b.serve, b, server_context, D.echo)
      local b_to_a = b:connect(a.socket:getsockname(), client_context)
      b_to_a:send("b as client")
      assert.equal("b as client", b_to_a:receive())
      local a_to_b = a:connect(b.socket:getsockname(), client_context)
      a_to_b:do_handshake()
      H.raises_class(trio.BrokenResourceError, b_to_a.send, b_to_a, "broken")
      a_to_b:send("a as client")
      assert.equal("a as client", a_to_b:receive())
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("TLS-19 is broken during its handshake", function()
    local network = D.network()
    function network.route() end
    local _, context = D.contexts()
    local endpoint <close> = D.endpoint()
    local address = {"127.0.0.1", 50000}
    local first = endpoint:connect(address, context)
    trio.open_nursery(function(nursery)
      local result = N.start(nursery, first.do_handshake, first)
      trio.sleep(10)
      endpoint:connect(address, context)
      wait_all_tasks_blocked()
      assert.is_true(trio.isinstance(result.err, trio.BrokenResourceError))
    end)
  end)

  H.trio_it("TLS-19 is broken before its handshake", function()
    local network = D.network()
    local _, context = D.contexts()
    local endpoint <close> = D.endpoint()
    local address = {"127.0.0.1", 50000}
    local first = endpoint:connect(address, context)
    endpoint:connect(address, context)
    H.raises_class(trio.BrokenResourceError, first.do_handshake, first)
    assert.equal(0, network.sent)
  end)

  H.trio_it("TLS-19 is given up by a client that begins anew", function()
    D.network()
    local server_context, client_context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    local client <close> = D.endpoint()
    local address, handled = server.socket:getsockname(), 0
    trio.open_nursery(function(nursery)
      local scope
      nursery:start(server.serve, server, server_context, function(channel)
        handled = handled + 1
        if handled == 1 then
          scope:cancel()
          trio.sleep(0.5)
          H.raises_class(trio.BrokenResourceError, channel.do_handshake,
            channel)
        else
          channel:send("hello")
        end
      end)
      scope = trio.move_on_after(math.huge, function(s)
        scope = s
        client:connect(address, client_context):do_handshake()
      end)
      assert.is_true(scope.cancelled_caught)
      local channel = client:connect(address, client_context)
      assert.equal("hello", channel:receive())
      trio.sleep(10)
      assert.equal(2, handled)
      nursery.cancel_scope:cancel()
    end)
  end)
end)
