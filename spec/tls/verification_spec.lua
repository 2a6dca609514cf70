-- SPDX-License-Identifier: MIT
-- Whom a connection trusts: what is refused, and how both sides hear of it;
-- client certificates; keys with passwords.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local ssl = trio.ssl
local it = H.trio_it
local meet, accepted, close = T.meet, T.accepted, T.close

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
