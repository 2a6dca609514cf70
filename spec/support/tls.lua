-- SPDX-License-Identifier: MIT
-- tls.lua: pairs of connected TLS streams for the specs.

local C = require "spec.support.certificates"
local trio = require "trio"

local M = {}

local client_context, server_context = C.client_context(), C.server_context()
M.client_context, M.server_context = client_context, server_context

--- Run all functions, each in a task.
function M.together(...)
  local functions = {...}
  trio.open_nursery(function(nursery)
    for _, f in ipairs(functions) do nursery:start_soon(f) end
  end)
end

--- Two connected streams, without their handshake. `opts` as for C.wrap, and
--- `transport`, which makes the two ends of it.
function M.pair(opts)
  local a, b = ((opts or {}).transport or trio.testing.memory_stream_pair)()
  local all = {client = client_context, server = server_context}
  for k, v in pairs(opts or {}) do all[k] = v end
  return C.wrap(a, b, all)
end

function M.handshake(client, server)
  M.together(function() client:do_handshake() end,
    function() server:do_handshake() end)
  return client, server
end

function M.close(...)
  for _, stream in ipairs {...} do trio.aclose_forcefully(stream) end
end

--- Handshakes of both sides: what each failed with (nil if it didn't), and the
--- streams.
function M.meet(client_ctx, server_ctx, client_opts)
  local client, server = M.pair{
    client = client_ctx, server = server_ctx, client_opts = client_opts,
  }
  local errors = {}
  local function try(name, stream)
    return function()
      local ok, err = trio.pcall(stream.do_handshake, stream)
      if not ok then errors[name] = err end
    end
  end
  M.together(try("client", client), try("server", server))
  return errors.client, errors.server, client, server
end

--- The same, which must not fail: the streams.
function M.accepted(...)
  local err, other, client, server = M.meet(...)
  if err or other then error(err or other, 0) end
  return client, server
end

return M
