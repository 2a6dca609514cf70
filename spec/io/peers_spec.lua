-- SPDX-License-Identifier: MIT
-- Real peers: socat, ncat and redis-cli talk to servers written here, and
-- clients written here to servers of theirs.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local it = require "busted".it
local pending = require "busted".pending
local trio = require "trio"

local LOOPBACK = {host = "127.0.0.1"}

local function is_installed(program)
  return os.execute("command -v " .. program .. " >/dev/null 2>&1") == true
end

-- A test in real time that needs these programs.
local function peer_it(programs, name, fn)
  for program in programs:gmatch("%S+") do
    if not is_installed(program) then
      return pending(name .. " (" .. program .. " is not installed)")
    end
  end
  return it(name, function() H.run(fn, {real_clock = true}) end)
end

-- What a shell command prints.
local function sh(command)
  return trio.run_process(command, {
    shell = true, capture_stdout = true, stderr = "stdout", check = false,
  }).stdout
end

-- Serve on loopback while fn(port) runs.
local function serving(handler, fn)
  trio.open_nursery(function(nursery)
    local listener = nursery:start(trio.serve_tcp, handler, 0, LOOPBACK)[1]
    trio.fail_after(20, function() fn(listener.socket:getsockname()[2]) end)
    nursery.cancel_scope:cancel()
  end)
end

local function upper(stream)
  for chunk in stream do stream:send_all(chunk:upper()) end
end

-- A free port that nobody uses at the moment.
local function free_port()
  local sock <close> = trio.socket.socket()
  sock:bind({"127.0.0.1", 0})
  return sock:getsockname()[2]
end

-- Connect to a server that is about to start.
local function connect(port)
  return trio.fail_after(20, function()
    while true do
      local ok, stream = trio.pcall(trio.open_tcp_stream, "127.0.0.1", port)
      if ok then return stream end
      trio.sleep(0.02)
    end
  end)
end

-- The program in the background while fn() runs.
local function beside(command, fn)
  local words = {}
  for word in command:gmatch("%S+") do words[#words + 1] = word end
  trio.open_nursery(function(nursery)
    nursery:start(trio.run_process, words, {
      stdin = "null", stdout = "null", stderr = "null", check = false,
    })
    fn()
    nursery.cancel_scope:cancel()
  end)
end

describe("a server here", function()
  peer_it("socat", "answers socat", function()
    serving(upper, function(port)
      assert.equal("HELLO\n", sh(
        ("echo hello | socat -t 5 - TCP:127.0.0.1:%d"):format(port)))
    end)
  end)

  peer_it("socat", "gets a megabyte from socat and sends it back", function()
    serving(upper, function(port)
      assert.equal("1000000\n", sh((
        "head -c 1000000 /dev/zero | tr '\\0' a | " ..
        "socat -t 5 - TCP:127.0.0.1:%d | tr -d -c A | wc -c"):format(port)))
    end)
  end)

  peer_it("ncat", "answers ncat, which closes its half first", function()
    serving(function(stream)
      local text = N.read_all(stream)
      stream:send_all(("%d bytes"):format(#text))
    end, function(port)
      assert.equal("100000 bytes", sh((
        "head -c 100000 /dev/zero | ncat 127.0.0.1 %d"):format(port)))
    end)
  end)

  peer_it("ncat", "serves twenty ncats at a time", function()
    serving(upper, function(port)
      local text = sh((
        "for i in $(seq 20); do echo number $i | ncat 127.0.0.1 %d & done; wait"
        ):format(port))
      local count = 0
      for _ in text:gmatch("NUMBER %d+\n") do count = count + 1 end
      assert.equal(20, count, text)
    end)
  end)

  peer_it("socat", "answers socat on a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    trio.open_nursery(function(nursery)
      local listener = trio.open_unix_listener(path)
      nursery:start(trio.serve_listeners, upper, {listener})
      assert.equal("HELLO\n", sh(
        ("echo hello | socat -t 5 - UNIX-CONNECT:%s"):format(path)))
      nursery.cancel_scope:cancel()
    end)
    os.remove(path)
  end)

  peer_it("socat", "answers datagrams of socat", function()
    local sock <close> = trio.socket.socket(trio.socket.AF_INET,
      trio.socket.SOCK_DGRAM)
    sock:bind({"127.0.0.1", 0})
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        local data, from = sock:recvfrom(2000)
        sock:sendto(data:upper(), from)
      end)
      assert.equal("PING\n", sh(("echo ping | socat -t 2 - UDP:127.0.0.1:%d"
        ):format(sock:getsockname()[2])))
    end)
  end)

  peer_it("redis-cli", "is a key-value store for redis-cli", function()
    local port = free_port()
    beside(H.command .. " examples/redis_like.lua " .. port, function()
      connect(port):aclose()
      local client = "redis-cli -p " .. port .. " "
      assert.equal("PONG\n", sh(client .. "ping"))
      assert.equal("OK\na value\n", sh(client .. "set x 'a value'; " .. client
        .. "get x"))
      assert.equal("1\n2\n", sh("printf 'incr n\nincr n\n' | " .. client))
      assert.truthy(sh(client .. "incr x"):find("ERR value is not an integer",
        1, true))
      assert.truthy(sh(client .. "nonsense"):find("ERR unknown", 1, true))
      if is_installed("redis-benchmark") then
        local text = sh(("redis-benchmark -p %d -q -n 2000 -c 20 -t set,get"
          ):format(port))
        assert.truthy(text:find("SET: [%d.]+ requests per second"), text)
        assert.truthy(text:find("GET: [%d.]+ requests per second"), text)
      end
    end)
  end)
end)

describe("a client here", function()
  peer_it("socat", "talks to socat", function()
    local port = free_port()
    beside(("socat TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr EXEC:cat"):format(
      port), function()
      local stream <close> = connect(port)
      local data = ("0123456789"):rep(100000)
      local received
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          stream:send_all(data)
          stream:send_eof()
        end)
        received = N.read_all(stream)
      end)
      assert.is_true(received == data)
    end)
  end)

  peer_it("ncat", "talks to ncat", function()
    local port = free_port()
    beside(("ncat -l 127.0.0.1 %d -e /bin/cat"):format(port), function()
      local stream <close> = connect(port)
      stream:send_all("hello")
      assert.equal("hello", stream:receive_some())
    end)
  end)
end)
