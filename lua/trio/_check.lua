-- SPDX-License-Identifier: MIT
-- _check.lua: checks of arguments, for the library's own Lua files only.
--
-- A check that fails raises a string, like luaL_argerror, with the position of
-- whoever called the function that checks. So checks are called directly from
-- functions that the program calls. Where there is another call in between,
-- the last argument `level` counts it (1 for one call).

local error, type, getmetatable = error, type, debug.getmetatable

-- The level of the program's line, seen from a check.
local CALLER = 3

return function(trio, kit)
  local check = {}
  kit.check = check

  --- May value be called?
  function check.is_callable(value)
    if type(value) == "function" then return true end
    local meta = getmetatable(value)
    return meta ~= nil and rawget(meta, "__call") ~= nil
  end

  --- What messages call a value: its class's name or its type.
  function check.name_of(value)
    local meta = getmetatable(value)
    local name = meta ~= nil and rawget(meta, "__name")
    return type(name) == "string" and name or type(value)
  end

  --- Raise "bad argument #place to 'name' (problem)".
  function check.refuse(place, name, problem, level)
    error(("bad argument #%d to '%s' (%s)"):format(place, name, problem),
      CALLER + (level or 0))
  end

  local function expected(what, value)
    return ("%s expected, got %s"):format(what, check.name_of(value))
  end
  check.expected = expected

  function check.callable(value, place, name, level)
    if check.is_callable(value) then return end
    check.refuse(place, name, expected("function", value), 1 + (level or 0))
  end

  function check.string(value, place, name, level)
    if type(value) == "string" then return end
    check.refuse(place, name, expected("string", value), 1 + (level or 0))
  end

  --- What is to be sent by a function of this name: a string, or an array of
  --- strings. Returns one string.
  function check.data(data, name)
    if type(data) == "string" then return data end
    if type(data) ~= "table" then
      check.refuse(1, name, expected("string or array of strings", data), 1)
    end
    for _, part in ipairs(data) do check.string(part, 1, name, 1) end
    return table.concat(data)
  end

  --- A whole number that is at least `least`; returned as an integer.
  function check.integer(value, place, name, least, level)
    level = 1 + (level or 0)
    if type(value) ~= "number" then
      check.refuse(place, name, expected("number", value), level)
    end
    local integer = math.tointeger(value)
    if integer == nil then
      check.refuse(place, name, "number has no integer representation", level)
    elseif integer < least then
      check.refuse(place, name, ("must be at least %d"):format(least), level)
    end
    return integer
  end

  --- Is value a table of options, that is one without a metatable?
  function check.is_options(value)
    return type(value) == "table" and getmetatable(value) == nil
  end

  --- A table of options or nil; each of its keys must be one of `known`, a set.
  --- Returns a table.
  function check.options(value, place, name, known, level)
    if value == nil then return {} end
    level = 1 + (level or 0)
    if not check.is_options(value) then
      check.refuse(place, name, expected("table", value), level)
    end
    for key in pairs(value) do
      if not known[key] then
        check.refuse(place, name, ("unknown option '%s'"):format(
          tostring(key)), level)
      end
    end
    return value
  end

  --- Raise where the program can't wait; `name` is the function that may.
  function check.task(name, level)
    local problem = trio._no_wait(name)
    if problem then error(problem, CALLER + (level or 0)) end
  end
end
