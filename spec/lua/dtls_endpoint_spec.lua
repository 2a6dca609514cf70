-- SPDX-License-Identifier: MIT
-- DTLSEndpoint: connecting, serving, closing. dtls_channel_spec.lua has the
-- channels, dtls_verify_spec.lua certificates, dtls_faults_spec.lua what a bad
-- network does to them.
local D = require "spec.support.dtls"
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local function nothing() end

local function smoke(family)
  local _, context = D.contexts()
  D.serving({family = family}, function(address)
    local endpoint <close> = D.endpoint({family = family})
    local channel = endpoint:connect(address, context)
    assert.equal(endpoint, channel.endpoint)
    assert.same(address, channel.peer_address)
    H.raises_class(trio.NeedHandshakeError, channel.get_cleartext_mtu, channel)
    P.is_checkpoint(channel.do_handshake, channel)
    P.is_checkpoint(channel.do_handshake, channel)
    P.is_checkpoint(channel.send, channel, "hello")
    P.is_checkpoint(function() assert.equal("hello", channel:receive()) end)
    channel:send("goodbye")
    assert.equal("goodbye", channel:receive())
    channel:set_ciphertext_mtu(1234)
    local small = channel:get_cleartext_mtu()
    assert(small > 1100 and small < 1234)
    channel:set_ciphertext_mtu(4321)
    assert(channel:get_cleartext_mtu() > small)
    channel:set_ciphertext_mtu(1234)
    assert.equal(small, channel:get_cleartext_mtu())
  end)
end

