-- SPDX-License-Identifier: MIT
-- defer.lua: trio.defer, cleanup on any exit of a block.
--
--   local guard <close> = trio.defer(function(err) ... end, {timeout = 2})
--
-- The cleanup runs in a cancel scope of its own, shielded from the scopes
-- around it unless told otherwise. A timeout ends the cleanup and nothing
-- else: the error that was on its way goes on. An error of the cleanup takes
-- its place, by the rules of Lua's <close>, and has it as its `context`.

local error, setmetatable = error, setmetatable
local rawequal, rawget = rawequal, rawget

local OPTIONS = {shield = true, timeout = true}

local function is_callable(value)
  if type(value) == "function" then return true end
  local meta = debug.getmetatable(value)
  return meta ~= nil and rawget(meta, "__call") ~= nil
end

-- What is wrong with the options, or nil.
local function problem_of(opts)
  if type(opts) ~= "table" then return "table expected, got " .. type(opts) end
  for name in pairs(opts) do
    if not OPTIONS[name] then
      return ("unknown option '%s'"):format(tostring(name))
    end
  end
  local shield, timeout = opts.shield, opts.timeout
  if shield ~= nil and type(shield) ~= "boolean" then
    return "option 'shield' must be a boolean"
  elseif timeout ~= nil and type(timeout) ~= "number" then
    return "option 'timeout' must be a number"
  elseif timeout ~= nil and (timeout < 0 or timeout ~= timeout) then
    return "option 'timeout' must not be negative or NaN"
  end
  return nil
end

return function(trio)
  local Deferred = {__name = "trio.defer", __metatable = false}

  function Deferred:__tostring()
    return ("<trio.defer %p>"):format(self)
  end

  -- Notes on an error of ours which one was on its way when the cleanup raised
  -- it; never so that a chain runs in a circle. A <close> variable, because
  -- pcall would lose the place where the error was raised.
  local Note = {__metatable = false}

  function Note:__close(raised)
    local is_ours = trio.isinstance(raised, trio.Error)
      or trio.isinstance(raised, trio.ExceptionGroup)
    if not is_ours or rawget(raised, "context") ~= nil then return end
    local handled = self.err
    while handled ~= nil do
      if rawequal(handled, raised) then return end
      handled = type(handled) == "table" and rawget(handled, "context") or nil
    end
    raised.context = self.err
  end

  local function clean_up(fn, err)
    local _ <close> = setmetatable({err = err}, Note)
    fn(err)
  end

  function Deferred:__close(err)
    local fn = self.fn
    if not trio.lowlevel.in_trio_task() then
      clean_up(fn, err)
      return
    end
    trio.CancelScope({
      shield = self.shield, relative_deadline = self.timeout,
    }):run(function() clean_up(fn, err) end)
  end

  --- trio.defer(fn [, opts]): a value for `local x <close> =` that calls
  --- fn(err) when the block is left; err is nil unless an error leaves it.
  function trio.defer(fn, opts)
    if not is_callable(fn) then
      error(("bad argument #1 to 'defer' (function expected, got %s)"):format(
        type(fn)), 2)
    end
    if opts == nil then opts = {} end
    local problem = problem_of(opts)
    if problem then
      error(("bad argument #2 to 'defer' (%s)"):format(problem), 2)
    end
    return setmetatable({
      fn = fn, shield = opts.shield ~= false, timeout = opts.timeout,
    }, Deferred)
  end
end
