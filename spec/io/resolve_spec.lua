-- SPDX-License-Identifier: MIT
-- Look-ups of names by the system. Resolvers of the program: lua/socket_spec.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local getaddrinfo, getnameinfo = socket.getaddrinfo, socket.getnameinfo

local NO_SUCH_HOST = "no-such-host.invalid"

describe("getaddrinfo", function()
  N.it("SOCK-14 gives the addresses of numbers", function()
    local found
    P.is_checkpoint(function()
      found = getaddrinfo("127.0.0.1", "12345", {type = socket.SOCK_STREAM})
    end)
    assert.same({{
      family = socket.AF_INET, type = socket.SOCK_STREAM,
      proto = socket.IPPROTO_TCP, canonname = "",
      address = {"127.0.0.1", 12345},
    }}, found)
    P.is_checkpoint(function()
      found = getaddrinfo("::1", 12345, {type = socket.SOCK_DGRAM})
    end)
    assert.same({{
      family = socket.AF_INET6, type = socket.SOCK_DGRAM,
      proto = socket.IPPROTO_UDP, canonname = "",
      address = {"::1", 12345, 0, 0},
    }}, found)
  end)

  N.it("gives the wildcard and this machine for no host", function()
    local stream = {type = socket.SOCK_STREAM, family = socket.AF_INET}
    assert.same({"127.0.0.1", 80}, getaddrinfo(nil, 80, stream)[1].address)
    stream.flags = socket.AI_PASSIVE
    assert.same({"0.0.0.0", 80}, getaddrinfo(nil, 80, stream)[1].address)
    assert.same({"1.2.3.4", 0}, getaddrinfo("1.2.3.4", nil, stream)[1].address)
  end)

  N.it("SOCK-14 gives the addresses of names", function()
    local found
    P.is_checkpoint(function()
      found = getaddrinfo("localhost", "80", {
        type = socket.SOCK_STREAM, family = socket.AF_INET,
      })
    end)
    assert.same({"127.0.0.1", 80}, found[1].address)
    found = getaddrinfo("127.0.0.1", "http", {type = socket.SOCK_STREAM})
    assert.same({"127.0.0.1", 80}, found[1].address)
  end, {real_clock = true})

  N.it("SOCK-14 raises OSError for both, at a checkpoint", function()
    local err
    P.is_checkpoint(function()
      err = H.raises_class(trio.OSError, getaddrinfo, "::1", "12345",
        {type = -1})
    end)
    assert.equal("EAI_SOCKTYPE", err.code)
    assert.equal(socket.EAI_SOCKTYPE, err.errno)
    assert.equal("getaddrinfo", err.syscall)
    P.is_checkpoint(function()
      err = H.raises_class(trio.OSError, getaddrinfo, NO_SUCH_HOST, "12345")
    end)
    assert.is_true(err.code == "EAI_NONAME" or err.code == "EAI_AGAIN",
      err.code)
    assert.truthy(tostring(err):find(NO_SUCH_HOST, 1, true))
  end, {real_clock = true})

  N.it("is cancelled at once, and the late answer is dropped", function()
    N.is_cancelled(getaddrinfo, "127.0.0.1", 80)
    N.is_cancelled(getaddrinfo, "localhost", 80)
    trio.open_nursery(function(nursery)
      for _ = 1, 3 do nursery:start_soon(getaddrinfo, "localhost", 80) end
      trio.lowlevel.checkpoint()
      trio.lowlevel.checkpoint()
      nursery.cancel_scope:cancel()
    end)
    -- The last one of a queue is done when all others are.
    getaddrinfo("localhost", 80)
    getaddrinfo("localhost", 80)
    trio.sleep(0.05)
  end, {real_clock = true})

  N.it("checks its arguments", function()
    P.usage("bad argument #1 to 'getaddrinfo' %(string expected, got number%)",
      "(...)(1, 80)", getaddrinfo)
    P.usage("bad argument #2 to 'getaddrinfo'", "(...)('x', 1.5)", getaddrinfo)
    P.usage("bad argument #2 to 'getaddrinfo'", "(...)('x', {})", getaddrinfo)
    P.usage("bad argument #3 to 'getaddrinfo' %(unknown option 'kind'%)",
      "(...)('x', 1, {kind = 1})", getaddrinfo)
    P.usage("option 'type' must be an integer", "(...)('x', 1, {type = 'x'})",
      getaddrinfo)
  end)

  it("must be called from a task", function()
    H.raises("trio.socket.getaddrinfo must be called from inside a task",
      getaddrinfo, "127.0.0.1", 80)
    H.raises("trio.socket.getnameinfo must be called from inside a task",
      getnameinfo, {"127.0.0.1", 80})
  end)
end)

describe("getnameinfo", function()
  local NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV

  N.it("gives host and service", function()
    P.is_checkpoint(function()
      assert.same({"127.0.0.1", "1234"},
        {getnameinfo({"127.0.0.1", 1234}, NUMERIC)})
    end)
    assert.same({"::1", "1234"}, {getnameinfo({"::1", 1234}, NUMERIC)})
    assert.same({"localhost", "80"},
      {getnameinfo({"127.0.0.1", 80}, socket.NI_NUMERICSERV)})
    local _, service = getnameinfo({"127.0.0.1", 80})
    assert.equal("http", service)
  end, {real_clock = true})

  N.it("wants a numeric address", function()
    P.is_checkpoint(function()
      local err = H.raises_class(trio.OSError, getnameinfo, {"localhost", 80})
      assert.equal("EAI_NONAME", err.code)
    end)
    P.usage("bad argument #1 to 'getnameinfo' %(an address is {host, port}%)",
      "(...)('127.0.0.1')", getnameinfo)
    P.usage("bad argument #2 to 'getnameinfo'", "(...)({'::1', 1}, 'x')",
      getnameinfo)
  end)

  N.it("can be cancelled", function()
    N.is_cancelled(getnameinfo, {"127.0.0.1", 80}, NUMERIC)
  end)
end)