describe("a DTLSEndpoint", function()
  N.it("TLS-19 carries datagrams over IPv4", function()
    smoke(socket.AF_INET)
  end)
  N.ipv6_it("TLS-19 carries datagrams over IPv6", function()
    smoke(socket.AF_INET6)
  end)

  H.trio_it("TLS-19 assumes an Ethernet, less the headers", function()
    D.network()
    local _, context = D.contexts()
    for family, mtu in pairs {[socket.AF_INET] = 1472,
      [socket.AF_INET6] = 1452} do
      D.serving({family = family}, function(address)
        local endpoint <close> = D.endpoint({family = family})
        local channel = endpoint:connect(address, context)
        channel:do_handshake()
        local by_default = channel:get_cleartext_mtu()
        channel:set_ciphertext_mtu(mtu)
        assert.equal(by_default, channel:get_cleartext_mtu())
        channel:set_ciphertext_mtu(mtu - 1)
        assert.equal(by_default - 1, channel:get_cleartext_mtu())
      end)
    end
  end)

  N.it("TLS-19 wants a datagram socket", function()
    local sock <close> = socket.socket()
    P.usage("bad argument #1 to 'DTLSEndpoint' .DTLS needs a SOCK_DGRAM socket",
      "local trio, sock = ... trio.DTLSEndpoint(sock)", trio, sock)
    P.usage("bad argument #1 to 'DTLSEndpoint' .socket expected, got number",
      "(...).DTLSEndpoint(5)", trio)
    local udp <close> = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    local code = "local trio, sock, opts = ... trio.DTLSEndpoint(sock, opts)"
    P.usage("unknown option 'x'", code, trio, udp, {x = 1})
    for _, wrong in ipairs {-1, 0.5, "10", 0 / 0} do
      P.usage("'incoming_packets_buffer' must be a whole number", code, trio,
        udp, {incoming_packets_buffer = wrong})
    end
  end)

  it("TLS-19 is made inside of a run only", function()
    local sock <close> = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    P.usage("a DTLSEndpoint can only be made inside of a run",
      "local trio, sock = ... trio.DTLSEndpoint(sock)", trio, sock)
  end)

  N.it("TLS-19 shows its socket and the size of the buffers", function()
    local sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    local endpoint <close> = trio.DTLSEndpoint(sock)
    assert.equal(sock, endpoint.socket)
    assert.equal(10, endpoint.incoming_packets_buffer)
    assert.matches("^<trio.DTLSEndpoint 0x%x+ of <trio.socket ",
      tostring(endpoint))
    P.usage("field 'socket' of trio.DTLSEndpoint is read%-only",
      "(...).socket = 1", endpoint)
    P.usage("trio.DTLSEndpoint has no field 'nothing'",
      "(...).nothing = 1", endpoint)
    local other <close> = D.endpoint({buffer = 20})
    assert.equal(20, other.incoming_packets_buffer)
    local unbounded <close> = D.endpoint({buffer = math.huge})
    assert.equal(math.huge, unbounded.incoming_packets_buffer)
    for _, method in ipairs {"connect", "serve", "close"} do
      P.usage("calling '" .. method .. "' on bad self", "local object, wrong = "
        .. "... object." .. method .. "(wrong)", endpoint, {})
    end
  end)

  N.it("TLS-19 does no I/O to connect", function()
    local network = D.network()
    local _, context = D.contexts()
    local endpoint <close> = D.endpoint()
    local channel
    P.is_no_checkpoint(function()
      channel = endpoint:connect({"127.0.0.1", 50000}, context)
    end)
    wait_all_tasks_blocked()
    assert.equal(0, network.sent)
    assert.matches("^<trio.DTLSChannel 0x%x+ to 127.0.0.1:50000, new>$",
      tostring(channel))
  end)

  N.it("TLS-19 wants numeric addresses and contexts", function()
    local _, context = D.contexts()
    local endpoint <close> = D.endpoint()
    local code = "local e, address, context, opts = ... "
      .. "e:connect(address, context, opts)"
    for _, wrong in ipairs {5, {}, {"127.0.0.1"}, {"127.0.0.1", "80"}} do
      P.usage("bad argument #1 to 'connect' .an address is {host, port}", code,
        endpoint, wrong, context)
    end
    for _, wrong in ipairs {"localhost", "::1", ""} do
      P.usage("bad argument #1 to 'connect' %(\".*\" is no numeric address",
        code, endpoint, {wrong, 80}, context)
    end
    P.usage("bad argument #2 to 'connect' .context of trio.ssl expected, got "
      .. "table", code, endpoint, {"127.0.0.1", 80}, {})
    P.usage("unknown option 'x'", code, endpoint, {"127.0.0.1", 80}, context,
      {x = 1})
    P.usage("option 'server_hostname' must be a string", code, endpoint,
      {"127.0.0.1", 80}, context, {server_hostname = 5})
  end)

  N.it("TLS-19 is closed with all its channels", function()
    local _, context = D.contexts()
    D.serving({}, function(address1)
      D.serving({}, function(address2)
        local endpoint = D.endpoint()
        local one = endpoint:connect(address1, context)
        local two = endpoint:connect(address2, context)
        one:send("abc")
        two:send("xyz")
        assert.equal("xyz", two:receive())
        assert.equal("abc", one:receive())
        endpoint:close()
        local Closed = trio.ClosedResourceError
        H.raises_class(Closed, one.send, one, "xxx")
        H.raises_class(Closed, two.receive, two)
        H.raises_class(Closed, endpoint.connect, endpoint, address1, context)
        H.raises_class(Closed, endpoint.serve, endpoint, context, nothing)
        endpoint:close()
      end)
    end)
  end)

  N.it("TLS-19 wakes those who wait when it is closed", function()
    local _, context = D.contexts()
    D.serving({}, function(address)
      local endpoint = D.endpoint()
      local talking = endpoint:connect(address, context)
      talking:do_handshake()
      local silent <close> = D.endpoint({port = 0})
      local shaking = endpoint:connect(silent.socket:getsockname(), context)
      trio.open_nursery(function(nursery)
        local one = N.start(nursery, talking.receive, talking)
        local two = N.start(nursery, shaking.do_handshake, shaking)
        assert.is_false(one.done or two.done)
        endpoint:close()
        wait_all_tasks_blocked()
        assert.is_true(trio.isinstance(one.err, trio.ClosedResourceError))
        assert.is_true(trio.isinstance(two.err, trio.ClosedResourceError))
      end)
    end)
  end)
end)

