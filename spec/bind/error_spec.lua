-- SPDX-License-Identifier: MIT
-- Error classes and error objects: how they are made, told apart and shown.
local H = require "spec.support.helper"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint

local ORDINARY = {
  "TooSlowError", "WouldBlock", "EndOfChannel", "BusyResourceError",
  "ClosedResourceError", "BrokenResourceError", "RunFinishedError",
  "TrioInternalError", "NeedHandshakeError", "OSError", "SSLError",
  "CalledProcessError", "DeadlockError",
}

-- A Cancelled with this reason, as a task gets it.
local function cancelled(reason)
  local err
  trio.CancelScope():run(function(scope)
    scope:cancel(reason)
    err = H.raises_class(trio.Cancelled, checkpoint)
  end)
  return err
end

describe("an error class", function()
  it("has a text of its own", function()
    for _, name in ipairs(ORDINARY) do
      assert.equal("trio." .. name, tostring(trio[name]))
    end
    assert.equal("trio.Error", tostring(trio.Error))
    assert.equal("trio.Cancelled", tostring(trio.Cancelled))
  end)

  it("makes error objects", function()
    for _, name in ipairs(ORDINARY) do
      local err = trio[name]("the message")
      assert.equal("the message", err.message)
      assert.equal(name .. ": the message", tostring(err))
      assert.is_true(trio.isinstance(err, trio[name]))
      assert.is_true(trio.isinstance(err, trio.Error))
    end
  end)

  it("copies fields into the object", function()
    local fields = {code = "ENOENT", errno = 2, [1] = "x"}
    local err = trio.OSError("no such file", fields)
    assert.equal("ENOENT", err.code)
    assert.equal(2, err.errno)
    assert.equal("x", err[1])
    assert.is_nil(fields.message)
    fields.code = "changed"
    assert.equal("ENOENT", err.code)
  end)

  it("lets the message argument win over a field", function()
    local err = trio.Error("argument", {message = "field"})
    assert.equal("argument", err.message)
  end)

  it("does with no message", function()
    assert.equal("WouldBlock", tostring(trio.WouldBlock()))
    assert.equal("WouldBlock", tostring(trio.WouldBlock("")))
    assert.equal("WouldBlock", tostring(trio.WouldBlock(nil, {a = 1})))
    assert.equal("", trio.WouldBlock().message)
  end)

  it("takes any string as message", function()
    assert.equal("a\0b\n%s", trio.Error("a\0b\n%s").message)
    assert.equal("Error: a\0b\n%s", tostring(trio.Error("a\0b\n%s")))
    assert.equal("12", trio.Error(12).message)
  end)

  it("refuses bad arguments, with place and class", function()
    H.raises("error_spec%.lua:%d+: bad argument #1 to 'trio%.WouldBlock' "
      .. "%(string expected, got table%)", function() trio.WouldBlock({}) end)
    H.raises("bad argument #2 to 'trio%.WouldBlock' "
      .. "%(table expected, got number%)",
      function() trio.WouldBlock("x", 1) end)
  end)

  it("is what getmetatable of its objects gives", function()
    local err = trio.WouldBlock("x")
    assert.equal(trio.WouldBlock, getmetatable(err))
    assert.is_false((pcall(setmetatable, err, {})))
  end)
end)

describe("an error object", function()
  it("takes new fields and changes of old ones", function()
    local cause = trio.OSError("gone")
    local err = trio.BrokenResourceError("peer")
    err.cause = cause
    err.context = "text"
    err.message = "changed"
    err.anything = 1
    assert.equal(cause, err.cause)
    assert.equal("BrokenResourceError: changed", tostring(err))
  end)

  it("has a text whatever became of its message", function()
    local err = trio.Error("x")
    err.message = nil
    assert.equal("Error", tostring(err))
    err.message = {}
    assert.equal("Error: (a table value)", tostring(err))
    err.message = err
    assert.equal("Error: (a table value)", tostring(err))
    err.message = 5
    assert.equal("Error: 5", tostring(err))
  end)

  it("comes out of pcall as the same value", function()
    local err = trio.Error("x")
    assert.is_true(rawequal(err, select(2, pcall(error, err))))
  end)

  it("has no traceback until it is raised", function()
    assert.is_nil(trio.Error("x").traceback)
  end)

  H.trio_it("has a traceback once it went through a task", function()
    local function culprit() error(trio.Error("x")) end
    local err = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
      function(nursery) nursery:start_soon(function() culprit() end) end)
    assert.matches("error_spec%.lua", err.exceptions[1].traceback)
    assert.matches("culprit", err.exceptions[1].traceback)
  end)

  H.trio_it("keeps the first traceback that it got", function()
    local err = trio.Error("x", {traceback = "mine"})
    H.raises_class(trio.ExceptionGroup, trio.open_nursery, function(nursery)
      nursery:start_soon(error, err)
    end)
    assert.equal("mine", err.traceback)
  end)
end)

