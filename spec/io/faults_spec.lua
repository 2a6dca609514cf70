-- SPDX-License-Identifier: MIT
-- What goes wrong on a network: cancellation at every moment, resets, peers
-- that don't read, no more descriptors. Nothing leaks and no byte is lost.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local cli = require "spec.support.cli"
local trio = require "trio"
local socket = trio.socket
local checkpoint = trio.lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

-- Run the scenario again and again, cancelled after 0, 1, 2... passes of the
-- scheduler, until it gets through. After each nothing may be open.
local function cancelled_everywhere(scenario)
  local open = trio.testing._open_descriptors()
  for passes = 0, 1000 do
    local finished = false
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for _ = 1, passes do checkpoint() end
        nursery.cancel_scope:cancel()
      end)
      scenario()
      finished = true
    end)
    assert.equal(open, trio.testing._open_descriptors(),
      "after " .. passes .. " passes")
    if finished then return passes end
  end
  error("the scenario never gets through")
end

describe("a cancellation at any moment", function()
  N.it("leaves nothing of connect, accept, send and receive", function()
    local passes = cancelled_everywhere(function()
      local listener <close> =
        trio.open_tcp_listeners(0, {host = "127.0.0.1"})[1]
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local server <close> = listener:accept()
          for chunk in server do server:send_all(chunk) end
        end)
        local client <close> = trio.open_tcp_stream("127.0.0.1",
          listener.socket:getsockname()[2])
        for _ = 1, 3 do
          client:send_all("ping")
          assert.equal("ping", client:receive_some())
        end
        client:send_eof()
        assert.is_nil(client:receive_some())
      end)
    end)
    assert.is_true(passes > 10)
  end)

  N.it("leaves nothing of sockets and names", function()
    cancelled_everywhere(function()
      socket.set_custom_hostname_resolver({getaddrinfo = function(_, _, port)
        checkpoint()
        return {{
          family = socket.AF_INET, type = socket.SOCK_STREAM, proto = 0,
          canonname = "", address = {"127.0.0.1", port},
        }}
      end})
      local listener <close> = socket.socket()
      listener:bind({"a.name", 0})
      listener:listen(5)
      local client <close> = socket.socket()
      client:connect({"another.name", listener:getsockname()[2]})
      local server <close> = listener:accept()
      client:sendmsg({"a", "b"})
      assert.equal("ab", server:recv(10))
      server:send("c")
      assert.equal("c", (client:recvmsg(10)))
    end)
  end)

  N.it("leaves nothing of a server", function()
    cancelled_everywhere(function()
      trio.open_nursery(function(nursery)
        local listeners = nursery:start(trio.serve_tcp, function(stream)
          stream:send_all("hello")
          stream:receive_some()
        end, 0)
        for _, listener in ipairs(listeners) do
          local client <close> =
            trio.testing.open_stream_to_socket_listener(listener)
          assert.equal("hello", client:receive_some())
        end
        nursery.cancel_scope:cancel()
      end)
    end)
  end)

  N.it("loses no byte of what is received", function()
    for _, maker in ipairs {N.stream_pair, N.tcp_stream_pair, N.pipe_pair} do
      local sender, receiver = maker()
      local data = {}
      for i = 1, 3000 do data[i] = ("%05d "):format(i) end
      data = table.concat(data)
      local received = {}
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for from = 1, #data, 77 do
            sender:send_all(data:sub(from, from + 76))
            checkpoint()
          end
          sender:aclose()
        end)
        local ended, passes = false, 0
        while not ended do
          passes = (passes + 1) % 7
          trio.open_nursery(function(inner)
            inner:start_soon(function()
              for _ = 1, passes do checkpoint() end
              inner.cancel_scope:cancel()
            end)
            while true do
              local chunk = receiver:receive_some(50 + passes)
              if not chunk then
                ended = true
                break
              end
              received[#received + 1] = chunk
            end
          end)
        end
      end)
      assert.is_true(table.concat(received) == data)
      receiver:aclose()
    end
  end)

  N.it("loses no connection", function()
    local listener = trio.open_tcp_listeners(0, {host = "127.0.0.1"})[1]
    local clients, servers = {}, {}
    for i = 1, 30 do
      clients[i] = trio.testing.open_stream_to_socket_listener(listener)
      clients[i]:send_all(("%02d"):format(i))
    end
    local passes = 0
    while #servers < 30 do
      passes = (passes + 1) % 5
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          for _ = 1, passes do checkpoint() end
          nursery.cancel_scope:cancel()
        end)
        while #servers < 30 do
          servers[#servers + 1] = listener:accept()
        end
      end)
    end
    local numbers = {}
    for i, server in ipairs(servers) do numbers[i] = server:receive_some() end
    table.sort(numbers)
    for i = 1, 30 do assert.equal(("%02d"):format(i), numbers[i]) end
    for i = 1, 30 do N.close(clients[i].socket, servers[i].socket) end
    listener:aclose()
  end)
