-- SPDX-License-Identifier: MIT
-- trio.SSLStream: TLS over any stream.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local trio = require "trio"
local testing = trio.testing
local it = H.trio_it

local client_context, server_context = C.client_context(), C.server_context()
local tls12 = C.client_context{maximum_version = "TLSv1.2"}

-- Two connected streams, without their handshake.
local function pair(opts)
  local a, b = ((opts or {}).transport or testing.memory_stream_pair)()
  local all = {client = client_context, server = server_context}
  for k, v in pairs(opts or {}) do all[k] = v end
  return C.wrap(a, b, all)
end

local function together(...)
  local functions = {...}
  trio.open_nursery(function(nursery)
    for _, f in ipairs(functions) do nursery:start_soon(f) end
  end)
end

describe("SSLStream", function()
  for _, https in ipairs {false, true} do
    for name, context in pairs {["1.3"] = client_context, ["1.2"] = tls12} do
      it(("TLS-14 passes the check of streams, https_compatible=%s, TLS %s")
        :format(https, name), function()
        local opts = {
          client = context, client_opts = {https_compatible = https},
          server_opts = {https_compatible = https},
        }
        testing.check_two_way_stream(function() return pair(opts) end,
          function()
            -- Without the handshake, receiving would have to send, and get
            -- stuck in that.
            local client, server = pair{
              client = context, transport = testing.lockstep_stream_pair,
            }
            together(function() client:do_handshake() end,
              function() server:do_handshake() end)
            return client, server
          end)
      end)
    end
  end
end)
