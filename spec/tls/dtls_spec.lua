-- SPDX-License-Identifier: MIT
-- The private functions under DTLSEndpoint: primitives of cookies, contexts
-- for DTLS that are made of those for TLS, connections without a network.
local C = require "spec.support.certificates"
local H = require "spec.support.helper"
local trio = require "trio"

local dtls, new_engine = trio.ssl._dtls, trio.ssl._engine

local function hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

describe("the primitives of cookies", function()
  it("TLS-19 are HMAC-SHA256 (RFC 4231, cases 1, 2, 6)", function()
    for _, case in ipairs {
      {("\x0B"):rep(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b"
        .. "881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {("\xAA"):rep(131),
        "Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    } do
      assert.equal(case[3], hex(dtls.hmac(case[1], case[2])))
    end
  end)

  it("TLS-19 are random bytes", function()
    local seen = {}
    for size = 1, 256 do
      local bytes = dtls.random(size)
      assert.equal(size, #bytes)
      if size >= 8 then
        assert.is_nil(seen[bytes:sub(1, 8)])
        seen[bytes:sub(1, 8)] = true
      end
    end
    for _, wrong in ipairs {0, -1, 257} do
      H.raises("out of range", dtls.random, wrong)
    end
  end)

  it("TLS-19 compare", function()
    assert.is_true(dtls.equal("", ""))
    assert.is_true(dtls.equal("a\0b", "a\0b"))
    assert.is_false(dtls.equal("a\0b", "a\0c"))
    assert.is_false(dtls.equal("a", "ab"))
  end)
end)

-- Two engines after a handshake.
local function connected(client_context, server_context)
  local client = new_engine(dtls.context(client_context), false, C.host)
  local server = new_engine(dtls.context(server_context), true)
  for _, engine in ipairs {client, server} do
    dtls.prepare(engine)
    dtls.set_mtu(engine, 1400)
  end
  for _ = 1, 10 do
    local count = 0
    for _, pair in ipairs {{client, server}, {server, client}} do
      local done, err = pair[1]:handshake()
      if done == nil then error(err, 0) end
      if done then count = count + 1 end
      local output = pair[1]:take()
      if output then pair[2]:feed(output) end
    end
    if count == 2 then return client, server end
  end
  error("the handshake has not ended")
end

describe("a context for DTLS", function()
  it("TLS-19 is itself", function()
    local context = trio.ssl.create_default_context {protocol = "dtls"}
    assert.equal(context, dtls.context(context))
    for _, other in ipairs {{}, 5, "x", io.stdout} do
      assert.is_nil(dtls.context(other))
    end
  end)

  it("TLS-19 has the settings of one for TLS", function()
    local context = C.client_context {
      check_hostname = false, minimum_version = "TLSv1.2",
      maximum_version = "TLSv1.2", sni_callback = print,
      keylog_filename = C.path("dtls.keys"),
    }
    context.verify_mode = "none"
    local copy = dtls.context(context)
    assert.equal("tls", context.protocol)
    assert.equal("dtls", copy.protocol)
    assert.is_false(copy.check_hostname)
    assert.equal("none", copy.verify_mode)
    assert.equal("DTLSv1.2", copy.minimum_version)
    assert.equal("DTLSv1.2", copy.maximum_version)
    assert.equal(print, copy.sni_callback)
    assert.equal(C.path("dtls.keys"), copy.keylog_filename)
    context.minimum_version, context.maximum_version = "TLSv1", "TLSv1.3"
    copy = dtls.context(context)
    assert.equal("DTLSv1", copy.minimum_version)
    assert.is_nil(copy.maximum_version)
    context.minimum_version = "TLSv1.3"
    H.raises("there is no DTLS 1.3", dtls.context, context)
    assert.is_true(dtls.context(C.client_context()).check_hostname)
    H.raises("for servers", new_engine, dtls.context(C.server_context()),
      false, "x")
  end)

  it("TLS-19 writes keys where that one does", function()
    local path = C.path("dtls-log.keys")
    connected(C.client_context {keylog_filename = path}, C.server_context())
    assert.matches("^CLIENT_RANDOM %x+ %x+\n", C.read("dtls-log.keys"))
  end)

  it("TLS-19 has the certificates, the ciphers, and whom to trust", function()
    local middle = C.issue {name = "dtls-middle", is_ca = true}
    assert.truthy(middle)
    local chain = C.issue {
      name = "dtls-chained", issuer = "dtls-middle", alt = "DNS:" .. C.host,
    }
    local server_context = C.server_context(nil, chain)
    server_context:set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    local client, server = connected(C.client_context(), server_context)
    assert.equal("ECDHE-ECDSA-CHACHA20-POLY1305", client:cipher().name)
    assert.equal("dtls-chained",
      client:getpeercert().subject.commonName)
    assert.equal("DTLSv1.2", server:version())
    local distrusting = trio.ssl.create_default_context {
      cafile = C.new_root("dtls-another-root"),
    }
    H.raises("certificate verify failed", connected, distrusting,
      server_context)
  end)
end)

describe("the engine with DTLS", function()
  it("TLS-19 reads one record at a time", function()
    local client, server = connected(C.client_context(), C.server_context())
    local parts = {}
    for i = 1, 3 do
      client:write("record " .. i)
      parts[i] = client:take()
    end
    server:feed(table.concat(parts))
    for i = 1, 3 do assert.equal("record " .. i, server:read(16384)) end
    assert.is_false(server:read(16384))
    assert.is_nil(server:take())
  end)

  it("TLS-19 knows what fits into a datagram", function()
    local client = connected(C.client_context(), C.server_context())
    for _, mtu in ipairs {256, 1000, 1472, 9000} do
      dtls.set_mtu(client, mtu)
      local room = dtls.data_mtu(client)
      client:write(("x"):rep(room))
      assert(#client:take() <= mtu)
      client:write(("x"):rep(room + 1))
      assert(#client:take() > mtu)
    end
  end)

  it("TLS-19 takes nothing but a hello to begin with", function()
    local engine = new_engine(dtls.context(C.server_context()), true)
    dtls.prepare(engine)
    for _, packet in ipairs {"", "xyz", ("\22"):rep(100)} do
      engine:feed(packet)
      assert.is_false(dtls.listen(engine))
    end
  end)
end)
