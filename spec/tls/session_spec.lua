-- SPDX-License-Identifier: MIT
-- What the two sides of a connection agree on: a certificate by the name that
-- the client asks for (SNI), a protocol (ALPN), a session to resume; and the
-- log of their keys.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local it = H.trio_it
local meet, accepted, close = T.meet, T.accepted, T.close

describe("sni_callback", function()
  it("chooses the certificate by the name", function()
    local other = C.server_context(nil, C.issue{name = "sni",
      alt = "DNS:other.example.org"})
    local calls = {}
    local context = C.server_context()
    context.sni_callback = function(stream, name, asked)
      calls[#calls + 1] = {stream, name, asked}
      if name == "other.example.org" then stream.context = other end
    end
    local client, server = accepted(nil, context,
      {server_hostname = "other.example.org"})
    assert.equal(server, calls[1][1])
    assert.equal("other.example.org", calls[1][2])
    assert.equal(context, calls[1][3])
    assert.equal(other, server.context)
    close(client, server)
    close(accepted(nil, context))
    local careless = C.client_context{check_hostname = false}
    local _, _, c, s = meet(careless, context, {server_hostname = "127.0.0.1"})
    assert.is_nil(calls[3][2])
    assert.equal(3, #calls)
    close(c, s)
  end)

  it("may ask for a certificate by changing the context", function()
    local strict = C.server_context()
    strict:load_verify_locations{cafile = C.root}
    strict.verify_mode = "required"
    local context = C.server_context()
    context.sni_callback = function(stream, name)
      if name == C.host then stream.context = strict end
    end
    -- Not even with a session that was made without.
    local client_context = C.client_context{maximum_version = "TLSv1.2"}
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
      client_context.maximum_version = version
      local client, server = accepted(client_context, context,
        {server_hostname = "x.wild.example.org"})
      server:send_all("x")
      client:receive_some()
      assert.is_true(client.session.is_resumable)
      local _, err, c, s = meet(client_context, context,
        {session = client.session})
      assert.equal("peer did not return a certificate", err.cause.reason)
      close(client, server, c, s)
    end
  end)

  it("refuses with an alert", function()
    local context = C.server_context()
    context.sni_callback = function() return 112 end
    local err, other, client, server = meet(nil, context)
    assert.equal("the peer sent the alert 'unrecognized name'",
      err.cause.message)
    assert.is_true(trio.isinstance(other, trio.BrokenResourceError))
    close(client, server)
  end)

  it("raises what it raises", function()
    local context = C.server_context()
    local planned = {}
    for _, callback in ipairs {function() error(planned, 0) end,
                               function() return "x" end,
                               function() trio.sleep(1) end} do
      context.sni_callback = callback
      local err, other, client, server = meet(nil, context)
      assert.equal("the peer sent the alert 'handshake failure'",
        err.cause.message)
      assert.is_true(other == planned or type(other) == "string")
      H.raises_class(trio.BrokenResourceError, server.send_all, server, "x")
      close(client, server)
    end
    H.raises("function expected", function() context.sni_callback = 1 end)
    context.sni_callback = nil
    close(accepted(nil, context))
  end)
end)

describe("ALPN", function()
  local function chosen(client_protocols, server_protocols)
    local client_context, context = C.client_context(), C.server_context()
    if client_protocols then
      client_context:set_alpn_protocols(client_protocols)
    end
    if server_protocols then context:set_alpn_protocols(server_protocols) end
    local client, server = accepted(client_context, context)
    local result = client:selected_alpn_protocol()
    assert.equal(result, server:selected_alpn_protocol())
    close(client, server)
    return result
  end

  it("takes the server's best one that both have", function()
    assert.equal("b", chosen({"a", "b"}, {"c", "b", "a"}))
    assert.is_nil(chosen({"a"}, {"b"}))
    assert.is_nil(chosen({"a"}, nil))
    assert.is_nil(chosen(nil, {"a"}))
    assert.is_nil(chosen({"a"}, {}))
    H.raises("1 to 255 bytes", chosen, {""})
    H.raises("1 to 255 bytes", chosen, {("x"):rep(256)})
    H.raises("1 to 255 bytes", chosen, {1})
  end)
end)

describe("a session", function()
  for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    it("is used again, " .. version, function()
      local context = C.client_context{maximum_version = version}
      local client, server = accepted(context)
      server:send_all("x")
      client:receive_some()
      local session = client.session
      assert.is_true(session.is_resumable)
      assert.is_true(session.has_ticket)
      assert.is_string(session.id)
      assert.is_true(session.time > 0 and session.timeout > 0)
      assert.is_true(session.ticket_lifetime_hint > 0)
      assert.is_false(client.session_reused)
      close(client, server)
      client, server = accepted(context, nil, {session = session})
      assert.is_true(client.session_reused)
      assert.is_true(server.session_reused)
      assert.equal("trio-test-1.example.org",
        client:getpeercert().subject.commonName)
      assert.is_true(context:session_stats().hits >= 1)
      H.raises("after the handshake", function() client.session = session end)
      H.raises("of a server", function() server.session = session end)
      close(client, server)
      H.raises("another context", meet, C.client_context(), nil,
        {session = session})
    end)
  end

  it("is not there before the handshake", function()
    local a, b = trio.testing.memory_stream_pair()
    local client, server = C.wrap(a, b)
    assert.is_nil(client.session)
    assert.is_nil(server.session)
    close(client, server)
  end)

  it("needs no tickets from a server that sends none", function()
    local context = C.server_context()
    assert.equal(2, context.num_tickets)
    context.num_tickets = 0
    local client, server = accepted(nil, context)
    server:send_all("x")
    client:receive_some()
    assert.is_false(client.session.is_resumable)
    close(client, server)
  end)
end)

describe("the key log", function()
  it("has a line for each secret", function()
    local path = C.path("keys.log")
    local context = C.client_context{keylog_filename = path}
    assert.equal(path, context.keylog_filename)
    close(accepted(context))
    local text = C.read("keys.log")
    assert.matches("CLIENT_TRAFFIC_SECRET_0 %x+ %x+\n", text)
    context.keylog_filename = nil
    close(accepted(context))
    assert.equal(text, C.read("keys.log"))
    H.raises_class(trio.OSError, function()
      context.keylog_filename = "/no/such/folder/x"
    end)
  end)
end)