describe("DTLSEndpoint:serve", function()
  N.it("TLS-19 gives the handler its arguments and closes its channel",
    function()
      local server_context, client_context = D.contexts()
      local server <close> = D.endpoint({port = 0})
      trio.open_nursery(function(nursery)
        local seen
        nursery:start(server.serve, server, server_context, function(channel,
            ...)
          seen = {channel = channel, ...}
          channel:send("hello")
        end, 1, nil, 3)
        local endpoint <close> = D.endpoint()
        local channel = endpoint:connect(server.socket:getsockname(),
          client_context)
        assert.equal("hello", channel:receive())
        wait_all_tasks_blocked()
        assert.same({1, nil, 3, channel = seen.channel}, seen)
        assert.equal(server, seen.channel.endpoint)
        H.raises_class(trio.ClosedResourceError, seen.channel.receive,
          seen.channel)
        nursery.cancel_scope:cancel()
      end)
    end)

  N.it("TLS-19 takes the task status before or behind the endpoint", function()
    local context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    for _, start in ipairs {
      function(nursery)
        return nursery:start(server.serve, server, context, nothing)
      end,
      function(nursery)
        return nursery:start(function(task_status)
          server:serve(task_status, context, nothing)
        end)
      end,
      function(nursery)
        return nursery:start_soon(function() server:serve(context, nothing) end)
      end,
    } do
      trio.open_nursery(function(nursery)
        start(nursery)
        wait_all_tasks_blocked()
        H.raises_class(trio.BusyResourceError, server.serve, server, context,
          nothing)
        nursery.cancel_scope:cancel()
      end)
    end
  end)

  N.it("TLS-19 is done by one task at a time, and again later", function()
    local context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    for _ = 1, 2 do
      trio.open_nursery(function(nursery)
        nursery:start(server.serve, server, context, nothing)
        H.raises_class(trio.BusyResourceError, nursery.start, nursery,
          server.serve, server, context, nothing)
        nursery.cancel_scope:cancel()
      end)
    end
  end)

  N.it("TLS-19 checks its arguments", function()
    local context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    local code = "local e, context, handler = ... e:serve(context, handler)"
    P.usage("bad argument #1 to 'serve' .context of trio.ssl expected", code,
      server, {}, nothing)
    P.usage("bad argument #2 to 'serve' .function expected, got nil", code,
      server, context)
    local unbound <close> = D.endpoint()
    P.usage("a socket must be bound before its endpoint can serve", code,
      unbound, context, nothing)
  end)

  N.it("TLS-19 returns when the endpoint is closed and the handlers are done",
    function()
      local server_context, client_context = D.contexts()
      local server = D.endpoint({port = 0})
      local finish = trio.Event()
      trio.open_nursery(function(nursery)
        local result = {done = false}
        nursery:start(function(task_status)
          server:serve(task_status, server_context, function(channel)
            channel:do_handshake()
            finish:wait()
          end)
          result.done = true
        end)
        local endpoint <close> = D.endpoint()
        endpoint:connect(server.socket:getsockname(), client_context)
          :do_handshake()
        server:close()
        wait_all_tasks_blocked()
        assert.is_false(result.done)
        finish:set()
        wait_all_tasks_blocked()
        assert.is_true(result.done)
        server:close()
      end)
    end)

  N.it("TLS-19 raises what a handler raises", function()
    local server_context, client_context = D.contexts()
    local server <close> = D.endpoint({port = 0})
    local endpoint <close> = D.endpoint()
    local trouble = {}
    local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery)
        nursery:start(server.serve, server, server_context, function()
          error(trouble, 0)
        end)
        endpoint:connect(server.socket:getsockname(), client_context)
          :do_handshake()
      end)
    assert.equal(trouble, err:leaves()())
  end)

  N.it("TLS-19 has many peers on one socket, which is a client as well",
    function()
      local _, context = D.contexts()
      local count = H.many(50)
      D.serving({}, function(address1, server)
        D.serving({}, function(address2)
          trio.open_nursery(function(nursery)
            for i = 1, count do
              nursery:start_soon(function()
                local endpoint <close> = D.endpoint()
                local channel = endpoint:connect(address1, context)
                for j = 1, 3 do
                  channel:send(i .. ":" .. j)
                  assert.equal(i .. ":" .. j, channel:receive())
                end
              end)
            end
            local channel = server:connect(address2, context)
            channel:send("as a client")
            assert.equal("as a client", channel:receive())
          end)
        end)
      end)
    end)
