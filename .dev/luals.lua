-- SPDX-License-Identifier: MIT
-- `make luals`: writes the definitions for the Lua language server, from what
-- the manual says about each function and what the module has.
--   build/trio-lua .dev/luals.lua >docs/luals/trio.d.lua
-- Types are read off the words of the manual ("`seconds`, a number"); where
-- these say nothing that is known here, the type is any.

local trio = require "trio"
local docs = require "spec.support.docs"

-- What the manual calls an object, where the class isn't trio.<Capitalised>.
local CLASSES = {
  Class = "trio.ErrorClass", clock = "trio.testing.MockClock",
  channel = "trio.DTLSChannel", endpoint = "trio.DTLSEndpoint",
  context = "trio.ssl.SSLContext", session = "trio.ssl.SSLSession",
  group = "trio.ExceptionGroup", limiter = "trio.CapacityLimiter",
  lot = "trio.lowlevel.ParkingLot", queue = "trio.lowlevel.UnboundedQueue",
  receive = "trio.MemoryReceiveChannel", scope = "trio.CancelScope",
  send = "trio.MemorySendChannel", seq = "trio.testing.Sequencer",
  task = "trio.lowlevel.Task", task_status = "trio.TaskStatus",
  token = "trio.TrioToken", var = "trio.ContextVar",
  wrapper = "trio.WrappedFile",
}

-- What a function returns, where its name isn't that of a class.
local RETURNS = {
  ["endpoint:connect"] = "trio.DTLSChannel",
  ["trio.move_on_after"] = "trio.CancelScope, any ...",
  ["trio.move_on_at"] = "trio.CancelScope, any ...",
  ["trio.open_memory_channel"] =
    "trio.MemorySendChannel, trio.MemoryReceiveChannel",
  ["trio.StrictFIFOLock"] = "trio.Lock", ["trio.open_file"] = "trio.File",
  ["trio.wrap_file"] = "trio.WrappedFile", ["trio.Path.cwd"] = "trio.Path",
  ["trio.Path.home"] = "trio.Path", ["send:clone"] = "trio.MemorySendChannel",
  ["receive:clone"] = "trio.MemoryReceiveChannel",
  ["trio.lowlevel.current_task"] = "trio.lowlevel.Task",
  ["trio.lowlevel.current_root_task"] = "trio.lowlevel.Task",
  ["trio.lowlevel.spawn_system_task"] = "trio.lowlevel.Task",
  ["trio.lowlevel.current_trio_token"] = "trio.TrioToken",
  ["trio.lowlevel.open_process"] = "trio.Process",
  ["trio.lowlevel.RunVar"] = "trio.ContextVar",
  ["trio.current_effective_deadline"] = "number",
  ["trio.current_time"] = "number", ["path:open"] = "trio.File",
}

-- Tried in this order on the words behind "Returns: " or a parameter's name.
local WORDS = {
  {"^nothing", ""}, {"^never", ""}, {"^a boolean", "boolean"},
  {"^whether", "boolean"}, {"^true if", "boolean"}, {"^true inside", "boolean"},
  {"^true%.", "true"}, {"^`true` and", "boolean, any ..."},
  {"^a string that isn't empty, or nil", "string?"}, {"^a string", "string"},
  {"^strings", "string"}, {"^an integer", "integer"},
  {"^a whole number", "integer"}, {"^a positive integer", "integer"},
  {"^how many", "integer"}, {"^the number of", "integer"},
  {"^a number", "number"}, {"^a time", "number"}, {"^the time", "number"},
  {"^seconds", "number"}, {"^a table", "table"}, {"^options", "table"},
  {"^an array", "any[]"}, {"^a function", "FUNCTION"},
  {"^functions", "FUNCTION"},
  {"^what `%w+` returns", "any ..."}, {"^what the function", "any ..."},
  {"^the values", "any ..."}, {"^the body's results", "any ..."},
}

local FIELDS = {  -- others are any
  deadline = "number", relative_deadline = "number", shield = "boolean",
  cancel_called = "boolean", cancelled_caught = "boolean", name = "string",
  returncode = "integer?", pid = "integer", message = "string",
  exceptions = "any[]", cancel_scope = "trio.CancelScope", value = "integer",
  max_value = "integer", total_tokens = "number", borrowed_tokens = "integer",
  available_tokens = "number", child_tasks = "trio.lowlevel.Task[]",
  child_nurseries = "trio.Nursery[]", parent_nursery = "trio.Nursery?",
  parent_task = "trio.lowlevel.Task", path = "string", mode = "string",
  closed = "boolean", redeemed = "boolean", suffix = "string", stem = "string",
}