end)

-- Close so that the peer gets a reset.
local function reset(stream)
  stream:setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
    string.pack("i4i4", 1, 0))
  stream:aclose()
end

describe("a connection that is reset", function()
  N.it("breaks a receive that waits", function()
    local a, b = N.tcp_stream_pair()
    trio.open_nursery(function(nursery)
      local reader = N.start(nursery, a.receive_some, a)
      reset(b)
      wait_all_tasks_blocked()
      assert.is_true(trio.isinstance(reader.err, trio.BrokenResourceError))
      assert.equal("ECONNRESET", reader.err.cause.code)
    end)
    H.raises_class(trio.BrokenResourceError, a.send_all, a, "x")
    a:aclose()
  end)

  N.it("breaks a send that waits, and the receive beside it", function()
    local a, b = N.tcp_stream_pair()
    N.clog(a)
    trio.open_nursery(function(nursery)
      local sender = N.start(nursery, a.send_all, a, "x")
      local reader = N.start(nursery, a.receive_some, a)
      reset(b)
      wait_all_tasks_blocked()
      -- The system tells one of them; the other finds the connection ended.
      assert.is_true(sender.done and reader.done)
      assert.is_true(trio.isinstance(sender.err, trio.BrokenResourceError))
    end)
    a:aclose()
  end)

  N.it("ends a handler with BrokenResourceError, and not the others",
    function()
      local errors, served = {}, 0
      trio.open_nursery(function(nursery)
        local listener = nursery:start(trio.serve_tcp, function(stream)
          local ok, err = trio.pcall(function()
            for chunk in stream do stream:send_all(chunk) end
          end)
          if ok then served = served + 1 else errors[#errors + 1] = err end
        end, 0, {host = "127.0.0.1"})[1]
        for i = 1, 10 do
          local client = trio.testing.open_stream_to_socket_listener(listener)
          client:send_all("x")
          assert.equal("x", client:receive_some())
          if i % 2 == 0 then reset(client) else client:aclose() end
        end
        wait_all_tasks_blocked()
        nursery.cancel_scope:cancel()
      end)
      assert.equal(5, #errors)
      assert.equal(5, served)
      for _, err in ipairs(errors) do
        assert.is_true(trio.isinstance(err, trio.BrokenResourceError))
      end
    end)

  N.it("before it is accepted is no trouble", function()
    local listener = trio.open_tcp_listeners(0, {host = "127.0.0.1"})[1]
    reset(trio.testing.open_stream_to_socket_listener(listener))
    local stream = listener:accept()
    H.raises_class(trio.BrokenResourceError, stream.receive_some, stream)
    N.close(stream.socket, listener)
  end)
end)

describe("a peer", function()
  N.it("that never reads costs no memory", function()
    local a, b = N.tcp_stream_pair()
    local data = ("x"):rep(50000000)
    collectgarbage()
    local before = collectgarbage("count")
    trio.open_nursery(function(nursery)
      local sender = N.start(nursery, a.send_all, a, data)
      assert.is_false(sender.done)
      collectgarbage()
      assert.is_true(collectgarbage("count") - before < 100)
      nursery.cancel_scope:cancel()
    end)
    -- What was sent stands in the system's buffers, which are bounded.
    assert.is_true(N.drain(b.socket) < 20000000)
    N.close(a.socket, b.socket)
  end)

  N.it("that sends while nobody reads costs no memory", function()
    local a, b = N.tcp_stream_pair()
    N.clog(a)
    collectgarbage()
    local before = collectgarbage("count")
    for _ = 1, 20 do checkpoint() end
    wait_all_tasks_blocked()
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 100)
    N.close(a.socket, b.socket)
  end)

  N.it("that writes single bytes is understood", function()
    local a, b = N.tcp_stream_pair()
    local text = ("a line of text\r\n"):rep(50)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for byte in text:gmatch(".") do a:send_all(byte) end
        for byte in ("\n"):gmatch(".") do a:send_all(byte) end
        a:aclose()
      end)
      local count = 0
      for line in trio.BufferedReceiveStream(b):lines() do
        count = count + 1
        assert.equal(count <= 50 and "a line of text" or "", line)
      end
      assert.equal(51, count)
    end)
    b:aclose()
  end)

  N.it("that closes its half still gets the answer", function()
    local a, b = N.tcp_stream_pair()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        local request = N.read_all(b)
        b:send_all(request:reverse():rep(100000))
        b:aclose()
      end)
      a:send_all("request")
      a:send_eof()
      assert.is_true(N.read_all(a) == ("tseuqer"):rep(100000))
    end)
    a:aclose()
  end)
