-- SPDX-License-Identifier: MIT
-- api.lua: the public API: what can be reached from require "trio" through
-- plain tables, and the members of its classes. Those written in C are found
-- by their metatables in the registry, those in Lua as upvalues of public
-- functions. Names that begin with an underscore are not public.

local M = {}

-- What the manual calls an object of each class with members. A new class
-- needs a line here.
local OBJECTS = {
  ["trio.BufferedReceiveStream"] = "stream",
  ["trio.CancelScope"] = "scope",
  ["trio.CapacityLimiter"] = "limiter",
  ["trio.Condition"] = "condition",
  ["trio.ContextVar"] = "var",
  ["trio.DTLSChannel"] = "channel",
  ["trio.DTLSEndpoint"] = "endpoint",
  ["trio.Event"] = "event",
  ["trio.ExceptionGroup"] = "group",
  ["trio.File"] = "file",
  ["trio.Lock"] = "lock",
  ["trio.MemoryReceiveChannel"] = "receive",
  ["trio.MemorySendChannel"] = "send",
  ["trio.Nursery"] = "nursery",
  ["trio.SafeReceiveChannel"] = "receive",
  ["trio.Process"] = "process",
  ["trio.Path"] = "path",
  ["trio.SSLListener"] = "listener",
  ["trio.SSLStream"] = "stream",
  ["trio.Semaphore"] = "semaphore",
  ["trio.SignalReceiver"] = "signals",
  ["trio.SocketListener"] = "listener",
  ["trio.SocketStream"] = "stream",
  ["trio.StapledStream"] = "stream",
  ["trio.StrictFIFOLock"] = "lock",
  ["trio.SystemClock"] = "clock",
  ["trio.TASK_STATUS_IGNORED"] = "task_status",
  ["trio.TaskStatus"] = "task_status",
  ["trio.TrioToken"] = "token",
  ["trio.VarToken"] = "token",
  ["trio.WrappedFile"] = "wrapper",
  ["trio.lowlevel.FdStream"] = "stream",
  ["trio.lowlevel.ParkingLot"] = "lot",
  ["trio.lowlevel.RunVar"] = "var",
  ["trio.lowlevel.Task"] = "task",
  ["trio.lowlevel.UnboundedQueue"] = "queue",
  ["trio.socket"] = "socket",
  ["trio.ssl.SSLContext"] = "context",
  ["trio.ssl.SSLSession"] = "session",
  ["trio.testing.LockstepReceiveStream"] = "stream",
  ["trio.testing.LockstepSendStream"] = "stream",
  ["trio.testing.MemoryReceiveStream"] = "stream",
  ["trio.testing.MemorySendStream"] = "stream",
  ["trio.testing.MockClock"] = "clock",
  ["trio.testing.Sequencer"] = "seq",
}

-- What every class written in Lua has for its own use (lua/trio/_class.lua).
local PRIVATE = {new = true, is = true, check_self = true, check_async = true}

local function is_public(name)
  return type(name) == "string" and not name:find("^_")
end

-- "trio.sleep" = value, for everything below a table without a metatable.
local function collect_names(t, prefix, found)
  for name, value in pairs(t) do
    if is_public(name) then
      local full = prefix .. "." .. name
      local is_space = type(value) == "table"
        and not debug.getmetatable(value)
      if is_space and next(value) ~= nil then
        collect_names(value, full, found)
      elseif not is_space and type(value) ~= "number" then
        found[full] = value
      end
    end
  end
  return found
end

-- The table of members of a class: its __index, or what that looks into.
local function members_of(metatable)
  local index = rawget(metatable, "__index")
  if type(index) == "function" then
    local _, value = debug.getupvalue(index, 1)
    index = value
  end
  return type(index) == "table" and index or {}
end

-- The public members of a class written in Lua.
local function members_in_lua(class)
  local members = {}
  for name, value in pairs(class) do
    if is_public(name) and not PRIVATE[name] then members[name] = value end
  end
  return members
end

-- Adds the classes that a function, or one that it calls, has as an upvalue.
local function collect_lua_classes(fn, classes, seen)
  if seen[fn] then return end
  seen[fn] = true
  for i = 1, math.huge do
    local name, value = debug.getupvalue(fn, i)
    if not name then return end
    if type(value) == "function" then
      collect_lua_classes(value, classes, seen)
    elseif type(value) == "table" and rawget(value, "check_self") then
      local members = members_in_lua(value)
      classes[value.__name] = members
      for _, member in pairs(members) do
        if type(member) == "function" then
          collect_lua_classes(member, classes, seen)
        end
      end
    end
  end
end

-- {["trio.Nursery"] = members}, for all classes of the library.
local function collect_classes(names)
  local classes, seen = {}, {}
  for _, value in pairs(names) do
    if type(value) == "table" then  -- one that is called, such as trio.Path
      value = rawget(debug.getmetatable(value) or {}, "__call")
    end
    if type(value) == "function" then
      collect_lua_classes(value, classes, seen)
    end
  end
  for key, value in pairs(debug.getregistry()) do
    local name = type(key) == "userdata" and type(value) == "table"
      and rawget(value, "__name")
    if type(name) == "string" and name:find("^trio%.") then
      classes[name] = members_of(value)
    end
  end
  return classes
end

M.objects = OBJECTS
M.is_public = is_public
M.collect_names = collect_names
M.collect_classes = collect_classes

return M
