-- SPDX-License-Identifier: MIT
-- Certificates in DTLS: whom the two sides believe, and what they learn where
-- they don't.
local C = require "spec.support.certificates"
local D = require "spec.support.dtls"
local H = require "spec.support.helper"
local trio = require "trio"
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

-- The errors of a client's and of a server's handshake.
local function handshake(server_context, client_context, opts)
  local client_error, server_error
  D.network()
  D.serving({context = server_context, handler = function(channel)
    server_error = select(2, trio.pcall(channel.do_handshake, channel))
    if not server_error then D.echo(channel) end
  end}, function(address)
    local endpoint <close> = D.endpoint()
    local channel = endpoint:connect(address, client_context, opts)
    client_error = select(2, trio.pcall(function()
      channel:do_handshake()
      channel:send("hello")
      assert.equal("hello", channel:receive())
    end))
    wait_all_tasks_blocked()
    if not client_error then return end
    -- For good.
    local again = H.raises_class(trio.BrokenResourceError, channel.send,
      channel, "x")
    assert.equal(client_error.cause, again.cause)
    assert.matches("broken>$", tostring(channel))
  end)
  return client_error, server_error
end

local function is_refused(err, pattern)
  assert.is_true(trio.isinstance(err, trio.BrokenResourceError), err)
  assert.is_true(trio.isinstance(err.cause, trio.SSLError))
  assert.matches(pattern, tostring(err))
end

describe("verification in DTLS", function()
  H.trio_it("TLS-19 refuses a certificate that nobody vouches for", function()
    local stranger = C.new_root("dtls-stranger")
    local client, server = handshake(C.server_context(),
      trio.ssl.create_default_context({cafile = stranger}))
    is_refused(client, "certificate verify failed")
    is_refused(server, "alert")
  end)

  H.trio_it("TLS-19 checks the name, which is the address by default",
    function()
      assert.is_nil(handshake(C.server_context(), C.client_context()))
      assert.is_nil(handshake(C.server_context(), C.client_context(),
        {server_hostname = C.host}))
      is_refused(handshake(C.server_context(), C.client_context(),
        {server_hostname = "another.example.org"}),
        "another.example.org")
      local elsewhere = C.issue {name = "dtls-elsewhere", alt = "IP:10.0.0.1"}
      local context = C.server_context(nil, elsewhere)
      is_refused(handshake(context, C.client_context()), "127.0.0.1")
      assert.is_nil(handshake(context,
        C.client_context({check_hostname = false})))
    end)

  H.trio_it("TLS-19 knows names outside of ASCII", function()
    local foreign = C.issue {
      name = "dtls-idn", alt = "DNS:xn--bcher-kva.example.org",
    }
    assert.is_nil(handshake(C.server_context(nil, foreign),
      C.client_context(), {server_hostname = "bücher.example.org"}))
  end)

  H.trio_it("TLS-19 refuses an expired certificate", function()
    local expired = C.issue {
      name = "dtls-expired", alt = "IP:127.0.0.1", till = "20210101000000Z",
    }
    is_refused(handshake(C.server_context(nil, expired), C.client_context()),
      "expired")
  end)

  H.trio_it("TLS-19 asks for a client's certificate if it is told to",
    function()
      local mine = C.issue {name = "dtls-client"}
      local demanding = C.server_context()
      demanding:load_verify_locations({cafile = C.root})
      demanding.verify_mode = "required"
      local client = C.client_context()
      local _, server = handshake(demanding, client)
      is_refused(server, "certificate")
      client:load_cert_chain(mine)
      local client_error, server_error = handshake(demanding, client)
      assert.is_nil(client_error)
      assert.is_nil(server_error)
    end)

  H.trio_it("TLS-19 takes contexts for DTLS, too", function()
    local server = trio.ssl.create_default_context({
      protocol = "dtls", purpose = "client_auth",
    })
    server:load_cert_chain(C.server)
    local client = trio.ssl.create_default_context({
      protocol = "dtls", cafile = C.root,
    })
    assert.is_nil(handshake(server, client))
    assert.is_nil(handshake(C.server_context(), client))
    assert.is_nil(handshake(server, C.client_context()))
  end)

  H.trio_it("TLS-19 has nobody speak without a common cipher", function()
    local server, client = C.server_context(), C.client_context()
    server:set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    client:set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    local client_error, server_error = handshake(server, client)
    is_refused(client_error, "handshake failure")
    is_refused(server_error, "no shared cipher")
  end)

  H.trio_it("TLS-19 needs TLS 1.2, as there is no DTLS 1.3", function()
    local context = C.client_context()
    context.minimum_version = "TLSv1.3"
    local endpoint <close> = D.endpoint()
    H.raises("minimum_version is TLS 1.3, but there is no DTLS 1.3",
      endpoint.connect, endpoint, {"127.0.0.1", 80}, context)
  end)

  H.trio_it("TLS-19 shows the certificate for the name that is asked for",
    function()
      local other = C.issue {name = "dtls-other", alt = "DNS:other.example"}
      local first, second = C.server_context(), C.server_context(nil, other)
      local seen, trouble = {}, {}
      first.sni_callback = function(channel, name)
        seen[#seen + 1] = name
        H.raises("context of trio.ssl expected, got table", function()
          channel.context = {}
        end)
        if name == "other.example" then channel.context = second end
        if name == "wrong.example" then error(trouble, 0) end
        return name == "refused.example" and 112 or nil
      end
      for _, name in ipairs {C.host, "other.example"} do
        assert.is_nil(handshake(first, C.client_context(),
          {server_hostname = name}))
      end
      is_refused(handshake(first, C.client_context(),
        {server_hostname = "refused.example"}), "unrecognized name")
      assert.same({C.host, "other.example", "refused.example"}, seen)
      local client_error, server_error = handshake(first, C.client_context(),
        {server_hostname = "wrong.example"})
      is_refused(client_error, "handshake failure")
      assert.equal(trouble, server_error)
    end)
end)
