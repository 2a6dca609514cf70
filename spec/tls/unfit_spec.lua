-- SPDX-License-Identifier: MIT
-- Certificates that are in order, but not good for this: made for something
-- else, or too weak.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local it = H.trio_it

local RSA = "-algorithm RSA -pkeyopt rsa_keygen_bits:%d"

local function issue(opts)
  opts.alt = "DNS:" .. C.host
  return C.issue(opts)
end

local client_only = issue{name = "clientonly", usage = "clientAuth"}
local server_only = issue{name = "serveronly", usage = "serverAuth"}

-- With OpenSSL's level of security, whose default depends on who has built it:
-- a context for servers, and one for clients.
local function server_of(level, path)
  local context = trio.ssl.create_default_context{purpose = "client_auth"}
  context:set_ciphers("ALL:@SECLEVEL=" .. level)
  context:load_cert_chain(path)
  return context
end

local function client_of(level)
  local context = C.client_context()
  context:set_ciphers("ALL:@SECLEVEL=" .. level)
  return context
end

local function is_refusal(err, pattern)
  assert.is_true(trio.isinstance(err, trio.BrokenResourceError), tostring(err))
  assert.is_true(trio.isinstance(err.cause, trio.SSLError))
  assert.matches(pattern, err.cause.message)
end

describe("a certificate for something else", function()
  it("is no server's", function()
    local err, other, client, server = T.meet(nil,
      C.server_context(nil, client_only))
    is_refusal(err, "^certificate verify failed: unsuitable certificate "
      .. "purpose$")
    is_refusal(other, "the peer sent the alert 'unsupported certificate'")
    T.close(client, server)
    T.close(T.accepted(nil, C.server_context(nil, server_only)))
  end)

  for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    it("is no client's, " .. version, function()
      local demanding = C.server_context()
      demanding:load_verify_locations{cafile = C.root}
      demanding.verify_mode = "required"
      for path, pattern in pairs {
        [client_only] = false,
        [server_only] = "^certificate verify failed: unsuitable certificate "
          .. "purpose$",
      } do
        local context = C.client_context{maximum_version = version}
        context:load_cert_chain(path)
        local _, err, client, server = T.meet(context, demanding)
        if pattern then
          is_refusal(err, pattern)
        else
          assert.is_nil(err)
          assert.equal("clientonly", server:getpeercert().subject.commonName)
        end
        T.close(client, server)
      end
    end)
  end
end)

describe("a weak certificate", function()
  local cases = {
    ["key too small"] = {
      path = issue{name = "short", key = RSA:format(1024)},
      refused = "^certificate verify failed: EE certificate key too weak$",
    },
    ["md too weak"] = {
      path = issue{name = "sha1", digest = "sha1", key = RSA:format(2048)},
      refused = "^certificate verify failed: CA signature digest algorithm "
        .. "too weak$",
    },
  }

  for own, case in pairs(cases) do
    it("is refused by its owner: " .. own, function()
      local err = H.raises_class(trio.SSLError, server_of, 2, case.path)
      assert.matches(own, err.message)
    end)

    it("is refused by the other side: " .. own, function()
      local err, other, client, server = T.meet(client_of(2),
        server_of(0, case.path))
      is_refusal(err, case.refused)
      is_refusal(other, "the peer sent the alert '")
      T.close(client, server)
    end)

    it("is taken by those who don't mind: " .. own, function()
      T.close(T.accepted(client_of(0), server_of(0, case.path)))
    end)
  end
end)
