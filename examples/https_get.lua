-- SPDX-License-Identifier: MIT
-- HTTPS by hand: a GET request to "openssl s_server", whose root we trust.
local trio = require "trio"

-- A root of our own, and a certificate for localhost signed by it.
assert(os.execute [[
  make() { openssl req -newkey rsa:2048 -noenc -subj "$1" -keyout "$2.key" \
    -out "$2.pem" -x509 -days 2 $3 2>/dev/null; }
  make /CN=root root
  make /CN=localhost server "-CA root.pem -CAkey root.key \
    -addext basicConstraints=CA:false -addext subjectAltName=DNS:localhost"
  echo '<h1>It works</h1>' >page.html
]])

-- A port that is free now.
local function free_port()
  local listener <close> = trio.open_tcp_listeners(0, {host = "127.0.0.1"})[1]
  return listener.socket:getsockname()[2]
end

-- The server takes a moment to come up.
local function connect(port, context)
  while true do
    local ok, stream = trio.pcall(trio.open_ssl_over_tcp_stream, "localhost",
      port, {ssl_context = context, https_compatible = true})
    if ok then return stream end
    trio.sleep(0.05)
  end
end

trio.run(function()
  trio.open_nursery(function(nursery)
    local port = free_port()
    nursery:start(trio.run_process, {
      "openssl", "s_server", "-accept", "127.0.0.1:" .. port, "-WWW",
      "-cert", "server.pem", "-key", "server.key", "-quiet",
    }, {stdout = "null", stderr = "null"})

    local context = trio.ssl.create_default_context{cafile = "root.pem"}
    trio.fail_after(10, function()
      local stream <close> = connect(port, context)
      stream:send_all("GET /page.html HTTP/1.0\r\nHost: localhost\r\n\r\n")
      for line in trio.BufferedReceiveStream(stream):lines() do
        print(line)
      end
      print(stream:getpeercert().issuer.commonName, stream:version())
    end)
    nursery.cancel_scope:cancel()  -- ends the server, too
  end)
end)

--[[ expected output
HTTP/1.0 200 ok
Content-type: text/html

<h1>It works</h1>
root	TLSv1.3
]]
