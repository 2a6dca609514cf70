-- SPDX-License-Identifier: MIT
-- open_tcp_stream against a network that is made up: which address is tried
-- when, and what becomes of the others. With real sockets: tcp_spec.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket

-- A network of addresses that each take a while and then do something.
local Network = {}
Network.__index = Network

local FakeSocket = {}
FakeSocket.__index = FakeSocket

function FakeSocket:connect(address)
  local host = address[1]
  assert(not self.network.sockets[host], "tried twice")
  self.host, self.port = host, address[2]
  self.network.sockets[host] = self
  self.network.times[host] = trio.current_time()
  local plan = self.network.plans[host]
  trio.sleep(plan[2])
  if plan[3] == "error" then error(trio.OSError("sorry")) end
  if plan[3] == "odd error" then error("odd", 0) end
  self.fails_later = plan[3] == "error later"
  self.succeeded = true
end

function FakeSocket:bind(address)
  self.bound_to = address
  if address[1]:find(":") ~= nil ~= (self.family == socket.AF_INET6) then
    error(trio.OSError("wrong family", {code = "EINVAL"}))
  end
end

function FakeSocket:setsockopt()
  if self.fails_later then error("not an OSError", 0) end
end

function FakeSocket:close() self.closed = true end

function Network:socket(family, kind, proto)
  if family == self.missing then error(trio.OSError("no such family")) end
  self.count = self.count + 1
  return setmetatable({
    network = self, family = family, type = kind, proto = proto,
  }, FakeSocket)
end

function Network:getaddrinfo(host, port, opts)
  assert.same({"test.example.com", 80, socket.SOCK_STREAM, 0, 0},
    {host, port, opts.type, opts.family, opts.flags})
  local found = {}
  for i, plan in ipairs(self.plans) do
    local is_v6 = plan[1]:find(":") ~= nil
    found[i] = {
      family = is_v6 and socket.AF_INET6 or socket.AF_INET,
      type = socket.SOCK_STREAM, proto = socket.IPPROTO_TCP, canonname = "",
      address = is_v6 and {plan[1], port, 0, 0} or {plan[1], port},
    }
  end
  return found
end

function Network.getnameinfo() error("nobody asks") end

-- All that was made was also tried; all but the winner are closed.
function Network:check(winner)
  local tried = 0
  for _, sock in pairs(self.sockets) do
    tried = tried + 1
    assert.equal(sock ~= winner or nil, sock.closed, sock.host)
    assert.equal(80, sock.port)
  end
  assert.equal(self.count, tried)
end

-- A network in place of the real one for the rest of the run. Each plan is
-- {address, seconds, what then}.
local function network(plans, missing)
  local self = setmetatable({
    plans = {}, sockets = {}, times = {}, count = 0, missing = missing,
  }, Network)
  for i, plan in ipairs(plans) do
    self.plans[i], self.plans[plan[1]] = plan, plan
  end
  socket.set_custom_hostname_resolver(self)
  socket.set_custom_socket_factory(self)
  return self
end

local function connect(opts)
  return trio.open_tcp_stream("test.example.com", 80, opts)
end

-- Connect; the winner's address, and when.
local function race(net, opts)
  local stream = connect(opts)
  net:check(stream.socket)
  return stream.socket.host, trio.current_time()
end

local function lose(net, opts)
  local err = H.raises_class(trio.OSError, connect, opts)
  net:check()
  return err, trio.current_time()
end

local function near(expected, actual)
  assert.is_true(math.abs(expected - actual) < 1e-9,
    ("%s is not %s"):format(actual, expected))
end

local function times_are(net, expected)
  for host, time in pairs(expected) do near(time, net.times[host]) end
  for host in pairs(net.times) do assert.truthy(expected[host], host) end
end

