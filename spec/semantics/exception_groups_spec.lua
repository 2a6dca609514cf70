-- SPDX-License-Identifier: MIT
-- Groups on their way: what nurseries make of their errors, what scopes take
-- out of them, and when a group of one stays a group.
local H = require "spec.support.helper"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked
local Group = trio.ExceptionGroup

local E = trio.Error:subclass("E")
local V = trio.Error:subclass("V")
local K = trio.Error:subclass("K")

local STRICT = {strict_exception_groups = true}
local LOOSE = {strict_exception_groups = false}
local NURSERY = "Exceptions from Trio nursery"

local function check(scope, called, caught)
  assert.equal(called, scope.cancel_called)
  assert.equal(caught, scope.cancelled_caught)
end

-- "m[A: 1, n[B: 2]]", to compare whole trees; Cancelled without its text.
local function shape(err)
  if H.is_cancelled(err) then return "Cancelled" end
  if not trio.isinstance(err, Group) then return tostring(err) end
  local words, list = {}, err.exceptions
  for i = 1, list.n or #list do words[i] = shape(list[i]) end
  return err.message .. "[" .. table.concat(words, ", ") .. "]"
end

local function error_of(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("expected an error, got a normal return", 2) end
  return err
end

-- A Cancelled to build trees with.
local function make_cancelled()
  local err
  trio.CancelScope():run(function(scope)
    scope:cancel()
    err = H.raises_class(trio.Cancelled, checkpoint)
  end)
  return err
end

-- Sleep until cancelled, then raise err instead.
local function raise_when_cancelled(err)
  H.raises_class(trio.Cancelled, trio.sleep_forever)
  error(err)
end

describe("a nursery", function()
  H.trio_it("EG-01 wraps a single error", function()
    local e = E("1")
    local err = error_of(trio.open_nursery, function(nursery)
      nursery:start_soon(error, e)
    end)
    H.group_of(err, e)
    assert.equal(NURSERY, err.message)
  end)

  H.trio_it("EG-02 that is loose gives a single error bare", function()
    local e = E("1")
    local err = error_of(trio.open_nursery, LOOSE, function(nursery)
      nursery:start_soon(error, e)
    end)
    assert.is_true(rawequal(e, err))
    err = error_of(trio.open_nursery, LOOSE, function() error(e) end)
    assert.is_true(rawequal(e, err))
  end)

  H.trio_it("EG-02 that is loose gives two errors as a group", function()
    local e, v = E("1"), V("2")
    local err = error_of(trio.open_nursery, LOOSE, function(nursery)
      nursery:start_soon(error, e)
      nursery:start_soon(error, v)
    end)
    H.group_set(err, e, v)
  end)

  for _, of_run in ipairs {true, false, "unset"} do
    for _, of_nursery in ipairs {true, false, "unset"} do
      local wrapped = of_nursery == true
        or of_nursery == "unset" and of_run ~= false
      it(("EG-03 of strictness %s in a run of %s %s"):format(of_nursery,
        of_run, wrapped and "wraps" or "does not wrap"), function()
        local e = E("1")
        local function options(value)
          return value ~= "unset" and {strict_exception_groups = value} or {}
        end
        local err = error_of(H.run, function()
          trio.open_nursery(options(of_nursery), function(nursery)
            nursery:start_soon(error, e)
          end)
        end, options(of_run))
        if wrapped then
          H.group_of(err, e)
        else
          assert.is_true(rawequal(e, err))
        end
      end)
    end
  end

  H.trio_it("EG-10 gives its group and members no context", function()
    local v, k = V("1"), K("2")
    local err = error_of(trio.open_nursery, function(nursery)
      nursery:start_soon(error, k)
      error(v)
    end)
    H.group_set(err, v, k)
    assert.is_nil(err.context)
    assert.is_nil(v.context)
    assert.is_nil(k.context)
  end)

  H.trio_it("EG-15 has a group that tells if a Cancelled is in it",
    function()
      local seen
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        seen = error_of(trio.open_nursery, function(nursery)
          nursery:start_soon(trio.sleep_forever)
          checkpoint()
        end)
        error(seen)
      end)
      local urgent = {trio.Cancelled, trio.KeyboardInterrupt}
      assert.is_truthy(seen:subgroup(urgent))
      assert.is_nil(Group("m", {E("1")}):subgroup(urgent))
      check(scope, true, true)
    end)

  H.trio_it("EG-20 carries errors of any type by identity", function()
    local values = {{}, print, "text", 12.5, false, coroutine.create(print)}
    local err = error_of(trio.open_nursery, function(nursery)
      for _, value in ipairs(values) do
        nursery:start_soon(error, value, 0)
      end
    end)
    H.group_set(err, table.unpack(values))
  end)

  H.trio_it("EG-20 carries nil as an error", function()
    local err = error_of(trio.open_nursery, function(nursery)
      nursery:start_soon(error, nil)
    end)
    H.group_of(err, nil)
  end)
end)

