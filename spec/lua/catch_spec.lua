-- SPDX-License-Identifier: MIT
-- trio.catch: which handler gets what, and what is raised in the end. The
-- rules are those of Python's except*.
local H = require "spec.support.helper"
local trio = require "trio"
local Group = trio.ExceptionGroup
local catch = trio.catch

local A = trio.Error:subclass("A")
local B = trio.Error:subclass("B")
local C = trio.Error:subclass("C")
local X = trio.Error:subclass("X")
local Y = trio.Error:subclass("Y")

local function raiser(err)
  return function() error(err, 0) end
end

local function again(group) error(group, 0) end
local function ignore() end

-- "m[A: 1, n[B: 2]]", to compare whole trees.
local function shape(err)
  if not trio.isinstance(err, Group) then return tostring(err) end
  local words, list = {}, err.exceptions
  for i = 1, list.n or #list do words[i] = shape(list[i]) end
  return err.message .. "[" .. table.concat(words, ", ") .. "]"
end

-- What catch raises when its body raises err.
local function outcome(handlers, err)
  local got = table.pack(pcall(catch, handlers, raiser(err)))
  if got[1] then
    assert.equal(1, got.n)
    return "caught"
  end
  return shape(got[2]), got[2]
end

describe("catch without an error", function()
  it("returns the body's results", function()
    assert.same({1, nil, 3, nil, n = 4}, table.pack(catch({{A, ignore}},
      function(...) return ... end, 1, nil, 3, nil)))
    assert.equal(0, select("#", catch({{A, ignore}}, ignore)))
    assert.equal(5, catch({}, function() return 5 end))
  end)
end)

describe("catch of a bare error", function()
  it("gives the first handler that matches a group of it", function()
    local err, seen = A("1"), nil
    local order, log = H.trace()
    assert.equal("caught", outcome({
      {B, function() log("B") end},
      {{B, A}, function(group) seen = group; log("AB") end},
      {A, function() log("A") end},
    }, err))
    assert.same({"AB"}, order)
    assert.equal("", seen.message)
    H.group_of(seen, err)
    assert.matches("catch_spec%.lua", seen.tracebacks[1])
  end)

  it("raises it as it was where nothing matches", function()
    local err = A("1")
    local _, got = outcome({{B, ignore}, {C, ignore}}, err)
    assert.is_true(rawequal(err, got))
    assert.equal("text", outcome({{A, ignore}}, "text"))
    _, got = outcome({{A, ignore}}, nil)
    assert.is_nil(got)
  end)

  it("raises bare what the handler raises", function()
    local new = X("2")
    local _, got = outcome({{A, raiser(new)}, {X, ignore}}, A("1"))
    assert.is_true(rawequal(new, got))
    assert.equal("[A: 1]", shape(new.context))
    assert.equal("g[X: 1]", outcome({{A, raiser(Group("g", {X("1")}))}},
      A("1")))
  end)

  it("raises the wrapping group where the handler raises that", function()
    local err = A("1")
    local text, got = outcome({{A, again}}, err)
    assert.equal("[A: 1]", text)
    H.group_of(got, err)
  end)

  it("raises the error itself where the handler raises that", function()
    local err = A("1")
    local _, got = outcome({{A, function(group)
      error(group.exceptions[1], 0)
    end}}, err)
    assert.is_true(rawequal(err, got))
    assert.is_nil(err.context)
  end)

  it("works for errors of any type", function()
    for _, err in ipairs {"text", 12, false, {}, print} do
      local seen
      assert.equal("caught", outcome({
        {function(e) return e == err end, function(g) seen = g end},
      }, err))
      H.group_of(seen, err)
    end
    local seen
    assert.equal("caught", outcome({
      {function(e) return e == nil end, function(g) seen = g end},
    }, nil))
    H.group_of(seen, nil)
  end)
end)

