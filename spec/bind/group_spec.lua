-- SPDX-License-Identifier: MIT
-- ExceptionGroup as a value: making, splitting, looking through, drawing.
local H = require "spec.support.helper"
local trio = require "trio"
local Group = trio.ExceptionGroup

local A = trio.Error:subclass("A")
local B = trio.Error:subclass("B")

local function is_b(err) return trio.isinstance(err, B) end

-- "m[A: 1, n[B: 2]]", to compare whole trees.
local function shape(err)
  if not trio.isinstance(err, Group) then return tostring(err) end
  local words, list = {}, err.exceptions
  for i = 1, list.n or #list do words[i] = shape(list[i]) end
  return err.message .. "[" .. table.concat(words, ", ") .. "]"
end

local function chain(length, leaf)
  local err = leaf
  for i = 1, length do err = Group("level " .. i, {err}) end
  return err
end

describe("ExceptionGroup", function()
  it("EG-20 holds the very values that it is given", function()
    local values = {A("1"), "text", 12, false, {}, print, n = 6}
    local group = Group("m", values)
    assert.equal("m", group.message)
    H.group_of(group, table.unpack(values, 1, 6))
    assert.is_nil(group.exceptions.n)
  end)

  it("EG-20 keeps nil among them, with the count in n", function()
    local group = Group("m", {nil, "x", nil, n = 3})
    assert.equal(3, group.exceptions.n)
    H.group_of(group, nil, "x", nil)
    H.group_of(Group("m", {n = 1}), nil)
  end)

  it("copies the arrays", function()
    local errors, traces = {"a", "b"}, {nil, "trace b"}
    local group = Group("m", errors, traces)
    errors[1], traces[2] = "changed", "changed"
    assert.same({"a", "b"}, group.exceptions)
    assert.is_nil(group.tracebacks[1])
    assert.equal("trace b", group.tracebacks[2])
    assert.same({}, Group("m", {1}).tracebacks)
  end)

  it("needs a non-empty array, and says so", function()
    for _, errors in ipairs {{}, {x = 1}, {n = 0}, "x", A("1"), false} do
      H.raises("bad argument #2 to 'trio%.ExceptionGroup' "
        .. "%(array of errors expected, got ", Group, "m", errors)
    end
    H.raises("array of errors expected, got nil", Group, "m")
    H.raises("bad argument #1 to 'trio%.ExceptionGroup' "
      .. "%(string expected, got table%)", Group, {"x"})
    H.raises("bad argument #3 to 'trio%.ExceptionGroup'", Group, "m", {1}, 1)
  end)
end)

