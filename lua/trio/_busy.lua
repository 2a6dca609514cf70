-- SPDX-License-Identifier: MIT
-- _busy.lua: keeps two tasks from using one thing at once, for the library's
-- own Lua files (Trio: ConflictDetector).
--
--   local _ <close> = self._busy:claim()   -- until the end of the block

return function(trio, kit)
  local Busy = {}
  Busy.__index = Busy

  --- `message` is what the second task gets in a BusyResourceError.
  function kit.busy(message)
    return setmetatable({message = message, taken = false}, Busy)
  end

  function Busy:claim()
    if self.taken then error(trio.BusyResourceError(self.message)) end
    self.taken = true
    return self
  end

  function Busy:__close()
    self.taken = false
  end
end
