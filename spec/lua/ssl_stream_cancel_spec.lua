-- SPDX-License-Identifier: MIT
-- Cancelling operations of TLS streams in each of their waits, and both
-- directions at once over transports that wait at random.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local testing = trio.testing
local it = H.trio_it
local pair, together, handshake = T.pair, T.together, T.handshake

-- A stream over another one that waits before and after each operation.
local function slowed(inner, sleep)
  local Slow = trio.abc.Stream({})
  function Slow.send_all(_, data)
    sleep()
    inner:send_all(data)
    sleep()
  end
  function Slow.wait_send_all_might_not_block()
    sleep()
    inner:wait_send_all_might_not_block()
  end
  function Slow.receive_some(_, max_bytes)
    sleep()
    local data = inner:receive_some(max_bytes)
    sleep()
    return data
  end
  function Slow.aclose()
    inner:aclose()
  end
  return setmetatable({}, Slow)
end

-- Two streams over transports in which each wait takes a second, or what
-- random(n) says.
local function slow_pair(opts, random)
  local function sleep() trio.sleep(random and random(0, 9) or 1) end
  opts = opts or {}
  opts.transport = function()
    local a, b = testing.memory_stream_pair()
    return slowed(a, sleep), slowed(b, sleep)
  end
  return pair(opts)
end

local function state_of(stream)
  return tostring(stream):match(" (%l+) of ")
end

-- Cancel fn(client, server) at once, after 0.5 seconds, 1.5... until it is
-- through;
-- check(client, server, seconds) is called after each that was cancelled.
-- Returns how often that was.
local function cancel_everywhere(make, fn, check)
  for count = 0, 100 do
    local client, server = make()
    local scope = trio.move_on_after(math.max(0, count - 0.5), function()
      fn(client, server)
    end)
    if not scope.cancelled_caught then
      T.close(client, server)
      return count
    end
    check(client, server, count)
    T.close(client, server)
  end
  error("it never ends")
end

local function connected() return handshake(slow_pair()) end

-- The methods that need a working stream raise this class.
local function all_raise(class, stream)
  for _, name in ipairs {"receive_some", "do_handshake", "unwrap",
                         "wait_send_all_might_not_block"} do
    H.raises_class(class, stream[name], stream)
  end
  H.raises_class(class, stream.send_all, stream, "x")
end

describe("cancelling", function()
  it("a handshake breaks the stream, except before it begins", function()
    local count = cancel_everywhere(slow_pair, function(client, server)
      trio.open_nursery(function(nursery)
        nursery:start_soon(server.do_handshake, server)
        client:do_handshake()
      end)
    end, function(client)
      all_raise(trio.BrokenResourceError, client)
      trio.aclose_forcefully(client)
      all_raise(trio.ClosedResourceError, client)
    end)
    assert.is_true(count >= 4)
  end)

  it("send_all breaks the stream once it has begun", function()
    local data = ("x"):rep(200000)  -- several pieces
    local count = cancel_everywhere(connected, function(client, server)
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          while server:receive_some() do end
        end)
        client:send_all(data)
        nursery.cancel_scope:cancel()
      end)
    end, function(client, _, seconds)
      if seconds == 0 then
        assert.equal("open", state_of(client))
      else
        all_raise(trio.BrokenResourceError, client)
      end
    end)
    assert.is_true(count >= 4)
  end)

  it("receive_some after the handshake loses nothing", function()
    local count = cancel_everywhere(function()
      local client, server = connected()
      server:send_all("precious")
      return client, server
    end, function(client)
      assert.equal("precious", client:receive_some())
    end, function(client, server)
      assert.equal("open", state_of(client))
      assert.equal("open", state_of(server))
    end)
    assert.is_true(count >= 2)
    -- Where the transport itself loses nothing, neither does TLS.
    local client, server = handshake(pair())
    trio.move_on_after(1, function() client:receive_some() end)
    server:send_all("precious")
    assert.equal("precious", client:receive_some())
    T.close(client, server)
  end)

  it("aclose closes nevertheless, and raises", function()
    local count = cancel_everywhere(connected, function(client)
      client:aclose()
    end, function(client, server)
      all_raise(trio.ClosedResourceError, client)
      -- The goodbye may or may not have gone.
      local ok, err = pcall(server.receive_some, server)
      assert.is_true(ok and err == nil
        or trio.isinstance(err, trio.BrokenResourceError))
    end)
    assert.is_true(count >= 2)
  end)

  it("unwrap breaks the stream once it has begun to send", function()
    local count = cancel_everywhere(connected, function(client, server)
      trio.open_nursery(function(nursery)
        nursery:start_soon(server.unwrap, server)
        client:unwrap()
      end)
      client:aclose()
    end, function(client)
      local state = state_of(client)
      assert.is_true(state == "open" or state == "broken" or
        state == "closed")
    end)
    assert.is_true(count >= 3)
  end)
end)

describe("both directions at once", function()
  for seed = 1, 5 do
    it("TLS-17 with new keys again and again, at random, seed " .. seed,
      function()
      math.randomseed(seed)
      local client, server = slow_pair(nil, math.random)
      handshake(client, server)
      local rounds = H.many(60)
      local function sender(stream, letter)
        return function()
          for _ = 1, rounds do
            trio.sleep(math.random(0, 5))
            if math.random(3) == 1 then
              rawget(stream, "_engine"):key_update()
            end
            if math.random(4) == 1 then
              stream:wait_send_all_might_not_block()
            end
            stream:send_all(letter:rep(math.random(100)) .. "\n")
          end
        end
      end
      local function receiver(stream, letter)
        return function()
          local lines = 0
          while lines < rounds do
            trio.sleep(math.random(0, 5))
            local data = stream:receive_some(math.random(200))
            assert.is_nil(data:find("[^\n" .. letter .. "]"))
            lines = lines + select(2, data:gsub("\n", ""))
          end
        end
      end
      trio.fail_after(100000, function()
        together(sender(client, "c"), receiver(client, "s"),
          sender(server, "s"), receiver(server, "c"))
        together(function() client:aclose() end, function()
          assert.is_nil(server:receive_some())
          server:aclose()
        end)
      end)
    end)
  end
end)

describe("a peer that asks for a new handshake", function()
  it("TLS-17 is refused, and nobody waits for ever", function()
    local outcome
    trio.open_nursery(function(nursery)
      local listeners = nursery:start(trio.serve_ssl_over_tcp, function(stream)
        outcome = table.pack(trio.pcall(function()
          for data in stream do stream:send_all(data) end
        end))
        nursery.cancel_scope:cancel()
      end, 0, T.server_context, {host = "127.0.0.1"})
      local port = listeners[1].socket:getsockname()[2]
      -- A line "R" is its command to renegotiate.
      local process = trio.run_process({
        "openssl", "s_client", "-tls1_2", "-connect", "127.0.0.1:" .. port,
        "-CAfile", C.root,
      }, {input = "R\n", check = false, capture_stdout = true,
          capture_stderr = true})
      assert.matches("RENEGOTIATING", process.stdout .. process.stderr)
      trio.sleep(20)
      error("the server still waits")
    end)
    assert.is_false(outcome[1])
    assert.is_true(trio.isinstance(outcome[2], trio.BrokenResourceError))
  end, {real_clock = true})
end)
