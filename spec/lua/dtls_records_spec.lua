-- SPDX-License-Identifier: MIT
-- The records of DTLS and the cookies, without a network: what is read of any
-- datagram, and what is made of a volley.
local D = require "spec.support.dtls"
local H = require "spec.support.helper"
local trio = require "trio"

local records, cookies = D.private()

local HANDSHAKE, CHANGE_CIPHER_SPEC, ALERT = 22, 20, 21

local function fragment(kind, size, place, offset, data)
  return string.pack(">BI3I2I3I3", kind, size, place, offset, #data) .. data
end

local function record(kind, number, payload)
  return string.pack(">BI2I8s2", kind, 0xFEFD, number, payload)
end

-- A ClientHello with this session id and cookie.
local function hello_body(id, cookie, rest)
  return "\xFE\xFD" .. ("r"):rep(32) .. string.pack(">s1s1", id, cookie)
    .. (rest or "\0\2\xC0\x2C\1\0")
end

local function hello(id, cookie, number)
  local body = hello_body(id, cookie)
  return record(HANDSHAKE, number or 0, fragment(1, #body, 0, 0, body))
end

-- What a decoder gives for the datagram: it must never raise.
local function decode(packet)
  local ok, number, cookie, rest = pcall(records.decode_client_hello, packet)
  assert(ok, number)
  assert(pcall(records.is_client_hello, packet))
  assert(pcall(records.is_plain_handshake, packet))
  assert(pcall(records.decode, packet))
  assert(pcall(records.decode_volley, packet))
  assert(pcall(records.hello_verify_number, packet))
  return number, cookie, rest
end

describe("a ClientHello", function()
  it("TLS-19 is read without a session and a cookie", function()
    local number, cookie, rest = decode(hello("", ""))
    assert.equal(0, number)
    assert.equal("", cookie)
    assert.equal(hello_body("", ""):sub(1, 35) .. "\0\2\xC0\x2C\1\0", rest)
  end)

  it("TLS-19 gives the cookie, and the same rest with any", function()
    local _, _, first = decode(hello("session", ""))
    local number, cookie, second = decode(hello("session", "a cookie", 7))
    assert.equal(7, number)
    assert.equal("a cookie", cookie)
    assert.equal(first, second)
    local _, _, other = decode(hello("another", "a cookie"))
    assert.not_equal(first, other)
  end)

  it("TLS-19 may be followed by other records", function()
    local packet = hello("s", "c") .. record(ALERT, 1, "xx")
    assert.equal("c", select(2, decode(packet)))
  end)

  it("TLS-19 is refused in pieces", function()
    local body = hello_body("", "")
    local function piece(offset, data)
      return record(HANDSHAKE, 0, fragment(1, #body, 0, offset, data))
    end
    assert.is_nil(decode(piece(0, body:sub(1, 40))))
    assert.is_nil(decode(piece(40, body:sub(41))))
    assert.is_nil(decode(piece(1, body)))
    assert.is_truthy(decode(piece(0, body)))
  end)

  it("TLS-19 is refused encrypted, and as another message", function()
    assert.is_nil(decode(hello("", "", 1 << 48)))
    assert.is_nil(decode(hello("", "", 0xFFFF << 48)))
    local body = hello_body("", "")
    assert.is_nil(decode(record(HANDSHAKE, 0, fragment(2, #body, 0, 0, body))))
    assert.is_nil(decode(record(ALERT, 0, fragment(1, #body, 0, 0, body))))
  end)

  it("TLS-19 is refused with lengths that reach behind its end", function()
    local body = "\xFE\xFD" .. ("r"):rep(32)
    for _, rest in ipairs {"", "\0", "\xFF", "\1x", "\0\5abcd", "\0\xFF"} do
      local text = body .. rest
      assert.is_nil(decode(record(HANDSHAKE, 0,
        fragment(1, #text, 0, 0, text))))
    end
    assert.is_nil(decode(record(HANDSHAKE, 0, fragment(1, 5, 0, 0, "12345"))))
    assert.is_nil(decode(record(HANDSHAKE, 0, "")))
    assert.is_nil(decode(record(HANDSHAKE, 0, fragment(1, 0, 0, 0, "") .. "x")))
  end)

  it("TLS-19 is nothing when it was cut off anywhere", function()
    local whole = hello("session", "cookie")
    for length = 0, #whole - 1 do
      assert.is_nil(decode(whole:sub(1, length)))
    end
  end)

  it("TLS-19 can have any value in any byte", function()
    local whole = hello("session", "cookie")
    for place = 1, #whole do
      for bits = 1, H.many(255) do decode(D.flip(whole, place, bits)) end
    end
  end)

  it("TLS-19 can be garbage (fixed seed)", function()
    local random = D.random(19)
    local whole = hello("session", "cookie") .. record(ALERT, 3, "xx")
    for _ = 1, H.many(20000) do
      local bytes = {whole:byte(1, random(0, #whole))}
      for _ = 1, random(0, 8) do
        bytes[random(1, #bytes + 1)] = random(0, 255)
      end
      decode(string.char(table.unpack(bytes)))
    end
  end)
end)

describe("a HelloVerifyRequest", function()
  it("TLS-19 has the number of the hello, and the cookie", function()
    local packet = records.hello_verify_request(42, "the cookie")
    local list = records.decode(packet)
    assert.equal(1, #list)
    assert.same({HANDSHAKE, 0xFEFF, 42},
      {list[1].kind, list[1].version, list[1].number})
    assert.equal(fragment(3, 13, 0, 0, "\xFE\xFF\x0Athe cookie"),
      list[1].payload)
    assert.is_false(records.is_client_hello(packet))
    assert.is_true(records.is_plain_handshake(packet))
    assert.equal(42, records.hello_verify_number(packet))
    for length = 0, 24 do
      assert.is_nil(records.hello_verify_number(packet:sub(1, length)))
    end
    assert.is_nil(records.hello_verify_number(hello("", "")))
    assert.is_nil(records.hello_verify_number(D.flip(packet, 5)))
  end)
end)

-- Reassemble what was packed: the whole volley again.
local function reassemble(packets)
  return records.decode_volley(table.concat(packets))
end

local function with_record(text) return {record = text} end

describe("a volley", function()
  local body = ("0123456789"):rep(100)
  local volley = record(HANDSHAKE, 0, fragment(2, 5, 1, 0, "hello"))
    .. record(HANDSHAKE, 1, fragment(11, 1000, 2, 0, body:sub(1, 400)))
    .. record(HANDSHAKE, 2, fragment(11, 1000, 2, 400, body:sub(401)))
    .. record(HANDSHAKE, 3, fragment(14, 0, 3, 0, ""))
    .. record(CHANGE_CIPHER_SPEC, 4, "\1")
  local finished = record(HANDSHAKE, 1 << 48, ("f"):rep(40))
  volley = volley .. finished

  it("TLS-19 is read into whole messages", function()
    local messages = records.decode_volley(volley)
    assert.equal(5, #messages)
    assert.equal("hello", messages[1].body)
    assert.equal(body, messages[2].body)
    assert.equal("", messages[3].body)
    assert.equal("\1", messages[4].payload)
    assert.same(with_record(finished), messages[5])
  end)

  it("TLS-19 is packed into datagrams of at most the MTU", function()
    local messages = records.decode_volley(volley)
    for mtu = 60, 1300 do
      local packets, number = records.encode_volley(messages, mtu, 5)
      for _, packet in ipairs(packets) do assert(#packet <= mtu) end
      assert.same(messages, reassemble(packets))
      local next_number = 5
      for _, r in ipairs(records.decode(table.concat(packets))) do
        if r.number < 1 << 48 then
          assert.equal(next_number, r.number)
          next_number = next_number + 1
        end
      end
      assert.equal(next_number, number)
    end
    assert.equal(1, #records.encode_volley(messages, 1500, 0))
  end)

  it("TLS-19 never has its ClientHello in pieces", function()
    local packet = hello("session", ("c"):rep(32), 0)
    local packets = records.encode_volley(records.decode_volley(packet), 60, 0)
    assert.same({packet}, packets)
    local two = records.decode_volley(record(ALERT, 0, "xx") .. packet)
    packets = records.encode_volley(two, 60, 0)
    assert.equal(2, #packets)
    assert.truthy(records.decode_client_hello(packets[2]))
  end)

  it("TLS-19 may hold a fragment twice", function()
    local part = record(HANDSHAKE, 0, fragment(11, 8, 2, 0, "1234"))
    local messages = records.decode_volley(part .. part
      .. record(HANDSHAKE, 1, fragment(11, 8, 2, 2, "345678")) .. part)
    assert.equal(1, #messages)
    assert.equal("12345678", messages[1].body)
  end)

  it("TLS-19 is no volley where it contradicts itself", function()
    local first = record(HANDSHAKE, 0, fragment(11, 8, 2, 0, "1234"))
    for _, second in ipairs {
      fragment(12, 8, 2, 4, "5678"), fragment(11, 9, 2, 4, "56789"),
      fragment(11, 8, 2, 5, "678"), fragment(11, 8, 2, 4, "5678") .. "x",
      fragment(11, 8, 2, 4, "56789"),
    } do
      assert.is_nil(records.decode_volley(first .. record(HANDSHAKE, 1,
        second)))
    end
    assert.is_nil(records.decode_volley(record(23, 0, "data")))
    assert.is_nil(records.decode_volley(first .. "x"))
    assert.same({}, records.decode_volley(""))
  end)
end)

describe("a cookie", function()
  H.trio_it("TLS-19 is good for this key, address and hello only", function()
    local key = cookies.new_key()
    local cookie = cookies.make(key, "address", "hello")
    assert.equal(32, #cookie)
    assert.is_true(cookies.is_valid(key, cookie, "address", "hello"))
    assert.is_false(cookies.is_valid(cookies.new_key(), cookie, "address",
      "hello"))
    assert.is_false(cookies.is_valid(key, cookie, "address2", "hello"))
    assert.is_false(cookies.is_valid(key, cookie, "address", "hello2"))
    assert.is_false(cookies.is_valid(key, cookie, "addressh", "ello"))
    for place = 1, #cookie do
      assert.is_false(cookies.is_valid(key, D.flip(cookie, place), "address",
        "hello"))
    end
    for length = 0, #cookie - 1 do
      assert.is_false(cookies.is_valid(key, cookie:sub(1, length), "address",
        "hello"))
    end
    assert.is_false(cookies.is_valid(key, cookie .. "x", "address", "hello"))
    assert.not_equal(cookie, cookies.make(key, "address", "hello"))
  end)

  H.trio_it("TLS-19 is good for 30 to 60 seconds", function()
    local key = cookies.new_key()
    trio.sleep_until(29.9)
    local late = cookies.make(key, "address", "hello")
    trio.sleep_until(30)
    local early = cookies.make(key, "address", "hello")
    local function are_valid()
      return cookies.is_valid(key, late, "address", "hello"),
        cookies.is_valid(key, early, "address", "hello")
    end
    trio.sleep_until(59.9)
    assert.same({true, true}, {are_valid()})
    trio.sleep_until(60)
    assert.same({false, true}, {are_valid()})
    trio.sleep_until(89.9)
    assert.same({false, true}, {are_valid()})
    trio.sleep_until(90)
    assert.same({false, false}, {are_valid()})
  end)
end)
