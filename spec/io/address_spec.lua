-- SPDX-License-Identifier: MIT
-- Addresses between Lua and C. Names are looked up in lua/socket_spec.
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket

-- What a datagram socket calls itself after it was bound or connected.
local function after(method, family, address)
  local sock <close> = socket.socket(family, socket.SOCK_DGRAM)
  sock[method](sock, address)
  return method == "bind" and sock:getsockname() or sock:getpeername()
end

describe("an IPv4 address", function()
  N.it("SOCK-12 is {host, port}", function()
    assert.same({"127.0.0.1", 80},
      after("connect", socket.AF_INET, {"127.0.0.1", 80}))
    assert.equal("127.0.0.1",
      after("bind", socket.AF_INET, {"127.0.0.1", 0})[1])
  end)

  N.it("SOCK-12 of another shape is refused", function()
    local sock <close> = socket.socket()
    for _, method in ipairs {"bind", "connect"} do
      for _, wrong in ipairs {
        "1.2.3.4", 80, true, {}, {"1.2.3.4"}, {"1.2.3.4", 80, 0},
        {"1.2.3.4", 80, 0, 0}, {nil, nil, 1},
      } do
        P.usage("bad argument #1 to '" .. method ..
          "' %(an address is {host, port}%)",
          "local s, x = ... s:" .. method .. "(x)", sock, wrong)
      end
      for _, wrong in ipairs {{80, 80}, {{}, 80}, {true, 80}} do
        P.usage("the host of the address must be a string",
          "local s, x = ... s:" .. method .. "(x)", sock, wrong)
      end
      for _, wrong in ipairs {
        {"1.2.3.4", -1}, {"1.2.3.4", 65536}, {"1.2.3.4", 1.5},
        {"1.2.3.4", {}}, {"localhost", 1 << 40},
      } do
        P.usage("the port of the address must be an integer from 0 to 65535",
          "local s, x = ... s:" .. method .. "(x)", sock, wrong)
      end
    end
  end)
end)

describe("an IPv6 address", function()
  N.ipv6_it("SOCK-12 keeps flow and scope", function()
    assert.same({"::1", 80, 0, 0},
      after("connect", socket.AF_INET6, {"::1", 80}))
    assert.same({"::1", 80, 0, 0},
      after("connect", socket.AF_INET6, {"::1", 80, 0}))
    local bound = after("bind", socket.AF_INET6, {"::1", 0, 0, 0})
    assert.same({"::1", 0, 0}, {bound[1], bound[3], bound[4]})
    local numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert.equal("fe80::1%lo",
      (socket.getnameinfo({"fe80::1", 80, 0, 1}, numeric)))
    local found = socket.getaddrinfo("fe80::1%lo", 80,
      {type = socket.SOCK_STREAM})
    assert.same({"fe80::1", 80, 0, 1}, found[1].address)
  end)

  N.ipv6_it("SOCK-12 of another shape is refused", function()
    local sock <close> = socket.socket(socket.AF_INET6)
    for _, wrong in ipairs {"::1", {"::1"}, {"::1", 80, 0, 0, 0}} do
      P.usage("an address is {host, port %[, flow %[, scope%]%]}",
        "local s, x = ... s:bind(x)", sock, wrong)
    end
    P.usage("the flow of the address", "(...):bind({'::1', 80, -1})", sock)
    P.usage("the flow of the address", "(...):bind({'::1', 80, 1 << 20})",
      sock)
    P.usage("the scope of the address", "(...):bind({'::1', 80, 0, 'x'})",
      sock)
  end)
end)

describe("the address of a Unix socket", function()
  N.it("SOCK-12 is a path", function()
    local sock <close> = socket.socket(socket.AF_UNIX)
    P.usage("a path expected", "(...):bind({'x', 1})", sock)
    P.usage("a path expected", "(...):bind()", sock)
    P.usage("the path is empty", "(...):bind('')", sock)
    P.usage("the path is too long", "(...):bind(('x'):rep(108))", sock)
    P.usage("the path has a zero byte", "(...):bind('a\\0b')", sock)
    assert.equal("", sock:getsockname())
  end)
end)

describe("sockets of other families", function()
  N.it("have no addresses here", function()
    local ok, sock = pcall(socket.socket, 16, socket.SOCK_RAW)  -- netlink
    if not ok then return end
    local _ <close> = sock
    assert.is_nil(sock:getsockname())
    P.usage("addresses of this family are not supported",
      "(...):bind({'x', 1})", sock)
  end)
end)
