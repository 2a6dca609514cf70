-- SPDX-License-Identifier: MIT
-- _idna.lua: host names outside of ASCII as the name system knows them, for
-- the library's own Lua files: "bücher.example" is "xn--bcher-kva.example".
--
-- The encoding is that of IDNA 2008 (RFC 5891, with Punycode, RFC 3492): ß and
-- final sigma stay what they are. Letters are made small for the Latin, Greek
-- and Cyrillic scripts; beyond that nothing is mapped or normalized.

local utf8, table, string = utf8, table, string

-- {first, last, distance to the small letter}, and where capital and small
-- letters take turns {first, last, 1, step = 2}.
local CAPITALS = {
  {0x41, 0x5A, 32}, {0xC0, 0xD6, 32}, {0xD8, 0xDE, 32},
  {0x100, 0x136, 1, step = 2}, {0x139, 0x147, 1, step = 2},
  {0x14A, 0x176, 1, step = 2}, {0x179, 0x17D, 1, step = 2},
  {0x386, 0x386, 38}, {0x388, 0x38A, 37}, {0x38C, 0x38C, 64},
  {0x38E, 0x38F, 63}, {0x391, 0x3AB, 32}, {0x400, 0x40F, 80},
  {0x410, 0x42F, 32}, {0x460, 0x480, 1, step = 2},
  {0x48A, 0x4BE, 1, step = 2}, {0x4D0, 0x52E, 1, step = 2},
  {0xFF01, 0xFF5E, -0xFEE0},  -- the wide forms of ASCII
}

-- Full stops of other scripts.
local STOPS = {[0x3002] = true, [0xFF0E] = true, [0xFF61] = true}

local function small(code)
  if STOPS[code] then return 0x2E end
  for _, range in ipairs(CAPITALS) do
    if code >= range[1] and code <= range[2] then
      if (code - range[1]) % (range.step or 1) == 0 then
        local other = code + range[3]
        return other < 0x80 and string.byte(string.char(other):lower()) or other
      end
      return code
    end
  end
  return code
end

-- ---- Punycode. The parameters are those of the RFC.

local BASE, LEAST, MOST, SKEW, DAMP = 36, 1, 26, 38, 700

local function adapt(delta, count, is_first)
  delta = is_first and delta // DAMP or delta // 2
  delta = delta + delta // count
  local k = 0
  while delta > (BASE - LEAST) * MOST // 2 do
    delta = delta // (BASE - LEAST)
    k = k + BASE
  end
  return k + (BASE - LEAST + 1) * delta // (delta + SKEW)
end

local function digit(value)
  return string.char(value < 26 and 97 + value or 22 + value)
end

-- Append delta as a number whose digits tell its end.
local function append_number(out, delta, bias)
  local k = BASE
  while true do
    local limit = math.min(math.max(k - bias, LEAST), MOST)
    if delta < limit then break end
    out[#out + 1] = digit(limit + (delta - limit) % (BASE - limit))
    delta = (delta - limit) // (BASE - limit)
    k = k + BASE
  end
  out[#out + 1] = digit(delta)
end

-- The smallest of the codes that is at least n.
local function next_code(codes, n)
  local least = math.maxinteger
  for _, code in ipairs(codes) do
    if code >= n and code < least then least = code end
  end
  return least
end

local function punycode(codes)
  local out = {}
  for _, code in ipairs(codes) do
    if code < 0x80 then out[#out + 1] = string.char(code) end
  end
  local basic = #out
  local handled, n, delta, bias = basic, 0x80, 0, 72
  if basic > 0 then out[#out + 1] = "-" end
  while handled < #codes do
    local least = next_code(codes, n)
    delta = delta + (least - n) * (handled + 1)
    n = least
    for _, code in ipairs(codes) do
      if code < n then delta = delta + 1 end
      if code == n then
        append_number(out, delta, bias)
        bias = adapt(delta, handled + 1, handled == basic)
        delta = 0
        handled = handled + 1
      end
    end
    delta, n = delta + 1, n + 1
  end
  return table.concat(out)
end

local function encode_label(label)
  if not label:find("[\x80-\xff]") then return label end
  local codes = {}
  for _, code in utf8.codes(label) do codes[#codes + 1] = code end
  return "xn--" .. punycode(codes)
end

return function(_, kit)
  --- The name in ASCII; nil if it is no UTF-8 or a part is too long.
  function kit.idna(host)
    if not host:find("[\x80-\xff]") then return host end
    if not utf8.len(host) then return nil end
    local codes = {}
    for _, code in utf8.codes(host) do codes[#codes + 1] = small(code) end
    local labels = {}
    for label in (utf8.char(table.unpack(codes)) .. "."):gmatch("([^.]*)%.") do
      label = encode_label(label)
      if #label > 63 then return nil end
      labels[#labels + 1] = label
    end
    return table.concat(labels, ".")
  end
end
