-- SPDX-License-Identifier: MIT
-- tls_peers.lua: the command lines of other people's TLS, openssl and GnuTLS,
-- as clients and servers on loopback.
--
--   peer.client{port = n, version = "TLSv1.3", ...} -> command
--   peer.server{port = n, version = "TLSv1.3", ...} -> command
-- Options of both: `alpn`; `certificate`, a file with chain and key; `args`,
-- more words; `loud`, obey commands in the input and print more. Of servers:
-- `name`, the only one that they answer to; `verify`, ask for a certificate;
-- `echo`. What they print is what they receive.

local C = require "spec.support.certificates"
local trio = require "trio"

local M = {}

-- Words that are wanted if the value is there, with the value in them.
local function add(command, value, ...)
  if not value then return end
  for _, word in ipairs {...} do
    command[#command + 1] = word:format(value)
  end
end

local function finish(command, opts)
  for _, word in ipairs(opts.args or {}) do command[#command + 1] = word end
  return command
end

local openssl = {name = "openssl"}
local openssl_versions = {["TLSv1.2"] = "tls1_2", ["TLSv1.3"] = "tls1_3"}

function openssl.client(opts)
  local command = {
    "openssl", "s_client", "-connect", "127.0.0.1:" .. opts.port,
    "-CAfile", C.root, "-servername", C.host, "-verify_hostname", C.host,
    "-verify_return_error", "-" .. openssl_versions[opts.version],
  }
  add(command, not opts.loud, "-quiet")
  add(command, opts.alpn, "-alpn", "%s")
  add(command, opts.certificate, "-cert", "%s", "-key", "%s")
  return finish(command, opts)
end

function openssl.server(opts)
  local command = {
    "stdbuf", "-oL",  -- for what it says about commands
    "openssl", "s_server", "-accept", "127.0.0.1:" .. opts.port,
    "-" .. openssl_versions[opts.version],
  }
  add(command, not opts.loud, "-quiet")
  local certificate = opts.certificate or C.server
  add(command, certificate, opts.name and "-cert2" or "-cert", "%s",
    opts.name and "-key2" or "-key", "%s")
  -- Who asks for another name gets a certificate that nobody trusts.
  add(command, opts.name, "-servername", "%s")
  add(command, opts.name and M.untrusted(), "-cert", "%s", "-key", "%s")
  add(command, opts.alpn, "-alpn", "%s")
  add(command, opts.verify, "-Verify", "1", "-verify_return_error",
    "-verify_quiet", "-CAfile", C.root)
  add(command, opts.echo, "-rev")
  return finish(command, opts)
end

-- Words for a connection whose session the next one uses again. The session
-- may be kept in the file.
function openssl.resumption(file)
  return {{"-sess_out", file}, {"-sess_in", file}}
end

-- What openssl makes of a line that it sends back.
function openssl.echoed(line) return line:reverse() end

local gnutls = {name = "gnutls"}
local gnutls_versions = {["TLSv1.2"] = "1.2", ["TLSv1.3"] = "1.3"}

local function priority(opts)
  return "--priority=NORMAL:-VERS-ALL:+VERS-TLS"
    .. gnutls_versions[opts.version]
end

function gnutls.client(opts)
  local command = {
    "gnutls-cli", "--port=" .. opts.port, priority(opts),
    "--x509cafile=" .. C.root, "--sni-hostname=" .. C.host,
    "--verify-hostname=" .. C.host, "--logfile=/dev/null",
  }
  add(command, opts.alpn, "--alpn=%s")
  add(command, opts.certificate, "--x509certfile=%s", "--x509keyfile=%s")
  finish(command, opts)
  command[#command + 1] = "127.0.0.1"
  return command
end

function gnutls.server(opts)
  local command = {
    "gnutls-serv", "--port=" .. opts.port, priority(opts), "--quiet",
  }
  add(command, opts.certificate or C.server, "--x509certfile=%s",
    "--x509keyfile=%s")
  add(command, opts.name, "--sni-hostname=%s", "--sni-hostname-fatal")
  add(command, opts.alpn, "--alpn=%s")
  add(command, C.root, "--x509cafile=%s")
  add(command, opts.verify, "--require-client-cert", "--verify-client-cert")
  add(command, not opts.verify, "--disable-client-cert")
  add(command, opts.echo, "--echo")
  return finish(command, opts)
end

-- It connects twice.
function gnutls.resumption() return {{"--resume"}} end

function gnutls.echoed(line) return line end

M.openssl, M.gnutls, M.all = openssl, gnutls, {openssl, gnutls}

-- A certificate for servers by somebody whom clients don't know.
function M.untrusted()
  if not M.untrusted_path then
    C.new_root("elsewhere")
    M.untrusted_path = C.issue{
      name = "untrusted", issuer = "elsewhere", alt = "DNS:" .. C.host,
    }
  end
  return M.untrusted_path
end

local function free_port()
  local sock <close> = trio.socket.socket()
  sock:bind({"127.0.0.1", 0})
  return sock:getsockname()[2]
end

--- Run body(process) with the command, which is killed then. `stderr`: where
--- that goes (nowhere).
function M.running(command, body, stderr)
  local process = trio.lowlevel.open_process(command,
    {stdin = "pipe", stdout = "pipe", stderr = stderr or "null"})
  local _ <close> = trio.defer(function()
    process:kill()
    trio.CancelScope{shield = true}:run(function() process:wait() end)
    for _, pipe in ipairs {process.stdin, process.stdout} do pipe:close() end
  end)
  return body(process)
end

local function connect(port)
  while true do
    local ok, stream = trio.pcall(trio.open_tcp_stream, "127.0.0.1", port)
    if ok then return stream end
    if not trio.isinstance(stream, trio.OSError) then error(stream, 0) end
    trio.sleep(0.01)
  end
end

--- Run body(open, process) beside a server of the peer; open(context, opts)
--- makes a client.
function M.with_server(peer, opts, body)
  opts.port = free_port()
  M.running(peer.server(opts), function(process)
    local function open(context, client_opts)
      client_opts = client_opts or {}
      client_opts.server_hostname = client_opts.server_hostname or C.host
      return trio.SSLStream(connect(opts.port), context, client_opts)
    end
    return body(open, process)
  end, opts.loud and "stdout")
end

--- Run body(port) beside a server of ours, and wait until all connections have
--- ended. They are handler's, whose errors are in the list that this returns.
function M.serving(context, handler, body, https)
  local errors, running = {}, 0
  trio.open_nursery(function(nursery)
    local listeners = nursery:start(trio.serve_ssl_over_tcp, function(stream)
      running = running + 1
      local ok, err = trio.pcall(function()
        handler(stream)
        stream:aclose()
      end)
      if not ok then errors[#errors + 1] = err end
      running = running - 1
    end, 0, context, {host = "127.0.0.1", https_compatible = https})
    body(listeners[1].socket:getsockname()[2])
    while running > 0 do trio.sleep(0.001) end
    nursery.cancel_scope:cancel()
  end)
  return errors
end

return M
