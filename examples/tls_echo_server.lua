-- SPDX-License-Identifier: MIT
-- TLS: an echo server, and "openssl s_client" as its client.
local trio = require "trio"

assert(os.execute [[
  openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>&-
]])

local context = trio.ssl.create_default_context{purpose = "client_auth"}
context:load_cert_chain("cert.pem", "key.pem")
context:set_alpn_protocols{"echo"}

local function echo(report, stream)
  local ok, err = trio.pcall(function()
    for chunk in stream do stream:send_all(chunk) end
  end)
  if ok then
    report:send("served " .. stream:selected_alpn_protocol())
  elseif trio.isinstance(err, trio.BrokenResourceError) then
    report:send("broken: " .. err.cause.message)
  else
    error(err, 0)
  end
end

-- What comes back for a line that s_client sends.
local function ask(port, line, ...)
  local process = trio.lowlevel.open_process({
    "openssl", "s_client", "-connect", "localhost:" .. port,
    "-verify_return_error", "-quiet", "-no_ign_eof", "-alpn", "echo", ...
  }, {stdin = "pipe", stdout = "pipe", stderr = "null"})
  process.stdin:send_all(line)
  local answer = process.stdout:receive_some()
  process.stdin:aclose()
  process:wait()
  return answer or "none\n"
end

trio.run(function()
  trio.open_nursery(function(nursery)
    local report, reports = trio.open_memory_channel(1)
    local listeners = nursery:start(trio.serve_ssl_over_tcp, function(stream)
      echo(report, stream)
    end, 0, context, {host = "127.0.0.1"})
    local port = listeners[1].socket:getsockname()[2]
    io.write("answer: ", ask(port, "hello\n", "-CAfile", "cert.pem"))
    print(reports:receive())
    io.write("answer: ", ask(port, "hello\n"))  -- trusts the system only
    print(reports:receive())
    nursery.cancel_scope:cancel()
  end)
end)

--[[ expected output
answer: hello
served echo
answer: none
broken: the peer sent the alert 'unknown CA'
]]
