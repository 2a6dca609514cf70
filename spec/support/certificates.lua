-- SPDX-License-Identifier: MIT
-- certificates.lua: certificates for the specs of TLS, made by the openssl
-- command in a folder that goes away with the process.
--
--   local C = require "spec.support.certificates"
--   C.root, C.server ...          paths; `server` holds chain and key
--   C.issue{name = "x", ...}      another one

local trio = require "trio"

local C = {host = "trio-test-1.example.org"}

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  if not pipe:close() then error(command .. "\n" .. text) end
  return text
end

local folder = run("mktemp -d"):gsub("\n", "")
C.folder = folder

-- Gone when the Lua state closes.
C.guard = setmetatable({}, {__gc = function()
  os.execute("rm -rf " .. folder)
end})

function C.path(name) return folder .. "/" .. name end

function C.read(name)
  local file = assert(io.open(C.path(name), "rb"))
  local text = file:read("a")
  file:close()
  return text
end

function C.write(name, text)
  local file = assert(io.open(C.path(name), "wb"))
  assert(file:write(text))
  file:close()
  return C.path(name)
end

local CONFIG = [[
[ca]
default_ca = the_ca
[the_ca]
database = %s/index.txt
new_certs_dir = %s
rand_serial = yes
unique_subject = no
policy = the_policy
default_md = sha256
[the_policy]
commonName = supplied
organizationName = optional
]]

local function new_key(name, kind)
  run(("openssl genpkey %s -out %s"):format(
    kind or "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    C.path(name .. ".key")))
end

--- A root of its own, as `name`.pem and `name`.key.
function C.new_root(name)
  new_key(name)
  run(("openssl req -x509 -new -key %s -out %s -days 3650 -subj '/CN=%s'")
    :format(C.path(name .. ".key"), C.path(name .. ".pem"), name))
  return C.path(name .. ".pem")
end

--- A certificate: `name` of the files, `issuer` (default "root"), `subject`,
--- `alt` (subjectAltName), `from` and `till` ("YYYYMMDDHHMMSSZ"), `is_ca`,
--- `usage` (extendedKeyUsage), `key` (words for openssl genpkey), `digest`.
--- Returns the path of a file with the certificate, its issuer's chain if that
--- is no root, and the key.
function C.issue(opts)
  local name, issuer = opts.name, opts.issuer or "root"
  new_key(name, opts.key)
  run(("openssl req -new -key %s -out %s -subj '%s'"):format(
    C.path(name .. ".key"), C.path(name .. ".csr"),
    opts.subject or "/CN=" .. name))
  local extensions = opts.is_ca and "basicConstraints=critical,CA:true\n"
    or "basicConstraints=CA:false\n"
  if opts.alt then
    extensions = extensions .. "subjectAltName=" .. opts.alt .. "\n"
  end
  if opts.usage then
    extensions = extensions .. "extendedKeyUsage=" .. opts.usage .. "\n"
  end
  C.write(name .. ".ext", extensions)
  C.write("index.txt", "")
  C.write("ca.conf", CONFIG:format(folder, folder))
  run(("openssl ca -batch -notext -config %s -cert %s -keyfile %s -in %s "
    .. "-out %s -extfile %s -startdate %s -enddate %s -md %s"):format(
    C.path("ca.conf"), C.path(issuer .. ".pem"), C.path(issuer .. ".key"),
    C.path(name .. ".csr"), C.path(name .. ".pem"), C.path(name .. ".ext"),
    opts.from or "20200101000000Z", opts.till or "20490101000000Z",
    opts.digest or "sha256"))
  local chain = issuer ~= "root" and C.read(issuer .. ".pem") or ""
  return C.write(name .. ".full.pem",
    C.read(name .. ".pem") .. chain .. C.read(name .. ".key"))
end

C.root = C.new_root("root")
C.server = C.issue{
  name = "server", subject = "/CN=" .. C.host .. "/O=trio",
  alt = ("DNS:%s,DNS:*.wild.example.org,IP:127.0.0.1,IP:::1"):format(C.host),
}

--- A context for clients that trusts the root; `opts` are its fields.
function C.client_context(opts)
  local context = trio.ssl.create_default_context{cafile = C.root}
  for name, value in pairs(opts or {}) do context[name] = value end
  return context
end

--- A context for servers.
function C.server_context(opts, certificate)
  local context = trio.ssl.create_default_context{purpose = "client_auth"}
  context:load_cert_chain(certificate or C.server)
  for name, value in pairs(opts or {}) do context[name] = value end
  return context
end

--- Two streams over `a` and `b`; the contexts and options may be given as
--- fields client, server, client_opts, server_opts of opts.
function C.wrap(a, b, opts)
  opts = opts or {}
  local client_opts = {server_hostname = C.host}
  for k, v in pairs(opts.client_opts or {}) do client_opts[k] = v end
  local server_opts = {server_side = true}
  for k, v in pairs(opts.server_opts or {}) do server_opts[k] = v end
  return trio.SSLStream(a, opts.client or C.client_context(), client_opts),
    trio.SSLStream(b, opts.server or C.server_context(), server_opts)
end

return C
