-- SPDX-License-Identifier: MIT
-- trio.pcall and trio.xpcall, which let a cancellation pass, and the pcall and
-- xpcall that trio.install() puts into _G, which let it pass in the end.
local H = require "spec.support.helper"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint

local now = trio.current_time

local function check(scope, called, caught)
  assert.equal(called, scope.cancel_called)
  assert.equal(caught, scope.cancelled_caught)
end

-- Both in one shape: f(fn, ...).
local both = {
  ["trio.pcall"] = trio.pcall,
  ["trio.xpcall"] = function(fn, ...)
    return trio.xpcall(fn, function(e) return e end, ...)
  end,
}
local installed = {
  pcall = pcall,
  xpcall = function(fn, ...)
    return xpcall(fn, function(e) return e end, ...)
  end,
}

-- What pcall and xpcall of Lua do, for all four.
local function like_lua(name, protect)
  local function check_it()
    assert.same({true, 1, nil, 2, nil, n = 5}, table.pack(protect(
      function(...) return ... end, 1, nil, 2, nil)))
    assert.same({true, n = 1}, table.pack(protect(function() end)))
    local object = {}
    for _, value in ipairs({object, 42, "text", true, trio.Error("V")}) do
      local got = table.pack(protect(error, value, 0))
      assert.equal(2, got.n)
      assert.is_false(got[1])
      assert.is_true(rawequal(value, got[2]))
    end
    assert.same({false, nil, n = 2}, table.pack(protect(error, nil)))
    local ok, message = protect(function() local x = nil; return x.y end)
    assert.is_false(ok)
    assert.matches("attempt to index a nil value", message)
    assert.is_false((protect(nil)))
    assert.same({true, true, false, "inner", n = 4}, table.pack(protect(
      function() return true, protect(error, "inner", 0) end)))
  end

  it(name .. " is like Lua's outside a task", check_it)
  H.trio_it(name .. " is like Lua's in a task", check_it)
end

describe("protected calls", function()
  for name, protect in pairs(both) do like_lua(name, protect) end
  for name, protect in pairs(installed) do like_lua(name, protect) end

  for name, xp in pairs({["trio.xpcall"] = trio.xpcall, xpcall = xpcall}) do
    H.trio_it(name .. " calls its handler where the error was raised",
      function()
        local function failing_function()
          trio.sleep(1)
          error("boom", 0)
        end
        -- Lua 5.4.4 names functions by the code that calls them.
        local ok, text = xp(function() failing_function() end,
          debug.traceback)
        assert.is_false(ok)
        assert.matches("^boom\nstack traceback:", text)
        assert.matches("pcall_spec%.lua", text)
        assert.matches("failing_function", text)
        local got = table.pack(xp(error, function(...)
          return select("#", ...), "second"
        end, "boom", 0))
        assert.same({false, 1, n = 2}, got)
      end)
  end

  it("name a missing argument", function()
    H.raises("bad argument #1 to '[%w.]*pcall'", trio.pcall)
    H.raises("bad argument #2 to '[%w.]*xpcall'", trio.xpcall, print)
    H.raises("bad argument #1 to '[%w.]*pcall'", pcall)
    H.raises("bad argument #2 to '[%w.]*xpcall'", xpcall, print)
  end)
end)

for name, protect in pairs(both) do
  describe(name, function()
    H.trio_it("lets Cancelled pass", function()
      local scope = trio.move_on_after(1, function()
        protect(trio.sleep_forever)
        error("not reached")
      end)
      check(scope, true, true)
      assert.equal(1, now())
    end)

    H.trio_it("lets it pass as the same value", function()
      trio.move_on_after(1, function()
        local seen
        local err = H.raises_class(trio.Cancelled, protect, function()
          local ok, e = pcall(trio.sleep_forever)
          assert.is_false(ok)
          seen = e
          error(e, 0)
        end)
        assert.is_true(rawequal(seen, err))
      end)
    end)

    H.trio_it("lets a group with a Cancelled in it pass", function()
      local V = trio.Error("V")
      local scope = trio.CancelScope()
      local ok, err = pcall(function()
        scope:run(function()
          protect(trio.open_nursery, function(nursery)
            nursery:start_soon(trio.sleep_forever)
            nursery:start_soon(function()
              H.raises_class(trio.Cancelled, trio.sleep_forever)
              error(V)
            end)
            trio.testing.wait_all_tasks_blocked()
            scope:cancel()
            checkpoint()
          end)
          error("not reached")
        end)
      end)
      assert.is_false(ok)
      H.group_of(err, V)
      check(scope, true, true)
    end)

    H.trio_it("catches a group without one", function()
      local group = trio.ExceptionGroup("mine", {"a", trio.Error("b")})
      local ok, err = protect(error, group)
      assert.is_false(ok)
      assert.is_true(rawequal(group, err))
    end)

    H.trio_it("lets KeyboardInterrupt pass, in groups too", function()
      local interrupt = trio.KeyboardInterrupt("stop")
      local inner = trio.ExceptionGroup("inner", {"a", interrupt})
      local outer = trio.ExceptionGroup("outer", {trio.Error("b"), inner})
      for _, value in ipairs({interrupt, inner, outer}) do
        local ok, err = pcall(protect, error, value)
        assert.is_false(ok)
        assert.is_true(rawequal(value, err))
      end
    end)

    H.trio_it("lets a saved Cancelled pass outside of every scope", function()
      local saved
      trio.move_on_after(1, function()
        local _, e = pcall(trio.sleep_forever)
        saved = e
      end)
      local err = H.raises_class(trio.Cancelled, protect, error, saved)
      assert.is_true(rawequal(saved, err))
    end)

    H.trio_it("runs <close> variables of what it lets pass", function()
      local seen
      trio.move_on_after(1, function()
        protect(function()
          local guard <close> = setmetatable({}, {
            __close = function(_, e) seen = e end,
          })
          assert.is_table(guard)
          trio.sleep_forever()
        end)
      end)
      assert.is_true(H.is_cancelled(seen))
    end)
  end)
