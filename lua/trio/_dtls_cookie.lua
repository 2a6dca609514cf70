-- SPDX-License-Identifier: MIT
-- _dtls_cookie.lua: the cookie by which a peer shows that it receives what is
-- sent to its address (RFC 6347, 4.2.1), for dtls_endpoint.lua.
--
-- Who sends a first hello gets a cookie and is forgotten. Who sends the hello
-- again with that cookie has received it, so the address isn't forged, and
-- only now a server keeps anything about this peer. Nothing is stored: a
-- cookie is a salt and a keyed hash of the salt, the time slot, the address
-- and the hello, which only the holder of the key can make.
--
-- A cookie is good for the slot in which it was made and for the next one.

local pack = string.pack

local SLOT = 30  -- seconds
local KEY_SIZE, SALT_SIZE = 32, 8
-- What DTLS 1.0 allows; so the hash is cut down to 192 bits, which is plenty.
local COOKIE_SIZE = 32

return function(trio, kit)
  local openssl, cookie = trio.ssl._dtls, {}
  kit.dtls_cookie = cookie

  --- The key of an endpoint.
  function cookie.new_key()
    return openssl.random(KEY_SIZE)
  end

  -- With the lengths in it, so that nothing can be moved from one field into
  -- the next one.
  local function make(key, salt, slot, address, hello)
    local signed = pack(">s4i8s4s4", salt, slot, address, hello)
    return (salt .. openssl.hmac(key, signed)):sub(1, COOKIE_SIZE)
  end

  local function current_slot()
    return math.floor(trio.current_time() / SLOT)
  end

  --- A new cookie for who sent this hello from this address (both text).
  function cookie.make(key, address, hello)
    return make(key, openssl.random(SALT_SIZE), current_slot(), address,
      hello)
  end

  --- Is it one that `make` has made for the same, not long ago?
  function cookie.is_valid(key, given, address, hello)
    if #given ~= COOKIE_SIZE then return false end
    local salt, slot = given:sub(1, SALT_SIZE), current_slot()
    -- Both are always computed: how long it takes tells nothing.
    local now = openssl.equal(given, make(key, salt, slot, address, hello))
    local before = openssl.equal(given,
      make(key, salt, slot - 1, address, hello))
    return now or before
  end
end
