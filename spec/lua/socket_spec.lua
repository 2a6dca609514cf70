-- SPDX-License-Identifier: MIT
-- Names in trio.socket: resolvers and factories of the program, and addresses
-- with names in them.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket

-- A resolver that remembers what it was asked, and gives one address.
local function resolver(address)
  local custom = {asked = {}}
  function custom:getaddrinfo(host, port, opts)
    self.asked[#self.asked + 1] = {host, port, opts}
    trio.lowlevel.checkpoint()
    return {{
      family = opts.family, type = opts.type, proto = 0, canonname = "",
      address = address or {"127.0.0.1", port},
    }}
  end
  function custom:getnameinfo(...)
    self.asked[#self.asked + 1] = {...}
    return "a host", "a service"
  end
  return custom
end

describe("a custom resolver", function()
  H.trio_it("SOCK-13 is asked for names", function()
    local custom = resolver()
    assert.is_nil(socket.set_custom_hostname_resolver(custom))
    local found = socket.getaddrinfo("example.org", "http",
      {type = socket.SOCK_STREAM})
    assert.same({"127.0.0.1", "http"}, found[1].address)
    assert.same({{"example.org", "http", {
      family = 0, type = socket.SOCK_STREAM, proto = 0, flags = 0,
    }}}, custom.asked)
    assert.same({"a host", "a service"},
      {socket.getnameinfo({"1.2.3.4", 80}, 5)})
    assert.same({{"1.2.3.4", 80}, 5}, custom.asked[2])
    socket.getaddrinfo("1.2.3.4", "no-such-service")
    assert.equal(3, #custom.asked)
  end)

  H.trio_it("SOCK-13 is not asked for numbers", function()
    local custom = resolver()
    socket.set_custom_hostname_resolver(custom)
    socket.getaddrinfo("127.0.0.1", 80)
    socket.getaddrinfo("::1", "80")
    socket.getaddrinfo(nil, 80)
    local sock <close> = socket.socket()
    sock:bind({"127.0.0.1", 0})
    local other <close> = socket.socket()
    other:bind({"", 0})
    assert.same({}, custom.asked)
  end)

  H.trio_it("SOCK-13 is returned by who replaces it", function()
    local one, two = resolver(), resolver()
    assert.is_nil(socket.set_custom_hostname_resolver(one))
    assert.equal(one, socket.set_custom_hostname_resolver(two))
    assert.equal(two, socket.set_custom_hostname_resolver(nil))
    assert.is_nil(socket.set_custom_hostname_resolver(nil))
    assert.same({}, one.asked)
  end)

  it("SOCK-13 lasts for one run", function()
    trio.run(function()
      socket.set_custom_hostname_resolver(resolver())
    end)
    trio.run(function()
      assert.is_nil(socket.set_custom_hostname_resolver(nil))
      assert.is_nil(socket.set_custom_socket_factory(nil))
    end)
    P.usage("trio.socket.set_custom_hostname_resolver must be called inside",
      "(...)({getaddrinfo = print})", socket.set_custom_hostname_resolver)
  end)

  H.trio_it("SOCK-14 is a checkpoint even where it isn't one", function()
    socket.set_custom_hostname_resolver({getaddrinfo = function()
      return {}
    end})
    P.is_checkpoint(socket.getaddrinfo, "example.org", 80)
  end)

  H.trio_it("SOCK-14 may raise", function()
    socket.set_custom_hostname_resolver({getaddrinfo = function()
      error("no answer", 0)
    end})
    assert.equal("no answer", H.raises("no answer", socket.getaddrinfo,
      "example.org", 80))
  end)

  H.trio_it("SOCK-14 gets names in ASCII", function()
    local custom = resolver()
    socket.set_custom_hostname_resolver(custom)
    socket.getaddrinfo("faß.de", 80)
    socket.getaddrinfo("BÜCHER.example", 80)
    assert.equal("xn--fa-hia.de", custom.asked[1][1])
    assert.equal("xn--bcher-kva.example", custom.asked[2][1])
    local err = H.raises_class(trio.OSError, socket.getaddrinfo, "\xff", 80)
    assert.equal("EAI_NONAME", err.code)
    assert.equal(2, #custom.asked)
  end)

  H.trio_it("is checked", function()
    for _, name in ipairs {"set_custom_hostname_resolver",
      "set_custom_socket_factory"} do
      P.usage("bad argument #1 to '" .. name .. "' %(object expected, got num",
        "(...)(1)", socket[name])
      P.usage("an object with a method '", "(...)({})", socket[name])
    end
  end)
end)

describe("a custom socket factory", function()
  H.trio_it("SOCK-13 makes new sockets, and nothing else", function()
    local made = {}
    local factory = {}
    function factory.socket(self, ...)
      assert.equal(factory, self)
      made[#made + 1] = {...}
      return "anything"
    end
    assert.is_nil(socket.set_custom_socket_factory(factory))
    assert.equal("anything", socket.socket())
    assert.equal("anything", socket.socket(1, 2, 3))
    assert.same({{socket.AF_INET, socket.SOCK_STREAM, 0}, {1, 2, 3}}, made)
    local a, b = socket.socketpair()
    local c = socket.fromfd(a:fileno())
    local d = socket.socket(nil, nil, nil, a:detach())
    assert.equal(2, #made)
    assert.equal("trio.socket", getmetatable(d))
    N.close(b, c, d)
    assert.equal(factory, socket.set_custom_socket_factory(nil))
    local sock <close> = socket.socket()
    assert.equal("trio.socket", getmetatable(sock))
  end)
end)

local FAMILIES = {
  {socket.AF_INET, "0.0.0.0", "127.0.0.1", "1.2.3.4", "255.255.255.255"},
}
if N.has_ipv6 then
  FAMILIES[2] = {
    socket.AF_INET6, "::", "::1", "1::2", "::ffff:255.255.255.255",
  }
end

describe("addresses with names", function()
  for _, line in ipairs(FAMILIES) do
    local family, wildcard, loopback, some, broadcast = table.unpack(line)

    -- What becomes of the address; the kernel is not asked.
    local function resolved(method, address, v6only)
      local sock <close> = socket.socket(family, socket.SOCK_DGRAM)
      if family == socket.AF_INET6 then
        sock:setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY,
          v6only and 1 or 0)
      end
      local ok, err = pcall(sock[method], sock, address)
      if ok then
        return method == "bind" and sock:getsockname() or sock:getpeername()
      end
      return err
    end

    N.it("SOCK-12 have wildcards in family " .. family, function()
      for _, host in ipairs {"", false} do
        local address = {host or nil, 0}
        assert.equal(wildcard, resolved("bind", address)[1])
        address[2] = 80
        assert.equal(loopback, resolved("connect", address)[1])
      end
    end)

    N.it("SOCK-12 have services in family " .. family, function()
      local custom = resolver({some, 80, 0, 0})
      socket.set_custom_hostname_resolver(custom)
      local sock <close> = socket.socket(family, socket.SOCK_DGRAM)
      pcall(sock.connect, sock, {some, "http"})
      assert.equal(some, custom.asked[1][1])
      assert.equal("http", custom.asked[1][2])
      assert.equal(family, custom.asked[1][3].family)
      assert.equal(loopback, resolved("connect", {loopback, "80"})[1])
    end)

    N.it("SOCK-12 know <broadcast> in family " .. family, function()
      local result = resolved("connect", {"<broadcast>", 123})
      if trio.isinstance(result, trio.OSError) then
        assert.truthy(result.message:find(broadcast, 1, true), result.message)
      else
        assert.equal(broadcast, result[1])
      end
    end)

    N.it("errors of a look-up come out in family " .. family, function()
      local err = resolved("bind", {"1.2:3", 1})
      assert.is_true(trio.isinstance(err, trio.OSError))
      assert.matches("^EAI_", err.code)
    end)
  end

  N.ipv6_it("SOCK-12 keep flow and scope of IPv6", function()
    local seen
    local sock <close> = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for _, case in ipairs {
      {{"name", 80}, 7, 3}, {{"name", 80, 1}, 1, 3}, {{"name", 80, 1, 2}, 1, 2},
    } do
      socket.set_custom_hostname_resolver(resolver({"fe80::1", 80, 7, 3}))
      local _, err = pcall(sock.connect, sock, case[1])
      seen = err
    end
    -- Scope 2 or none at all: such an interface needn't exist.
    assert.truthy(seen == nil or trio.isinstance(seen, trio.OSError))
  end)

  N.ipv6_it("SOCK-12 map IPv4 for sockets that take both", function()
    local sock <close> = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock:setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock:connect({"127.0.0.1", 80})
    assert.equal("::ffff:127.0.0.1", sock:getpeername()[1])
    local strict <close> = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    strict:setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    local err = H.raises_class(trio.OSError, strict.connect, strict,
      {"127.0.0.1", 80})
    assert.matches("^EAI_", err.code)
  end)

  N.it("are resolved by bind and connect", function()
    local listener = socket.socket()
    P.is_checkpoint(listener.bind, listener, {"localhost", 0})
    assert.equal("127.0.0.1", listener:getsockname()[1])
    listener:listen(1)
    local client = socket.socket()
    client:connect({"localhost", listener:getsockname()[2]})
    assert.same(listener:getsockname(), client:getpeername())
    N.close(listener, client)
  end, {real_clock = true})

  N.it("bind is a checkpoint that does nothing when cancelled", function()
    local sock <close> = socket.socket()
    P.is_checkpoint(sock.bind, sock, {"127.0.0.1", 0})
    local other <close> = socket.socket()
    N.is_cancelled(other.bind, other, {"127.0.0.1", 0})
    assert.equal(0, other:getsockname()[2])
  end)

  N.it("SOCK-09 a cancelled look-up closes the socket", function()
    socket.set_custom_hostname_resolver({getaddrinfo = function()
      trio.sleep_forever()
    end})
    local sock = socket.socket()
    trio.open_nursery(function(nursery)
      N.start(nursery, sock.connect, sock, {"example.org", 80})
      assert.is_true(sock:fileno() >= 0)
      nursery.cancel_scope:cancel()
    end)
    assert.equal(-1, sock:fileno())
  end)

  N.it("a failed look-up leaves the socket open", function()
    socket.set_custom_hostname_resolver({getaddrinfo = function()
      return {}
    end})
    local sock <close> = socket.socket()
    H.raises_class(trio.OSError, sock.connect, sock, {"example.org", 80})
    assert.is_true(sock:fileno() >= 0)
  end)
end)