describe("a loose group", function()
  H.trio_it("EG-04 collapses when Cancelled is taken out of it", function()
    local e = E("1")
    local err = error_of(trio.open_nursery, LOOSE, function(nursery)
      nursery:start_soon(trio.sleep_forever)
      nursery:start_soon(error, e)
    end)
    assert.is_true(rawequal(e, err))
  end)

  H.trio_it("EG-04 stays a group while two members are left", function()
    local e, v = E("1"), V("2")
    local err = error_of(trio.open_nursery, LOOSE, function(nursery)
      nursery:start_soon(trio.sleep_forever)
      nursery:start_soon(error, e)
      nursery:start_soon(error, v)
    end)
    H.group_set(err, e, v)
  end)

  -- An outer nursery in which one child fails, and an inner one, of the given
  -- kind, that fails because of it.
  local function nested(inner, e, v)
    return error_of(trio.open_nursery, STRICT, function(outer)
      outer:start_soon(function()
        trio.open_nursery(inner, function(nursery)
          nursery:start_soon(trio.sleep_forever)
          nursery:start_soon(raise_when_cancelled, v)
        end)
      end)
      wait_all_tasks_blocked()
      outer:start_soon(error, e)
    end)
  end

  H.trio_it("EG-05 collapses inside a strict nursery's group", function()
    local e, v = E("1"), V("2")
    H.group_set(nested(LOOSE, e, v), e, v)
  end)

  H.trio_it("EG-05 is what a strict nursery doesn't make", function()
    local e, v = E("1"), V("2")
    local err = nested(STRICT, e, v)
    assert.equal(e, err.exceptions[1])
    H.group_of(err.exceptions[2], v)
    assert.equal(2, #err.exceptions)
  end)

  H.trio_it("EG-14 of one that a user made is never collapsed", function()
    local e = E("1")
    local mine = Group("mine", {e})
    local err = error_of(trio.open_nursery, LOOSE, function(nursery)
      nursery:start_soon(trio.sleep_forever)
      nursery:start_soon(error, mine)
    end)
    assert.is_true(rawequal(mine, err))
    local scope = trio.CancelScope()
    err = error_of(scope.run, scope, function()
      scope:cancel()
      error(Group("m", {make_cancelled(), mine}))
    end)
    assert.equal("m[mine[E: 1]]", shape(err))
    assert.is_true(rawequal(mine, err.exceptions[1]))
  end)

  H.trio_it("EG-14 of strict nurseries is never collapsed", function()
    local e = E("1")
    local err = error_of(trio.open_nursery, function(outer)
      outer:start_soon(trio.sleep_forever)
      trio.open_nursery(function(inner)
        inner:start_soon(trio.sleep_forever)
        inner:start_soon(error, e)
      end)
    end)
    assert.equal(NURSERY .. "[" .. NURSERY .. "[E: 1]]", shape(err))
  end)
end)

describe("a cancelled scope", function()
  local function tree(v, k)
    local c = make_cancelled
    return Group("top", {c(), v, Group("all", {c()}), Group("some", {c(), k})})
  end

  H.trio_it("EG-06 takes its Cancelled out of a tree", function()
    local v, k = V("1"), K("2")
    local scope = trio.CancelScope()
    local err = error_of(scope.run, scope, function()
      scope:cancel()
      error(tree(v, k))
    end)
    assert.equal("top[V: 1, some[K: 2]]", shape(err))
    assert.is_true(rawequal(v, err.exceptions[1]))
    H.group_of(err.exceptions[2], k)
    check(scope, true, true)
  end)

  H.trio_it("EG-06 keeps tracebacks where the errors stand", function()
    local scope = trio.CancelScope()
    local err = error_of(scope.run, scope, function()
      scope:cancel()
      error(Group("m", {make_cancelled(), V("1"), K("2")}, {"c", "v", "k"}))
    end)
    assert.same({"v", "k"}, err.tracebacks)
  end)

  H.trio_it("EG-06 leaves a tree without Cancelled as it is", function()
    local group = Group("m", {V("1"), Group("n", {K("2")})})
    local scope = trio.CancelScope()
    local err = error_of(scope.run, scope, function()
      scope:cancel()
      error(group)
    end)
    assert.is_true(rawequal(group, err))
    check(scope, true, false)
  end)

  H.trio_it("EG-06 looks ten thousand groups deep", function()
    local scope = trio.CancelScope()
    local err = error_of(scope.run, scope, function()
      scope:cancel()
      local deep = Group("m", {make_cancelled(), V("1")})
      for _ = 1, 10000 do deep = Group("m", {deep}) end
      error(deep)
    end)
    assert.equal("V: 1", tostring(err:leaves()()))
    assert.is_nil(err:subgroup(trio.Cancelled))
    check(scope, true, true)
  end)

  H.trio_it("EG-07 raises nothing where nothing else is in a group",
    function()
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        error(Group("m", {
          make_cancelled(), Group("n", {make_cancelled()}),
        }))
      end)
      check(scope, true, true)
    end)

  H.trio_it("EG-08 inside a cancelled one passes the group on", function()
    local v, k = V("1"), K("2")
    local outer, inner = trio.CancelScope(), trio.CancelScope()
    local group, passed
    local err = error_of(outer.run, outer, function()
      outer:cancel()
      passed = error_of(inner.run, inner, function()
        inner:cancel()
        group = tree(v, k)
        error(group)
      end)
      error(passed)
    end)
    assert.is_true(rawequal(group, passed))
    check(inner, true, false)
    assert.equal("top[V: 1, some[K: 2]]", shape(err))
    check(outer, true, true)
  end)

  H.trio_it("EG-09 gets the Cancelled of every source, and keeps the rest",
    function()
      local k = K("1")
      local outer = trio.CancelScope()
      local inside
      local err = error_of(outer.run, outer, function()
        inside = error_of(trio.open_nursery, function(nursery)
          nursery:start_soon(trio.sleep_forever)
          nursery:start_soon(trio.sleep_forever)
          nursery:start_soon(raise_when_cancelled, k)
          nursery:start_soon(function()
            wait_all_tasks_blocked()
            nursery.cancel_scope:cancel()
            outer:cancel()
            checkpoint()
          end)
        end)
        error(inside)
      end)
      local count = 0
      for leaf in inside:leaves() do
        if H.is_cancelled(leaf) then count = count + 1 end
      end
      assert.equal(3, count)
      assert.equal(4, #inside.exceptions)
      H.group_of(err, k)
      check(outer, true, true)
    end)

  H.trio_it("EG-17 filters a group that its body caught and raised again",
    function()
      local v = V("1")
      local scope = trio.CancelScope()
      local err = error_of(scope.run, scope, function()
        scope:cancel()
        trio.catch({{V, function(group) error(group, 0) end}}, function()
          error(Group("m", {make_cancelled(), v}))
        end)
      end)
      assert.equal("m[V: 1]", shape(err))
      H.group_of(err, v)
      check(scope, true, true)
    end)
end)

describe("nested nurseries", function()
  -- The outer nursery fails with V; the inner one runs in a child.
  local function fail_around(start_inner)
    return error_of(trio.open_nursery, function(outer)
      outer:start_soon(function()
        trio.open_nursery(start_inner)
      end)
      wait_all_tasks_blocked()
      error(V("1"))
    end)
  end

  H.trio_it("EG-11 nest the error of an inner cleanup", function()
    local err = fail_around(function(inner)
      inner:start_soon(trio.sleep_forever)
      inner:start_soon(raise_when_cancelled, K("2"))
    end)
    assert.equal(("%s[V: 1, %s[K: 2]]"):format(NURSERY, NURSERY), shape(err))
  end)

  H.trio_it("EG-12 show nothing of an inner one that was cancelled",
    function()
      local err = fail_around(function(inner)
        inner:start_soon(trio.sleep_forever)
        inner:start_soon(trio.sleep_forever)
      end)
      assert.equal(NURSERY .. "[V: 1]", shape(err))
    end)

  H.trio_it("EG-13 show nothing of a body that was cancelled", function()
    local err = error_of(trio.open_nursery, function(outer)
      outer:start_soon(function()
        wait_all_tasks_blocked()
        error(V("1"))
      end)
      trio.open_nursery(function(inner)
        inner:start_soon(trio.sleep_forever)
      end)
    end)
    assert.equal(NURSERY .. "[V: 1]", shape(err))
  end)
end)

describe("asking for loose groups", function()
  local function warnings(code)
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write('local trio = require "trio"\n', code, '\nprint("ended")\n')
    file:close()
    local pipe <close> = assert(io.popen(("%s -W %s 2>&1"):format(H.command,
      name)))
    local text = pipe:read("a")
    os.remove(name)
    assert.matches("ended", text)
    local _, count = text:gsub("Lua warning: [^\n]*strict_exception_groups",
      "")
    return count
  end

  it("EG-16 is noticed once where it is said", function()
    assert.equal(1, warnings([[
      trio.run({strict_exception_groups = false}, function()
        trio.open_nursery(function() end)
      end)]]))
    assert.equal(1, warnings([[
      trio.run(function()
        trio.open_nursery({strict_exception_groups = false}, function() end)
      end)]]))
  end)

  it("EG-16 is not noticed where nobody asks", function()
    assert.equal(0, warnings([[
      trio.run({strict_exception_groups = true}, function()
        trio.open_nursery({strict_exception_groups = true}, function() end)
        trio.open_nursery(function() end)
      end)]]))
  end)
end)
