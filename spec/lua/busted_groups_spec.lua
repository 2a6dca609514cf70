-- SPDX-License-Identifier: MIT
-- busted_groups_spec.lua: assert.raises_group. Its tests are themselves run by
-- trio.busted.

require "trio.busted"
local trio = require "trio"

local Group = trio.ExceptionGroup
local Late = trio.Error:subclass("Late")
local Early = trio.Error:subclass("Early")
local VeryLate = Late:subclass("VeryLate")

local function raiser(err)
  return function() error(err, 0) end
end

-- raises_group must accept.
local function accepts(expected, err)
  return assert.raises_group(expected, raiser(err))
end

-- raises_group must refuse; the lines of the reason, without the first, which
-- shows what was expected, and without the tree of what was raised.
local function refuses(expected, err)
  local ok, failure = pcall(assert.raises_group, expected, raiser(err))
  assert.is_false(ok)
  local text = tostring(failure.message):gsub("^[^\n]*\n", "")
  return (text:gsub("\nWhat was raised:.*", ""))
end

local function wrong_use(expected)
  local ok, err = pcall(assert.raises_group, expected, function() end)
  assert.is_false(ok)
  return (tostring(err):match("%((.*)%)"))
end

describe("raises_group compares the members:", function()
  it("TEST-10 classes, in any order", function()
    accepts({Late}, Group("", {Late("a")}))
    accepts({Late, Early}, Group("", {Early("a"), Late("b")}))
    accepts({Late}, Group("", {VeryLate("a")}))
    assert.equal("  missing: VeryLate\n  unexpected: Late: a\n"
      .. "  because it is no VeryLate",
      refuses({VeryLate}, Group("", {Late("a")})))
  end)

  it("TEST-10 as many as expected, not more and not fewer", function()
    local two = Group("", {Late("a"), Late("b")})
    accepts({Late, Late}, two)
    assert.equal("  unexpected: Late: b", refuses({Late}, two))
    assert.equal("  missing: Late", refuses({Late, Late, Late}, two))
    assert.equal("  missing: Late\n  unexpected: Early: c",
      (refuses({Late, Late}, Group("", {Late("a"), Early("c")}))
        :gsub("\n  because.*", "")))
  end)

  it("TEST-10 patterns, for strings and messages", function()
    accepts({"^boom$", "no such %a+"},
      Group("", {"no such file", "boom"}))
    accepts({"^gone$"}, Group("", {Late("gone")}))
    assert.equal('  missing: "boom"\n  unexpected: bang\n'
      .. '  because "bang" does not match "boom"',
      refuses({"boom"}, Group("", {"bang"})))
  end)

  it("TEST-10 a class together with its message and a check", function()
    local err = Late("by 5 s", {seconds = 5})
    local function seconds_are(n)
      return function(e) return e.seconds == n end
    end
    accepts({{class = Late, message = "by %d s", check = seconds_are(5)}},
      Group("", {err}))
    assert.equal("  missing: {Late, check}\n  unexpected: Late: by 5 s\n"
      .. "  because 'check' refuses it",
      refuses({{class = Late, check = seconds_are(6)}}, Group("", {err})))
    assert.matches("because it is no Early",
      refuses({{class = Early, message = "by"}}, Group("", {err})))
  end)

  it("TEST-10 predicates and matchers", function()
    local function is_even(n) return n % 2 == 0 end
    accepts({is_even, 3}, Group("", {3, 4}))
    accepts({match.is_table(), match.is_string()}, Group("", {"x", {}}))
    assert.matches("the function refuses it",
      refuses({is_even}, Group("", {5})))
  end)

  it("TEST-10 other values by identity", function()
    local err = Late("a")
    accepts({err, 1, true}, Group("", {true, err, 1}))
    assert.matches("it is another value",
      refuses({err}, Group("", {Late("a")})))
  end)

  it("TEST-10 pairs them so that everything fits", function()
    local any = function() return true end
    accepts({any, Late, "^b$"}, Group("", {Late("b"), Late("a"), Early("c")}))
    accepts({Late, {class = Late, message = "a"}},
      Group("", {Late("a"), Late("b")}))
  end)

  it("TEST-10 nil among them", function()
    accepts({function(value) return value == nil end, Late},
      Group("", {n = 2, nil, Late("a")}))
    assert.equal("  unexpected: nil",
      refuses({Late}, Group("", {n = 2, nil, Late("a")})))
  end)
end)

describe("raises_group compares the structure:", function()
  local nested = Group("outer", {Late("a"), Group("inner", {Early("b")})})

  it("TEST-10 groups in groups", function()
    accepts({Late, {Early}}, nested)
    accepts({{Early, message = "^inner$"}, Late, message = "outer"}, nested)
    assert.matches("missing: Early\n  unexpected: ExceptionGroup: inner",
      refuses({Late, Early}, nested))
    assert.matches("it is no group", refuses({{Late}}, Group("", {Late("a")})))
    assert.matches("because missing: Late\nunexpected: Early: b",
      (refuses({Late, {Late}}, nested):gsub("\n  ", "\n")))
  end)

  it("TEST-10 not, with flatten", function()
    accepts({Early, Late, flatten = true}, nested)
    assert.matches("missing: Late",
      refuses({Early, Late, Late, flatten = true}, nested))
  end)

  it("TEST-10 and says when flatten would help", function()
    assert.matches("it would match with flatten = true",
      refuses({Late, Early}, nested), 1, true)
    assert.is_nil(refuses({Late, Late}, nested):find("flatten"))
  end)

  it("TEST-10 the group's own message", function()
    accepts({Late, message = "^hello"}, Group("hello world", {Late("a")}))
    assert.equal('  of its message: "world" does not match "^hello"',
      refuses({Late, message = "^hello"}, Group("world", {Late("a")})))
  end)

  it("TEST-10 and its check, once everything else fits", function()
    local seen
    local function look(group)
      seen = group
      return false
    end
    local group = Group("", {Late("a")})
    refuses({Early, check = look}, group)
    assert.is_nil(seen)
    assert.equal("  'check' refuses it", refuses({Late, check = look}, group))
    assert.equal(group, seen)
  end)
end)

