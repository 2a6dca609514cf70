-- SPDX-License-Identifier: MIT
-- fs_spec.lua: what trio.Path does on the disk.

local trio = require "trio"
local H = require "spec.support.helper"
local files = require "spec.support.files"

local P = trio.Path

local function names_below(folder, list)
  local out = {}
  for i, path in ipairs(list) do
    out[i] = tostring(path:relative_to(folder.path))
  end
  table.sort(out)
  return table.concat(out, " ")
end

-- fn must raise an OSError with this code and path.
local function refused(code, path, fn, ...)
  local err = H.raises_class(trio.OSError, fn, ...)
  assert.same({code, tostring(path)}, {err.code, err.path})
  assert.equal("number", type(err.errno))
  assert.equal("string", type(err.syscall))
end

describe("FILE-06 a path, on the disk,", function()
  H.trio_it("reads and writes whole files", function()
    local folder <close> = files.folder()
    local p = P(folder / "a")
    local data = "\0\xff\r\n" .. ("x"):rep(1 << 20)
    assert.equal(#data, p:write_bytes(data))
    assert.is_true(p:read_bytes() == data)
    assert.equal(4, p:write_text("text"))
    assert.equal("text", p:read_text())
    assert.equal(0, p:write_text(""))
    assert.equal("", p:read_text())
    refused("ENOENT", folder / "none", function()
      P(folder / "none"):read_text()
    end)
    refused("EISDIR", folder.path, function() P(folder.path):read_text() end)
    refused("EISDIR", folder.path, function()
      P(folder.path):write_text("x")
    end)
    H.raises("string expected, got nil", function() p:write_text() end)
    assert.equal("", p:read_text())
  end)

  H.trio_it("knows what is there", function()
    local folder <close> = files.folder()
    local file, none = P(folder / "file"), P(folder / "none")
    local link, loop = P(folder / "link"), P(folder / "loop")
    file:write_text("12345")
    link:symlink_to(file)
    loop:symlink_to("loop")
    os.execute("mkfifo " .. folder / "pipe")
    local function row(p)
      return {p:exists(), p:is_file(), p:is_dir(), p:is_symlink(), p:is_fifo(),
              p:is_socket(), p:is_block_device(), p:is_char_device()}
    end
    local f, t = false, true
    assert.same({t, t, f, f, f, f, f, f}, row(file))
    assert.same({t, f, t, f, f, f, f, f}, row(P(folder.path)))
    assert.same({t, t, f, t, f, f, f, f}, row(link))
    assert.same({f, f, f, t, f, f, f, f}, row(loop))
    assert.same({f, f, f, f, f, f, f, f}, row(none))
    assert.same({f, f, f, f, f, f, f, f}, row(file / "below"))
    assert.same({t, f, f, f, t, f, f, f}, row(P(folder / "pipe")))
    assert.is_true(P("/dev/null"):is_char_device())
    assert.is_true(file:samefile(link))
    assert.is_false(file:samefile(folder.path))
    assert.equal(tostring(file), tostring(link:readlink()))
  end)

  H.trio_it("tells size, mode, times and type", function()
    local folder <close> = files.folder()
    local p = P(folder / "a")
    p:write_text("12345")
    p:chmod(416)
    local st = p:stat()
    assert.same({5, 416, "file", 1}, {st.size, st.mode, st.type, st.nlink})
    assert.is_true(math.abs(st.mtime - os.time()) < 60)
    for _, name in ipairs {"uid", "gid", "ino", "dev", "blocks", "blksize"} do
      assert.equal("integer", math.type(st[name]), name)
    end
    P(folder / "hard"):hardlink_to(p)
    assert.equal(2, p:stat().nlink)
    P(folder / "soft"):symlink_to("a")
    assert.equal("link", P(folder / "soft"):lstat().type)
    assert.equal("file", P(folder / "soft"):stat().type)
    refused("ENOENT", folder / "none", function() P(folder / "none"):stat() end)
  end)

  H.trio_it("makes and removes", function()
    local folder <close> = files.folder()
    local deep = P(folder / "a/b/c")
    refused("ENOENT", deep, deep.mkdir, deep)
    deep:mkdir({parents = true})
    refused("EEXIST", deep, deep.mkdir, deep)
    refused("EEXIST", deep, deep.mkdir, deep, {parents = true})
    deep:mkdir({exist_ok = true})
    local file = deep / "file"
    file:touch()
    refused("EEXIST", file, file.mkdir, file, {exist_ok = true})
    refused("EEXIST", file, file.touch, file, {exist_ok = false})
    refused("ENOTDIR", file / "x", function() (file / "x"):mkdir() end)
    file:touch({exist_ok = true})
    refused("ENOTEMPTY", deep, deep.rmdir, deep)
    assert.equal(folder / "new", tostring(file:rename(folder / "new")))
    assert.is_false(file:exists())
    local new = P(folder / "new")
    P(folder / "old"):write_text("old")
    assert.equal(P(folder / "old"), new:replace(P(folder / "old")))
    assert.equal("", P(folder / "old"):read_text())
    refused("ENOENT", new, new.unlink, new)
    new:unlink({missing_ok = true})
    P(folder / "old"):unlink()
    deep:rmdir()
    H.raises("unknown option 'force'", new.unlink, new, {force = true})
    local private = P(folder / "private")
    private:mkdir({mode = 448})
    assert.equal(448, private:stat().mode)
  end)

  H.trio_it("lists folders, completely and in order", function()
    local folder <close> = files.folder()
    for _, name in ipairs {"b", "a", ".c", "d e", "\xff"} do
      files.write_all(folder / name, "")
    end
    local p = P(folder.path)
    local list = p:iterdir()
    os.execute("rm -f " .. folder / "*")
    local names = {}
    for i, path in ipairs(list) do names[i] = path.name end
    assert.same({".c", "a", "b", "d e", "\xff"}, names)
    assert.same({".c"}, {p:iterdir()[1].name})
    refused("ENOENT", folder / "none", function()
      P(folder / "none"):iterdir()
    end)
    refused("ENOTDIR", folder / ".c", function() P(folder / ".c"):iterdir() end)
  end)

  H.trio_it("finds by patterns", function()
    local folder <close> = files.folder()
    local p = P(folder.path)
    for _, name in ipairs {"a/b/c", "x", "a/.h"} do
      (p / name):mkdir({parents = true})
    end
    for _, name in ipairs {"1.lua", "a/2.lua", "a/b/3.lua", "a/b/c/4.c",
                           "x/[1].lua", "a/.h/5.lua"} do
      (p / name):touch()
    end
    (p / "x/up"):symlink_to("..");
    (p / "x/gone"):symlink_to("nowhere")
    for pattern, expected in pairs {
      ["*.lua"] = "1.lua", ["*/*.lua"] = "a/2.lua x/[1].lua",
      ["**/*.lua"] = "1.lua a/.h/5.lua a/2.lua a/b/3.lua x/[1].lua",
      ["a/**"] = "a a/.h a/.h/5.lua a/2.lua a/b a/b/3.lua a/b/c a/b/c/4.c",
      ["**/b/**/*.?"] = "a/b/c/4.c", ["a/b"] = "a/b", ["none/*"] = "",
      ["1.lua/*"] = "", ["x/[[]1].lua"] = "x/[1].lua",
      ["x/gone"] = "x/gone", ["x/up/1.lua"] = "x/up/1.lua",
      ["**/**/4.c"] = "a/b/c/4.c", ["?"] = "a x", ["a/../x"] = "a/../x",
    } do
      assert.equal(expected, names_below(folder, p:glob(pattern)), pattern)
    end
    assert.equal("a/b/3.lua", names_below(folder, p:rglob("3*")))
    H.raises("must be relative", function() p:glob("/x") end)
    H.raises("empty pattern", function() p:glob("") end)
    assert.same({}, P(folder / "none"):glob("*"))
    assert.equal("lua/trio/path.lua", tostring(P("."):glob("l*/*/path.lua")[1]))
  end)

  H.trio_it("resolves", function()
    local folder <close> = files.folder()
    local p = P(folder.path):resolve();
    (p / "a"):mkdir();
    (p / "link"):symlink_to("a")
    assert.equal(p / "a/x/y", (p / "link/x/y"):resolve())
    assert.equal(p / "b", (p / "link/../b"):resolve())
    assert.equal(p / "c", (p / "no/../c"):resolve())
    refused("ENOENT", p / "no", function()
      (p / "no"):resolve({strict = true})
    end);
    (p / "loop"):symlink_to("loop")
    refused("ELOOP", p / "loop", function() (p / "loop"):resolve() end)
    assert.equal(P.cwd() / "x", P("x"):absolute())
    assert.equal(P.cwd() / "x", P("x"):resolve())
    assert.equal(P("/x/../y"), P("/x/../y"):absolute())
    assert.equal(os.getenv("HOME"), tostring(P.home()))
    assert.equal(P.home() / "x", P("~/x"):expanduser())
    assert.equal(P("x/~"), P("x/~"):expanduser())
    refused("ENOENT", "no-such-user", function()
      P("~no-such-user/x"):expanduser()
    end)
  end)

  H.trio_it("opens files, also by trio.open_file", function()
    local folder <close> = files.folder()
    local p = P(folder / "a")
    do
      local f <close> = p:open("w")
      f:write("text")
    end
    local f <close> = trio.open_file(p)
    assert.equal("text", f:read("a"))
    assert.equal(tostring(p), f.path)
  end)

  H.trio_it("is a checkpoint, and does nothing when cancelled", function()
    local folder <close> = files.folder()
    local p = P(folder / "a")
    p:write_text("x")
    for _, verb in ipairs {
      {"stat"}, {"exists"}, {"is_dir"}, {"read_text"}, {"write_text", "x"},
      {"touch"}, {"chmod", 420}, {"resolve"}, {"absolute"}, {"glob", "*"},
      {"expanduser"}, {"samefile", p}, {"unlink", {missing_ok = true}},
    } do
      trio.testing.assert_checkpoints(function()
        p[verb[1]](p, verb[2])
      end)
    end
    local scope = trio.CancelScope()
    scope:cancel()
    scope:run(function()
      for _, verb in ipairs {{"touch"}, {"mkdir"}, {"write_text", "x"},
                             {"symlink_to", "x"}} do
        H.raises_class(trio.Cancelled, p[verb[1]], p, verb[2])
      end
    end)
    assert.is_false(p:is_symlink() or p:exists())
  end)
end)
