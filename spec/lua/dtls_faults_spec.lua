-- SPDX-License-Identifier: MIT
-- DTLS over networks that lose, double, delay and cut what they carry. In
-- virtual time, by fixed seeds.
local C = require "spec.support.certificates"
local D = require "spec.support.dtls"
local H = require "spec.support.helper"
local trio = require "trio"
local socket = trio.socket

local records = D.private()

local function terrible_network(seed)
  local random = D.random(seed)
  local network = D.network()
  local _, context = D.contexts()
  trio.open_nursery(function(couriers)
    function network:route(packet)
      local fate = random(1, 100)
      if fate <= 10 then return end
      if fate <= 20 then self:deliver(packet) end  -- and again
      if fate > 80 and fate <= 90 then
        couriers:start_soon(function()
          trio.sleep(random(0, 3000) / 1000)
          self:deliver(packet)
        end)
      else
        self:deliver(packet)
      end
    end
    D.serving({}, function(address)
      for i = 1, 10 do
        local endpoint <close> = D.endpoint()
        D.talk(endpoint, address, context, tostring(i))
      end
    end)
    couriers.cancel_scope:cancel()
  end)
end

describe("a handshake", function()
  for seed = 1, H.many(20) do
    H.trio_it("TLS-19 gets through a terrible network, seed " .. seed,
      function() terrible_network(seed) end)
  end

  H.trio_it("TLS-19 sends again after the time it was told", function()
    local network = D.network()
    local _, context = D.contexts()
    local lost
    function network:route(packet)
      if lost then self:deliver(packet) else lost = true end
    end
    D.serving({}, function(address)
      for _, t in ipairs {1, 2, 4} do
        lost = false
        local endpoint <close> = D.endpoint()
        local before = trio.current_time()
        local channel = endpoint:connect(address, context)
        channel:do_handshake({initial_retransmit_timeout = t})
        assert.equal(t, trio.current_time() - before)
      end
    end)
  end)

  H.trio_it("TLS-19 sends less and less often to who is silent", function()
    local network = D.network()
    local _, context = D.contexts()
    local times = {}
    function network.route(_, packet)
      times[#times + 1] = trio.current_time()
      assert.truthy(records.decode_client_hello(packet.data))
    end
    local endpoint <close> = D.endpoint()
    local channel = endpoint:connect({"127.0.0.1", 50000}, context)
    trio.move_on_after(200, function() channel:do_handshake() end)
    assert.same({0, 1, 3, 7, 15, 31, 63, 123, 183}, times)
  end)

  H.trio_it("TLS-19 is as quick as at first after a volley without loss",
    function()
      local network = D.network()
      local _, context = D.contexts()
      D.serving({}, function(address)
        local endpoint <close> = D.endpoint()
        local channel = endpoint:connect(address, context)
        local count, times = 0, {}
        -- The first hello, and the last volley of the client.
        function network:route(packet)
          count = count + 1
          if packet.to[2] == address[2] then
            times[#times + 1] = trio.current_time()
          end
          if count ~= 1 and count ~= 6 then self:deliver(packet) end
        end
        channel:do_handshake()
        assert.same({0, 1, 1, 1, 2}, times)
      end)
    end)

  H.trio_it("TLS-19 numbers every record anew", function()
    local network = D.network()
    local _, context = D.contexts()
    local numbers = {}
    function network.route(_, packet)
      for _, record in ipairs(records.decode(packet.data)) do
        numbers[#numbers + 1] = record.number
      end
    end
    local endpoint <close> = D.endpoint()
    local channel = endpoint:connect({"127.0.0.1", 50000}, context)
    trio.move_on_after(20, function() channel:do_handshake() end)
    assert.same({0, 1, 2, 3, 4}, numbers)
  end)

  H.trio_it("TLS-19 survives the loss of any one datagram", function()
    local network = D.network()
    local _, context = D.contexts()
    D.serving({}, function(address)
      for place = 1, 6 do
        local count = 0
        function network:route(packet)
          count = count + 1
          if count ~= place then self:deliver(packet) end
        end
        local endpoint <close> = D.endpoint()
        local before = trio.current_time()
        local channel = endpoint:connect(address, context)
        channel:do_handshake()
        assert.equal(1, trio.current_time() - before)
      end
    end)
  end)

  H.trio_it("TLS-19 goes on where a cancelled one was", function()
    local network = D.network()
    local _, context = D.contexts()
    D.serving({}, function(address)
      for place = 1, 5 do
        local endpoint <close> = D.endpoint()
        local channel = endpoint:connect(address, context)
        local count, scope = 0, trio.CancelScope()
        function network:route(packet)
          count = count + 1
          if count == place then scope:cancel() else self:deliver(packet) end
        end
        scope:run(function() channel:do_handshake() end)
        assert.is_true(scope.cancelled_caught)
        channel:do_handshake()
        channel:send("hello")
        assert.equal("hello", channel:receive())
      end
    end)
  end)

  H.trio_it("TLS-19 is not finished for who is cancelled at every step",
    function()
      D.network()
      local _, context = D.contexts()
      D.serving({}, function(address)
        local endpoint <close> = D.endpoint()
        local channel = endpoint:connect(address, context)
        local tries = 0
        repeat
          tries = tries + 1
          local scope = trio.move_on_after(math.huge, function(scope)
            trio.open_nursery(function(nursery)
              nursery:start_soon(function()
                for _ = 1, tries do trio.lowlevel.checkpoint() end
                scope:cancel()
              end)
              channel:do_handshake()
              nursery.cancel_scope:cancel()
            end)
          end)
        until not scope.cancelled_caught
        assert(tries > 3)
        channel:send("hello")
        assert.equal("hello", channel:receive())
      end)
    end)

  H.trio_it("TLS-19 begins anew where its cookie was refused", function()
    local network = D.network()
    local _, context = D.contexts()
    function network:route(packet)
      local _, cookie = records.decode_client_hello(packet.data)
      local is_lost = cookie and #cookie > 0 and trio.current_time() < 100
      if not is_lost then self:deliver(packet) end
    end
    D.serving({}, function(address)
      local endpoint <close> = D.endpoint()
      local channel = endpoint:connect(address, context)
      channel:set_ciphertext_mtu(2000)
      trio.fail_after(1000, function() channel:do_handshake() end)
      -- In this volley, which is the eighth one.
      assert.equal(123, trio.current_time())
      assert(channel:get_cleartext_mtu() > 1900)
      channel:send("hello")
      assert.equal("hello", channel:receive())
    end)
  end)

  H.trio_it("TLS-19 begins anew with a server that was restarted", function()
    local network = D.network()
    local _, context = D.contexts()
    local endpoint <close> = D.endpoint()
    local address
    trio.open_nursery(function(nursery)
      -- Before it gets the second hello the first server is gone.
      D.serving({handler = error}, function(where, server)
        address = where
        local channel = endpoint:connect(where, context)
        function network:route(packet)
          local _, cookie = records.decode_client_hello(packet.data)
          if cookie and #cookie > 0 then server:close() end
          self:deliver(packet)
        end
        nursery:start_soon(function()
          channel:send("hello")
          assert.equal("hello", channel:receive())
          nursery.cancel_scope:cancel()
        end)
        trio.testing.wait_all_tasks_blocked()
      end)
      network.route = nil
      local server <close> = D.endpoint({port = address[2]})
      server:serve(C.server_context(), D.echo)
    end)
    assert.equal(1, trio.current_time())
  end)

  H.trio_it("TLS-19 takes copies for what they are", function()
    local network = D.network()
    local _, context = D.contexts()
    local hellos = 0
    function network:route(packet)
      local _, cookie = records.decode_client_hello(packet.data)
      if cookie == "" then hellos = hellos + 1 end
      for _ = 1, 3 do self:deliver(packet) end
    end
    D.serving({}, function(address)
      local endpoint <close> = D.endpoint()
      D.talk(endpoint, address, context, "hello")
      assert.equal(1, hellos)
      assert.equal(0, trio.current_time())
    end)
  end)

  H.trio_it("TLS-19 times out with who is no server", function()
    D.network()
    local _, context = D.contexts()
    local one <close> = D.endpoint({port = 0})
    local two <close> = D.endpoint()
    local scope = trio.move_on_after(100, function()
      two:connect(one.socket:getsockname(), context):do_handshake()
    end)
    assert.is_true(scope.cancelled_caught)
  end)
end)

describe("the size of datagrams", function()
  H.trio_it("TLS-19 is what the program says", function()
    local mtu = 300
    local network = D.network()
    local _, context = D.contexts()
    function network:route(packet)
      assert(#packet.data <= mtu, #packet.data)
      self:deliver(packet)
    end
    D.serving({handler = function(channel)
      channel:set_ciphertext_mtu(mtu)
      D.echo(channel)
    end}, function(address)
      local endpoint <close> = D.endpoint()
      local channel = endpoint:connect(address, context)
      channel:set_ciphertext_mtu(mtu)
      channel:send("hi")
      assert.equal("hi", channel:receive())
      local largest = ("x"):rep(channel:get_cleartext_mtu())
      channel:send(largest)
      assert.equal(largest, channel:receive())
    end)
  end)

  for family, mtu in pairs {[socket.AF_INET] = 576 - 28,
    [socket.AF_INET6] = 1280 - 48} do
    H.trio_it("TLS-19 shrinks where large ones get lost, to " .. mtu,
      function()
        local network = D.network()
        local server_context, client_context = D.contexts()
        -- Something large on both ways.
        local large = C.issue {
          name = "dtls-large-" .. mtu,
          alt = "IP:127.0.0.1,IP:::1" .. (",DNS:" .. ("x"):rep(60)):rep(40),
        }
        server_context:load_cert_chain(large)
        local lost = 0
        function network:route(packet)
          if #packet.data > mtu then
            lost = lost + 1
          else
            self:deliver(packet)
          end
        end
        D.serving({family = family, context = server_context},
          function(address)
            local endpoint <close> = D.endpoint({family = family})
            local channel = endpoint:connect(address, client_context)
            -- That is for data only.
            channel:set_ciphertext_mtu(9999)
            channel:send("xyz")
            assert.equal("xyz", channel:receive())
            assert(channel:get_cleartext_mtu() > 9000)
            assert(lost >= 2)
          end)
      end)
  end
end)
