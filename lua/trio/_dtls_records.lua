-- SPDX-License-Identifier: MIT
-- _dtls_records.lua: what a datagram of DTLS 1.2 is made of (RFC 6347), for
-- dtls_endpoint.lua and dtls_channel.lua. Here is everything of the protocol
-- that OpenSSL doesn't do for us: reading a ClientHello before there is any
-- state of its peer, the HelloVerifyRequest, and packing the messages of a
-- handshake into datagrams once more, for a retransmission.
--
-- Whoever can send us a datagram chooses what these functions read. None of
-- them raises because of it: what can't be read is nil.
--
-- A datagram holds records, a record of the handshake holds one fragment of a
-- message:
--   record:   type 1, version 2, epoch 2, number 6, length 2, payload
--   fragment: type 1, length 3 (of the whole message), place in the handshake
--             2, offset 3, length 3, bytes

local pack, unpack = string.pack, string.unpack

local RECORD, RECORD_SIZE = ">BI2I8I2", 13
local FRAGMENT, FRAGMENT_SIZE = ">BI3I2I3I3", 12

local CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE = 20, 21, 22
local CLIENT_HELLO, HELLO_VERIFY_REQUEST = 1, 3
local DTLS_1_0 = 0xFEFF

-- Where the parts of a ClientHello begin: version 2, random 32, session id
-- (its length first), cookie (its length first), the rest.
local SESSION_ID_LENGTH = 2 + 32 + 1

