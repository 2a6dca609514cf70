-- SPDX-License-Identifier: MIT
-- Whom a connection trusts: what is refused, and how both sides hear of it;
-- client certificates; names (SNI), protocols (ALPN), sessions, the key log.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local trio = require "trio"
local ssl = trio.ssl
local it = H.trio_it

local server_context = C.server_context()

-- Handshakes of both sides: what each failed with (nil if it didn't), and the
-- streams.
local function meet(client_context, context, client_opts)
  local a, b = trio.testing.memory_stream_pair()
  local client, server = C.wrap(a, b, {
    client = client_context or C.client_context(),
    server = context or server_context, client_opts = client_opts,
  })
  local errors = {}
  trio.open_nursery(function(nursery)
    for name, stream in pairs {client = client, server = server} do
      nursery:start_soon(function()
        local ok, err = trio.pcall(stream.do_handshake, stream)
        if not ok then errors[name] = err end
      end)
    end
  end)
  return errors.client, errors.server, client, server
end

local function close(...)
  for _, stream in ipairs {...} do trio.aclose_forcefully(stream) end
end

-- The client refuses with this message, the server hears of it by this alert.
local function refused(client_context, context, pattern, alert, client_opts)
  local err, other, client, server = meet(client_context, context,
    client_opts)
  assert.is_true(trio.isinstance(err, trio.BrokenResourceError), tostring(err))
  local cause = err.cause
  assert.is_true(trio.isinstance(cause, trio.SSLError))
  assert.matches(pattern, cause.message)
  assert.equal("certificate verify failed", cause.reason)
  assert.equal("SSL routines", cause.library)
  assert.is_true(math.type(cause.verify_code) == "integer")
  assert.matches(pattern, cause.verify_message)
  assert.matches("^BrokenResourceError: TLS: certificate verify failed: ",
    tostring(err))
  assert.is_true(trio.isinstance(other, trio.BrokenResourceError))
  assert.equal("the peer sent the alert '" .. alert .. "'",
    other.cause.message)
  close(client, server)
end

local function accepted(...)
  local err, other, client, server = meet(...)
  assert.is_nil(err)
  assert.is_nil(other)
  return client, server
end

describe("a client", function()
  it("TLS-01 refuses a root that it doesn't know", function()
    refused(ssl.create_default_context(), nil,
      "unable to get local issuer certificate", "unknown CA")
  end)

  it("TLS-01 refuses another host's certificate", function()
    refused(nil, nil, "host name mismatch: the certificate is not valid for "
      .. "'trio%-test%-2.example.org'", "bad certificate",
      {server_hostname = "trio-test-2.example.org"})
  end)

  it("TLS-01 refuses another address's certificate", function()
    refused(nil, nil, "IP address mismatch: the certificate is not valid for "
      .. "'127.0.0.2'", "bad certificate", {server_hostname = "127.0.0.2"})
  end)

  it("TLS-01 gets the error from its first send", function()
    local a, b = trio.testing.memory_stream_pair()
    local client, server = C.wrap(a, b,
      {client = ssl.create_default_context()})
    trio.open_nursery(function(nursery)
      nursery:start_soon(pcall, server.do_handshake, server)
      local err = H.raises_class(trio.BrokenResourceError, client.send_all,
        client, "x")
      assert.is_true(trio.isinstance(err.cause, trio.SSLError))
      H.raises_class(trio.BrokenResourceError, client.send_all, client, "x")
    end)
    close(client, server)
  end)

  it("refuses a certificate that has expired", function()
    local path = C.issue{name = "expired", alt = "DNS:" .. C.host,
      from = "20100101000000Z", till = "20110101000000Z"}
    refused(nil, C.server_context(nil, path), "certificate has expired",
      "certificate expired")
  end)

  it("refuses a certificate that isn't valid yet", function()
    local path = C.issue{name = "early", alt = "DNS:" .. C.host,
      from = "20480101000000Z", till = "20490101000000Z"}
    refused(nil, C.server_context(nil, path),
      "certificate is not yet valid", "bad certificate")
  end)

  it("refuses a certificate that nobody else has signed", function()
    C.new_root("alone")
    local path = C.write("alone.full.pem",
      C.read("alone.pem") .. C.read("alone.key"))
    refused(nil, C.server_context(nil, path), "self%-signed certificate",
      "unknown CA")
  end)

  it("refuses a chain with a hole, and takes a whole one", function()
    C.issue{name = "middle", is_ca = true}
    local whole = C.issue{name = "leaf", issuer = "middle",
      alt = "DNS:" .. C.host}
    local hole = C.write("hole.pem", C.read("leaf.pem") .. C.read("leaf.key"))
    refused(nil, C.server_context(nil, hole),
      "unable to get local issuer certificate", "unknown CA")
    close(accepted(nil, C.server_context(nil, whole)))
  end)

  it("refuses a chain through a certificate that is no authority's",
    function()
    C.issue{name = "noauthority"}
    local path = C.issue{name = "cheat", issuer = "noauthority",
      alt = "DNS:" .. C.host}
    refused(nil, C.server_context(nil, path), "invalid CA certificate",
      "unknown CA")
  end)

  it("takes names, wildcards and addresses of the certificate", function()
    for _, name in ipairs {C.host, "any.wild.example.org", "127.0.0.1",
                           "::1"} do
      close(accepted(nil, nil, {server_hostname = name}))
    end
    for _, name in ipairs {"a.b.wild.example.org", "wild.example.org"} do
      refused(nil, nil, "host name mismatch", "bad certificate",
        {server_hostname = name})
    end
  end)

  it("says which name in Unicode it wants", function()
    local path = C.issue{name = "idn", alt = "DNS:xn--bcher-kva.example.org"}
    local client, server = accepted(nil, C.server_context(nil, path),
      {server_hostname = "bücher.example.org"})
    assert.equal("bücher.example.org", client.server_hostname)
    close(client, server)
  end)

  it("doesn't verify when told not to", function()
    local context = ssl.create_default_context()
    context.check_hostname = false
    local err, _, client, server = meet(context, nil, {server_hostname = "x"})
    assert.equal("certificate verify failed", err.cause.reason)
    close(client, server)
    context.verify_mode = ssl.CERT_NONE
    client, server = accepted(context, nil, {server_hostname = "x"})
    assert.same({}, client:getpeercert())
    assert.is_string(client:getpeercert{binary = true})
    close(client, server)
  end)

  it("needs a common version", function()
    local context = C.client_context{maximum_version = "TLSv1.2"}
    local err, other, client, server = meet(context,
      C.server_context{minimum_version = "TLSv1.3"})
    assert.matches("alert 'protocol version'", err.cause.message)
    assert.matches("unsupported protocol", other.cause.message)
    close(client, server)
  end)
end)

describe("getpeercert", function()
  it("tells what stands in the certificate", function()
    local path = C.issue{
      name = "full", subject = "/CN=full.example/O=Müller",
      alt = "DNS:" .. C.host .. ",IP:192.0.2.7,IP:2001:db8::1,"
        .. "email:me@example.org,URI:https://example.org/",
      from = "20200105093443Z", till = "20480229235959Z",
    }
    local client, server = accepted(nil, C.server_context(nil, path))
    local cert = client:getpeercert()
    assert.equal("full.example", cert.subject.commonName)
    assert.same({"commonName", "root"}, cert.issuer[1])
    assert.same({
      {"DNS", C.host}, {"IP Address", "192.0.2.7"},
      {"IP Address", "2001:db8::1"}, {"email", "me@example.org"},
      {"URI", "https://example.org/"},
    }, cert.subjectAltName)
    assert.equal("Jan  5 09:34:43 2020 GMT", cert.notBefore)
    assert.equal("Feb 29 23:59:59 2048 GMT", cert.notAfter)
    assert.matches("^%x+$", cert.serialNumber)
    assert.equal(3, cert.version)
    C.write("peer.der", client:getpeercert{binary = true})
    local pipe = io.popen("openssl x509 -inform DER -noout -serial -in "
      .. C.path("peer.der"))
    assert.equal("serial=" .. cert.serialNumber .. "\n", pipe:read("a"))
    pipe:close()
    H.raises("unknown option 'x'", client.getpeercert, client, {x = 1})
    close(client, server)
  end)
end)

describe("client certificates", function()
  local function asking(mode)
    local context = C.server_context()
    context:load_verify_locations{cafile = C.root}
    context.verify_mode = mode
    return context
  end

  for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    it("are verified, " .. version, function()
      local context = C.client_context{maximum_version = version}
      context:load_cert_chain(C.issue{name = "client"})
      local client, server = accepted(context, asking("required"))
      assert.equal("client", server:getpeercert().subject.commonName)
      close(client, server)
    end)

    it("may be missing if they are optional, " .. version, function()
      local client, server = accepted(
        C.client_context{maximum_version = version}, asking("optional"))
      assert.is_nil(server:getpeercert())
      close(client, server)
    end)

    it("that are missing or unknown are refused, " .. version, function()
      C.new_root("foreign")
      local foreign = C.issue{name = "stranger", issuer = "foreign"}
      for path, pattern in pairs {
        [false] = "peer did not return a certificate",
        [foreign] = "certificate verify failed: ",
      } do
        local context = C.client_context{maximum_version = version}
        if path then context:load_cert_chain(path) end
        local _, err, client, server = meet(context, asking("required"))
        assert.matches(pattern, err.cause.message)
        -- With TLS 1.3 the client learns of it when it receives.
        err = H.raises_class(trio.BrokenResourceError, client.receive_some,
          client)
        assert.matches("alert", (err.cause or {message = "alert"}).message)
        close(client, server)
      end
    end)
  end

  it("are asked for only if the program says so", function()
    local both = C.client_context()
    both:load_cert_chain(C.server)
    local client, server = accepted(both, both)
    assert.equal("required", both.verify_mode)
    assert.is_nil(server:getpeercert())
    close(client, server)
  end)
end)

describe("trust", function()
  it("comes from files, folders and strings", function()
    local folder = C.path("hashed")
    os.execute(("mkdir -p %s && cp %s %s && openssl rehash %s")
      :format(folder, C.root, folder, folder))
    os.execute(("openssl x509 -in %s -outform DER -out %s"):format(C.root,
      C.path("root.der")))
    C.new_root("otherroot")
    for _, opts in ipairs {
      {cafile = C.root}, {capath = folder}, {cadata = C.read("root.pem")},
      {cadata = C.read("root.der")},
      {cadata = "some words\n" .. C.read("otherroot.pem") .. "\n"
        .. C.read("root.pem")},
    } do
      close(accepted(ssl.create_default_context(opts)))
      local context = ssl.create_default_context()
      context:load_verify_locations(opts)
      close(accepted(context))
    end
    local context = ssl.create_default_context()
    context:load_verify_locations(nil, nil, C.read("root.pem"))
    context:load_default_certs()
    close(accepted(context))
  end)

  it("may be in the certificate of the server itself", function()
    close(accepted(ssl.create_default_context{
      cafile = C.path("server.pem"),
    }))
  end)

  it("comes from the system unless something is named", function()
    local code = ([[
      local trio = require "trio"
      local ctx = trio.ssl.create_default_context(%s)
      local a, b = trio.testing.memory_stream_pair()
      local server_ctx = trio.ssl.create_default_context{
        purpose = "client_auth"}
      server_ctx:load_cert_chain(%q)
      local client = trio.SSLStream(a, ctx, {server_hostname = %q})
      local server = trio.SSLStream(b, server_ctx, {server_side = true})
      trio.run(function() trio.open_nursery(function(nursery)
        nursery:start_soon(pcall, server.do_handshake, server)
        print((pcall(client.do_handshake, client)))
      end) end)
    ]])
    local function result_with(opts)
      local path = C.write("system.lua", code:format(opts, C.server, C.host))
      local pipe = io.popen("SSL_CERT_FILE=" .. C.root .. " " .. H.command
        .. " " .. path)
      local text = pipe:read("a")
      pipe:close()
      return text
    end
    assert.equal("true\n", result_with("nil"))
    C.new_root("otherroot")
    assert.equal("false\n", result_with(("{cafile = %q}"):format(
      C.path("otherroot.pem"))))
  end)

  it("refuses what is no certificate", function()
    H.raises("cadata", ssl.create_default_context, {cadata = ""})
    H.raises_class(trio.SSLError, ssl.create_default_context,
      {cadata = "x"})
    H.raises_class(trio.SSLError, ssl.create_default_context,
      {cadata = (C.read("root.pem"):gsub("MII", "AAA"))})
    H.raises_class(trio.SSLError, ssl.create_default_context,
      {cafile = C.path("root.key")})
    local context = ssl.create_default_context()
    H.raises("cafile, capath or cadata expected",
      context.load_verify_locations, context)
    H.raises("unknown option 'x'", context.load_verify_locations, context,
      {x = 1})
  end)
end)

describe("the password of a key", function()
  it("is a string or what a function returns", function()
    local path = C.path("locked.key")
    os.execute(("openssl pkey -in %s -out %s -aes256 -passout pass:secret")
      :format(C.path("server.key"), path))
    local certificate = C.path("server.pem")
    local context = ssl.create_default_context{purpose = "client_auth"}
    context:load_cert_chain(certificate, path, "secret")
    context:load_cert_chain(certificate, path, function() return "secret" end)
    close(accepted(nil, context))
    local load = context.load_cert_chain
    local err = H.raises_class(trio.SSLError, load, context, certificate, path)
    assert.matches("the key needs a password", err.message)
    err = H.raises_class(trio.SSLError, load, context, certificate, path, "no")
    assert.matches("wrong password for the key", err.message)
    local planned = {}
    local _, raised = pcall(load, context, certificate, path,
      function() error(planned, 0) end)
    assert.equal(planned, raised)
    H.raises("must return a string", load, context, certificate, path,
      function() return 1 end)
    H.raises("can't", load, context, certificate, path,
      function() trio.sleep(1) end)
  end)
end)

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
