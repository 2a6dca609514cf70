-- SPDX-License-Identifier: MIT
-- catch.lua: trio.catch, the `except*` of Lua.
--
-- The rules are Python's (PEP 654). The body's error is divided by one handler
-- after the other; each gets a group of what it matched, and the last word is
-- put together from what the handlers raised and what nobody matched:
--   * what handlers raised anew, and what is left of the original, make a new
--     group without a message;
--   * what a handler raised again as it got it (the same group) counts as
--     never matched, so it goes back to its place in the original.
--
-- Nothing here knows about tasks. Body and handlers may suspend. Lua's own
-- xpcall is taken at load time, so that trio.install doesn't change it.

local pack, unpack = table.pack, table.unpack
local xpcall, error = xpcall, error
local traceback, getmetatable = debug.traceback, debug.getmetatable

local function is_callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return meta ~= nil and rawget(meta, "__call") ~= nil
end

return function(trio)
  local isinstance, ExceptionGroup = trio.isinstance, trio.ExceptionGroup

  -- isinstance would raise an error, which takes much longer.
  local function is_class(value)
    local meta = getmetatable(value)
    return meta ~= nil and meta.__name == "error class"
  end

  -- cond as a function that tests one value, or nil and what is wrong.
  local function check_condition(cond)
    if is_class(cond) then
      return function(value) return isinstance(value, cond) end
    elseif is_callable(cond) then
      return cond
    elseif type(cond) ~= "table" or (#cond == 0 and next(cond) ~= nil) then
      return nil, "class, array of classes or function expected, got "
        .. type(cond)
    end
    for _, class in ipairs(cond) do
      if not is_class(class) then
        return nil, "error class expected, got " .. type(class)
      end
    end
    return function(value)
      for _, class in ipairs(cond) do
        if isinstance(value, class) then return true end
      end
      return false
    end
  end

  -- {matches=, handle=} of one entry, or nil and what is wrong.
  local function check_entry(entry)
    if type(entry) ~= "table" or is_class(entry) then
      return nil, "{cond, handler} expected, got " .. type(entry)
    end
    local matches, problem = check_condition(entry[1])
    if not matches then return nil, problem end
    if not is_callable(entry[2]) then
      return nil, "function expected, got " .. type(entry[2])
    end
    return {matches = matches, handle = entry[2]}
  end

  -- The entries of handlers, or nil and what is wrong.
  local function check_handlers(handlers)
    if type(handlers) ~= "table" or is_class(handlers) then
      return nil, "array of {cond, handler} expected, got " .. type(handlers)
    end
    local checked = {}
    for place = 1, #handlers do
      local entry, problem = check_entry(handlers[place])
      if not entry then
        return nil, ("handler %d: %s"):format(place, problem)
      end
      checked[place] = entry
    end
    return checked
  end

  -- Where the error was raised, if it is not known otherwise. Making the text
  -- is slow, and a group has its members' places already.
  local function place_of(err)
    if isinstance(err, trio.Cancelled) or isinstance(err, ExceptionGroup) then
      return nil
    elseif isinstance(err, trio.Error) and err.traceback then
      return err.traceback
    end
    return traceback(nil, 3)
  end

  -- pcall(f, ...) as a table, with `where`, the traceback of the error.
  local function attempt(f, ...)
    local where
    local outcome = pack(xpcall(f, function(err)
      where = place_of(err)
      return err
    end, ...))
    outcome.where = where
    return outcome
  end

  -- A predicate that is true for the leaves of these groups. A table has no
  -- place for nil and NaN as keys, so something stands for them.
  local NIL, NAN = {}, {}

  local function key_of(value)
    if value == nil then return NIL end
    return value == value and value or NAN
  end

  local function one_of_leaves(groups)
    local leaves = {}
    for _, group in ipairs(groups) do
      group:split(function(value)
        if value ~= group then leaves[key_of(value)] = true end
        return false
      end)
    end
    return function(value) return leaves[key_of(value)] end
  end

  -- Note on an error of ours which error was being handled when it was
  -- raised, as Python does; never so that a chain runs in a circle.
  local function set_context(err, handled)
    local is_ours = isinstance(err, trio.Error)
      or isinstance(err, ExceptionGroup)
      or isinstance(err, trio.KeyboardInterrupt)
    if not is_ours or rawget(err, "context") ~= nil then return end
    if handled:subgroup(function(e) return rawequal(e, err) end) then return end
    err.context = handled
  end

  -- Give `matched` to a handler and note what comes out of it.
  local function run_handler(state, handle, matched)
    local outcome = attempt(handle, matched)
    if outcome[1] then return end
    if rawequal(outcome[2], matched) then
      table.insert(state.kept, matched)
      return
    end
    set_context(outcome[2], matched)
    local place = state.raised.n + 1
    state.raised[place] = outcome[2]
    state.places[place] = outcome.where
    state.raised.n = place
  end

  -- Raise what the handlers of a group left, if anything.
  local function conclude(state, original)
    local kept = state.kept[1]
    if #state.kept > 1 then
      kept = original:subgroup(one_of_leaves(state.kept))
    end
    if state.raised.n == 0 then
      if kept then error(kept, 0) end
      return
    end
    if kept then
      state.raised.n = state.raised.n + 1
      state.raised[state.raised.n] = kept
    end
    error(ExceptionGroup("", state.raised, state.places), 0)
  end

  local function handle_group(handlers, group)
    local state = {kept = {}, raised = {n = 0}, places = {}}
    local rest = group
    for _, handler in ipairs(handlers) do
      if not rest then break end
      local matched
      matched, rest = rest:split(handler.matches)
      if matched then run_handler(state, handler.handle, matched) end
    end
    if rest then table.insert(state.kept, rest) end
    conclude(state, group)
  end

  local function handle_bare(handlers, err, where)
    for _, handler in ipairs(handlers) do
      if handler.matches(err) then
        local group = ExceptionGroup("", {err, n = 1}, {where})
        local outcome = attempt(handler.handle, group)
        if outcome[1] then return end
        if not rawequal(outcome[2], group) then
          set_context(outcome[2], group)
        end
        error(outcome[2], 0)
      end
    end
    error(err, 0)
  end

  --- trio.catch(handlers, body, ...): body's results, or nothing where
  --- something was caught.
  function trio.catch(handlers, body, ...)
    local checked, problem = check_handlers(handlers)
    if not checked then
      error(("bad argument #1 to 'catch' (%s)"):format(problem), 2)
    elseif not is_callable(body) then
      error(("bad argument #2 to 'catch' (function expected, got %s)"):format(
        type(body)), 2)
    end
    local outcome = attempt(body, ...)
    if outcome[1] then return unpack(outcome, 2, outcome.n) end
    if isinstance(outcome[2], ExceptionGroup) then
      handle_group(checked, outcome[2])
    else
      handle_bare(checked, outcome[2], outcome.where)
    end
  end
end