return function(_, kit)
  local records = {}
  kit.dtls_records = records

  --- Could the datagram begin with a ClientHello? It is not looked at closely.
  function records.is_client_hello(packet)
    return packet:byte(1) == HANDSHAKE
      and packet:byte(RECORD_SIZE + 1) == CLIENT_HELLO
  end

  --- Does the datagram begin with a part of a handshake that isn't encrypted?
  function records.is_plain_handshake(packet)
    local kind, high, low = packet:byte(1), packet:byte(4, 5)
    return (kind == HANDSHAKE or kind == CHANGE_CIPHER_SPEC)
      and high == 0 and low == 0
  end

  --- The record at a place of the datagram, and the place behind it; nil if
  --- there is no whole record. `number` has the epoch in its upper 16 bits.
  local function record_at(packet, place)
    if #packet - place + 1 < RECORD_SIZE then return nil end
    local kind, version, number, length = unpack(RECORD, packet, place)
    local first = place + RECORD_SIZE
    local behind = first + length
    if behind > #packet + 1 then return nil end
    return {
      kind = kind, version = version, number = number,
      payload = packet:sub(first, behind - 1),
    }, behind
  end

  --- The records of a datagram, or of several one after the other; nil if
  --- something else is in between or behind.
  function records.decode(packet)
    local list, place = {}, 1
    while place <= #packet do
      local record
      record, place = record_at(packet, place)
      if not record then return nil end
      list[#list + 1] = record
    end
    return list
  end

  function records.encode(record)
    return pack(RECORD, record.kind, record.version, record.number,
      #record.payload) .. record.payload
  end

  -- The fragment that fills the payload of a record exactly, or nil.
  local function fragment_of(payload)
    if #payload < FRAGMENT_SIZE then return nil end
    local kind, size, place, offset, length = unpack(FRAGMENT, payload)
    if #payload - FRAGMENT_SIZE ~= length or offset + length > size then
      return nil
    end
    return {
      kind = kind, size = size, place = place, offset = offset,
      data = payload:sub(FRAGMENT_SIZE + 1),
    }
  end

  local function encode_fragment(fragment)
    return pack(FRAGMENT, fragment.kind, fragment.size, fragment.place,
      fragment.offset, #fragment.data) .. fragment.data
  end

  -- ---- before there is a connection

  --- Of a datagram that begins with a ClientHello: the number of its record,
  --- the cookie, and everything but the cookie, which stays the same when the
  --- client sends it again with one. Else nil.
  ---
  --- It must be in one piece: to put it together we would have to remember
  --- something about a peer that may not exist.
  function records.decode_client_hello(packet)
    local record = record_at(packet, 1)
    if not record or record.kind ~= HANDSHAKE or record.number >> 48 ~= 0 then
      return nil
    end
    local fragment = fragment_of(record.payload)
    if not fragment or fragment.kind ~= CLIENT_HELLO
      or #fragment.data ~= fragment.size then
      return nil
    end
    local body = fragment.data
    local session_id_length = body:byte(SESSION_ID_LENGTH)
    if not session_id_length then return nil end
    local place = SESSION_ID_LENGTH + session_id_length + 1
    local cookie_length = body:byte(place)
    if not cookie_length or place + cookie_length > #body then return nil end
    return record.number, body:sub(place + 1, place + cookie_length),
      body:sub(1, place - 1) .. body:sub(place + 1 + cookie_length)
  end

  --- The datagram that asks a client to send its hello again with this cookie.
  --- It has the number of the hello's record, and, whatever is negotiated
  --- later, the version of DTLS 1.0 (RFC 6347, erratum 4103).
  function records.hello_verify_request(number, cookie)
    local body = pack(">I2s1", DTLS_1_0, cookie)
    return records.encode({
      kind = HANDSHAKE, version = DTLS_1_0, number = number,
      payload = encode_fragment({
        kind = HELLO_VERIFY_REQUEST, size = #body, place = 0, offset = 0,
        data = body,
      }),
    })
  end

  --- The number of the hello that a HelloVerifyRequest answers; nil for any
  --- other datagram.
  function records.hello_verify_number(packet)
    local record = record_at(packet, 1)
    if not record or record.kind ~= HANDSHAKE or record.number >> 48 ~= 0
      or record.payload:byte(1) ~= HELLO_VERIFY_REQUEST then
      return nil
    end
    return record.number
  end

  -- ---- volleys

  -- Add a fragment to the messages of a volley; false if it contradicts what
  -- is there. OpenSSL makes the fragments of a message in order; a second copy
  -- of one adds nothing.
  local function add_fragment(messages, by_place, version, fragment)
    local message = by_place[fragment.place]
    if not message then
      message = {
        kind = HANDSHAKE, version = version, type = fragment.kind,
        place = fragment.place, size = fragment.size, body = "",
      }
      by_place[fragment.place] = message
      messages[#messages + 1] = message
    end
    local known = #message.body - fragment.offset
    if message.type ~= fragment.kind or message.size ~= fragment.size
      or known < 0 then
      return false
    end
    message.body = message.body .. fragment.data:sub(known + 1)
    return true
  end

  --- The messages of a volley that OpenSSL made, or nil if that isn't one. A
  --- message is one of:
  ---   {kind = 22, type=, place=, size=, body=, version=}  of the handshake
  ---   {kind = 20 or 21, payload=, version=}               can't be in pieces
  ---   {record =}        encrypted; goes out as it is, always with its number
  function records.decode_volley(volley)
    local list = records.decode(volley)
    if not list then return nil end
    local messages, by_place = {}, {}
    for _, record in ipairs(list) do
      if record.number >> 48 ~= 0 then
        messages[#messages + 1] = {record = records.encode(record)}
      elseif record.kind == CHANGE_CIPHER_SPEC or record.kind == ALERT then
        messages[#messages + 1] = {
          kind = record.kind, version = record.version,
          payload = record.payload,
        }
      else
        local fragment = record.kind == HANDSHAKE
          and fragment_of(record.payload)
        if not fragment or not add_fragment(messages, by_place,
            record.version, fragment) then
          return nil
        end
      end
    end
    return messages
  end

  --- Is it a ClientHello that answers a HelloVerifyRequest?
  function records.is_second_hello(messages)
    return messages[1].type == CLIENT_HELLO and messages[1].place > 0
  end

  -- Fills datagrams up to the MTU.
  local Packer = {}
  Packer.__index = Packer

  -- How many bytes of a payload the datagram has room for, behind `overhead`.
  function Packer:room(overhead)
    return self.mtu - #self.packet - overhead
  end

  function Packer:flush()
    if self.packet == "" then return end
    self.packets[#self.packets + 1] = self.packet
    self.packet = ""
  end

  function Packer:add_record(kind, version, payload)
    self.packet = self.packet .. records.encode({
      kind = kind, version = version, number = self.number, payload = payload,
    })
    self.number = self.number + 1
  end

  -- What can't be in pieces. Where it is too large for every datagram the
  -- system below has to cope.
  function Packer:add_whole(size)
    if self:room(size) < 0 then self:flush() end
  end

  function Packer:add_message(message)
    local overhead, offset = RECORD_SIZE + FRAGMENT_SIZE, 0
    if message.type == CLIENT_HELLO then
      -- In pieces no server would take it, see decode_client_hello.
      self:add_whole(overhead + #message.body)
    end
    repeat
      if self:room(overhead) <= 0 then self:flush() end
      local size = math.max(self:room(overhead), 1)
      if message.type == CLIENT_HELLO then size = #message.body end
      local data = message.body:sub(offset + 1, offset + size)
      self:add_record(HANDSHAKE, message.version, encode_fragment({
        kind = message.type, size = message.size, place = message.place,
        offset = offset, data = data,
      }))
      offset = offset + #data
    until offset == #message.body
  end

  --- The datagrams, none larger than the MTU, for these messages; the records
  --- are numbered from `number` on, because a peer drops numbers that it has
  --- seen. And the number to go on with.
  function records.encode_volley(messages, mtu, number)
    local packer = setmetatable({
      mtu = mtu, number = number, packet = "", packets = {},
    }, Packer)
    for _, message in ipairs(messages) do
      if message.record then
        packer:add_whole(#message.record)
        packer.packet = packer.packet .. message.record
      elseif message.payload then
        packer:add_whole(RECORD_SIZE + #message.payload)
        packer:add_record(message.kind, message.version, message.payload)
      else
        packer:add_message(message)
      end
    end
    packer:flush()
    return packer.packets, packer.number
  end
end