describe("split", function()
  local tree = Group("top", {
    A("1"), Group("ab", {A("2"), B("3")}), Group("a", {A("4")}), "text",
  })

  it("by an array of no class matches nothing", function()
    local matched, rest = tree:split({})
    assert.is_nil(matched)
    assert.equal(tree, rest)
    assert.is_nil(tree:subgroup({}))
    H.raises("error class, array of classes or function expected", tree.split,
      tree, {A = A})
  end)

  it("divides by class and keeps the shape", function()
    local matched, rest = tree:split(B)
    assert.equal("top[ab[B: 3]]", shape(matched))
    assert.equal("top[A: 1, ab[A: 2], a[A: 4], text]", shape(rest))
    assert.equal("top[A: 1, ab[A: 2, B: 3], a[A: 4], text]", shape(tree))
  end)

  it("divides by several classes", function()
    local matched, rest = tree:split({A, B})
    assert.equal("top[A: 1, ab[A: 2, B: 3], a[A: 4]]", shape(matched))
    assert.equal("top[text]", shape(rest))
  end)

  it("divides by a predicate, which may be any callable", function()
    local predicate = setmetatable({}, {__call = function(_, e)
      return e == "text"
    end})
    local matched, rest = tree:split(predicate)
    assert.equal("top[text]", shape(matched))
    assert.equal("top[A: 1, ab[A: 2, B: 3], a[A: 4]]", shape(rest))
  end)

  it("gives nil for an empty side", function()
    local matched, rest = tree:split(trio.OSError)
    assert.is_nil(matched)
    assert.equal(shape(tree), shape(rest))
    matched, rest = tree:split({A, B}):split({B, A})
    assert.equal("top[A: 1, ab[A: 2, B: 3], a[A: 4]]", shape(matched))
    assert.is_nil(rest)
  end)

  it("asks the predicate for groups first, then for members", function()
    local asked, log = H.trace()
    tree:split(function(e)
      log(shape(e))
      return trio.isinstance(e, Group) and e.message == "ab"
    end)
    assert.same({shape(tree), "A: 1", "ab[A: 2, B: 3]", "a[A: 4]", "A: 4",
      "text"}, asked)
  end)

  it("takes a group that matches as a unit", function()
    local matched, rest = tree:split(Group)
    assert.is_true(rawequal(tree, matched))
    assert.is_nil(rest)
    matched, rest = tree:split(function(e)
      return type(e) == "table" and e.message == "ab"
    end)
    assert.equal("top[ab[A: 2, B: 3]]", shape(matched))
    assert.is_true(rawequal(tree.exceptions[2], matched.exceptions[1]))
    assert.equal("top[A: 1, a[A: 4], text]", shape(rest))
  end)

  it("keeps tracebacks, cause and context", function()
    local inner = Group("in", {A("1"), B("2")}, {"trace 1", "trace 2"})
    inner.cause, inner.context, inner.traceback = "c", "x", "t"
    local group = Group("out", {"s", inner}, {"trace s", "trace in"})
    local matched, rest = group:split(B)
    assert.same({"trace in"}, matched.tracebacks)
    assert.same({"trace 2"}, matched.exceptions[1].tracebacks)
    assert.same({"trace s", "trace in"}, rest.tracebacks)
    assert.same({"trace 1"}, rest.exceptions[2].tracebacks)
    for _, part in ipairs {matched.exceptions[1], rest.exceptions[2]} do
      assert.equal("c", part.cause)
      assert.equal("x", part.context)
      assert.equal("t", part.traceback)
    end
  end)

  it("keeps nil among the members", function()
    local group = Group("m", {nil, A("1"), nil, n = 3})
    local matched, rest = group:split(A)
    assert.equal("m[A: 1]", shape(matched))
    H.group_of(rest, nil, nil)
    H.group_of(group:subgroup(function(e) return e == nil end), nil, nil)
  end)

  it("lets an error of the predicate out", function()
    assert.equal("mine", H.raises("mine", tree.split, tree, function()
      error("mine", 0)
    end))
  end)

  it("refuses other conditions", function()
    for _, cond in ipairs {1, "A", {x = A}, {1}, {A, "x"}, A("1"), true} do
      H.raises("bad argument #1 to 'split' ", function() tree:split(cond) end)
    end
    H.raises("got no value", function() tree:split() end)
    H.raises("trio.ExceptionGroup expected, got table", tree.split, {}, A)
    H.raises("trio.ExceptionGroup expected", tree.split, A("1"), A)
  end)

  it("takes a chain of ten thousand groups", function()
    local group = chain(10000, A("deep"))
    assert.is_nil((group:split(B)))
    local matched, rest = group:split(A)
    assert.is_nil(rest)
    assert.equal(shape(A("deep")), shape(matched:leaves()()))
  end)

  it("treats a group inside itself as a leaf", function()
    local group = Group("m", {A("1"), B("2")})
    group.exceptions[3] = group
    local matched, rest = group:split(is_b)
    assert.equal("m[B: 2]", shape(matched))
    H.group_of(rest, group.exceptions[1], group)
  end)
end)

describe("subgroup", function()
  it("is the matching half of split", function()
    local group = Group("m", {A("1"), B("2")})
    assert.equal("m[B: 2]", shape(group:subgroup(B)))
    assert.equal(1, select("#", group:subgroup(B)))
    assert.is_nil(group:subgroup(trio.OSError))
    H.raises("bad argument #1 to 'subgroup'", function() group:subgroup(1) end)
  end)
end)

