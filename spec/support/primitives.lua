-- SPDX-License-Identifier: MIT
-- Assertions that the specs of the synchronization primitives and of channels
-- share.
--
--   local P = require "spec.support.primitives"

local trio = require "trio"
local H = require "spec.support.helper"
local assert = require "luassert"

local P = {}

--- How many schedule and cancel points of this task fn(...) takes.
function P.points(fn, ...)
  local s, c = trio.testing._points()
  fn(...)
  local s2, c2 = trio.testing._points()
  return s2 - s, c2 - c
end

--- fn(...) must take at least one of both.
function P.is_checkpoint(fn, ...)
  local s, c = P.points(fn, ...)
  assert.is_true(s > 0, "no schedule point")
  assert.is_true(c > 0, "no cancel point")
end

--- fn(...) must take none.
function P.is_no_checkpoint(fn, ...)
  local s, c = P.points(fn, ...)
  assert.equal(0, s)
  assert.equal(0, c)
end

--- fn(...) must raise WouldBlock.
function P.would_block(fn, ...)
  H.raises_class(trio.WouldBlock, fn, ...)
end

--- The code, in which `...` are the arguments, must raise a string that has the
--- position of the code and matches the pattern. (As code, so that the message
--- can name what is called.)
function P.usage(pattern, code, ...)
  local err = H.raises(pattern, assert(load(code, "=code")), ...)
  assert.is_string(err)
  assert.matches("^code:1: ", err)
  return err
end

--- Every one of these methods must refuse a self that isn't such an object, by
--- its name. Called as a method as well as a function.
function P.refuses_others(object, class, methods)
  local wrong_values = {{}, 1, "x", true, print, io.stdout, trio.CancelScope()}
  local pattern = class:gsub("%p", "%%%0") .. " expected, got "
  for _, method in ipairs(methods) do
    for _, wrong in ipairs(wrong_values) do
      P.usage("bad argument #1 to '" .. method .. "' %(" .. pattern,
        "local object, wrong = ... object." .. method .. "(wrong)",
        object, wrong)
      local fake = setmetatable({}, {__index = object})
      P.usage("calling '" .. method .. "' on bad self %(" .. pattern,
        "local fake = ... fake:" .. method .. "()", fake)
    end
  end
end

--- The object's fields can't be written, unknown ones can't be made.
function P.refuses_writing(object, class, fields)
  local name = class:gsub("%p", "%%%0")
  for _, field in ipairs(fields) do
    P.usage("field '" .. field .. "' of " .. name .. " is read%-only",
      "local object = ... object." .. field .. " = 1", object)
  end
  P.usage(name .. " has no field 'no_such_field'",
    "local object = ... object.no_such_field = 1", object)
  assert.is_nil(object.no_such_field)
  assert.equal(class, getmetatable(object))
end

-- In the order in which they are looked for.
local KINDS = {
  {"closed", trio.ClosedResourceError},
  {"broken", trio.BrokenResourceError},
  {"end", trio.EndOfChannel},
  {"would block", trio.WouldBlock},
}

--- What fn(...) came to: its result ("done" for none), or "closed", "broken",
--- "end", "would block". Other errors go on.
function P.outcome(fn, ...)
  local ok, value = pcall(fn, ...)
  if ok then return value == nil and "done" or value end
  for _, kind in ipairs(KINDS) do
    if trio.isinstance(value, kind[2]) then return kind[1] end
  end
  error(value, 0)
end

--- Collects twice, then tells how many of the weakly held objects are left.
function P.left_of(weak)
  collectgarbage()
  collectgarbage()
  local count = 0
  for _ in pairs(weak) do count = count + 1 end
  return count
end

return P
