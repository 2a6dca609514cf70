-- SPDX-License-Identifier: MIT
-- trio.SSLStream: TLS over any stream: how it sends, receives, ends and fails.
-- Whom it trusts: spec/tls/verification_spec.lua.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local testing = trio.testing
local assert_checkpoints = testing.assert_checkpoints
local it = H.trio_it
local pair, together, handshake = T.pair, T.together, T.handshake

local client_context, server_context = T.client_context, T.server_context
local versions = {
  ["TLSv1.2"] = C.client_context{maximum_version = "TLSv1.2"},
  ["TLSv1.3"] = client_context,
}

local function fail_with(err)
  return function() error(err, 0) end
end

-- The only error of a group.
local function only_error(err)
  assert.is_true(trio.isinstance(err, trio.ExceptionGroup))
  assert.equal(1, #err.exceptions)
  return err.exceptions[1]
end

local function echo(stream)
  for chunk in stream do stream:send_all(chunk) end
end

describe("SSLStream", function()
  for version, context in pairs(versions) do
    for _, https in ipairs {false, true} do
      it(("TLS-14 passes the check of streams, https_compatible=%s, %s")
        :format(https, version), function()
        local opts = {
          client = context, client_opts = {https_compatible = https},
          server_opts = {https_compatible = https},
        }
        testing.check_two_way_stream(function() return pair(opts) end,
          function()
            -- Without the handshake, receiving would have to send, and get
            -- stuck in that.
            return handshake(pair{
              client = context, transport = testing.lockstep_stream_pair,
            })
          end)
      end)
    end

    it("TLS-02 sends, receives and does handshakes at once, " .. version,
      function()
      local client, server = pair{client = context}
      local size, count, sent, received = H.many(32768), 30, {}, {}
      trio.open_nursery(function(nursery)
        nursery:start_soon(echo, server)
        together(function()
          for i = 1, count do
            sent[i] = string.char(i):rep(size)
            client:send_all(sent[i])
          end
        end, function()
          local missing = count * size
          while missing > 0 do
            local data = client:receive_some(size // 2)
            received[#received + 1], missing = data, missing - #data
          end
        end, function() client:do_handshake() end,
          function() client:do_handshake() end)
        nursery.cancel_scope:cancel()
      end)
      assert.is_true(table.concat(sent) == table.concat(received))
    end)

    it("TLS-04 always passes a checkpoint, " .. version, function()
      local client, server = pair{client = context}
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          echo(server)
          server:aclose()
        end)
        assert_checkpoints(function() client:do_handshake() end)
        assert_checkpoints(function() client:do_handshake() end)
        assert_checkpoints(function()
          client:wait_send_all_might_not_block()
        end)
        assert_checkpoints(function() client:send_all("xxx") end)
        assert_checkpoints(function() client:send_all("") end)
        for _ = 1, 3 do
          assert_checkpoints(function()
            assert.equal("x", client:receive_some(1))
          end)
        end
        assert_checkpoints(function() client:unwrap() end)
      end)
      client, server = handshake(pair{client = context})
      assert_checkpoints(function() client:aclose() end)
      assert_checkpoints(function() client:aclose() end)
      server:aclose()
    end)
  end

  it("TLS-03 two tasks can't do the same at once", function()
    local actions = {
      send = function(s) s:send_all("x") end,
      wait = function(s) s:wait_send_all_might_not_block() end,
      receive = function(s) s:receive_some(1) end,
    }
    for _, names in ipairs {{"send", "send"}, {"receive", "receive"},
                            {"send", "wait"}, {"wait", "wait"}} do
      local client, server = pair{transport = testing.lockstep_stream_pair}
      local err = H.raises_class(trio.ExceptionGroup, together,
        function() actions[names[1]](client) end,
        function() actions[names[2]](client) end)
      assert.is_true(trio.isinstance(only_error(err), trio.BusyResourceError))
      trio.aclose_forcefully(client)
      trio.aclose_forcefully(server)
    end
  end)

  it("waiting to send asks the transport", function()
    local record = {}
    local Odd = trio.abc.Stream({})
    function Odd.wait_send_all_might_not_block() record[1] = "asked" end
    function Odd.send_all() error("called") end
    function Odd.receive_some() error("called") end
    function Odd.aclose() error("called") end
    local stream = trio.SSLStream(setmetatable({}, Odd), client_context,
      {server_hostname = "x"})
    stream:wait_send_all_might_not_block()
    assert.same({"asked"}, record)
  end)

  it("TLS-05 an error of the transport while sending breaks it", function()
    local client, server = handshake(pair())
    local send_stream = client.transport_stream.send_stream
    local receive_stream = client.transport_stream.receive_stream
    local planned, closed = {}, 0
    send_stream.send_all_hook = fail_with(planned)
    local _, err = pcall(client.send_all, client, "x")
    assert.equal(planned, err)
    for _, name in ipairs {"wait_send_all_might_not_block", "do_handshake",
                           "receive_some", "unwrap"} do
      H.raises_class(trio.BrokenResourceError, client[name], client)
    end
    H.raises_class(trio.BrokenResourceError, client.send_all, client, "x")
    local function count() closed = closed + 1 end
    send_stream.close_hook, receive_stream.close_hook = count, count
    client:aclose()
    assert.equal(2, closed)
    trio.aclose_forcefully(server)
  end)

  it("TLS-11 an error while the handshake sends breaks it", function()
    local client, server = pair()
    local planned = {}
    client.transport_stream.send_stream.send_all_hook = fail_with(planned)
    assert_checkpoints(function()
      local _, err = pcall(client.do_handshake, client)
      assert.equal(planned, err)
    end)
    H.raises_class(trio.BrokenResourceError, client.do_handshake, client)
    client.transport_stream.send_stream.send_all_hook = nil
    client:aclose()
    trio.aclose_forcefully(server)
  end)

  it("TLS-11 an error while the handshake receives breaks it", function()
    local client, server = pair()
    local planned = {}
    client.transport_stream.receive_stream.receive_some_hook =
      fail_with(planned)
    trio.open_nursery(function(nursery)
      nursery:start_soon(server.do_handshake, server)
      assert_checkpoints(function()
        local _, err = pcall(client.do_handshake, client)
        assert.equal(planned, err)
      end)
      nursery.cancel_scope:cancel()
    end)
    H.raises_class(trio.BrokenResourceError, client.do_handshake, client)
    client:aclose()
    server:aclose()
  end)

  it("TLS-11 a failed handshake wakes all who wait for it", function()
    local client, server = pair()
    local planned = {}
    client.transport_stream.receive_stream.receive_some_hook =
      fail_with(planned)
    local results = {}
    local function try(name, ...)
      results[name] = select(2, pcall(client[name], client, ...))
    end
    together(function() try("do_handshake") end,
      function() try("send_all", "x") end,
      function() try("receive_some") end)
    assert.equal(planned, results.do_handshake)
    for _, name in ipairs {"send_all", "receive_some"} do
      assert.is_true(trio.isinstance(results[name], trio.BrokenResourceError))
    end
    client:aclose()
    trio.aclose_forcefully(server)
  end)

  it("TLS-12 tells nothing before the handshake", function()
    local client, server = pair()
    for _, stream in ipairs {client, server} do
      for _, name in ipairs {
        "getpeercert", "cipher", "shared_ciphers", "compression",
        "get_channel_binding", "selected_alpn_protocol", "version",
      } do
        H.raises_class(trio.NeedHandshakeError, stream[name], stream)
      end
      H.raises_class(trio.NeedHandshakeError, function()
        return stream.session_reused
      end)
      assert.equal(0, stream:pending())
    end
    handshake(client, server)
    assert.is_nil(client:selected_alpn_protocol())
    assert.is_nil(server:selected_alpn_protocol())
    assert.is_nil(server:getpeercert())
    assert.is_nil(client:compression())
    assert.is_nil(client:shared_ciphers())
    assert.is_true(#server:shared_ciphers() > 0)
    assert.is_false(client.session_reused)
    assert.equal("TLSv1.3", client:version())
    assert.equal(client:cipher().name, server:cipher().name)
    assert.is_string(client:get_channel_binding())
    assert.equal(client:get_channel_binding(), server:get_channel_binding())
    client:aclose()
    server:aclose()
  end)

  it("tells both sides the same about a connection of TLS 1.2", function()
    local client, server = handshake(pair{client = versions["TLSv1.2"]})
    for _, kind in ipairs {"tls-unique", "tls-exporter"} do
      assert.is_string(client:get_channel_binding(kind))
      assert.equal(client:get_channel_binding(kind),
        server:get_channel_binding(kind))
    end
    assert.equal("TLSv1.2", server:version())
    server:send_all("four")
    assert.equal("f", client:receive_some(1))
    assert.equal(3, client:pending())
    trio.aclose_forcefully(client)
    trio.aclose_forcefully(server)
  end)

  it("TLS-13 works over itself", function()
    local client_1, server_1 = pair()
    local client_2, server_2 = C.wrap(client_1, server_1,
      {client = client_context, server = server_context})
    together(function()
      client_2:send_all("hi")
      assert.equal("bye", client_2:receive_some(10))
      client_2:aclose()
    end, function()
      assert.equal("hi", server_2:receive_some(10))
      server_2:send_all("bye")
      assert.is_nil(server_2:receive_some(10))
      server_2:aclose()
    end)
  end)

  it("TLS-15 closes the transport once, even if that fails", function()
    local client, server = handshake(pair())
    local stream = client.transport_stream.send_stream
    local normal, planned, count = stream.close_hook, {}, 0
    stream.close_hook = function()
      normal()
      count = count + 1
      error(planned, 0)
    end
    local _, err = pcall(client.aclose, client)
    assert.equal(planned, err)
    assert.equal(1, count)
    client:aclose()
    assert.equal(1, count)
    trio.aclose_forcefully(server)
  end)

  it("TLS-18 a server's handshake ends while the client only writes",
    function()
    local client, server = pair{transport = testing.lockstep_stream_pair}
    trio.fail_after(10, function()
      together(function()
        client:send_all("only writing")
      end, function()
        server:do_handshake()
        assert.equal("only writing", server:receive_some())
      end)
      -- The tickets come with the first data.
      assert.is_false(client.session.is_resumable)
      together(function() server:send_all("data") end, function()
        assert.equal("data", client:receive_some())
      end)
      assert.is_true(client.session.is_resumable)
    end)
    trio.aclose_forcefully(client)
    trio.aclose_forcefully(server)
  end)

  it("has the fields of Trio's", function()
    local client, server = pair()
    assert.is_false(client.server_side)
    assert.is_true(server.server_side)
    assert.equal(C.host, client.server_hostname)
    assert.is_nil(server.server_hostname)
    assert.equal(client_context, client.context)
    assert.is_nil(client.no_such_field)
    for _, name in ipairs {"server_side", "server_hostname",
                           "transport_stream", "session_reused", "new"} do
      H.raises("", function() client[name] = true end)
    end
    H.raises("no field 'no_such_field'", function()
      client.no_such_field = 1
    end)
    assert.matches("^<trio.SSLStream .* open of ", tostring(client))
    local other = trio.ssl.create_default_context()
    client.context = other
    assert.equal(other, client.context)
    together(function()
      local err = H.raises_class(trio.BrokenResourceError,
        client.do_handshake, client)
      assert.is_true(trio.isinstance(err.cause, trio.SSLError))
    end, function() pcall(server.do_handshake, server) end)
    client:aclose()
    server:aclose()
  end)

  it("sends arrays of strings, and large ones", function()
    local client, server = pair()
    local large = ("0123456789abcdef"):rep(H.many(65536))
    together(function()
      client:send_all({"a", "b", "", "c"})
      client:send_all(large)
      client:aclose()
    end, function()
      local parts = {}
      for chunk in server do parts[#parts + 1] = chunk end
      assert.is_true(table.concat(parts) == "abc" .. large)
      server:aclose()
    end)
    H.raises("strings expected, got number", client.send_all, client, 1)
  end)

  it("refuses wrong arguments", function()
    local a = testing.memory_stream_pair()
    H.raises("stream expected", trio.SSLStream, {}, client_context)
    H.raises("SSLContext expected, got nil", trio.SSLStream, a)
    H.raises("unknown option 'x'", trio.SSLStream, a, client_context, {x = 1})
    H.raises("must be a string", trio.SSLStream, a, client_context,
      {server_hostname = 1})
    H.raises("check_hostname needs a server_hostname", trio.SSLStream, a,
      client_context)
    H.raises("a context for TLS expected, not for DTLS", trio.SSLStream, a,
      trio.ssl.create_default_context{protocol = "dtls"})
    H.raises("must be a trio.ssl.SSLSession", trio.SSLStream, a,
      client_context, {server_hostname = "x", session = 1})
    local client, server = pair()
    H.raises("must be at least 1", client.receive_some, client, 0)
    H.raises("bad self", client.send_all, {}, "x")
    trio.aclose_forcefully(client)
    trio.aclose_forcefully(server)
  end)

  it("mistakes are told with the line of the program", function()
    local here = "^[./]*spec/lua/ssl_stream_spec%.lua:%d+: "
    local a, b = testing.memory_stream_pair()
    local server = trio.SSLStream(b, server_context, {server_side = true})
    H.raises(here .. "only a client has a server_hostname", function()
      local _ = trio.SSLStream(a, server_context,
        {server_side = true, server_hostname = "x"})
    end)
    H.raises(here .. "field 'context' of trio.SSLStream: trio.ssl.SSLContext",
      function() server.context = 1 end)
    H.raises(here .. "a context of the other protocol", function()
      server.context = trio.ssl.create_default_context{protocol = "dtls"}
    end)
    H.raises(here .. "trio.SSLStream has no field 'x'",
      function() server.x = 1 end)
    trio.aclose_forcefully(server)
  end)
end)
