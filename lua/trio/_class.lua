-- SPDX-License-Identifier: MIT
-- _class.lua: classes written in Lua, for the library's own Lua files only.
--
--   local Queue = kit.class("trio.lowlevel.UnboundedQueue")
--   function Queue:put_nowait(item) check_self(self, "put_nowait") ... end
--   local queue = Queue:new({_items = {}})
--
-- They behave as the classes written in C: unknown fields read as nil, writing
-- them is an error, the metatable is hidden. A class is the metatable of its
-- objects and holds their methods. What an object keeps for itself stands in
-- it under names that begin with "_".

local error, setmetatable, rawget = error, setmetatable, rawget
local getmetatable = debug.getmetatable

return function(_, kit)
  local check = kit.check

  -- __index of a class with fields.
  local function index_with_fields(class, getters)
    return function(self, key)
      local member = class[key]
      if member ~= nil then return member end
      local get = getters[key]
      if get then return get(self) end
      local values = rawget(self, "_values")
      return values and values[key]
    end
  end

  local function newindex(class, fields, getters)
    return function(self, key, value)
      local problem_of = fields and fields[key]
      if problem_of then
        local problem = problem_of(value)
        if problem then
          error(("field '%s' of %s: %s"):format(key, class.__name, problem), 2)
        end
        rawget(self, "_values")[key] = value
      elseif class[key] ~= nil or getters[key] then
        error(("field '%s' of %s is read-only"):format(key, class.__name), 2)
      else
        error(("%s has no field '%s'"):format(class.__name, tostring(key)), 2)
      end
    end
  end

  --- A new class. `fields` holds, for each field that the program may write, a
  --- function(value) which returns what is wrong with that value, or nil;
  --- `getters`, for each that it may only read, a function(self).
  function kit.class(name, fields, getters)
    local class = {__name = name, __metatable = name}
    local short = name:match("[^.]*$")

    class.__index = class
    if fields or getters then
      class.__index = index_with_fields(class, getters or {})
    end
    class.__newindex = newindex(class, fields, getters or {})

    function class:__tostring()
      return ("<%s %p>"):format(name, self)
    end

    --- Class:new(private): an object of the table of its private fields. Those
    --- for the program are then assigned.
    function class:new(object)
      if fields then object._values = {} end
      return setmetatable(object, self)
    end

    --- Is this an object of the class?
    function class.is(value)
      return getmetatable(value) == class
    end

    --- The first line of a method: raise unless it was called with a colon.
    function class.check_self(value, method, level)
      if getmetatable(value) == class then return end
      error(("calling '%s' on bad self (%s)"):format(method,
        check.expected(name, value)), 3 + (level or 0))
    end

    --- The first line of a method that may wait.
    function class.check_async(value, method)
      class.check_self(value, method, 1)
      check.task(short .. ":" .. method, 1)
    end

    return class
  end
end