end)

-- What the code warns of, in a run of its own.
local function warnings_of(fn)
  local list, warn = {}, warn
  _G.warn = function(text) list[#list + 1] = text end
  local ok, err = pcall(fn)
  _G.warn = warn
  if not ok then error(err, 0) end
  return list
end

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("a forgotten DTLSEndpoint", function()
  H.trio_it("TLS-19 is closed, reported, and its system task ends", function()
    local _, context = D.contexts()
    local tasks = trio.lowlevel.current_statistics().tasks_living
    local during
    local list = warnings_of(function()
      (function()
        local silent <close> = D.endpoint({port = 0})
        local endpoint = D.endpoint()
        local channel = endpoint:connect(silent.socket:getsockname(), context)
        trio.open_nursery(function(nursery)
          nursery:start_soon(channel.do_handshake, channel)
          wait_all_tasks_blocked()
          nursery.cancel_scope:cancel()
        end)
        during = trio.lowlevel.current_statistics().tasks_living
      end)()
      wait_all_tasks_blocked()
      collect()
      wait_all_tasks_blocked()
    end)
    assert.equal(tasks + 1, during)
    assert.equal(tasks, trio.lowlevel.current_statistics().tasks_living)
    assert.equal(1, #list)
    assert.matches("endpoint_spec.lua:%d+: a DTLSEndpoint was never closed",
      list[1])
  end)

  H.trio_it("TLS-19 doesn't keep channels that are forgotten", function()
    D.network()
    local _, context = D.contexts()
    D.serving({}, function(address)
      local endpoint <close> = D.endpoint();
      (function()
        local channel = endpoint:connect(address, context)
        channel:send("hello")
        assert.equal("hello", channel:receive())
      end)()
      collect()
      assert.is_nil(next(endpoint._channels))
    end)
  end)

  H.trio_it("TLS-19 may not have been used at all", function()
    D.network()
    local list = warnings_of(function()
      D.endpoint()
      collect()
      wait_all_tasks_blocked()
    end)
    assert.equal(1, #list)
  end)

  H.trio_it("TLS-19 may have a datagram waiting", function()
    D.network()
    local context = D.contexts()
    local list = warnings_of(function()
      local address
      do
        local endpoint = D.endpoint({port = 0})
        address = endpoint.socket:getsockname()
        trio.open_nursery(function(nursery)
          nursery:start(endpoint.serve, endpoint, context, nothing)
          nursery.cancel_scope:cancel()
        end)
      end
      wait_all_tasks_blocked()
      local sock <close> = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      sock:sendto("xxx", address)
      collect()
      wait_all_tasks_blocked()
    end)
    assert.equal(1, #list)
  end)

  it("TLS-19 may outlive its run", function()
    local endpoint
    local list = warnings_of(function()
      H.run(function()
        D.network()
        endpoint = D.endpoint()
      end)
      assert.truthy(endpoint)
      endpoint = nil
      collect()
    end)
    assert.same({}, list)
  end)

  H.trio_it("TLS-19 doesn't mind that its socket was closed", function()
    local context = D.contexts()
    local endpoint <close> = D.endpoint({port = 0})
    trio.open_nursery(function(nursery)
      nursery:start(endpoint.serve, endpoint, context, nothing)
      endpoint.socket:close()
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
  end)
end)
