-- SPDX-License-Identifier: MIT
-- Mutual TLS: client and server show certificates of the same root.
local trio = require "trio"

assert(os.execute [[
  make() { openssl req -newkey rsa:2048 -noenc -subj "$1" -keyout "$2.key" \
    -out "$2.pem" -x509 -days 2 $3 2>/dev/null && cat "$2.key" >>"$2.pem"; }
  sign="-CA root.pem -CAkey root.key -addext basicConstraints=CA:false"
  make /CN=root root
  make /CN=localhost server "$sign -addext subjectAltName=DNS:localhost"
  make /CN=alice alice "$sign"
]])

local server_context = trio.ssl.create_default_context{
  purpose = "client_auth", cafile = "root.pem",
}
server_context:load_cert_chain("server.pem")
server_context.verify_mode = trio.ssl.CERT_REQUIRED

local function greet(stream)
  local ok, err = trio.pcall(stream.do_handshake, stream)
  if not ok then
    print("server: " .. err.cause.message)
    return
  end
  local name = stream:getpeercert().subject.commonName
  stream:send_all("hello, " .. name)
  stream:aclose()
end

local function visit(port, certificate)
  local context = trio.ssl.create_default_context{cafile = "root.pem"}
  if certificate then context:load_cert_chain(certificate) end
  local stream <close> = trio.open_ssl_over_tcp_stream("localhost", port,
    {ssl_context = context})
  -- With TLS 1.3 the client's handshake ends before the server has looked.
  stream:do_handshake()
  local ok, answer = trio.pcall(stream.receive_some, stream)
  print("client: " .. (ok and answer or answer.cause.message))
end

trio.run(function()
  trio.open_nursery(function(nursery)
    local listeners = nursery:start(trio.serve_ssl_over_tcp, greet, 0,
      server_context, {host = "127.0.0.1"})
    local port = listeners[1].socket:getsockname()[2]
    visit(port, "alice.pem")
    visit(port, nil)
    nursery.cancel_scope:cancel()
  end)
end)

--[[ expected output
client: hello, alice
server: peer did not return a certificate
client: the peer sent the alert 'certificate required'
]]