describe("isinstance", function()
  it("knows parents and children", function()
    local err = trio.OSError("x")
    assert.is_true(trio.isinstance(err, trio.OSError))
    assert.is_true(trio.isinstance(err, trio.Error))
    assert.is_false(trio.isinstance(err, trio.SSLError))
    assert.is_false(trio.isinstance(trio.Error("x"), trio.OSError))
  end)

  it("keeps three kinds out of trio.Error", function()
    local group = trio.ExceptionGroup("g", {1})
    assert.is_false(trio.isinstance(group, trio.Error))
    assert.is_true(trio.isinstance(group, trio.ExceptionGroup))
    local interrupt = trio.KeyboardInterrupt()
    assert.is_false(trio.isinstance(interrupt, trio.Error))
    assert.is_true(trio.isinstance(interrupt, trio.KeyboardInterrupt))
  end)

  it("takes any value", function()
    local thread = coroutine.create(print)
    for _, value in ipairs {
      1, "x", true, {}, print, thread, io.stdout, trio.Error, trio,
      setmetatable({}, {}), trio.Lock(),
    } do
      assert.is_false(trio.isinstance(value, trio.Error))
    end
    assert.is_false(trio.isinstance(nil, trio.Error))
  end)

  it("refuses what is no class", function()
    for _, class in ipairs {
      1, "Error", {}, print, trio.Error("x"), trio,
      setmetatable({}, {}), {trio.Error},
    } do
      H.raises("bad argument #2 to '[%w.]*isinstance' "
        .. "%(error class expected, got ", trio.isinstance, nil, class)
    end
    H.raises("bad argument #2", trio.isinstance, 1)
    H.raises("bad argument #1", trio.isinstance)
  end)
end)

describe("subclass", function()
  it("makes a class under its parent", function()
    local HttpError = trio.Error:subclass("HttpError")
    local NotFound = HttpError:subclass("NotFound")
    assert.equal("HttpError", tostring(HttpError))
    local err = NotFound("/x", {status = 404})
    assert.equal("NotFound: /x", tostring(err))
    assert.equal(404, err.status)
    assert.is_true(trio.isinstance(err, NotFound))
    assert.is_true(trio.isinstance(err, HttpError))
    assert.is_true(trio.isinstance(err, trio.Error))
    assert.is_false(trio.isinstance(HttpError("x"), NotFound))
    assert.is_false(trio.isinstance(err, trio.OSError))
  end)

  it("gives two classes where it is called twice", function()
    local A, B = trio.Error:subclass("A"), trio.Error:subclass("A")
    assert.is_false(trio.isinstance(A(), B))
  end)

  it("inherits methods and fields of the class", function()
    local Base = trio.Error:subclass("Base")
    function Base:describe() return self.kind .. self.message end
    Base.kind = "base "
    local Sub = Base:subclass("Sub")
    assert.equal("base x", Sub("x"):describe())
    Sub.kind = "sub "
    assert.equal("sub x", Sub("x"):describe())
    assert.equal("base x", Base("x"):describe())
  end)

  it("works for groups", function()
    local Many = trio.ExceptionGroup:subclass("Many")
    local group = Many("m", {trio.Error("a"), 1})
    assert.is_true(trio.isinstance(group, trio.ExceptionGroup))
    local matched, rest = group:split(trio.Error)
    assert.is_true(trio.isinstance(matched, Many))
    assert.is_true(trio.isinstance(rest, Many))
    assert.matches("^Many: m", tostring(group))
  end)

  it("refuses bad names", function()
    H.raises("bad argument #1 to 'subclass'", function()
      trio.Error:subclass()
    end)
    H.raises("bad argument #1 to 'subclass'", function()
      trio.Error:subclass({})
    end)
    H.raises("empty name", function() trio.Error:subclass("") end)
    H.raises("error class expected", function()
      trio.Error.subclass({}, "X")
    end)
  end)
end)

describe("Cancelled", function()
  it("can be neither made nor subclassed", function()
    H.raises("trio.Cancelled cannot be constructed", function()
      trio.Cancelled("x")
    end)
    H.raises("trio.Cancelled cannot be subclassed", function()
      trio.Cancelled:subclass("X")
    end)
  end)

  H.trio_it("CANCEL-56 says what it is due to", function()
    local err = cancelled("hello")
    assert.equal("explicit", err.source)
    assert.equal("hello", err.reason)
    assert.is_string(err.source_task)
    local text = "cancelled due to explicit with reason 'hello' from task "
      .. err.source_task
    assert.equal(text, err.message)
    assert.equal("Cancelled: " .. text, tostring(err))
  end)

  H.trio_it("CANCEL-56 leaves out what is not known", function()
    local err
    trio.move_on_after(1, function()
      err = H.raises_class(trio.Cancelled, trio.sleep_forever)
    end)
    assert.equal("deadline", err.source)
    assert.is_nil(err.reason)
    assert.is_nil(err.source_task)
    assert.equal("Cancelled: cancelled due to deadline", tostring(err))
  end)

  H.trio_it("takes fields like any error object", function()
    local err = cancelled("x")
    assert.is_nil(err.cause)
    assert.is_nil(err.no_such_field)
    err.cause = "c"
    err.message = "m"
    assert.equal("c", err.cause)
    assert.equal("Cancelled: m", tostring(err))
  end)

  H.trio_it("is no trio.Error and gets no traceback", function()
    local err = cancelled("x")
    assert.is_false(trio.isinstance(err, trio.Error))
    assert.is_nil(err.traceback)
  end)
end)