describe("catch of a group", function()
  it("gives each handler its part, in order, with shape", function()
    local order, log = H.trace()
    assert.equal("caught", outcome({
      {B, function(g) log(shape(g)) end},
      {A, function(g) log(shape(g)) end},
      {C, function() log("never") end},
    }, Group("m", {A("1"), Group("n", {A("2"), B("3")}), B("4")})))
    assert.same({"m[n[B: 3], B: 4]", "m[A: 1, n[A: 2]]"}, order)
  end)

  it("gives what one handler got to no later one", function()
    local order, log = H.trace()
    assert.equal("caught", outcome({
      {A, function(g) log(shape(g)) end},
      {{A, B}, function(g) log(shape(g)) end},
      {trio.Error, function() log("never") end},
    }, Group("m", {A("1"), B("2")})))
    assert.same({"m[A: 1]", "m[B: 2]"}, order)
  end)

  it("raises the rest, in its shape", function()
    assert.equal("m[n[B: 3]]", outcome({{A, ignore}},
      Group("m", {A("1"), Group("n", {A("2"), B("3")})})))
  end)

  it("raises the very group where nothing matches", function()
    local group = Group("m", {A("1")})
    local _, got = outcome({{B, ignore}}, group)
    assert.is_true(rawequal(group, got))
  end)

  it("puts what a handler raises into a new group", function()
    local new = X("9")
    local text, got = outcome({{A, raiser(new)}}, Group("m", {A("1")}))
    assert.equal("[X: 9]", text)
    H.group_of(got, new)
    assert.equal("m[A: 1]", shape(new.context))
    assert.matches("catch_spec%.lua", got.tracebacks[1])
  end)

  it("adds the rest to it as one subgroup", function()
    assert.equal("[X: 9, m[B: 2, n[C: 3]]]", outcome({{A, raiser(X("9"))}},
      Group("m", {A("1"), B("2"), Group("n", {C("3")})})))
  end)

  it("runs later handlers although an earlier one raised", function()
    assert.equal("[X: 8, Y: 9, m[C: 3]]", outcome({
      {A, raiser(X("8"))}, {B, raiser(Y("9"))},
    }, Group("m", {A("1"), B("2"), C("3")})))
    assert.equal("[X: 8]", outcome({{A, raiser(X("8"))}, {B, ignore}},
      Group("m", {A("1"), B("2")})))
  end)

  it("shows what one handler raised to no later one", function()
    assert.equal("[X: 8]", outcome({{A, raiser(X("8"))}, {X, ignore}},
      Group("m", {A("1")})))
  end)

  it("merges a group that is raised again into its place", function()
    assert.equal("m[A: 1, n[B: 2, A: 3], C: 4]", outcome({{A, again}},
      Group("m", {A("1"), Group("n", {B("2"), A("3")}), C("4")})))
    assert.equal("m[A: 1, C: 3, n[A: 4]]", outcome({{A, again}, {B, ignore}},
      Group("m", {A("1"), B("2"), C("3"), Group("n", {A("4")})})))
    assert.equal("m[A: 1, B: 2]", outcome({{B, again}, {A, again}},
      Group("m", {A("1"), B("2")})))
  end)

  it("gives back the very group where all of it is raised again", function()
    local group = Group("m", {A("1"), Group("n", {B("2")})})
    local _, got = outcome({{A, again}, {B, again}}, group)
    assert.is_true(rawequal(group, got))
  end)

  it("puts merged and rest into one subgroup next to new errors", function()
    assert.equal("[X: 9, m[A: 1, C: 3]]", outcome({
      {A, again}, {B, raiser(X("9"))},
    }, Group("m", {A("1"), B("2"), C("3")})))
    assert.equal("[X: 9, m[B: 2]]", outcome({
      {A, raiser(X("9"))}, {B, again},
    }, Group("m", {A("1"), B("2")})))
  end)

  it("merges nothing but the very group", function()
    local function wrap(group) error(Group("new", {group}), 0) end
    assert.equal("[new[m[A: 1]], m[B: 2]]", outcome({{A, wrap}},
      Group("m", {A("1"), B("2")})))
    local function copy(group) error(group:derive(group.exceptions), 0) end
    assert.equal("[m[A: 1], m[B: 2]]", outcome({{A, copy}},
      Group("m", {A("1"), B("2")})))
    local function leaf(group) error(group.exceptions[1], 0) end
    assert.equal("[A: 1, m[B: 2]]", outcome({{A, leaf}},
      Group("m", {A("1"), B("2")})))
  end)

  it("merges members that are nil or NaN", function()
    local group = Group("m", {nil, A("1"), 0 / 0, B("2"), n = 4})
    local _, got = outcome({{A, again}, {B, ignore}}, group)
    assert.equal(3, got.exceptions.n)
    assert.is_nil(got.exceptions[1])
    assert.equal(group.exceptions[2], got.exceptions[2])
    assert.is_true(got.exceptions[3] ~= got.exceptions[3])
  end)

  it("asks a predicate for the group as a unit first", function()
    local seen
    assert.equal("caught", outcome({
      {function() return true end, function(g) seen = g end},
    }, Group("m", {A("1"), "text"})))
    assert.equal("m[A: 1, text]", shape(seen))
  end)

  it("leaves an error's own context alone", function()
    local new = X("9", {context = "mine"})
    outcome({{A, raiser(new)}}, A("1"))
    assert.equal("mine", new.context)
  end)
end)