describe("derive", function()
  it("makes a group of the same class and message", function()
    local group = Group("m", {A("1")}, {"trace"})
    group.cause = "c"
    local other = group:derive({"x", "y"})
    H.group_of(other, "x", "y")
    assert.equal("m", other.message)
    assert.is_nil(other.cause)
    assert.same({}, other.tracebacks)
    assert.same({"t"}, group:derive({"x"}, {"t"}).tracebacks)
    H.raises("bad argument #1 to 'derive'", function() group:derive({}) end)
  end)
end)

describe("leaves", function()
  it("goes through the tree depth first", function()
    local group = Group("m", {
      "a", Group("n", {"b", Group("o", {A("c")})}, {"trace b"}), "d",
    }, {"trace a"})
    local seen, log = H.trace()
    for err, trace in group:leaves() do
      log(tostring(err))
      log(trace or "-")
    end
    assert.same({"a", "trace a", "b", "trace b", "A: c", "-", "d", "-"}, seen)
  end)

  it("may be used twice at once, and leaves out nil", function()
    local group = Group("m", {1, nil, 2, false, n = 4})
    local count = 0
    for _ in group:leaves() do
      for _ in group:leaves() do count = count + 1 end
    end
    -- A loop ends at nil only: false is a value like any other.
    assert.equal(9, count)
  end)

  it("ends although a group contains itself", function()
    local group = Group("m", {1, 2})
    group.exceptions[3] = group
    local count = 0
    for _ in group:leaves() do count = count + 1 end
    assert.equal(2, count)
  end)
end)

describe("the drawing of a group", function()
  it("has a line for every member", function()
    local group = Group("top", {
      A("1"), Group("in", {"text", B()}), "last",
    })
    assert.equal(table.concat({
      "ExceptionGroup: top (3 errors)",
      "|- A: 1",
      "|- ExceptionGroup: in (2 errors)",
      "|  |- text",
      "|  '- B",
      "'- last",
    }, "\n"), tostring(group))
  end)

  it("shows values of any type", function()
    local own = setmetatable({}, {__tostring = function() return "own" end})
    local text = tostring(Group("m", {nil, true, 12, {}, print, own, n = 6}))
    assert.equal(table.concat({
      "ExceptionGroup: m (6 errors)",
      "|- (error object is a nil value)",
      "|- (error object is a boolean value)",
      "|- 12",
      "|- (error object is a table value)",
      "|- (error object is a function value)",
      "'- own",
    }, "\n"), text)
  end)

  it("indents the further lines of a message", function()
    assert.equal(table.concat({
      "ExceptionGroup: m (2 errors)",
      "|- one",
      "|  two",
      "|  ",
      "'- A: three",
      "   four",
    }, "\n"), tostring(Group("m", {"one\ntwo\n", A("three\nfour")})))
  end)

  it("survives a __tostring that fails", function()
    local bad = setmetatable({}, {__tostring = function() error("no") end})
    local text = tostring(Group("m", {bad, "good"}))
    assert.matches("error object is a table value, __tostring failed", text)
    assert.matches("good$", text)
  end)

  it("survives a group inside itself, or without members", function()
    local group = Group("m", {"x"})
    group.exceptions[2] = group
    assert.matches("'%- ExceptionGroup: m %(contains itself%)$",
      tostring(group))
    group.exceptions = nil
    assert.equal("ExceptionGroup: m (0 errors)", tostring(group))
    group.exceptions = 5
    assert.equal("ExceptionGroup: m (0 errors)", tostring(group))
  end)

  it("stays readable for deep and for long trees", function()
    local deep = tostring(chain(10000, "the leaf"))
    assert.matches("%[10000%] the leaf$", deep)
    for line in deep:gmatch("[^\n]+") do
      if #line > 200 then error("a line of " .. #line .. " bytes") end
    end
    local many = {}
    for i = 1, 1000 do many[i] = "error " .. i end
    local _, lines = tostring(Group("m", many)):gsub("error %d", "")
    assert.equal(1000, lines)
  end)

  it("has the tracebacks too in a report", function()
    local group = Group("m", {"a", "b"}, {nil, "stack\n\tline"})
    assert.equal("ExceptionGroup: m (2 errors)\n|- a\n'- b\n"
      .. "   stack\n   \tline", group:report())
  end)
end)
