-- SPDX-License-Identifier: MIT
-- _prompt.lua: what the interpreter's prompt (src/cli/repl.c) has in Lua: the
-- nursery of the session, and the completion of names. Not for programs.

local NAME = "^[%a_][%w_]*$"

return function(trio)
  local prompt = {}
  pairs(trio)  -- so that all names are there to be completed
  local checkpoint_if_cancelled = trio.lowlevel.checkpoint_if_cancelled
  local open_nursery, sleep_forever = trio.open_nursery, trio.sleep_forever
  -- Lua's own, whatever trio.install puts in its place: an interrupt of a
  -- background task is reported like any other error.
  local pcall, stderr = pcall, io.stderr

  --- background(): a system task that keeps a nursery open in the global
  -- `nursery`. One that failed is reported, and a new one takes its place.
  function prompt.background()
    while true do
      local _, err = pcall(open_nursery, function(nursery)
        _G.nursery = nursery
        sleep_forever()
      end)
      checkpoint_if_cancelled()   -- raises at the end of the session
      stderr:write(err:report(), "\n")
    end
  end

  -- The fields that can be had from a value without running any code.
  local function each_table(value, seen, visit)
    if type(value) == "table" and not seen[value] then
      seen[value] = true
      visit(value)
    end
    local meta = debug.getmetatable(value)
    local index = type(meta) == "table" and rawget(meta, "__index")
    if type(index) == "function" then
      -- A class of the library: the function has its members as an upvalue.
      local _, members = debug.getupvalue(index, 1)
      index = type(members) == "table" and members or nil
    end
    if type(index) == "table" and not seen[index] then
      each_table(index, seen, visit)
    end
  end

  local function raw_field(value, name)
    local found
    each_table(value, {}, function(t)
      if found == nil then found = rawget(t, name) end
    end)
    return found
  end

  local KEYWORDS = {
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function",
    "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then",
    "true", "until", "while",
  }

  --- complete(text): what the expression may become, as a sorted list: names
  -- like "trio.sl", "scope:can" or "pri".
  function prompt.complete(text)
    local path, start = text:match("^(.*[.:])([%w_]*)$")
    path, start = path or "", start or text
    local owner = _G
    for name in path:gmatch("([^.:]*)[.:]") do
      owner = raw_field(owner, name)
      if owner == nil then return {} end
    end
    local methods_only = path:find(":$") ~= nil
    local found, taken = {}, {}
    local function offer(name, value)
      if type(name) == "string" and name:find(NAME)
          and name:sub(1, #start) == start and not taken[name]
          and (start ~= "" or not name:find("^_"))
          and (not methods_only or type(value) == "function") then
        taken[name] = true
        found[#found + 1] = path .. name
      end
    end
    each_table(owner, {}, function(t)
      for name, value in next, t do offer(name, value) end
    end)
    if path == "" then
      for _, word in ipairs(KEYWORDS) do offer(word, true) end
    end
    table.sort(found)
    return found
  end

  return prompt
end
