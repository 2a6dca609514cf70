-- SPDX-License-Identifier: MIT
-- busted_groups.lua: assert.raises_group of trio.busted.
--
--   assert.raises_group({trio.OSError, "gave up", {Late, message = "inner"}},
--     function() ... end)
--
-- What is expected is a table of members, in any order, with options beside
-- them. Members are paired with what was raised so that as many as possible
-- find a partner (augmenting paths), so their order never matters, nor that
-- one member would fit several errors.

local error, type, pcall, pairs = error, type, pcall, pairs

local OPTIONS = {message = "string", check = "function", flatten = "boolean",
                 allow_unwrapped = "boolean"}
local LEAF_OPTIONS = {class = true, message = "string", check = "function"}

return function(trio, kit)
  local check = kit.check
  local isinstance = trio.isinstance

  local function is_group(value)
    return isinstance(value, trio.ExceptionGroup)
  end

  local function is_class(value)
    local meta = debug.getmetatable(value)
    return meta ~= nil and meta.__name == "error class"
  end

  -- A table of members: a group. Without members: a single error.
  local function is_pattern_table(value)
    return check.is_options(value)
  end

  -- ---- what is expected: checks, and words for it

  local function check_fields(fields, known)
    for name, value in pairs(fields) do
      local kind = known[name]
      local is_good = kind == true or type(value) == kind
        or kind == "function" and check.is_callable(value)
      if math.type(name) == "integer" then
        is_good = true  -- a member
      elseif not kind then
        return ("unknown option '%s'"):format(tostring(name))
      end
      if not is_good then
        return ("option '%s' must be a %s"):format(name, kind)
      end
    end
    if fields.class ~= nil and not is_class(fields.class) then
      return "option 'class' must be an error class"
    end
    return nil
  end

  local problem_of_group

  local function problem_of_member(member, flatten)
    if not is_pattern_table(member) then return nil end
    if #member == 0 then return check_fields(member, LEAF_OPTIONS) end
    if flatten then return "with 'flatten' there can't be a group inside" end
    return problem_of_group(member)
  end

  -- What is wrong with a table of members, or nil.
  function problem_of_group(expected)
    if #expected == 0 then return "no member is expected" end
    local problem = check_fields(expected, OPTIONS)
    if problem then return problem end
    if expected.allow_unwrapped then
      if #expected > 1 then
        return "with 'allow_unwrapped' there can be one member only"
      elseif is_pattern_table(expected[1]) and #expected[1] > 0 then
        return "with 'allow_unwrapped' the member can't be a group"
      elseif expected.message ~= nil or expected.check ~= nil then
        return "with 'allow_unwrapped' there may be no group to have "
          .. "a 'message' or be given to 'check'"
      end
    end
    for _, member in ipairs(expected) do
      problem = problem_of_member(member, expected.flatten)
      if problem then return problem end
    end
    return nil
  end

  local describe

  local function describe_table(expected)
    local words = {}
    for i, member in ipairs(expected) do words[i] = describe(member) end
    if expected.class then words[1] = tostring(expected.class) end
    for _, name in ipairs {"message", "flatten", "allow_unwrapped"} do
      local value = expected[name]
      if type(value) == "string" then value = ("%q"):format(value) end
      if value then words[#words + 1] = name .. " = " .. tostring(value) end
    end
    if expected.check then words[#words + 1] = "check" end
    return "{" .. table.concat(words, ", ") .. "}"
  end

  -- An expected member in one line.
  function describe(member)
    if is_class(member) then
      return tostring(member)
    elseif type(member) == "string" then
      return ("%q"):format(member)
    elseif is_pattern_table(member) then
      return describe_table(member)
    elseif check.is_callable(member) then
      return "an error that fits " .. tostring(member)
    end
    return tostring(member)
  end

  -- A raised value in one line.
  local function brief(value)
    local text = tostring(value)
    local first = text:match("^[^\n]*")
    return first == text and text or first .. " ..."
  end

  -- ---- comparing

  -- The text that a pattern is compared with: of an error object its message,
  -- as its class is asked for by itself.
  local function text_of(value)
    local is_object = isinstance(value, trio.Error) or is_group(value)
    local message = is_object and value.message
    return type(message) == "string" and message or tostring(value)
  end

  local function mismatch_of_text(value, pattern)
    local text = text_of(value)
    if text:find(pattern) then return nil end
    return ("%q does not match %q"):format(text, pattern)
  end

  local mismatch_of_group

  -- Why the value isn't the single error that is described, or nil.
  local function mismatch_of_leaf(leaf, value)
    if leaf.class and not isinstance(value, leaf.class) then
      return "it is no " .. tostring(leaf.class)
    end
    local reason = leaf.message and mismatch_of_text(value, leaf.message)
    if not reason and leaf.check and not leaf.check(value) then
      reason = "'check' refuses it"
    end
    return reason
  end

  -- Why the raised value isn't the expected member, or nil.
  local function mismatch(member, value)
    if is_class(member) then
      return mismatch_of_leaf({class = member}, value)
    elseif is_pattern_table(member) and #member > 0 then
      return mismatch_of_group(member, value)
    elseif is_pattern_table(member) then
      return mismatch_of_leaf(member, value)
    elseif rawequal(member, value) then
      return nil
    elseif type(member) == "string" then
      if is_group(value) then return "it is a group" end
      return mismatch_of_text(value, member)
    elseif check.is_callable(member) then
      return not member(value) and "the function refuses it" or nil
    end
    return "it is another value"
  end

  -- The members of a group, or its leaves.
  local function members_of(group, flatten)
    local members = {n = 0}
    local function add(value)
      members.n = members.n + 1
      members[members.n] = value
    end
    local function walk(part)
      local exceptions = part.exceptions
      for i = 1, exceptions.n or #exceptions do
        local value = exceptions[i]
        if flatten and is_group(value) then walk(value) else add(value) end
      end
    end
    walk(group)
    return members
  end

  -- reasons[i][j]: why member i of the expected isn't value j; nil if it is.
  local function compare_all(expected, values)
    local reasons = {}
    for i, member in ipairs(expected) do
      reasons[i] = {}
      for j = 1, values.n do reasons[i][j] = mismatch(member, values[j]) end
    end
    return reasons
  end

  -- partner[j] = i for as many pairs as there can be.
  local function pair_up(expected, values, reasons)
    local partner = {}
    local function try(i, seen)
      for j = 1, values.n do
        if reasons[i][j] == nil and not seen[j] then
          seen[j] = true
          if partner[j] == nil or try(partner[j], seen) then
            partner[j] = i
            return true
          end
        end
      end
      return false
    end
    for i = 1, #expected do try(i, {}) end
    return partner
  end

  -- Those without a partner, as two lists of indices.
  local function left_over(expected, values, partner)
    local missing, surplus, taken = {}, {}, {}
    for j = 1, values.n do
      if partner[j] then
        taken[partner[j]] = true
      else
        surplus[#surplus + 1] = j
      end
    end
    for i = 1, #expected do
      if not taken[i] then missing[#missing + 1] = i end
    end
    return missing, surplus
  end

  local function indented(text)
    return (text:gsub("\n", "\n  "))
  end

  -- Why the values aren't the expected ones, or nil.
  local function mismatch_of_members(expected, values)
    local reasons = compare_all(expected, values)
    local missing, surplus = left_over(expected, values,
      pair_up(expected, values, reasons))
    if #missing == 0 and #surplus == 0 then return nil end
    local lines = {}
    for _, i in ipairs(missing) do
      lines[#lines + 1] = "missing: " .. describe(expected[i])
    end
    for _, j in ipairs(surplus) do
      lines[#lines + 1] = "unexpected: " .. brief(values[j])
    end
    if #missing == 1 and #surplus == 1 then
      local reason = reasons[missing[1]][surplus[1]]
      if reason then lines[#lines + 1] = "because " .. reason end
    end
    return table.concat(lines, "\n")
  end

  local function has_groups(expected)
    for _, member in ipairs(expected) do
      if is_pattern_table(member) and #member > 0 then return true end
    end
    return false
  end

  -- Why the value isn't the group that is expected, or nil.
  function mismatch_of_group(expected, value)
    if not is_group(value) then
      local reason = "it is no group"
      if #expected > 1 or mismatch(expected[1], value) then
        return reason
      elseif expected.allow_unwrapped then
        return nil
      end
      return reason .. ", but would match with allow_unwrapped = true"
    end
    local reason = expected.message
      and mismatch_of_text(value, expected.message)
    if reason then return "of its message: " .. reason end
    reason = mismatch_of_members(expected,
      members_of(value, expected.flatten))
    if reason and not expected.flatten and not has_groups(expected)
        and not mismatch_of_members(expected, members_of(value, true)) then
      reason = reason .. "\nit would match with flatten = true"
    end
    if not reason and expected.check and not expected.check(value) then
      reason = "'check' refuses it"
    end
    return reason
  end

  -- Who cancels a test, by its limit or by Ctrl+C, wants to get through.
  local function is_not_ours(err)
    local passing = {trio.Cancelled, trio.KeyboardInterrupt}
    if is_group(err) then return err:subgroup(passing) ~= nil end
    return isinstance(err, passing[1]) or isinstance(err, passing[2])
  end

  -- What assert.raises_group says, or nil and the error.
  local function compare(expected, ...)
    local ok, err = pcall(...)
    local reason = "nothing was raised"
    if not ok then
      reason = mismatch_of_group(expected, err)
      if not reason then return nil, err end
      if is_not_ours(err) then error(err, 0) end
      reason = indented(reason) .. "\nWhat was raised:\n  "
        .. indented(tostring(err))
    end
    return ("Expected a group: %s\n  %s"):format(describe(expected), reason)
  end

  --- Makes assert.raises_group(expected, fn [, message]) known to luassert.
  return function(luassert)
    local say = require "say"
    say:set("assertion.raises_group.positive", "%s")
    say:set("assertion.raises_group.negative",
      "Expected no such group, but it was raised:\n%s")

    local function raises_group(state, arguments, level)
      local expected, fn = arguments[1], arguments[2]
      local problem = not is_pattern_table(expected)
        and check.expected("table", expected) or problem_of_group(expected)
      if problem then
        error(("bad argument #1 to 'raises_group' (%s)"):format(problem),
          (level or 1) + 1)
      elseif not check.is_callable(fn) then
        error(("bad argument #2 to 'raises_group' (%s)"):format(
          check.expected("function", fn)), (level or 1) + 1)
      end
      local text, err = compare(expected, fn)
      if arguments[3] ~= nil then state.failure_message = arguments[3] end
      arguments[1], arguments.n, arguments.nofmt = text or tostring(err), 1,
        {true}
      return text == nil, {err}
    end

    luassert:register("assertion", "raises_group", raises_group,
      "assertion.raises_group.positive", "assertion.raises_group.negative")
  end
end