describe("raises_group wants a group:", function()
  it("TEST-10 a bare error isn't one", function()
    assert.equal("  it is no group, but would match with "
      .. "allow_unwrapped = true", refuses({Late}, Late("a")))
    assert.equal("  it is no group", refuses({Late}, Early("a")))
    assert.equal("  it is no group", refuses({Late, Late}, Late("a")))
  end)

  it("TEST-10 unless it may be unwrapped", function()
    local err = Late("a")
    assert.equal(err, accepts({Late, allow_unwrapped = true}, err))
    accepts({Late, allow_unwrapped = true}, Group("", {err}))
    accepts({Late, allow_unwrapped = true, flatten = true},
      Group("", {Group("", {err})}))
    assert.equal("  it is no group",
      refuses({Early, allow_unwrapped = true}, err))
  end)

  it("TEST-10 it must be raised at all", function()
    local ok, failure = pcall(assert.raises_group, {Late}, function() end)
    assert.is_false(ok)
    assert.matches("Expected a group: {Late}\n  nothing was raised$",
      failure.message)
  end)

  it("TEST-10 and is returned", function()
    local group = Group("", {Late("a")})
    assert.equal(group, accepts({Late}, group))
  end)
end)

describe("raises_group", function()
  it("TEST-10 runs functions that wait, and sees what nurseries raise",
    function()
      local group = assert.raises_group({Late, Early}, function()
        trio.open_nursery(function(nursery)
          for _, class in ipairs {Late, Early} do
            nursery:start_soon(function()
              pcall(trio.sleep, 0.001)
              error(class("in a task"))
            end)
          end
        end)
      end)
      assert.equal(2, #group.exceptions)
    end)

  it("TEST-10 shows what was raised, and one's own message first", function()
    local ok, failure = pcall(assert.raises_group, {Late},
      raiser(Group("all", {Early("a"), "b"})), "my message")
    assert.is_false(ok)
    assert.equal(table.concat({
      "my message",
      "Expected a group: {Late}",
      "  missing: Late",
      "  unexpected: Early: a",
      "  unexpected: b",
      "What was raised:",
      "  ExceptionGroup: all (2 errors)",
      "  |- Early: a",
      "  '- b",
    }, "\n"), (failure.message:gsub("^[^\n]-:%d+: ", "")))
  end)

  it("TEST-10 fails at the line that calls it", function()
    local line = debug.getinfo(1, "l").currentline + 2
    local ok, failure = pcall(function()
      assert.raises_group({Late}, function() end)
    end)
    assert.is_false(ok)
    assert.matches(("busted_groups_spec.lua:%d: Expected a group"):format(line),
      failure.message)
  end)

  it("TEST-10 can be negated", function()
    assert.has_no.raises_group({Late}, raiser(Early("a")))
    assert.has_no.raises_group({Late}, function() end)
    local ok, failure = pcall(assert.has_no.raises_group, {Late},
      raiser(Group("", {Late("a")})))
    assert.is_false(ok)
    assert.matches("Expected no such group", failure.message)
  end)

  it("TEST-10 lets a cancellation through", function()
    local scope = trio.move_on_after(0, function()
      assert.raises_group({Late}, trio.sleep_forever)
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  it("TEST-10 describes what it expects", function()
    local ok, failure = pcall(assert.raises_group,
      {Late, "x", {Early, 5, message = "y"}, {class = Late, message = "z"}},
      function() end)
    assert.is_false(ok)
    assert.matches('Expected a group: {Late, "x", {Early, 5, message = "y"}, '
      .. '{Late, message = "z"}}\n', failure.message, 1, true)
  end)
end)

describe("raises_group refuses wrong use:", function()
  it("TEST-10 what is no table of members", function()
    assert.equal("table expected, got error class", wrong_use(Late))
    assert.equal("table expected, got nil", wrong_use(nil))
    assert.equal("no member is expected", wrong_use({}))
    assert.equal("no member is expected", wrong_use({message = "x"}))
  end)

  it("TEST-10 unknown and wrong options", function()
    assert.equal("unknown option 'flat'", wrong_use({Late, flat = true}))
    assert.equal("option 'flatten' must be a boolean",
      wrong_use({Late, flatten = 1}))
    assert.equal("unknown option 'code'", wrong_use({Late, {code = 1}}))
    assert.equal("option 'class' must be an error class",
      wrong_use({{class = 1}}))
  end)

  it("TEST-10 options that contradict each other", function()
    assert.equal("with 'flatten' there can't be a group inside",
      wrong_use({Late, {Early}, flatten = true}))
    assert.equal("with 'allow_unwrapped' there can be one member only",
      wrong_use({Late, Early, allow_unwrapped = true}))
    assert.equal("with 'allow_unwrapped' the member can't be a group",
      wrong_use({{Early}, allow_unwrapped = true}))
    assert.matches("there may be no group to have a 'message'",
      wrong_use({Early, message = "x", allow_unwrapped = true}))
  end)

  it("TEST-10 no function", function()
    local ok, err = pcall(assert.raises_group, {Late}, 5)
    assert.is_false(ok)
    assert.matches("bad argument #2 to 'raises_group' "
      .. "(function expected, got number)", tostring(err), 1, true)
  end)
end)
