-- SPDX-License-Identifier: MIT
-- A wire that damages what it carries: at every byte of a conversation with
-- TRIO_STRESS in the environment, at some of them without. Whatever happens,
-- both sides come to an end, by an error that says what is wrong or by having
-- got everything; nobody gets other data than what was sent.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local testing = trio.testing
local it = H.trio_it

local stress = os.getenv "TRIO_STRESS"
local TRIES = stress and math.huge or H.many(200)

local function random_bytes(count)
  local bytes = {}
  for i = 1, count do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

local BULK = (function()
  math.randomseed(0)
  return random_bytes(0xffff)
end)()

-- A record, as its header says.
local function record(kind, length, content)
  return string.pack(">BI2I2", kind, 0x0303, length) .. content
end

-- What may happen at a byte of the wire: damage(before, rest) gets what is sent
-- at once before the byte and from it on. It returns what is sent instead; true
-- as well where everything ends there.
local DAMAGES = {
  {"a wrong bit", function(before, rest)
    return before .. string.char(rest:byte() ~ (1 << math.random(0, 7)))
      .. rest:sub(2)
  end},
  {"a byte too little", function(before, rest)
    return before .. rest:sub(2)
  end},
  {"a byte too much", function(before, rest)
    return before .. random_bytes(1) .. rest
  end},
  {"an end", function(before) return before, true end},
  {"garbage to its end", function(before, rest)
    return before .. random_bytes(#rest)
  end},
  {"a foreign record", function(before, rest)
    local length = math.random(0, 40)
    return before .. record(math.random(20, 24), length, random_bytes(length))
      .. rest
  end},
  {"a record that is too large", function(before, rest)
    return before .. record(math.random(20, 24), #BULK, BULK)
      .. rest
  end},
  {"an alert", function(before, rest)
    return before .. record(21, 2,
      string.char(math.random(2), math.random(0, 1) * math.random(0, 120)))
      .. rest
  end},
}

local CUT = 4

-- The most that a goodbye (close_notify) may take up.
local GOODBYE = 40

-- A transport over another one. `place`: which byte, from 0 on, is damaged.
local function damaged(inner, damage, place)
  local Wire = trio.abc.Stream({})
  local wire = setmetatable({sent = 0}, Wire)
  function Wire.send_all(_, data)
    if wire.ended then return trio.lowlevel.checkpoint() end
    local at = place - wire.sent
    wire.sent = wire.sent + #data
    if at >= 0 and at < #data then
      data, wire.ended = damage(data:sub(1, at), data:sub(at + 1))
    end
    inner:send_all(data)
    if wire.ended then inner:send_eof() end
  end
  function Wire.wait_send_all_might_not_block()
    inner:wait_send_all_might_not_block()
  end
  function Wire.receive_some(_, max_bytes)
    return inner:receive_some(max_bytes)
  end
  function Wire.aclose() inner:aclose() end
  return wire
end

local TEXT = ("all of this "):rep(5)

-- One side: say everything, hear everything, close. Returns what was heard and
-- the error, if any.
local function converse(stream)
  local heard = {}
  local ok, err = trio.pcall(function()
    stream:do_handshake()
    stream:send_all(TEXT)
    while #table.concat(heard) < #TEXT do
      local data = stream:receive_some()
      if not data then break end
      heard[#heard + 1] = data
    end
    stream:unwrap()
  end)
  trio.aclose_forcefully(stream)
  return table.concat(heard), not ok and err or nil
end

-- Errors that a damage may lead to.
local function check_error(err, label)
  if err == nil then return end
  assert(trio.isinstance(err, trio.BrokenResourceError)
    and trio.isinstance(err.cause, trio.SSLError),
    label .. ": " .. tostring(err))
  local cause = err.cause
  assert(cause.reason ~= "unknown error", label)
end

-- A conversation over transports made by wrap(a), wrap(b).
local function run_damaged(opts, label)
  local ends
  opts.transport = function()
    local a, b = testing.memory_stream_pair()
    ends = {a, b}
    return opts.wrap(a, b)
  end
  local streams = table.pack(T.pair(opts))
  local results = {}
  trio.open_nursery(function(nursery)
    for i = 1, 2 do
      nursery:start_soon(function()
        local heard, err = converse(streams[i])
        results[i] = {heard = heard, err = err}
      end)
    end
    -- Both may wait for the rest of a record that isn't to come.
    testing.wait_all_tasks_blocked()
    for _, transport in ipairs(ends) do
      pcall(transport.send_eof, transport)
    end
  end)
  for i, result in ipairs(results) do
    check_error(result.err, label .. ", side " .. i)
    assert.equal(TEXT:sub(1, #result.heard), result.heard, label)
    if not result.err then assert.equal(TEXT, result.heard, label) end
  end
  return results
end

local function contexts(version)
  return {
    client = C.client_context{maximum_version = version},
    server = C.server_context{maximum_version = version},
  }
end

-- How many bytes each side sends.
local function lengths(version)
  local opts, wires = contexts(version), nil
  opts.wrap = function(a, b)
    wires = {damaged(a, nil, math.huge), damaged(b, nil, math.huge)}
    return wires[1], wires[2]
  end
  local results = run_damaged(opts, "no damage")
  assert(not results[1].err and not results[2].err)
  return {wires[1].sent, wires[2].sent}
end

-- The places to try, of `length`.
local function places(length)
  local list = {}
  if length <= TRIES then
    for place = 0, length - 1 do list[#list + 1] = place end
  else
    for _ = 1, TRIES do list[#list + 1] = math.random(0, length - 1) end
  end
  return list
end

describe("a damaged wire", function()
  for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    for side, role in ipairs {"client", "server"} do
      it(("from the %s, %s"):format(role, version), function()
        math.randomseed(side)
        local opts = contexts(version)
        for count, place in ipairs(places(lengths(version)[side])) do
          for kind, damage in ipairs(DAMAGES) do
            if stress or kind == count % #DAMAGES + 1 then
              opts.wrap = function(a, b)
                if side == 1 then return damaged(a, damage[2], place), b end
                return a, damaged(b, damage[2], place)
              end
              run_damaged(opts, damage[1] .. " at " .. place)
            end
          end
        end
      end)
    end
  end
end)

describe("a wire that is cut", function()
  -- The stream that is cut off receives, the other one sends.
  local function receive_until_cut(opts, place, side)
    opts.transport = function()
      local a, b = testing.memory_stream_pair()
      local cut = DAMAGES[CUT][2]
      if side == 1 then return damaged(a, cut, place), b end
      return a, damaged(b, cut, place)
    end
    local streams, heard = table.pack(T.pair(opts)), ""
    local sender, receiver = streams[side], streams[3 - side]
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.pcall, sender.send_all, sender, TEXT)
      for data in receiver do heard = heard .. data end
      assert.is_nil(receiver:receive_some())
      nursery.cancel_scope:cancel()
    end)
    assert.equal(TEXT:sub(1, #heard), heard)
    T.close(sender, receiver)
  end

  for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    for side, role in ipairs {"client", "server"} do
      it(("TLS-07 TLS-08 is an end for HTTPS, from the %s, %s"):format(role,
        version), function()
        math.randomseed(side)
        local length = lengths(version)[side]
        local opts = contexts(version)
        opts.client_opts = {https_compatible = true}
        opts.server_opts = opts.client_opts
        for _, place in ipairs(places(length - GOODBYE)) do
          receive_until_cut(opts, place, side)
        end
      end)
    end
  end
end)

-- What each role says to a first packet: a stream whose peer sends `data` and,
-- if `ends`, nothing more. Returns the error of its handshake.
local function greeted(role, data, ends)
  local a, b = testing.memory_stream_pair()
  local stream = role == "client"
    and trio.SSLStream(a, T.client_context, {server_hostname = C.host})
    or trio.SSLStream(a, T.server_context, {server_side = true})
  b:send_all(data)
  if ends then b:send_eof() end
  local err = H.raises_class(trio.BrokenResourceError, trio.fail_after, 1,
    function() stream:do_handshake() end)
  check_error(err, "greeting")
  H.raises_class(trio.BrokenResourceError, stream.receive_some, stream)
  T.close(stream, b)
  return err.cause.message
end

describe("a peer that doesn't speak TLS", function()
  it("is told from one that does", function()
    for _, case in ipairs {
      {"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "wrong version number"},
      {("\0"):rep(100), "wrong version number"},
      {record(22, 0x4801, BULK), "packet length too long"},
      {record(23, 20, BULK:sub(1, 20)), "unexpected message"},
      {record(22, 4, "\255\0\0\0"), "unexpected message"},
    } do
      for _, role in ipairs {"client", "server"} do
        assert.equal(case[2], greeted(role, case[1]), role)
      end
    end
    assert.matches("http request", greeted("server",
      "GET / HTTP/1.0\r\n\r\n"))
  end)

  it("may end at once, or within a record", function()
    for _, role in ipairs {"client", "server"} do
      for _, data in ipairs {"", "\22", "\22\3\1\0\100", "\22\3\1\0\1\1"} do
        assert.matches("ended without a goodbye", greeted(role, data, true))
      end
    end
  end)

  it("can't end a handshake by saying goodbye", function()
    for level = 1, 2 do
      assert.equal("the peer sent the alert 'close notify'",
        greeted("client", record(21, 2, string.char(level, 0))))
    end
  end)

  it("may send any garbage", function()
    math.randomseed(3)
    for _, role in ipairs {"client", "server"} do
      for _ = 1, H.many(100) do
        greeted(role, random_bytes(math.random(1, 300)), true)
      end
    end
  end)
end)
