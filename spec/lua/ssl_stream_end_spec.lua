-- SPDX-License-Identifier: MIT
-- How a TLS stream ends: with a goodbye or without, for good or not.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local testing = trio.testing
local assert_checkpoints = testing.assert_checkpoints
local it = H.trio_it
local pair, together, handshake = T.pair, T.together, T.handshake

local client_context = T.client_context
local versions = {
  ["TLSv1.2"] = C.client_context{maximum_version = "TLSv1.2"},
  ["TLSv1.3"] = client_context,
}

local function both_https()
  return {client_opts = {https_compatible = true},
          server_opts = {https_compatible = true}}
end

describe("the end of an SSLStream", function()
  it("TLS-06 a goodbye is an end, again and again", function()
    local client, server = pair()
    local transport = client.transport_stream
    together(function()
      assert_checkpoints(function() client:aclose() end)
    end, function()
      assert.is_nil(server:receive_some(10))
      assert.is_nil(server:receive_some(10))
      assert_checkpoints(function() server:aclose() end)
    end)
    H.raises_class(trio.ClosedResourceError, transport.send_all, transport,
      "123")
    client:aclose()
    for _, stream in ipairs {client, server} do
      H.raises_class(trio.ClosedResourceError, stream.send_all, stream, "123")
      for _, name in ipairs {"receive_some", "unwrap", "do_handshake",
                             "wait_send_all_might_not_block"} do
        H.raises_class(trio.ClosedResourceError, stream[name], stream)
      end
    end
  end)

  it("TLS-07 an end without a goodbye breaks it", function()
    local client, server = handshake(pair())
    trio.aclose_forcefully(client)
    local err = H.raises_class(trio.BrokenResourceError, server.receive_some,
      server, 10)
    assert.equal("unexpected eof while reading", err.cause.reason)
    H.raises_class(trio.BrokenResourceError, server.send_all, server, "x")
    H.raises_class(trio.BrokenResourceError, server.receive_some, server)
    server:aclose()
  end)

  it("TLS-07 an end without a goodbye is an end for HTTPS", function()
    local client, server = handshake(pair(both_https()))
    client:send_all("last")
    trio.aclose_forcefully(client)
    assert.equal("last", server:receive_some(10))
    assert.is_nil(server:receive_some(10))
    H.raises_class(trio.BrokenResourceError, server.send_all, server, "x")
    assert.is_nil(server:receive_some(10))
    server:aclose()
    H.raises_class(trio.ClosedResourceError, server.receive_some, server)
  end)

  it("TLS-08 the two sides may disagree about HTTPS", function()
    local client, server = handshake(
      pair{client_opts = {https_compatible = true}})
    together(function() client:aclose() end, function()
      local err = H.raises_class(trio.BrokenResourceError,
        server.receive_some, server, 10)
      assert.equal("unexpected eof while reading", err.cause.reason)
    end)
    server:aclose()
  end)

  it("TLS-08 for HTTPS an end before the handshake is an end", function()
    local client, server = pair(both_https())
    together(function() client:aclose() end, function()
      assert_checkpoints(function()
        assert.is_nil(server:receive_some(10))
      end)
      assert.is_nil(server:receive_some(10))
    end)
    server:aclose()
  end)

  it("TLS-09 closing does the handshake first", function()
    local client, server = pair()
    together(function() client:aclose() end, function()
      assert_checkpoints(function() assert.is_nil(server:receive_some(10)) end)
      assert_checkpoints(function() server:aclose() end)
    end)
  end)

  it("TLS-09 closing fails if the handshake does", function()
    local client, server = pair{client = trio.ssl.create_default_context()}
    local closed = 0
    client.transport_stream.send_stream.close_hook = function()
      closed = closed + 1
    end
    together(function()
      local err = H.raises_class(trio.BrokenResourceError, client.aclose,
        client)
      assert.equal("certificate verify failed", err.cause.reason)
    end, function() pcall(server.do_handshake, server) end)
    assert.equal(1, closed)
    H.raises_class(trio.ClosedResourceError, client.send_all, client, "x")
    server:aclose()
  end)

  for version, context in pairs(versions) do
    it("TLS-10 gives the transport back, " .. version, function()
      local client, server = pair{client = context}
      local inner, server_inner = client.transport_stream,
        server.transport_stream
      together(function()
        client:send_all("x")
        assert.equal("y", client:receive_some(1))
        client:send_all("z")
        local raw, trailing = client:unwrap()
        assert.equal(inner, raw)
        assert.equal("", trailing)
        assert.is_nil(client.transport_stream)
        H.raises_class(trio.ClosedResourceError, client.send_all, client, "x")
        client:aclose()
      end, function()
        assert.equal("x", server:receive_some(1))
        server:send_all("y")
        assert.equal("z", server:receive_some(1))
        assert.is_nil(server:receive_some(10))
        server:unwrap()
      end)
      -- The transport is as good as before.
      inner:send_all("plain")
      assert.equal("plain", server_inner:receive_some())
      trio.aclose_forcefully(inner)
      trio.aclose_forcefully(server_inner)
    end)
  end

  it("TLS-10 returns what came in one packet with the goodbye", function()
    local client, server = handshake(pair())
    local raw_client, raw_server = client.transport_stream,
      server.transport_stream
    local function hold() end
    local normal = raw_client.send_stream.send_all_hook
    together(function()
      -- Both packets are there before anybody is told.
      raw_client.send_stream.send_all_hook = hold
      trio.open_nursery(function(nursery)
        nursery:start_soon(client.unwrap, client)
        testing.wait_all_tasks_blocked()
        raw_client.send_stream:send_all("trailing")
        raw_client.send_stream.send_all_hook = normal
        normal()
      end)
    end, function()
      local raw, trailing = server:unwrap()
      assert.equal(raw_server, raw)
      assert.equal("trailing", trailing)
      assert.is_nil(server.transport_stream)
    end)
    trio.aclose_forcefully(raw_client)
    trio.aclose_forcefully(raw_server)
  end)

  it("unwrap refuses data in place of a goodbye", function()
    local client, server = handshake(pair())
    server:send_all("unexpected")
    local err = H.raises_class(trio.BrokenResourceError, client.unwrap, client)
    assert.equal("application data after close notify", err.cause.reason)
    client:aclose()
    server:aclose()
  end)
end)