local function class_of(object)
  return CLASSES[object] or "trio." .. object:gsub("^%l", string.upper)
end

local function type_of(words)
  for _, pair in ipairs(WORDS) do
    if words and words:find(pair[1]) then return pair[2] end
  end
  return "any"
end

-- The item "* Name: text" of an entry, on one line.
local function item(entry, name)
  local text = ("\n" .. entry .. "\n* "):match("\n%* " .. name ..
                                               "[^:\n]*: (.-)\n%* ")
  text = text and text:gsub("\n\n.*", "")
  return text and text:gsub("%s+", " ") or nil
end

-- "[opts,] fn, ..." as {{name =, optional =, leading =}, ...}.
local function parameters(text)
  local list, depth = {}, 0
  for part, stop in (text .. ","):gmatch("([^,]*)(,%]?)") do
    local opened = select(2, part:gsub("%[", ""))
    local name = part:match("[%a_][%w_]*") or "..."
    if part:find("...", 1, true) then name = "..." end
    local optional = depth > 0 or part:find("^%s*%[") ~= nil
    depth = depth + opened
    if part:find("%S") then
      list[#list + 1] = {name = name, optional = optional,
                         leading = stop == ",]" and opened > 0}
    end
    depth = depth - select(2, part:gsub("%]", "")) - #stop + 1
  end
  return list
end

