-- SPDX-License-Identifier: MIT
-- wrap_file_spec.lua: files of Lua's io and objects like them, made async.

local trio = require "trio"
local H = require "spec.support.helper"
local files = require "spec.support.files"

-- An object with methods of all kinds, which notes the calls.
local function object()
  local calls = {}
  local o = {calls = calls, name = "obj"}
  function o:write(...)
    assert(rawequal(self, o))
    calls[#calls + 1] = {"write", ...}
    return self
  end
  function o:getvalue() return rawequal(self, o) and "value" end
  function o.close() calls[#calls + 1] = {"close"} return true, "x" end
  function o.detach() return object() end
  return o
end

describe("trio.wrap_file", function()
  it("FILE-01 refuses what has no close, or neither read nor write", function()
    for _, bad in ipairs {
      {close = print}, {read = print, write = print}, {}, 1, "text", print,
      true,
    } do
      H.raises("bad argument #1 to 'wrap_file' %(object with close, and read "
        .. "or write expected, got " .. type(bad), function()
          trio.wrap_file(bad)
        end)
    end
    H.raises("got nil", function() trio.wrap_file() end)
    trio.wrap_file({close = print, read = print})
    trio.wrap_file({close = print, write = print})
  end)

  H.trio_it("FILE-02 lets plain things through and makes verbs async",
    function()
      local o = object()
      local w = trio.wrap_file(o)
      assert.equal(o, w.wrapped)
      assert.equal("obj", w.name)
      assert.equal("value", w:getvalue())
      assert.is_nil(w.no_such_thing)
      assert.is_nil(w.read)
      assert.is_nil(w.close)
      trio.testing.assert_no_checkpoints(function() w:getvalue() end)
      trio.testing.assert_checkpoints(function()
        assert.equal(w, w:write("x", 1))
      end)
      assert.same({{"write", "x", 1}}, o.calls)
      H.raises("has no field 'x'", function() w.x = 1 end)
      H.raises("calling 'write' on bad self", w.write, o)
      assert.truthy(tostring(w):find("^<trio.WrappedFile 0x%x+ of table: "))
    end)

  H.trio_it("FILE-03 closes in a cancelled scope, and writes nothing",
    function()
      local o = object()
      local w = trio.wrap_file(o)
      local scope = trio.CancelScope()
      scope:cancel()
      scope:run(function()
        H.raises_class(trio.Cancelled, w.write, w, "x")
        H.raises_class(trio.Cancelled, w.aclose, w)
      end)
      assert.same({{"close"}}, o.calls)
      H.raises_class(trio.ClosedResourceError, w.write, w, "x")
      w:aclose()
      assert.equal(1, #o.calls)
    end)

  H.trio_it("FILE-04 wraps again what detach gives", function()
    local w = trio.wrap_file(object())
    local other = w:detach()
    assert.truthy(tostring(other):find("^<trio.WrappedFile"))
    assert.are_not.equal(w.wrapped, other.wrapped)
  end)

  H.trio_it("FILE-04 CP-05 iterates over the lines of a file of io", function()
    local f = io.tmpfile()
    local w <close> = trio.wrap_file(f)
    assert.equal(w, w:write("one\n", 2, "\n"))
    assert.is_true(w:flush())
    assert.equal(0, w:seek("set"))
    local step, lines = w:lines(), {}
    for i = 1, 2 do
      trio.testing.assert_checkpoints(function() lines[i] = step() end)
    end
    assert.same({"one", "2"}, lines)
    trio.testing.assert_checkpoints(function() assert.is_nil(step()) end)
    w:seek("set")
    assert.same({"one", 2}, {w:read("l", "n")})
  end)

  H.trio_it("FILE-05 closes with its block", function()
    local f = io.tmpfile()
    do
      local w <close> = trio.wrap_file(f)
      w:write("x")
    end
    assert.equal("closed file", io.type(f))
    do
      local w <close> = trio.wrap_file(f)
      assert.is_truthy(w.wrapped)
    end
  end)

  H.trio_it("gives what closing a command gives", function()
    local w = trio.wrap_file(io.popen("echo hello; exit 3"))
    assert.equal("hello\n", w:read("a"))
    assert.same({nil, "exit", 3}, {w:aclose()})
  end)

  H.trio_it("keeps Lua's way to report errors", function()
    local folder <close> = files.folder()
    local w <close> = trio.wrap_file(io.open(folder / "a", "w"))
    local result, message, code = w:read("a")
    assert.same({nil, "string", 9}, {result, type(message), code})
  end)
end)
