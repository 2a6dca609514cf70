-- SPDX-License-Identifier: MIT
-- path_spec.lua: what trio.Path says without the disk, and its patterns. What
-- it does on the disk: spec/io/fs_spec.lua.

local trio = require "trio"
local H = require "spec.support.helper"

local P = trio.Path

local function texts(list)
  local out = {}
  for i, item in ipairs(list) do out[i] = tostring(item) end
  return out
end

describe("FILE-06 a path, without the disk,", function()
  it("has one text for all ways to write it", function()
    for given, expected in pairs {
      [""] = ".", ["."] = ".", ["./"] = ".", ["a/"] = "a", ["a//b"] = "a/b",
      ["./a/./b/."] = "a/b", ["/"] = "/", ["//"] = "/", ["/."] = "/",
      ["a/../b"] = "a/../b", ["/../a"] = "/../a", [".a"] = ".a",
      ["a b\n"] = "a b\n", ["\xff/x"] = "\xff/x",
    } do
      assert.equal(expected, tostring(P(given)), given)
      assert.is_true(P(given) == P(expected))
    end
  end)

  it("is joined of strings and paths", function()
    assert.equal(".", tostring(P()))
    assert.equal("a/b/c", tostring(P("a", P("b"), "c")))
    assert.equal("/b/c", tostring(P("a", "/b", "c")))
    assert.equal("a/b/c/d", tostring(P("a") / "b" / P("c/d")))
    assert.equal("a/b", tostring("a" / P("b")))
    assert.equal("/x", tostring(P("a") / "/x"))
    assert.equal("a/b/c", tostring(P("a"):joinpath("b", P("c"))))
    assert.equal("a", tostring(P("a"):joinpath()))
    assert.equal("a/x.bak", P("a/x") .. ".bak")
    assert.equal("in a/x", "in " .. P("a/x"))
  end)

  it("refuses what is no path", function()
    H.raises("bad argument #2 to 'trio.Path' %(string or trio.Path expected, "
      .. "got number", function() return P("a", 1) end)
    H.raises("path_spec.lua:%d+: bad argument", function()
      local _ = P(nil)
    end)
    H.raises("zero byte", function() return P("a\0b") end)
    H.raises("got table", function() return P("a") / {} end)
    H.raises("attempt to compare trio.Path with string", function()
      return P("a") < "b"
    end)
    H.raises("calling 'with_name' on bad self", P("a").with_name, "a", "b")
  end)

  it("has the fields that pathlib gives", function()
    for text, e in pairs {
      ["/a/b.tar.gz"] = {"b.tar.gz", "b.tar", ".gz", "/a", "/"},
      ["a"] = {"a", "a", "", ".", ""}, ["."] = {"", "", "", ".", ""},
      ["/"] = {"", "", "", "/", "/"}, [".bashrc"] = {".bashrc", ".bashrc", "",
      ".", ""}, ["a/.b.c"] = {".b.c", ".b", ".c", "a", ""},
      ["a."] = {"a.", "a.", "", ".", ""}, ["a/.."] = {"..", "..", "", "a", ""},
      ["a..b"] = {"a..b", "a.", ".b", ".", ""},
    } do
      local p = P(text)
      assert.same(e, {p.name, p.stem, p.suffix, tostring(p.parent), p.root})
      assert.equal(p.root, p.anchor)
      assert.equal(p.root == "/", p:is_absolute())
    end
    assert.same({".tar", ".gz"}, P("a.tar.gz").suffixes)
    assert.same({}, P(".bashrc").suffixes)
    assert.same({}, P("a.").suffixes)
    assert.same({"/", "a", "b"}, P("/a/b").parts)
    assert.same({}, P().parts)
    assert.same({"/a/b", "/a", "/"}, texts(P("/a/b/c").parents))
    assert.same({"a", "."}, texts(P("a/b").parents))
    assert.same({}, P("/").parents)
  end)

  it("can't be changed", function()
    local p = P("a")
    H.raises("field 'name' of trio.Path is read%-only", function()
      p.name = "b"
    end)
    H.raises("trio.Path has no field 'x'", function() p.x = 1 end)
    assert.is_nil(p.no_such_thing)
  end)

  it("gives paths with another last part", function()
    local p = P("/a/b.c")
    assert.equal("/a/x", tostring(p:with_name("x")))
    assert.equal("/a/x.c", tostring(p:with_stem("x")))
    assert.equal("/a/b.lua", tostring(p:with_suffix(".lua")))
    assert.equal("/a/b", tostring(p:with_suffix("")))
    assert.equal("b.x", tostring(P("b"):with_suffix(".x")))
    for _, bad in ipairs {"", ".", "a/b"} do
      H.raises("is no name", function() p:with_name(bad) end)
    end
    for _, bad in ipairs {"x", ".", "./x", "."} do
      H.raises("begins with a dot", function() p:with_suffix(bad) end)
    end
    H.raises("has no name", function() P("/"):with_name("x") end)
    H.raises("has no name", function() P():with_suffix(".x") end)
  end)

  it("is put in relation to another", function()
    local function relative(a, b, opts)
      return tostring(P(a):relative_to(b, opts))
    end
    assert.equal("b/c", relative("/a/b/c", "/a"))
    assert.equal(".", relative("a", P("a")))
    assert.equal("a", relative("a", "."))
    assert.equal("../b", relative("/a/b", "/a/c", {walk_up = true}))
    assert.equal("../../b", relative("b", "c/d", {walk_up = true}))
    H.raises("'/a/b' is not below '/a/c'", relative, "/a/b", "/a/c")
    H.raises("is not below", relative, "/a", "a")
    H.raises("is not below", relative, "/ab", "/a")
    H.raises("can't walk up", relative, "/a", "/b/..", {walk_up = true})
    H.raises("unknown option 'up'", relative, "a", "a", {up = true})
    assert.is_true(P("/a/b"):is_relative_to("/a"))
    assert.is_false(P("/ab"):is_relative_to("/a"))
    assert.is_false(P("a"):is_relative_to("/"))
  end)

  it("is compared part by part", function()
    local list = {P("b"), P("a-b"), P("a/b"), P("/z"), P("a"), P("a/b/c")}
    table.sort(list)
    assert.same({"/z", "a", "a/b", "a/b/c", "a-b", "b"}, texts(list))
    assert.is_true(P("a") <= P("a") and P("a") >= P("a"))
    assert.is_false(P("a") == "a")
  end)

  it("becomes a URI", function()
    assert.equal("file:///a%20b/%C3%A4", P("/a b/ä"):as_uri())
    H.raises("is relative", function() P("a"):as_uri() end)
  end)

  it("matches patterns from its end", function()
    for _, case in ipairs {
      {"a/b.lua", "*.lua", true}, {"a/b.lua", "a/*", true},
      {"a/b.lua", "b.*", true}, {"a/b.lua", "*.c", false},
      {"/a/b.lua", "/*/*.lua", true}, {"/a/b/c.lua", "/*/*.lua", false},
      {"a/b", "/a/b", false}, {"b", "a/b", false}, {"abc", "a?c", true},
      {"aäc", "a?c", true}, {"a.c", "a[.]c", true}, {"abc", "a[!b]c", false},
      {"axc", "a[!b]c", true}, {"a5", "a[0-9]", true}, {"a-", "a[%-]", true},
      {"a]", "a[]]", true}, {"a[", "a[", true}, {"a^", "a[^x]", true},
      {"b", "[^x]", false}, {"a%", "a%", true}, {"a%d", "a%d", true},
      {"a5", "a%d", false}, {".x", "*", true}, {"x/y/z", "**/z", true},
      {"a.b", "a.b", true}, {"axb", "a.b", false}, {"ab", "a*b", true},
      {"a\nb", "a*b", true}, {"a(b)", "a(b)", true}, {"a$", "a$", true},
    } do
      assert.equal(case[3], P(case[1]):match(case[2]),
        case[1] .. " against " .. case[2])
    end
    H.raises("empty pattern", function() P("a"):match("") end)
  end)

  it("needs a task for what asks the disk", function()
    local p = P("a")
    for _, name in ipairs {
      "stat", "exists", "iterdir", "read_text", "open", "mkdir", "resolve",
      "glob", "expanduser",
    } do
      H.raises("Path:" .. name .. " must be called from inside a task",
        p[name], p, "x")
    end
    H.raises("must be called from inside a task", P.cwd)
  end)
end)
