-- SPDX-License-Identifier: MIT
-- What every object of the library has in common: fields, methods, argument
-- errors, options tables. Scopes, locks and limiters stand for all.
local H = require "spec.support.helper"
local trio = require "trio"

-- The text of the error that fn(...) raises, without its place.
local function text_of(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return (err:gsub("^[^:]+:%d+: ", ""))
end

describe("an object", function()
  it("has its methods and fields, and nothing else", function()
    local scope = trio.CancelScope()
    assert.is_function(scope.cancel)
    assert.equal(math.huge, scope.deadline)
    assert.is_false(scope.shield)
    assert.is_nil(scope.no_such_field)
    assert.is_nil(scope[1])
    assert.is_nil(scope[true])
    assert.is_nil(trio.Lock().no_such_field)
  end)

  it("takes writes to its writable fields", function()
    local scope = trio.CancelScope()
    scope.deadline = 12.5
    scope.shield = true
    assert.equal(12.5, scope.deadline)
    assert.is_true(scope.shield)
  end)

  it("refuses writes to any other, naming class and field", function()
    local scope = trio.CancelScope()
    assert.equal("trio.CancelScope has no field 'deadlin'",
      text_of(function() scope.deadlin = 1 end))
    assert.equal("field 'cancel_called' of trio.CancelScope is read-only",
      text_of(function() scope.cancel_called = true end))
    assert.equal("field 'cancel' of trio.CancelScope is read-only",
      text_of(function() scope.cancel = print end))
    assert.matches("trio.CancelScope has no field '1'",
      text_of(function() scope[1] = 1 end))
    local lock = trio.Lock()
    assert.equal("trio.Lock has no field 'owner'",
      text_of(function() lock.owner = 1 end))
    assert.equal("field 'acquire' of trio.Lock is read-only",
      text_of(function() lock.acquire = 1 end))
  end)

  it("says where a wrong write stands", function()
    local lock = trio.Lock()
    H.raises("class_spec%.lua:%d+: trio.Lock has no field", function()
      lock.x = 1
    end)
  end)

  it("refuses values of the wrong type for a field", function()
    local scope = trio.CancelScope()
    H.raises("number.*got boolean", function()
      scope.deadline = true
    end)
    H.raises("NaN", function() scope.deadline = 0 / 0 end)
    H.raises("boolean", function() scope.shield = 1 end)
    assert.equal(math.huge, scope.deadline)
    assert.is_false(scope.shield)
  end)

  it("hides its metatable", function()
    local lock = trio.Lock()
    assert.is_not_table(getmetatable(lock))
    assert.is_false((pcall(setmetatable, lock, {})))
  end)

  it("has a text that names its class", function()
    for _, name in ipairs {"CancelScope", "Lock", "Event"} do
      assert.matches("^<trio%." .. name .. "[ >]", tostring(trio[name]()))
    end
  end)
end)

describe("a method", function()
  it("names class and method where self is wrong", function()
    local lock = trio.Lock()
    assert.matches("^bad argument #1 to '[%w.]*locked' "
      .. "%(trio.Lock expected, got table%)$",
      text_of(function() local x = lock.locked({}); return x end))
    assert.matches("trio.Lock expected, got trio.Event",
      text_of(function() local x = lock.locked(trio.Event()); return x end))
    assert.matches("trio.Lock expected, got nil",
      text_of(function() local x = lock.locked(nil); return x end))
    assert.matches("trio.Lock expected, got no value",
      text_of(function() local x = lock.locked(); return x end))
  end)

  it("speaks of a bad self in a method call", function()
    local odd = setmetatable({}, {__index = {locked = trio.Lock().locked}})
    assert.equal("calling 'locked' on bad self (trio.Lock expected, got table)",
      text_of(function() local x = odd:locked(); return x end))
  end)

  it("counts a method call's arguments after self", function()
    local scope = trio.CancelScope()
    assert.matches("bad argument #1 to 'cancel'",
      text_of(function() scope:cancel({}) end))
  end)

  it("refuses foreign userdata", function()
    local lock = trio.Lock()
    assert.matches("trio.Lock expected, got FILE%*",
      text_of(function() local x = lock.locked(io.stdout); return x end))
  end)
end)

describe("an options table", function()
  it("with an unknown option is refused by name", function()
    assert.matches("^bad argument #1 to '[%w.]*CancelScope' "
      .. "%(unknown option 'deadlin'%)$",
      text_of(function() trio.CancelScope({deadlin = 1}) end))
    H.raises("unknown option '1'", trio.CancelScope, {1})
  end)

  it("must hold values of the right type", function()
    H.raises("option 'shield' must be a boolean", trio.CancelScope,
      {shield = 1})
    H.raises("option 'deadline' must be a number", trio.CancelScope,
      {deadline = "1"})
    H.raises("option 'deadline' must not be NaN", trio.CancelScope,
      {deadline = 0 / 0})
  end)

  it("must be a table", function()
    H.raises("table expected, got number", trio.CancelScope, 1)
  end)

  it("may be left out, or nil, or empty", function()
    for _, scope in ipairs {
      trio.CancelScope(), trio.CancelScope(nil), trio.CancelScope({}),
    } do
      assert.is_false(scope.shield)
    end
  end)
end)

describe("an argument", function()
  it("that is a number must not be NaN", function()
    H.raises("NaN", trio.move_on_at, 0 / 0, print)
  end)

  H.trio_it("that is called may be anything that can be called", function()
    local callable = setmetatable({}, {
      __call = function(_, a, b) return a, b end,
    })
    local scope, self = trio.move_on_after(1, callable)
    assert.equal(scope, self)
    H.raises("function expected, got table", trio.move_on_after, 1,
      setmetatable({}, {}))
    H.raises("function expected, got no value", trio.move_on_after, 1)
  end)
end)