end

describe("trio.xpcall", function()
  H.trio_it("shows a passing Cancelled to no handler's change", function()
    local scope = trio.move_on_after(1, function()
      trio.xpcall(trio.sleep_forever, tostring)
    end)
    check(scope, true, true)
  end)
end)

for name, protect in pairs(installed) do
  describe("the installed " .. name, function()
    H.trio_it("CANCEL-27 catches Cancelled, which comes again", function()
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        for _ = 1, 3 do
          local ok, err = protect(trio.sleep, 1)
          assert.is_false(ok)
          assert.is_true(H.is_cancelled(err))
        end
        trio.sleep(1)
        error("not reached")
      end)
      check(scope, true, true)
    end)

    H.trio_it("CANCEL-76 can't keep a task from being cancelled", function()
      local rounds = 0
      local scope = trio.move_on_after(5.5, function()
        while true do
          protect(trio.sleep, 1)
          rounds = rounds + 1
        end
      end)
      check(scope, true, true)
      assert.equal(5.5, now())
      -- Five seconds' worth, then ten swallowed ones.
      assert.equal(15, rounds)
    end)

    H.trio_it("CANCEL-76 nor where the loop swallows without waiting",
      function()
        local rounds = 0
        local scope = trio.CancelScope()
        scope:run(function()
          scope:cancel()
          while true do
            protect(trio.lowlevel.checkpoint_if_cancelled)
            rounds = rounds + 1
          end
        end)
        check(scope, true, true)
        assert.equal(10, rounds)
      end)

    H.trio_it("CANCEL-76 counts anew in every scope that is left", function()
      for _, expire in ipairs({
        function(scope) scope:cancel() end,
        function(scope) scope.deadline = -math.huge end,
      }) do
        for _ = 1, 5 do
          local scope = trio.CancelScope()
          scope:run(function()
            expire(scope)
            for _ = 1, 6 do
              local ok = protect(checkpoint)
              assert.is_false(ok)
            end
          end)
          check(scope, true, false)
        end
      end
    end)

    H.trio_it("CANCEL-76 does not count anew in scopes inside", function()
      local rounds = 0
      local outer = trio.CancelScope()
      outer:run(function()
        outer:cancel()
        while true do
          trio.CancelScope():run(function() protect(checkpoint) end)
          trio.move_on_after(0, function() protect(checkpoint) end)
          rounds = rounds + 1
        end
      end)
      check(outer, true, true)
      assert.equal(5, rounds)
    end)

    H.trio_it("CANCEL-76 counts for each task by itself", function()
      local swallowed = 0
      trio.open_nursery(function(nursery)
        for _ = 1, 4 do
          nursery:start_soon(function()
            for _ = 1, 9 do
              local ok = protect(trio.sleep_forever)
              assert.is_false(ok)
              swallowed = swallowed + 1
            end
          end)
        end
        trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope:cancel()
      end)
      assert.equal(36, swallowed)
    end)

    H.trio_it("catches KeyboardInterrupt, as Lua's", function()
      local interrupt = trio.KeyboardInterrupt("stop")
      local ok, err = protect(error, interrupt)
      assert.is_false(ok)
      assert.is_true(rawequal(interrupt, err))
    end)

    H.trio_it("CANCEL-76 counts no other error", function()
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        for _ = 1, 50 do
          assert.is_false((protect(error, "boom")))
        end
        assert.is_false((protect(checkpoint)))
      end)
      check(scope, true, false)
    end)
  end)
end

describe("trio.install", function()
  it("CANCEL-76 has the swallowing reported once, with its place", function()
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write([[
local trio = require "trio"
local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock}, function()
  trio.move_on_after(3, function()
    while true do
      pcall(trio.sleep, 1)   -- line 6
    end
  end)
  print("ended")
end)
]])
    file:close()
    local pipe <close> = assert(io.popen(H.command .. " -W " .. name ..
      " 2>&1"))
    local text = pipe:read("a")
    os.remove(name)
    assert.matches("ended", text)
    local _, warnings = text:gsub("Lua warning", "")
    assert.equal(1, warnings, text)
    assert.is_truthy(text:find(name .. ":6", 1, true), text)
  end)
end)
