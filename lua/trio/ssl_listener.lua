-- SPDX-License-Identifier: MIT
-- ssl_listener.lua: trio.SSLListener: makes an SSLStream of every stream that
-- another listener accepts. The handshake is left to whoever uses it, so that
-- a slow client keeps nobody waiting.

local error, pcall = error, pcall

local OPTIONS = {https_compatible = true}

return function(trio, kit)
  local check = kit.check

  local Listener = kit.class("trio.SSLListener", nil, {
    transport_listener = function(self) return self._transport end,
    socket = function(self) return self._transport.socket end,
  })

  --- kit.wrap_ssl(stream, context, opts): an SSLStream; if that can't be made,
  --- the stream is closed.
  function kit.wrap_ssl(stream, context, opts)
    local ok, result = pcall(trio.SSLStream, stream, context, opts)
    if ok then return result end
    trio.aclose_forcefully(stream)
    error(result, 0)
  end

  --- listener:accept(): an SSLStream.
  function Listener:accept()
    Listener.check_async(self, "accept")
    return kit.wrap_ssl(self._transport:accept(), self._context, {
      server_side = true, https_compatible = self._https_compatible,
    })
  end

  function Listener:aclose()
    Listener.check_async(self, "aclose")
    self._transport:aclose()
  end

  trio.abc.Listener(Listener)

  function Listener:__tostring()
    return ("<trio.SSLListener %p of %s>"):format(self,
      tostring(self._transport))
  end

  --- SSLListener(listener, context [, opts])
  function trio.SSLListener(listener, context, opts)
    if not trio.abc.implements(listener, "Listener") then
      check.refuse(1, "SSLListener", check.expected("listener", listener))
    end
    kit.check_ssl_context(context, 2, "SSLListener")
    opts = check.options(opts, 3, "SSLListener", OPTIONS)
    return Listener:new({
      _transport = listener, _context = context,
      _https_compatible = not not opts.https_compatible,
    })
  end
end
