-- SPDX-License-Identifier: MIT
-- trio.ssl.create_default_context and the fields of a context.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local trio = require "trio"
local ssl = trio.ssl

describe("a context", function()
  it("is safe by default", function()
    local context = ssl.create_default_context()
    assert.is_true(context.check_hostname)
    assert.equal(ssl.CERT_REQUIRED, context.verify_mode)
    assert.equal(ssl.TLSVersion.TLSv1_2, context.minimum_version)
    assert.is_nil(context.maximum_version)
    assert.equal("tls", context.protocol)
  end)

  it("for servers asks for no certificate", function()
    local context = ssl.create_default_context{
      purpose = ssl.Purpose.CLIENT_AUTH,
    }
    assert.is_false(context.check_hostname)
    assert.equal(ssl.CERT_NONE, context.verify_mode)
  end)

  it("doesn't check the name of a server that it doesn't verify", function()
    local context = ssl.create_default_context()
    H.raises("set that to false first", function()
      context.verify_mode = ssl.CERT_NONE
    end)
    context.check_hostname = false
    context.verify_mode = ssl.CERT_NONE
    context.check_hostname = true
    assert.equal(ssl.CERT_REQUIRED, context.verify_mode)
  end)

  it("refuses what it doesn't know", function()
    H.raises("unknown option 'x'", ssl.create_default_context, {x = 1})
    H.raises("option 'purpose' must be 'server_auth' or 'client_auth'",
      ssl.create_default_context, {purpose = "x"})
    local context = ssl.create_default_context()
    H.raises("unknown version 'SSLv2' of TLS", function()
      context.minimum_version = "SSLv2"
    end)
    H.raises("verify_mode must be 'none'", function()
      context.verify_mode = "x"
    end)
    local err = H.raises_class(trio.SSLError, context.set_ciphers, context,
      "no-such-cipher")
    assert.equal("no cipher match", err.reason)
    context:set_ciphersuites("TLS_AES_128_GCM_SHA256")
    H.raises_class(trio.SSLError, context.set_ciphersuites, context,
      "no-such-suite")
  end)

  it("says what is wrong with a file", function()
    local context = ssl.create_default_context()
    H.raises("option 'cafile' must be a path", ssl.create_default_context,
      {cafile = 5})
    H.raises("option 'capath' must be a path", context.load_verify_locations,
      context, nil, "a\0b")
    H.raises("keylog_filename must be a path or nil", function()
      context.keylog_filename = 5
    end)
    local err = H.raises_class(trio.OSError, context.load_cert_chain, context,
      "/no/such/file")
    assert.equal("ENOENT", err.code)
    assert.equal("/no/such/file", err.path)
    H.raises_class(trio.OSError, ssl.create_default_context,
      {cafile = "/no/such/file"})
    err = H.raises_class(trio.SSLError, context.load_cert_chain, context,
      C.root)
    assert.matches("root.pem", err.message)
    C.issue{name = "other"}
    err = H.raises_class(trio.SSLError, context.load_cert_chain, context,
      C.path("server.pem"), C.path("other.key"))
    assert.equal("key values mismatch", err.reason)
  end)
end)
