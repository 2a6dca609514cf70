-- SPDX-License-Identifier: MIT
-- trio.SSLListener: TLS for whatever another listener accepts.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local trio = require "trio"
local it = H.trio_it

-- A listener that gives these streams.
local function fake_listener(streams)
  local Fake = trio.abc.Listener({closed = false})
  function Fake.accept()
    trio.lowlevel.checkpoint()
    return table.remove(streams, 1)
  end
  function Fake:aclose()
    self.closed = true
    trio.lowlevel.checkpoint()
  end
  return setmetatable({}, Fake)
end

describe("SSLListener", function()
  it("TLS-16 accepts without a handshake", function()
    local a, b = trio.testing.memory_stream_pair()
    local inner = fake_listener{a}
    local listener = trio.SSLListener(inner, C.server_context())
    assert.equal(inner, listener.transport_listener)
    local stream = listener:accept()
    assert.is_true(stream.server_side)
    assert.equal(a, stream.transport_stream)
    H.raises_class(trio.NeedHandshakeError, stream.version, stream)
    trio.aclose_forcefully(stream)
    trio.aclose_forcefully(b)
    listener:aclose()
    assert.is_true(inner.closed)
  end)

  for _, https in ipairs {false, true} do
    it("TLS-16 passes https_compatible on: " .. tostring(https), function()
      local a, b = trio.testing.memory_stream_pair()
      local listener = trio.SSLListener(fake_listener{a}, C.server_context(),
        {https_compatible = https})
      local server = listener:accept()
      b:aclose()
      if https then
        assert.is_nil(server:receive_some())
      else
        H.raises_class(trio.BrokenResourceError, server.receive_some, server)
      end
      server:aclose()
    end)
  end

  it("refuses what is no listener, no context, no option", function()
    H.raises("listener expected, got table", trio.SSLListener, {})
    H.raises("trio.ssl.SSLContext expected, got table", trio.SSLListener,
      fake_listener{}, {})
    H.raises("unknown option 'x'", trio.SSLListener, fake_listener{},
      C.server_context(), {x = 1})
  end)
end)