describe("open_tcp_stream with one address", function()
  for _, delay in ipairs {0.123, 100} do
    H.trio_it("EYEB-01 connects after " .. delay .. " seconds", function()
      local host, time = race(network {{"1.2.3.4", delay, "success"}})
      assert.equal("1.2.3.4", host)
      near(delay, time)
    end)

    H.trio_it("EYEB-01 fails after " .. delay .. " seconds", function()
      local err, time = lose(network {{"1.2.3.4", delay, "error"}})
      assert.equal(1, #err.cause.exceptions)
      near(delay, time)
    end)
  end
end)

local ONE_TWO_THREE = {
  {"1.1.1.1", 1, "success"}, {"2.2.2.2", 1, "success"},
  {"3.3.3.3", 0.2, "success"},
}

describe("open_tcp_stream with several addresses", function()
  for name, opts in pairs {
    ["by default"] = {},
    ["with an option that is nil (EYEB-05)"] = {happy_eyeballs_delay = nil},
    ["with that delay"] = {happy_eyeballs_delay = 0.25},
  } do
    H.trio_it("EYEB-02 begins a quarter of a second apart " .. name, function()
      local net = network(ONE_TWO_THREE)
      local host, time = race(net, opts)
      assert.equal("3.3.3.3", host)
      near(0.7, time)
      times_are(net, {["1.1.1.1"] = 0, ["2.2.2.2"] = 0.25, ["3.3.3.3"] = 0.5})
    end)
  end

  H.trio_it("EYEB-05 needs no options at all", function()
    assert.equal("3.3.3.3", (race(network(ONE_TWO_THREE))))
  end)

  H.trio_it("EYEB-03 ends with the first success", function()
    local net = network {
      {"1.1.1.1", 1, "success"}, {"2.2.2.2", 0.1, "success"},
      {"3.3.3.3", 0.2, "success"},
    }
    local host, time = race(net)
    assert.equal("2.2.2.2", host)
    near(0.35, time)
    times_are(net, {["1.1.1.1"] = 0, ["2.2.2.2"] = 0.25})
  end)

  H.trio_it("EYEB-04 takes another delay", function()
    local net = network(ONE_TWO_THREE)
    local host, time = race(net, {happy_eyeballs_delay = 0.45})
    assert.equal("1.1.1.1", host)
    near(1, time)
    times_are(net, {["1.1.1.1"] = 0, ["2.2.2.2"] = 0.45, ["3.3.3.3"] = 0.9})
  end)

  H.trio_it("takes one after the other without a limit", function()
    local net = network(ONE_TWO_THREE)
    assert.equal("1.1.1.1", (race(net, {happy_eyeballs_delay = math.huge})))
    times_are(net, {["1.1.1.1"] = 0})
  end)

  H.trio_it("tries all at once with a delay of 0", function()
    local net = network(ONE_TWO_THREE)
    assert.equal("3.3.3.3", (race(net, {happy_eyeballs_delay = 0})))
    times_are(net, {["1.1.1.1"] = 0, ["2.2.2.2"] = 0, ["3.3.3.3"] = 0})
  end)

  H.trio_it("EYEB-06 begins early where one has failed", function()
    local net = network {
      {"1.1.1.1", 0.1, "error"}, {"2.2.2.2", 0.2, "error"},
      {"3.3.3.3", 10, "success"}, {"4.4.4.4", 0.25, "success"},
    }
    local host, time = race(net)
    assert.equal("4.4.4.4", host)
    near(0.8, time)
    times_are(net, {["1.1.1.1"] = 0, ["2.2.2.2"] = 0.1, ["3.3.3.3"] = 0.3,
      ["4.4.4.4"] = 0.55})
  end)

  H.trio_it("EYEB-07 tells all failures in one error", function()
    local net = network {
      {"1.1.1.1", 0.1, "error"}, {"2.2.2.2", 0.2, "error"},
      {"3.3.3.3", 10, "error"}, {"4.4.4.4", 0.25, "error"},
    }
    local err, time = lose(net)
    local text = "all attempts to connect to test.example.com:80 failed"
    assert.truthy(err.message:find(text, 1, true))
    assert.truthy(err.cause.message:find(text, 1, true))
    assert.equal(4, #err.cause.exceptions)
    assert.same({"test.example.com", 80}, err.address)
    for _, one in ipairs(err.cause.exceptions) do
      assert.equal("OSError: sorry", tostring(one))
    end
    near(10.3, time)
    times_are(net, {["1.1.1.1"] = 0, ["2.2.2.2"] = 0.1, ["3.3.3.3"] = 0.3,
      ["4.4.4.4"] = 0.55})
  end)

  H.trio_it("EYEB-08 lets several slow ones race", function()
    local net = network {
      {"1.1.1.1", 0.5, "error"}, {"2.2.2.2", 10, "success"},
      {"3.3.3.3", 9, "success"}, {"4.4.4.4", 8, "success"},
      {"5.5.5.5", 0.5, "error"},
    }
    local host, time = race(net, {happy_eyeballs_delay = 1})
    assert.is_truthy(host:find("^[234]"))
    near(10.5, time)
    times_are(net, {["1.1.1.1"] = 0, ["2.2.2.2"] = 0.5, ["3.3.3.3"] = 1.5,
      ["4.4.4.4"] = 2.5, ["5.5.5.5"] = 3.5})
  end)

  H.trio_it("EYEB-09 tries the other family second", function()
    local net = network {
      {"1.1.1.1", 10, "error"}, {"2.2.2.2", 1, "success"},
      {"::3", 0.5, "success"},
    }
    local host, time = race(net, {happy_eyeballs_delay = 1})
    assert.equal("::3", host)
    near(1.5, time)
    times_are(net, {["1.1.1.1"] = 0, ["::3"] = 1})
  end)

  H.trio_it("EYEB-10 goes on at once without IPv4", function()
    local net = network({
      {"::1", 10, "success"}, {"2.2.2.2", 0, "success"},
      {"::3", 0.1, "success"}, {"4.4.4.4", 0, "success"},
    }, socket.AF_INET)
    local host, time = race(net, {happy_eyeballs_delay = 1})
    assert.equal("::3", host)
    near(1.1, time)
    times_are(net, {["::1"] = 0, ["::3"] = 1})
  end)

  H.trio_it("EYEB-10 goes on at once without IPv6", function()
    local net = network({
      {"::1", 0, "success"}, {"2.2.2.2", 10, "success"},
      {"::3", 0, "success"}, {"4.4.4.4", 0.1, "success"},
    }, socket.AF_INET6)
    local host, time = race(net, {happy_eyeballs_delay = 1})
    assert.equal("4.4.4.4", host)
    near(1.1, time)
    times_are(net, {["2.2.2.2"] = 0, ["4.4.4.4"] = 1})
  end)

  H.trio_it("EYEB-11 fails without any", function()
    local err = lose(network {})
    assert.truthy(err.message:find("no results"))
  end)

  H.trio_it("EYEB-12 closes all when it is cancelled", function()
    local net = network {
      {"1.1.1.1", 10, "success"}, {"2.2.2.2", 10, "success"},
      {"3.3.3.3", 10, "success"}, {"4.4.4.4", 10, "success"},
    }
    local scope = trio.move_on_after(5, function() connect() end)
    assert.is_true(scope.cancelled_caught)
    assert.equal(5, trio.current_time())
    net:check()
  end)

  H.trio_it("EYEB-13 closes the winner that can't be wrapped", function()
    local net = network {{"1.1.1.1", 1, "error later"}}
    assert.equal("not an OSError", H.raises("not an OSError", connect))
    net:check()
  end)

  H.trio_it("doesn't hide errors that are no OSError", function()
    local net = network {
      {"1.1.1.1", 10, "success"}, {"2.2.2.2", 1, "odd error"},
    }
    local err = H.raises_class(trio.ExceptionGroup, connect)
    H.group_of(err, "odd")
    net:check()
  end)

  H.trio_it("EYEB-14 binds to a local address", function()
    local net = network {{"1.1.1.1", 1, "success"}}
    race(net, {local_address = "127.0.0.1"})
    assert.same({"127.0.0.1", 0}, net.sockets["1.1.1.1"].bound_to)
  end)

  H.trio_it("EYEB-14 fails where the local address doesn't fit", function()
    network {{"1.1.1.1", 1, "success"}, {"2.2.2.2", 1, "success"}}
    local err = H.raises_class(trio.OSError, connect, {local_address = "::1"})
    assert.truthy(err.message:find("all attempts to connect", 1, true))
    assert.equal(2, #err.cause.exceptions)
    assert.truthy(err.cause.exceptions[1].message:find('"::1"', 1, true))
    assert.truthy(err.cause.exceptions[1].message:find("1.1.1.1:80", 1, true))
    assert.equal("EINVAL", err.cause.exceptions[1].code)
  end)

  H.trio_it("names the tasks by their address", function()
    network {{"1.1.1.1", 1, "success"}, {"::2", 1, "success"}}
    trio.open_nursery(function(nursery)
      nursery:start_soon(connect)
      trio.sleep(0.5)
      local tree = trio.lowlevel.task_tree()
      assert.truthy(tree:find("connect to 1.1.1.1:80", 1, true))
      assert.truthy(tree:find("connect to [::2]:80", 1, true))
    end)
  end)
end)

describe("the order of addresses", function()
  -- Which of these are tried in which order.
  local function order_of(hosts)
    local plans = {}
    for i, host in ipairs(hosts) do plans[i] = {host, 100, "error"} end
    local net = network(plans)
    trio.move_on_after(#hosts, function()
      connect({happy_eyeballs_delay = 0.25})
    end)
    local order = {}
    for host in pairs(net.times) do order[#order + 1] = host end
    table.sort(order, function(a, b) return net.times[a] < net.times[b] end)
    return table.concat(order, " ")
  end

  H.trio_it("EYEB-16 stays within one family", function()
    assert.equal("1.1.1.1", order_of {"1.1.1.1"})
    assert.equal("1.1.1.1 2.2.2.2 3.3.3.3",
      order_of {"1.1.1.1", "2.2.2.2", "3.3.3.3"})
    assert.equal("::1 ::2", order_of {"::1", "::2"})
  end)

  H.trio_it("EYEB-16 stays where the families take turns", function()
    assert.equal("1.1.1.1 ::1 2.2.2.2 ::2",
      order_of {"1.1.1.1", "::1", "2.2.2.2", "::2"})
  end)

  H.trio_it("EYEB-16 moves the first of the other family only", function()
    assert.equal("1.1.1.1 ::4 2.2.2.2 3.3.3.3 ::5",
      order_of {"1.1.1.1", "2.2.2.2", "3.3.3.3", "::4", "::5"})
  end)
end)

describe("open_tcp_stream", function()
  N.it("EYEB-15 checks its arguments", function()
    local open = trio.open_tcp_stream
    P.usage("bad argument #1 to 'open_tcp_stream' %(string expected, got nil%)",
      "(...)(nil, 80)", open)
    P.usage("bad argument #2 to 'open_tcp_stream' %(number expected, got str",
      "(...)('x', '80')", open)
    P.usage("bad argument #2 to 'open_tcp_stream' %(number has no integer",
      "(...)('x', 1.5)", open)
    P.usage("unknown option 'delay'", "(...)('x', 1, {delay = 1})", open)
    for _, wrong in ipairs {"'x'", "-1", "0/0", "true"} do
      P.usage("option 'happy_eyeballs_delay' must be a number, not negative",
        "(...)('x', 1, {happy_eyeballs_delay = " .. wrong .. "})", open)
    end
    P.usage("option 'local_address' must be a string",
      "(...)('x', 1, {local_address = {}})", open)
  end)

  it("must be called from a task", function()
    H.raises("trio.open_tcp_stream must be called from inside a task",
      trio.open_tcp_stream, "x", 80)
  end)
end)
