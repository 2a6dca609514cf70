-- SPDX-License-Identifier: MIT
-- _bytes.lua: a queue of bytes, for streams written in Lua.
--
-- Strings go in at one end; any number of bytes comes out at the other one.
-- Nothing is copied that isn't taken, so small pieces of a long string cost
-- no more than their own length.

return function(_, kit)
  local Bytes = {}
  Bytes.__index = Bytes

  function kit.bytes()
    -- The strings from `first` to `last`; `offset` bytes of the first one are
    -- gone. `size` is what is left in all.
    return setmetatable({first = 1, last = 0, offset = 0, size = 0}, Bytes)
  end

  function Bytes:push(data)
    if data == "" then return end
    self.last = self.last + 1
    self[self.last] = data
    self.size = self.size + #data
  end

  function Bytes:clear()
    for place = self.first, self.last do self[place] = nil end
    self.first, self.last, self.offset, self.size = 1, 0, 0, 0
  end

  --- Take the next bytes, at most `limit`; all without a limit.
  function Bytes:take(limit)
    local missing = math.min(limit or self.size, self.size)
    local parts = {}
    self.size = self.size - missing
    while missing > 0 do
      local chunk, from = self[self.first], self.offset + 1
      local part = chunk:sub(from, self.offset + missing)
      parts[#parts + 1] = part
      missing = missing - #part
      self.offset = self.offset + #part
      if self.offset == #chunk then
        self[self.first] = nil
        self.first, self.offset = self.first + 1, 0
      end
    end
    if self.size == 0 then self.first, self.last = 1, 0 end
    return table.concat(parts)
  end
end
