-- SPDX-License-Identifier: MIT
-- DTLS with other implementations, in both roles: OpenSSL's own, by the
-- openssl command, and GnuTLS.
local C = require "spec.support.certificates"
local D = require "spec.support.dtls"
local H = require "spec.support.helper"
local it = require "busted".it
local pending = require "busted".pending
local trio = require "trio"
local socket = trio.socket

local function is_installed(program)
  return os.execute("command -v " .. program .. " >/dev/null 2>&1") == true
end

-- A test in real time that needs this program.
local function peer_it(program, name, fn)
  if not is_installed(program) then
    return pending(name .. " (" .. program .. " is not installed)")
  end
  return it(name, function()
    H.run(function() trio.fail_after(30, fn) end, {real_clock = true})
  end)
end

local function free_port()
  local sock <close> = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
  sock:bind({"127.0.0.1", 0})
  return sock:getsockname()[2]
end

-- A program that is talked to by its standard input and output, while
-- body(peer) runs.
local Peer = {}
Peer.__index = Peer

local function with_peer(command, body)
  trio.open_nursery(function(nursery)
    local peer = setmetatable({text = ""}, Peer)
    local arguments = {}
    for word in command:gmatch("%S+") do arguments[#arguments + 1] = word end
    peer.process = nursery:start(trio.run_process, arguments, {
      stdin = "pipe", stdout = "pipe", stderr = "stdout", check = false,
    })
    body(peer)
    nursery.cancel_scope:cancel()
  end)
end

function Peer:write(text)
  self.process.stdin:send_all(text)
end

-- Wait until it has printed this.
function Peer:expect(text)
  while not self.text:find(text, 1, true) do
    local more = self.process.stdout:receive_some()
    if not more then error("no " .. text .. " in:\n" .. self.text, 2) end
    self.text = self.text .. more
  end
end

-- End its input, wait for its end.
function Peer:finish()
  self.process.stdin:aclose()
  while self.process.stdout:receive_some() do end
  self.process:wait()
end

-- A channel to who will listen at this port soon.
local function connect(port, context, body)
  local endpoint <close> = D.endpoint()
  local channel = endpoint:connect({"127.0.0.1", port},
    context or C.client_context())
  channel:do_handshake({initial_retransmit_timeout = 0.05})
  body(channel)
end

-- ---- servers of others

local function openssl_server(options, body)
  local port = free_port()
  with_peer(("openssl s_server -dtls1_2 -accept 127.0.0.1:%d -cert %s -key %s "
    .. "-quiet %s"):format(port, C.server, C.server, options),
    function(peer) body(port, peer) end)
end

local function exchange(channel, peer)
  channel:send("hello there\n")
  peer:expect("hello there")
  peer:write("general answer\n")
  assert.equal("general answer\n", channel:receive())
end

describe("a DTLS client", function()
  for name, options in pairs {
    ["TLS-19 talks to OpenSSL"] = "",
    ["TLS-19 talks to OpenSSL, which wants a cookie"] = "-listen",
    ["TLS-19 talks to OpenSSL, by small datagrams"] = "-mtu 300",
  } do
    peer_it("openssl", name, function()
      openssl_server(options, function(port, peer)
        connect(port, nil, function(channel)
          assert.equal("DTLSv1.2", channel:version())
          exchange(channel, peer)
          channel:set_ciphertext_mtu(1000)
          local largest = ("x"):rep(channel:get_cleartext_mtu() - 1)
          channel:send(largest .. "\n")
          peer:expect(largest)
        end)
      end)
    end)
  end

  peer_it("openssl", "TLS-19 shows OpenSSL its certificate", function()
    openssl_server("-Verify 1 -verify_return_error -CAfile " .. C.root,
      function(port, peer)
        local context = C.client_context()
        context:load_cert_chain(C.issue {name = "dtls-peer"})
        connect(port, context, function(channel) exchange(channel, peer) end)
      end)
  end)

  peer_it("gnutls-serv", "TLS-19 talks to GnuTLS", function()
    local port = free_port()
    with_peer(("gnutls-serv --udp --echo -p %d --x509certfile %s "
      .. "--x509keyfile %s"):format(port, C.server, C.path("server.key")),
      function()
        connect(port, nil, function(channel)
          for i = 1, 5 do
            channel:send("hello " .. i .. "\n")
            assert.equal("hello " .. i .. "\n", channel:receive())
          end
        end)
      end)
  end)
end)

-- ---- clients of others

-- body(port, results): what the handlers received, and how they ended.
local function serving(context, body)
  local results = {}
  D.serving({context = context, handler = function(channel)
    local ok, err = trio.pcall(function()
      for data in channel do
        results[#results + 1] = data
        channel:send(data:upper())
      end
    end)
    results[#results + 1] = ok and "the end" or err
  end}, function(address)
    body(address[2], results)
  end)
end

local function openssl_client(port, options, body)
  with_peer(("openssl s_client -dtls -connect 127.0.0.1:%d -CAfile %s "
    .. "-verify_return_error %s -no_ign_eof"):format(port, C.root, options),
    body)
end

describe("a DTLS server", function()
  for name, options in pairs {
    ["TLS-19 is talked to by OpenSSL"] = "",
    ["TLS-19 is talked to by OpenSSL, by small datagrams"] = "-mtu 300",
  } do
    peer_it("openssl", name, function()
      serving(nil, function(port, results)
        openssl_client(port, "-quiet " .. options, function(peer)
          peer:write("hello there\n")
          peer:expect("HELLO THERE")
          peer:finish()
        end)
        assert.equal("hello there\n", results[1])
        while not results[2] do trio.sleep(0.01) end
        assert.equal("the end", results[2])
      end)
    end)
  end

  peer_it("openssl", "TLS-19 resumes a session of OpenSSL", function()
    serving(nil, function(port)
      local file = C.path("dtls.session")
      openssl_client(port, "-sess_out " .. file, function(peer)
        peer:expect("New, ")
        peer:write("hello\n")
        peer:expect("HELLO")
        peer:finish()
      end)
      for _ = 1, 2 do
        openssl_client(port, "-sess_in " .. file, function(peer)
          peer:expect("Reused, ")
          peer:write("again\n")
          peer:expect("AGAIN")
          peer:finish()
        end)
      end
    end)
  end)

  peer_it("openssl", "TLS-19 asks OpenSSL for its certificate", function()
    local context = C.server_context()
    context:load_verify_locations({cafile = C.root})
    context.verify_mode = "required"
    serving(context, function(port, results)
      local mine = C.issue {name = "dtls-peer-client"}
      openssl_client(port, "-quiet -cert " .. mine .. " -key " .. mine,
        function(peer)
          peer:write("hello\n")
          peer:expect("HELLO")
          peer:finish()
        end)
      openssl_client(port, "-quiet", function(peer)
        peer:expect("handshake failure")
      end)
      assert.matches("peer did not return a certificate",
        tostring(results[#results]))
    end)
  end)

  peer_it("gnutls-cli", "TLS-19 is talked to by GnuTLS", function()
    serving(nil, function(port, results)
      with_peer(("gnutls-cli --udp -p %d --x509cafile %s 127.0.0.1"):format(
        port, C.root), function(peer)
          peer:expect("Handshake was completed")
          peer:write("hello there\n")
          peer:expect("HELLO THERE")
          peer:finish()
        end)
      while not results[2] do trio.sleep(0.01) end
      assert.same({"hello there\n", "the end"}, results)
    end)
  end)

  peer_it("gnutls-cli", "TLS-19 is refused by GnuTLS", function()
    serving(nil, function(port, results)
      with_peer(("gnutls-cli --udp -p %d --x509cafile %s 127.0.0.1"):format(
        port, C.new_root("dtls-peer-root")), function(peer)
          peer:expect("NOT trusted")
          while not results[1] do trio.sleep(0.01) end
        end)
      assert.is_true(trio.isinstance(results[1], trio.BrokenResourceError))
    end)
  end)
end)