local out = {}
local function emit(format, ...) out[#out + 1] = format:format(...) end

local defined, returned = {}, {}

-- Methods that the manual has in tables. Those of paths are asynchronous where
-- they ask the system.
local TABLE_ASYNC = {["stream:get_data"] = true}
local PATH_SYNC = {}
for name in ("joinpath with_name with_stem with_suffix relative_to match " ..
             "as_uri is_relative_to is_absolute"):gmatch("%S+") do
  PATH_SYNC[name] = true
end

-- The entry's Checkpoint item, as far as it is about this function.
local function is_async(name, checkpoint)
  if not checkpoint then
    local of_path = name:match("^path:(.*)")
    return TABLE_ASYNC[name] or of_path and not PATH_SYNC[of_path] or false
  end
  local short = name:match("[%w_]+$")
  local own = checkpoint:match("`" .. short .. "`: (%a+)")
  if own then return own == "yes" end
  return checkpoint:find("^yes") ~= nil
    or checkpoint:find("^a %a+ point") ~= nil
end

local function define(name, signature, entry)
  if defined[name] then return end
  defined[name] = true
  if name == "trio.Path" then  -- has functions of its own
    emit("\n---@class trio.PathClass\n---@overload fun(...: any): trio.Path")
    emit("trio.Path = {}")
    return
  end
  local checkpoint = item(entry, "Checkpoint")
  local waits = is_async(name, checkpoint)
  local fun = (waits or (checkpoint or ""):find("may wait")
    or name:find("^nursery:") or name == "trio.run"
    or name:find("spawn_system_task")) and "async fun(...): ..." or "function"
  local arguments = item(entry, "Arguments") or ""
  local list = parameters(signature)
  emit("")
  local first = entry:gsub("^%s+", ""):match("^(.-)\n\n") or ""
  for line in (first:find("^%*") and "" or first):gmatch("[^\n]+") do
    emit("---%s", line)
  end
  if waits then emit("---@async") end
  local names, typed = {}, {}
  for i, parameter in ipairs(list) do
    local words = parameter.name ~= "..."
      and arguments:match("`" .. parameter.name .. "`,? ?([^`].*)") or nil
    local kind = parameter.name == "..." and "any" or type_of(words)
    if parameter.name:find("^opts") then kind = "table" end
    if kind == "" then kind = "any" end
    if kind == "FUNCTION" or parameter.name:find("^body$")
        or parameter.name == "fn" or parameter.name == "main" then
      kind = fun
    end
    local leading = parameter.leading and i == 1
    emit("---@param %s%s %s", parameter.name,
         parameter.optional and not leading and parameter.name ~= "..." and "?"
           or "", kind)
    names[i] = parameter.name
    if not (list[1].leading and i == 1) then
      typed[#typed + 1] = ("%s%s: %s"):format(parameter.name,
        parameter.optional and parameter.name ~= "..." and "?" or "", kind)
    end
  end
  local returns = RETURNS[name]
    or (name:match("%.%u[%w_]*$") and name) or type_of(item(entry, "Returns"))
  if returns == "FUNCTION" then returns = "function" end
  for one in returns:gmatch("[^,]+") do
    one = one:gsub("^%s+", "")
    emit("---@return %s", one)
    if one:find("^trio%.") then returned[one] = true end
  end
  if list[1] and list[1].leading then
    if name:find(":") then table.insert(typed, 1, "self") end
    emit("---@overload %sfun(%s)%s", waits and "async " or "",
         table.concat(typed, ", "),
         returns ~= "" and ": " .. returns:gsub("any %.%.%.", "any") or "")
  end
  emit("function %s(%s) end", name, table.concat(names, ", "))
end

-- Definitions of functions: {names =, text =} from headings and table rows.
-- The first entry of a name counts.
local entries, objects, fields = {}, {}, {}

local function note(cell, text)
  for quoted in cell:gmatch("`([^`]+)`") do
    local name, signature = quoted:match("^([%a_][%w_.:]*)%((.*)%)$")
    if name and (name:find("^trio%.") or name:find(":"))
        and not name:find("^trio%.busted") then
      entries[#entries + 1] = {name, signature, text}
      local object = name:match("^([%w_]+):")
      if object then objects[object] = true end
    end
  end
end

local function read_page(path)
  local page = docs.prose(docs.read(path))
  local heading, lines
  for line in (page .. "\n#\n"):gmatch("([^\n]*)\n") do
    if line:find("^#") then
      if heading then note(heading, table.concat(lines, "\n")) end
      heading, lines = line:match("^### (`%a.*)"), {}
    elseif heading then
      lines[#lines + 1] = line
    end
  end
  if docs.compares(path) then return end
  for cell, text in page:gmatch("\n| (`[^|\n]*`) | ([^\n]-) |%f[\n]") do
    note(cell, text .. "\n\n")
  end
  for quoted in page:gmatch("`([%a_][%w_]*%.[%a_][%w_]*)`") do
    local object, field = quoted:match("^(.*)%.(.*)$")
    fields[object] = fields[object] or {}
    fields[object][field] = true
  end
end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Every public value of the module that no entry is about.
local function define_rest(t, prefix)
  for _, name in ipairs(sorted(t)) do
    local value, full = t[name], prefix .. "." .. name
    local meta = debug.getmetatable(value)
    if type(name) ~= "string" or name:find("^_") then
      goto continue
    elseif type(value) == "function" then
      emit("\nfunction %s(...) end", full)
    elseif type(value) == "table" and not meta then
      emit("\n%s = {}", full)
      define_rest(value, full)
    elseif type(value) == "number" or type(value) == "string" then
      emit("\n---@type %s\n%s = nil", math.type(value) or type(value), full)
    elseif full ~= "trio.Path" then
      emit("\n---@type %s\n%s = nil", meta and meta.__name == "error class"
        and "trio.ErrorClass" or "any", full)
    end
    ::continue::
  end
end

for _, path in ipairs(docs.pages()) do read_page(path) end

emit("---@meta trio")
emit("-- SPDX-License-Identifier: MIT")
emit("-- Definitions for the Lua language server; made by `make luals`.")
emit("")
emit("---@class trio.ErrorClass")
emit("---@overload fun(message: string, fields?: table): trio.Error")
emit("local Class = {}")
emit("")
emit("---@class trio.Error")
for _, name in ipairs {"cause", "context", "message", "traceback"} do
  emit("---@field %s %s", name, name:find("^[mt]") and "string" or "any")
end
objects.Class, objects.session = nil, true  -- that has fields alone
for _, object in ipairs(sorted(objects)) do
  emit("\n---@class %s", class_of(object))
  for _, field in ipairs(sorted(fields[object] or {})) do
    emit("---@field %s %s", field, FIELDS[field] or "any")
  end
  emit("local %s = {}", object)
end
emit("\nlocal trio = {}")
define_rest(trio, "trio")
-- Behind the plain list, so that these are the ones that count.
local rest = out
out = {}
for _, entry in ipairs(entries) do
  if entry[1]:find("^trio%.%l") or entry[1]:find("^trio%.%u")
      or entry[1]:find(":") then
    define(table.unpack(entry))
  end
end
local functions = out
out = {}
for _, text in ipairs(rest) do
  local name = text:match("^\nfunction ([%w_.]+)%(%.%.%.%) end$")
  if not (name and defined[name]) then emit("%s", text) end
end
for _, text in ipairs(functions) do emit("%s", text) end
for _, object in ipairs(sorted(objects)) do returned[class_of(object)] = nil end
for _, class in ipairs(sorted(returned)) do  -- with methods of streams, or none
  local parent = class:find("Stream$") and ": trio.Stream" or ""
  emit("\n---@class %s%s", class, parent)
end
emit("\nreturn trio")
io.write(table.concat(out, "\n"), "\n")