describe("catch", function()
  it("nests", function()
    local order, log = H.trace()
    assert.equal("caught", (function()
      local ok = pcall(catch, {{B, function(g) log(shape(g)) end}}, catch,
        {{A, function(g) log(shape(g)); error(B("3"), 0) end}},
        raiser(Group("m", {A("1"), B("2")})))
      return ok and "caught"
    end)())
    assert.same({"m[A: 1]", "[B: 3, m[B: 2]]"}, order)
  end)

  it("with an array of no class catches nothing", function()
    assert.equal("x", H.raises("x", catch, {{{}, ignore}}, error, "x", 0))
  end)

  it("names its bad arguments and their place", function()
    for text, handlers in pairs({
      ["handler 1: {cond, handler} expected, got number"] = {1},
      ["handler 1: {cond, handler} expected, got table"] = {A, ignore},
      ["handler 2: function expected, got nil"] = {{A, ignore}, {A}},
      ["handler 1: error class expected, got string"] =
        {{{A, "B"}, ignore}},
      ["handler 1: class, array of classes or function expected, got nil"] =
        {{nil, ignore}},
      ["handler 1: class, array of classes or function expected, got table"] =
        {{{A = A}, ignore}},
      ["array of {cond, handler} expected, got table"] = A,
      ["array of {cond, handler} expected, got number"] = 1,
    }) do
      local err = H.raises("^[^:]*catch_spec%.lua:%d+: bad argument #1 to "
        .. "'catch' ", function() catch(handlers, ignore) end)
      assert.is_truthy(err:find(text, 1, true), err)
    end
    H.raises("catch_spec%.lua:%d+: bad argument #2 to 'catch' "
      .. "%(function expected, got nil%)", function() catch({}) end)
  end)

  H.trio_it("may wait in body and handlers", function()
    local caught
    local first, second = catch({{A, error}}, function(a)
      trio.sleep(1)
      return a, trio.current_time()
    end, "x")
    assert.equal("x", first)
    assert.equal(1, second)
    catch({{A, function(group)
      trio.sleep(1)
      caught = group
    end}}, function()
      trio.sleep(1)
      error(A("late"))
    end)
    assert.equal("[A: late]", shape(caught))
    assert.equal(3, trio.current_time())
  end)

  H.trio_it("lets Cancelled pass where no handler asks for it", function()
    local scope = trio.move_on_after(1, function()
      catch({{trio.Error, error}}, trio.sleep_forever)
      error("not reached")
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  H.trio_it("handles the errors of a nursery", function()
    local order, log = H.trace()
    local err = A("1")
    catch({
      {A, function(group) H.group_of(group, err); log("A") end},
      {B, function(group) log(shape(group)) end},
    }, trio.open_nursery, function(nursery)
      nursery:start_soon(error, err)
      nursery:start_soon(error, B("2"))
    end)
    assert.same({"A", "Exceptions from Trio nursery[B: 2]"}, order)
  end)

  H.trio_it("gives back Cancelled that a handler raises again", function()
    local scope = trio.move_on_after(1, function()
      catch({{trio.Cancelled, again}}, trio.sleep_forever)
      error("not reached")
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  it("stands in tracebacks by the name of its file", function()
    local info = debug.getinfo(trio.catch, "S")
    assert.equal("trio/catch.lua", info.short_src)
  end)
end)
