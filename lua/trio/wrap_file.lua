-- SPDX-License-Identifier: MIT
-- wrap_file.lua: trio.wrap_file: files of Lua's io library, and other objects
-- like them, as async ones.
--
-- The methods of the object run where they are called, between two halves of a
-- checkpoint: first the cancellation, then the others' turn. Another thread
-- could not run them: a Lua function belongs to its Lua state, and a file of
-- the C library may be closed by anybody at any time. So a method that blocks
-- blocks the run; trio.open_file does not.

local error, type, pairs = error, type, pairs
local pack, unpack = table.pack, table.unpack

local NAMES = {
  "read", "lines", "write", "seek", "flush", "setvbuf", "read1", "readall",
  "readinto", "readline", "readlines", "tell", "truncate", "writelines",
  "peek", "detach",
}

return function(trio, kit)
  local check, lowlevel = kit.check, trio.lowlevel
  local Wrapped = kit.class("trio.WrappedFile")
  local is_async = {}
  for _, name in pairs(NAMES) do is_async[name] = true end

  -- wrapped[key], nil also for what can't be indexed.
  local function member(wrapped, key)
    local ok, value = pcall(function() return wrapped[key] end)
    return ok and value or nil
  end

  local function check_usable(self)
    if self._closed then
      error(trio.ClosedResourceError("this file was closed"), 0)
    end
  end

  -- call(...) with the manners of an async function.
  local function run(self, call, ...)
    check_usable(self)
    lowlevel.checkpoint_if_cancelled()
    check_usable(self)
    local results = pack(call(...))
    for i = 1, results.n do
      if rawequal(results[i], self._wrapped) then results[i] = self end
    end
    lowlevel.cancel_shielded_checkpoint()
    return unpack(results, 1, results.n)
  end

  -- The async form of a method of the wrapped object.
  local function async(method, name)
    return function(self, ...)
      Wrapped.check_async(self, name)
      if name == "lines" then
        local step = method(self._wrapped, ...)
        return function(...)
          check.task("WrappedFile:lines")
          return run(self, step, ...)
        end
      elseif name == "detach" then
        local object = run(self, method, self._wrapped, ...)
        return trio.wrap_file(object)
      end
      return run(self, method, self._wrapped, ...)
    end
  end

  function Wrapped.__index(self, key)
    local wrapped = rawget(self, "_wrapped")
    if key == "wrapped" then return wrapped end
    if key == "aclose" then return Wrapped.aclose end
    if key == "close" or (type(key) == "string" and key:find("^_")) then
      return nil
    end
    local value = member(wrapped, key)
    if type(value) ~= "function" then return value end
    if is_async[key] then return async(value, key) end
    return function(first, ...)
      if rawequal(first, self) then first = wrapped end
      return value(first, ...)
    end
  end

  local function close(self)
    if self._closed then return end
    rawset(self, "_closed", true)
    local wrapped = self._wrapped
    if io.type(wrapped) == "closed file" then return end
    return wrapped:close()
  end

  --- wrapper:aclose(): close the object, also if this is cancelled.
  function Wrapped:aclose()
    Wrapped.check_async(self, "aclose")
    local results = pack(close(self))
    lowlevel.checkpoint()
    return unpack(results, 1, results.n)
  end

  function Wrapped:__close()
    close(self)
  end

  function Wrapped:__tostring()
    return ("<trio.WrappedFile %p of %s%s>"):format(self,
      tostring(self._wrapped), self._closed and ", closed" or "")
  end

  --- trio.wrap_file(file): an async file made of a file of io, or of any object
  --- that has close, and read or write.
  function trio.wrap_file(file)
    if not member(file, "close")
      or not (member(file, "read") or member(file, "write")) then
      check.refuse(1, "wrap_file",
        check.expected("object with close, and read or write", file))
    end
    return Wrapped:new({_wrapped = file, _closed = false})
  end
end
