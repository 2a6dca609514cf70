-- SPDX-License-Identifier: MIT
-- TLS with other implementations, openssl's commands and GnuTLS, in both roles.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local N = require "spec.support.net"
local P = require "spec.support.tls_peers"
local system = require "spec.support.system"
local trio = require "trio"

local LARGE = H.many(2000000)

local function each(name, fn)
  for _, peer in ipairs(P.all) do
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
      system.real_it(("%s, %s, %s"):format(name, peer.name, version),
        function()
        trio.fail_after(100, function() fn(peer, version) end)
      end)
    end
  end
end

local function data_of(length, letters)
  return (letters:rep(length // #letters + 1)):sub(1, length)
end

-- What the process prints until it has printed `length` bytes.
local function read_from(process, length)
  local parts, sum = {}, 0
  while sum < length do
    local data = process.stdout:receive_some()
    if not data then break end
    parts[#parts + 1] = data
    sum = sum + #data
  end
  return table.concat(parts)
end

local function receive_exactly(stream, length)
  local parts, sum = {}, 0
  while sum < length do
    local data = stream:receive_some()
    if not data then break end
    parts[#parts + 1] = data
    sum = sum + #data
  end
  return table.concat(parts)
end

local function together(...)
  local functions = {...}
  trio.open_nursery(function(nursery)
    for _, f in ipairs(functions) do nursery:start_soon(f) end
  end)
end

local function is_broken(err, pattern)
  assert.is_true(trio.isinstance(err, trio.BrokenResourceError), tostring(err))
  if pattern then assert.matches(pattern, err.cause.message) end
end

-- Servers that verify their clients.
local function demanding()
  local context = C.server_context()
  context:load_verify_locations{cafile = C.root}
  context.verify_mode = "required"
  return context
end

local client_certificate = C.issue{name = "friend"}

describe("a server for the client of", function()
  system.guard()

  each("ALPN, SNI and an echo", function(peer, version)
    local context, seen = C.server_context(), {}
    context:set_alpn_protocols({"nothing", "echo"})
    context.sni_callback = function(_, name) seen.name = name end
    local errors = P.serving(context, function(stream)
      stream:send_all(stream:receive_some())
      seen.protocol = stream:selected_alpn_protocol()
      seen.version = stream:version()
      assert.is_nil(stream:getpeercert())
    end, function(port)
      local result = trio.run_process(peer.client{
        port = port, version = version, alpn = "echo",
      }, {input = "hello\n", capture_stdout = true, capture_stderr = true})
      assert.equal("hello\n", result.stdout)
    end)
    assert.same({}, errors)
    assert.same({name = C.host, protocol = "echo", version = version}, seen)
  end)

  each("a client's certificate", function(peer, version)
    local subject
    local errors = P.serving(demanding(), function(stream)
      stream:send_all(stream:receive_some())
      subject = stream:getpeercert().subject.commonName
    end, function(port)
      local result = trio.run_process(peer.client{
        port = port, version = version, certificate = client_certificate,
      }, {input = "hello\n", capture_stdout = true, capture_stderr = true})
      assert.equal("hello\n", result.stdout)
    end)
    assert.same({}, errors)
    assert.equal("friend", subject)
  end)

  each("no client's certificate, or a wrong one", function(peer, version)
    for path, pattern in pairs {
      [false] = "peer did not return a certificate",
      [P.untrusted()] = "certificate verify failed: ",
    } do
      local errors = P.serving(demanding(), function(stream)
        stream:receive_some()
      end, function(port)
        trio.run_process(peer.client{
          port = port, version = version, certificate = path or nil,
        }, {capture_stdout = true, capture_stderr = true, check = false})
      end)
      assert.equal(1, #errors)
      is_broken(errors[1], pattern)
    end
  end)

  each("its refusal of our certificate", function(peer, version)
    local context = C.server_context(nil, P.untrusted())
    local errors = P.serving(context, function(stream)
      stream:receive_some()
    end, function(port)
      local result = trio.run_process(
        peer.client{port = port, version = version},
        {capture_stdout = true, capture_stderr = true, check = false})
      assert.not_equal(0, result.returncode)
    end)
    assert.equal(1, #errors)
    is_broken(errors[1])
  end)

  each("a session that is used again", function(peer, version)
    local seen = {}
    local errors = P.serving(C.server_context(), function(stream)
      stream:do_handshake()
      seen[#seen + 1] = stream.session_reused
      stream:send_all("hello\n")
    end, function(port)
      local file = C.path("session")
      for _, args in ipairs(peer.resumption(file)) do
        trio.run_process(
          peer.client{port = port, version = version, args = args},
          {capture_stdout = true, capture_stderr = true, check = false})
      end
    end)
    assert.same({}, errors)
    assert.same({false, true}, seen)
  end)

  each("much data both ways at once", function(peer, version)
    local there = data_of(LARGE, "There goes\n")
    local back = data_of(LARGE, "Back.\n")
    local received, done = nil, trio.Event()
    local errors = P.serving(C.server_context(), function(stream)
      together(function() stream:send_all(back) end,
        function() received = receive_exactly(stream, LARGE) end)
      done:set()
    end, function(port)
      P.running(peer.client{port = port, version = version},
        function(process)
        local printed
        together(function() process.stdin:send_all(there) end,
          function() printed = read_from(process, LARGE) end)
        assert.is_true(printed == back)
        done:wait()  -- it has passed on everything
      end)
    end)
    assert.equal("", errors[1] and tostring(errors[1]) or "")
    assert.is_true(received == there)
  end)

  for _, https in ipairs {false, true} do
    each("its violent end, https_compatible=" .. tostring(https),
      function(peer, version)
      local last = "unset"
      local errors = P.serving(C.server_context(), function(stream)
        stream:send_all("hello\n")
        last = stream:receive_some()
      end, function(port)
        P.running(peer.client{port = port, version = version},
          function(process)
          assert.equal("hello\n", read_from(process, 6))
        end)
      end, https)
      if https then
        assert.same({}, errors)
        assert.is_nil(last)
      else
        is_broken(errors[1], "ended without a goodbye")
      end
    end)
  end
end)

describe("a client of the server of", function()
  system.guard()

  local function talk(stream, line, expected)
    stream:send_all(line .. "\n")
    assert.equal(expected .. "\n", receive_exactly(stream, #expected + 1))
  end

  each("ALPN, SNI and an echo", function(peer, version)
    local context = C.client_context()
    context:set_alpn_protocols({"nothing", "echo"})
    -- By openssl's server the two exclude each other.
    for _, opts in ipairs {{name = C.host}, {alpn = "echo"}} do
      opts.version, opts.echo = version, true
      P.with_server(peer, opts, function(open)
        local stream <close> = open(context)
        talk(stream, "hello", peer.echoed("hello"))
        assert.equal(opts.alpn, stream:selected_alpn_protocol())
        assert.equal(version, stream:version())
        assert.equal(C.host, stream:getpeercert().subject.commonName)
        stream:aclose()
      end)
    end
  end)

  each("a certificate that we refuse", function(peer, version)
    P.with_server(peer, {version = version, echo = true}, function(open)
      local stream <close> = open(trio.ssl.create_default_context())
      is_broken(H.raises_class(trio.BrokenResourceError, stream.send_all,
        stream, "x"), "^certificate verify failed: unable to get local issuer")
      local other <close> = open(C.client_context(),
        {server_hostname = "elsewhere.example.org"})
      is_broken(H.raises_class(trio.BrokenResourceError, other.receive_some,
        other), "host name mismatch")
      -- The server goes on.
      local good <close> = open(C.client_context())
      talk(good, "hello", peer.echoed("hello"))
    end)
  end)

  each("our certificate", function(peer, version)
    P.with_server(peer, {version = version, echo = true, verify = true},
      function(open)
      local function context_of(path)
        local context = C.client_context()
        if path then context:load_cert_chain(path) end
        return context
      end
      for _, path in ipairs {false, P.untrusted()} do
        local stream <close> = open(context_of(path))
        -- With TLS 1.3 it learns of it when it receives.
        local err = H.raises_class(trio.BrokenResourceError, function()
          stream:do_handshake()
          while true do assert(stream:receive_some()) end
        end)
        is_broken(err, "alert")
      end
      local stream <close> = open(context_of(client_certificate))
      talk(stream, "hello", peer.echoed("hello"))
    end)
  end)

  each("a session that is used again", function(peer, version)
    local context = C.client_context()
    P.with_server(peer, {version = version, echo = true}, function(open)
      local session
      for round = 1, 3 do
        local stream <close> = open(context, {session = session})
        talk(stream, "hello", peer.echoed("hello"))
        assert.equal(round > 1, stream.session_reused)
        session = stream.session
        stream:aclose()
      end
    end)
  end)

  each("its violent end", function(peer, version)
    for _, https in ipairs {false, true} do
      P.with_server(peer, {version = version, echo = true},
        function(open, process)
        local stream <close> = open(C.client_context(),
          {https_compatible = https})
        talk(stream, "hello", peer.echoed("hello"))
        process:kill()
        if https then
          assert.is_nil(stream:receive_some())
        else
          is_broken(H.raises_class(trio.BrokenResourceError,
            stream.receive_some, stream), "ended without a goodbye")
        end
        H.raises_class(trio.BrokenResourceError, function()
          while true do stream:send_all("x") end
        end)
      end)
    end
  end)

  local versions = {"TLSv1.2", "TLSv1.3"}
  for _, version in ipairs(versions) do
    system.real_it("much data both ways at once, openssl, " .. version,
      function()
      local there = data_of(LARGE, "There goes\n")
      local back = data_of(LARGE, "Back.\n")
      P.with_server(P.openssl, {version = version}, function(open, process)
        local stream <close> = open(C.client_context())
        stream:do_handshake()
        local printed, received
        together(
          function() stream:send_all(there) end,
          function() process.stdin:send_all(back) end,
          function() printed = read_from(process, LARGE) end,
          function() received = receive_exactly(stream, LARGE) end)
        assert.is_true(printed == there)
        assert.is_true(received == back)
      end)
    end)

    -- It sends line by line what it gets.
    system.real_it("much data both ways at once, gnutls, " .. version,
      function()
      local data = data_of(LARGE, ("line"):rep(250) .. "\n")
      P.with_server(P.gnutls, {version = version, echo = true}, function(open)
        local stream <close> = open(C.client_context())
        local received
        together(function() stream:send_all(data) end,
          function() received = receive_exactly(stream, LARGE) end)
        assert.is_true(received == data)
      end)
    end)
  end
end)

-- What both sides do when they are refused is a matter of taste; here they all
-- give up, with an alert, and nobody waits for ever.
describe("a new handshake of TLS 1.2", function()
  system.guard()

  local function is_refused(errors)
    assert.equal(1, #errors)
    is_broken(errors[1], "^the peer sent the alert '")
  end

  system.real_it("TLS-17 is refused to the client of openssl", function()
    is_refused(P.serving(C.server_context(), function(stream)
      stream:receive_some()
    end, function(port)
      local result = trio.run_process(P.openssl.client{
        port = port, version = "TLSv1.2", loud = true,
      }, {
        input = "R\n", capture_stdout = true, capture_stderr = true,
        check = false,
      })
      assert.matches("RENEGOTIATING.*no renegotiation", result.stderr)
    end))
  end)

  system.real_it("TLS-17 is refused to the client of GnuTLS", function()
    is_refused(P.serving(C.server_context(), function(stream)
      stream:receive_some()
    end, function(port)
      trio.run_process(P.gnutls.client{
        port = port, version = "TLSv1.2", args = {"--rehandshake"},
      }, {capture_stdout = true, capture_stderr = true, check = false})
    end))
  end)

  system.real_it("TLS-17 is refused to the server of openssl", function()
    P.with_server(P.openssl, {version = "TLSv1.2", loud = true},
      function(open, process)
      local stream <close> = open(C.client_context())
      stream:do_handshake()
      process.stdin:send_all("R\n")
      is_refused({H.raises_class(trio.BrokenResourceError,
        stream.receive_some, stream)})
    end)
  end)
end)

-- The process prints a line like this, or like the other one.
local function wait_for_line(process, pattern, other)
  repeat
    local line = system.line_of(process)
    assert(process:poll() == nil or line ~= "", "it ended")
  until line:find(pattern) or line:find(other or pattern)
end

-- The peer is told to change its keys, and to ask for new ones of ours. Both
-- directions go on.
describe("new keys of TLS 1.3", function()
  system.guard()

  local function tell(process, command)
    process.stdin:send_all(command .. "\n")
    wait_for_line(process, "^KEYUPDATE", "^SSL_do_handshake %-> 1")
  end

  system.real_it("TLS-17 are taken by a server, from openssl", function()
    local heard = ""
    local errors = P.serving(C.server_context(), function(stream)
      for data in stream do
        heard = heard .. data
        stream:send_all("answer to " .. data)
      end
    end, function(port)
      P.running(P.openssl.client{
        port = port, version = "TLSv1.3", loud = true,
      }, function(process)
        for _, word in ipairs {"one", "two", "three"} do
          process.stdin:send_all(word .. "\n")
          wait_for_line(process, "^answer to " .. word)
          tell(process, "K")
          tell(process, "k")
        end
        process.stdin:send_all("Q\n")
        process:wait()
      end, "stdout")
    end)
    assert.equal("", errors[1] and tostring(errors[1]) or "")
    assert.equal("one\ntwo\nthree\n", heard)
  end)

  system.real_it("TLS-17 are taken by a client, from openssl", function()
    P.with_server(P.openssl, {version = "TLSv1.3", loud = true},
      function(open, process)
      local stream <close> = open(C.client_context())
      for _, word in ipairs {"one", "two", "three"} do
        stream:send_all(word .. "\n")
        wait_for_line(process, "^" .. word)
        tell(process, "K")
        tell(process, "k")
        process.stdin:send_all("answer to " .. word .. "\n")
        local answer = "answer to " .. word .. "\n"
        assert.equal(answer, receive_exactly(stream, #answer))
      end
    end)
  end)
end)

describe("a connection that is reset", function()
  for _, https in ipairs {false, true} do
    N.it("is broken, also for HTTPS: " .. tostring(https), function()
      local opts = {https_compatible = https}
      local a, b = N.tcp_stream_pair()
      local client, server = C.wrap(a, b,
        {client_opts = opts, server_opts = opts})
      together(function() client:do_handshake() end,
        function() server:do_handshake() end)
      client:send_all("unread")
      -- To close it at once, and not properly.
      b:setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER,
        string.pack("ii", 1, 0))
      trio.aclose_forcefully(server)
      for _ = 1, 2 do
        H.raises_class(trio.BrokenResourceError, client.receive_some, client)
        H.raises_class(trio.BrokenResourceError, client.send_all, client, "x")
      end
      client:aclose()
      H.raises_class(trio.ClosedResourceError, client.receive_some, client)
    end, {real_clock = true})
  end
end)