end)

describe("a process without descriptors", function()
  it("gets EMFILE from everything, and goes on when it has some", function()
    local result = cli.run("PROG -W s.lua", {files = {["s.lua"] = [[
local trio = require "trio"
local socket = trio.socket
trio.run(function()
  local listener = trio.open_tcp_listeners(0, {host = "127.0.0.1"})[1]
  local address = listener.socket:getsockname()
  local client = trio.testing.open_stream_to_socket_listener(listener)
  local r, w = trio.testing._pipe()
  local limit = trio.testing._limit_descriptors(
    trio.testing._open_descriptors())
  -- Fill the gaps below the limit.
  local fillers = {}
  while true do
    local ok, sock = pcall(socket.socket)
    if not ok then break end
    fillers[#fillers + 1] = sock
  end
  local before = trio.testing._open_descriptors()
  local operations = {
    {"socket", function() return socket.socket() end},
    {"socketpair", function() return socket.socketpair() end},
    {"fromfd", function() return socket.fromfd(client.socket:fileno()) end},
    {"dup", function() return client.socket:dup() end},
    {"accept", function() return listener:accept() end},
    {"open_tcp_stream", function()
      return trio.open_tcp_stream("127.0.0.1", address[2])
    end},
    {"open_tcp_listeners", function() return trio.open_tcp_listeners(0) end},
    {"open_unix_socket", function()
      return trio.open_unix_socket("/no/such/file")
    end},
    {"wait_readable", function() return trio.lowlevel.wait_readable(r) end},
  }
  for _, operation in ipairs(operations) do
    local ok, err = trio.pcall(operation[2])
    local code = not ok and trio.isinstance(err, trio.OSError) and err.code
    print(operation[1], code, trio.testing._open_descriptors() - before)
  end
  trio.testing._limit_descriptors(limit)
  for _, sock in ipairs(fillers) do sock:close() end
  local server = listener:accept()
  client:send_all("hello")
  print(server:receive_some())
  server:aclose() client:aclose() listener:aclose()
  trio.testing._close(r) trio.testing._close(w)
end)]]}})
    local expected = {}
    for _, name in ipairs {"socket", "socketpair", "fromfd", "dup", "accept",
      "open_tcp_stream", "open_tcp_listeners", "open_unix_socket",
      "wait_readable"} do
      expected[#expected + 1] = name .. "\tEMFILE\t0\n"
    end
    expected[#expected + 1] = "hello\n"
    assert.equal(table.concat(expected), result.out, result.err)
    assert.equal("", result.err)
  end)
end)
