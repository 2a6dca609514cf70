-- SPDX-License-Identifier: MIT
-- abc.lua: trio.abc: what a stream, a channel, a listener... must be able to
-- do, and mixins that derive the rest.
--
--   local Upper = trio.abc.ReceiveStream({})       -- a class, its own __index
--   function Upper:receive_some(max_bytes) ... end
--   function Upper:aclose() ... end
--
-- A mixin is a table with the derived methods and metamethods; calling it puts
-- those into a class that the class doesn't have. Nobody needs a mixin:
-- whatever has the methods of an interface implements it.

local error, pcall, type = error, pcall, type

-- The methods of each interface. Clock and those below derive nothing.
local METHODS = {
  AsyncResource = {"aclose"},
  SendStream = {"send_all", "wait_send_all_might_not_block", "aclose"},
  ReceiveStream = {"receive_some", "aclose"},
  Stream = {
    "send_all", "wait_send_all_might_not_block", "receive_some", "aclose",
  },
  HalfCloseableStream = {
    "send_all", "wait_send_all_might_not_block", "send_eof", "receive_some",
    "aclose",
  },
  Listener = {"accept", "aclose"},
  SendChannel = {"send", "aclose"},
  ReceiveChannel = {"receive", "aclose"},
  Channel = {"send", "receive", "aclose"},
  Clock = {"start_clock", "current_time", "deadline_to_sleep_time"},
  HostnameResolver = {"getaddrinfo", "getnameinfo"},
  SocketFactory = {"socket"},
}

-- Any of these makes an instrument.
local HOOKS = {
  "before_run", "after_run", "task_spawned", "task_scheduled",
  "before_task_step", "after_task_step", "task_exited", "before_io_wait",
  "after_io_wait",
}

return function(trio, kit)
  local check, abc = kit.check, trio.abc

  -- ---- what is derived

  -- <close>: at once where closing never waits.
  local function close(self)
    if self.close then self:close() else self:aclose() end
  end

  -- for chunk in stream do
  local function next_chunk(self)
    return (self:receive_some())
  end

  -- for value in channel do
  local function next_value(self)
    local ok, value = pcall(self.receive, self)
    if ok then return value end
    if trio.isinstance(value, trio.EndOfChannel) then return nil end
    error(value, 0)
  end

  -- The guards of streams that send by send_all below.
  local sending = setmetatable({}, {__mode = "k"})

  -- send_all for a class that can send a part: send_some(data) sends at least
  -- one byte, waiting for that, and returns how many. Without data it is only
  -- a checkpoint.
  local function send_all(self, data)
    local rest = check.data(data, "send_all")
    sending[self] = sending[self]
      or kit.busy("another task is sending on this stream")
    local _ <close> = sending[self]:claim()
    repeat
      local count = self:send_some(rest)
      if rest ~= "" then
        if math.type(count) ~= "integer" or count < 1 or count > #rest then
          error("send_some must return how many bytes it has sent, got "
            .. tostring(count), 2)
        end
        rest = rest:sub(count + 1)
      end
    until rest == ""
  end

  local DERIVED = {
    AsyncResource = {__close = close},
    SendStream = {__close = close, send_all = send_all},
    ReceiveStream = {__close = close, __call = next_chunk},
    Stream = {__close = close, __call = next_chunk, send_all = send_all},
    Listener = {__close = close},
    SendChannel = {__close = close},
    ReceiveChannel = {__close = close, __call = next_value},
    Channel = {__close = close, __call = next_value},
  }
  DERIVED.HalfCloseableStream = DERIVED.Stream

  -- ---- mixins

  -- Metamethods aren't inherited; of the methods, what a parent class has
  -- counts as well.
  local function has(class, name)
    if name:find("^__") then return rawget(class, name) ~= nil end
    return class[name] ~= nil
  end

  local function new_mixin(name)
    local mixin = {}
    for key, value in pairs(DERIVED[name] or {}) do mixin[key] = value end
    local meta = {__name = "trio.abc." .. name, __metatable = false}

    function meta.__call(_, class)
      if type(class) ~= "table" then
        check.refuse(1, name, check.expected("table", class))
      end
      for key, value in pairs(mixin) do
        if not has(class, key) then class[key] = value end
      end
      if rawget(class, "__index") == nil then class.__index = class end
      return class
    end

    function meta.__tostring() return meta.__name end

    return setmetatable(mixin, meta)
  end

  local names = {}  -- mixin -> name
  for name in pairs(METHODS) do abc[name] = new_mixin(name) end
  abc.Instrument = new_mixin("Instrument")
  for name, mixin in pairs(abc) do names[mixin] = name end

  -- ---- implements

  local function member(value, name) return value[name] end

  -- Indexing runs the program's __index, which may raise.
  local function has_method(value, name)
    local ok, method = pcall(member, value, name)
    if not ok or not check.is_callable(method) then return false end
    return method ~= send_all or has_method(value, "send_some")
  end

  local function has_any(value, methods)
    for _, name in ipairs(methods) do
      if has_method(value, name) then return true end
    end
    return false
  end

  local function has_all(value, methods)
    for _, name in ipairs(methods) do
      if not has_method(value, name) then return false end
    end
    return true
  end

  --- implements(value, interface): has the value the interface's methods?
  --- The interface is a name or a mixin.
  function abc.implements(value, interface)
    local name = names[interface] or interface
    if name ~= "Instrument" and not METHODS[name] then
      check.refuse(2, "implements", type(name) == "string"
        and ("unknown interface '%s'"):format(name)
        or check.expected("name of an interface", name))
    end
    if type(value) ~= "table" and type(value) ~= "userdata" then
      return false
    end
    if name == "Instrument" then return has_any(value, HOOKS) end
    return has_all(value, METHODS[name])
  end
end
