-- SPDX-License-Identifier: MIT
-- file_spec.lua: files open, close, refuse and are cancelled as they should.
-- What their verbs read and write: file_verbs_spec.lua.

local trio = require "trio"
local H = require "spec.support.helper"
local files = require "spec.support.files"


-- fn must be a checkpoint.
local function checkpoint(fn)
  trio.testing.assert_checkpoints(fn)
end

local function cancelled(fn)
  local scope = trio.CancelScope()
  scope:cancel()
  return scope:run(function()
    return H.raises_class(trio.Cancelled, fn)
  end)
end

describe("trio.open_file", function()
  H.trio_it("FILE-05 closes with its block", function()
    local folder <close> = files.folder()
    local file
    do
      local f <close> = trio.open_file(folder / "a", "w")
      file = f
      f:write("text")
      assert.is_false(f.closed)
    end
    assert.is_true(file.closed)
    assert.equal("text", files.read_all(folder / "a"))
    assert.equal(0, files.descriptors(folder.path))
    H.raises_class(trio.ClosedResourceError, file.write, file, "x")
  end)

  H.trio_it("refuses wrong arguments as io.open does", function()
    H.raises("bad argument #1 .*string or trio.Path expected, got no value",
      trio.open_file)
    H.raises("bad argument #1", trio.open_file, {})
    H.raises("zero byte in a path", trio.open_file, "a\0b")
    for _, mode in ipairs {"", "x", "rw", "r+b+", "br", "r ", "rt"} do
      H.raises("invalid mode", trio.open_file, "x", mode)
    end
  end)

  it("needs a task", function()
    H.raises("trio.open_file must be called from inside",
      trio.open_file, "x")
  end)

  H.trio_it("raises OSError with all that is known", function()
    local folder <close> = files.folder()
    local path = folder / "none"
    local err = H.raises_class(trio.OSError, trio.open_file, path)
    assert.same({"ENOENT", 2, "open", path},
      {err.code, err.errno, err.syscall, err.path})
    assert.truthy(tostring(err):find(path, 1, true))
    err = H.raises_class(trio.OSError, trio.open_file, folder.path, "w")
    assert.equal("EISDIR", err.code)
    err = H.raises_class(trio.OSError, trio.open_file, path .. "/x", "w")
    assert.equal("ENOENT", err.code)
    files.write_all(path, "")
    err = H.raises_class(trio.OSError, trio.open_file, path .. "/x", "w")
    assert.equal("ENOTDIR", err.code)
    err = H.raises_class(trio.OSError, trio.open_file, "")
    assert.equal("ENOENT", err.code)
  end)

  H.trio_it("is a checkpoint, and opens nothing when cancelled", function()
    local folder <close> = files.folder()
    checkpoint(function() trio.open_file(folder / "a", "w"):aclose() end)
    cancelled(function() trio.open_file(folder / "b", "w") end)
    assert.equal(0, files.descriptors(folder.path))
  end)

  H.trio_it("tells its path, mode and state", function()
    local folder <close> = files.folder()
    local f <close> = trio.open_file(folder / "a", "w+b")
    assert.same({folder / "a", "w+b", false}, {f.path, f.mode, f.closed})
    assert.truthy(tostring(f):find("^<trio.File 0x%x+ '.*/a' w%+b>$"))
    f:aclose()
    assert.truthy(tostring(f):find("closed>$"))
    H.raises("no field 'x'", function() f.x = 1 end)
    H.raises("read%-only", function() f.mode = "r" end)
  end)

  H.trio_it("reads a directory no more than Lua does", function()
    local f <close> = trio.open_file("/tmp")
    local err = H.raises_class(trio.OSError, f.read, f, 1)
    assert.same({"EISDIR", "read", "/tmp"}, {err.code, err.syscall, err.path})
  end)
end)

describe("a file", function()
  H.trio_it("CP-05 waits at every step of an iteration, the last too",
    function()
      local folder <close> = files.folder()
      files.write_all(folder / "a", "one\ntwo")
      local f <close> = trio.open_file(folder / "a")
      local step = f:lines()
      local lines = {}
      for i = 1, 3 do
        checkpoint(function() lines[i] = step() end)
      end
      assert.same({"one", "two"}, lines)
      checkpoint(function() assert.is_nil(step()) end)
    end)

  H.trio_it("FILE-04 iterates over the lines that Lua's own gives", function()
    local folder <close> = files.folder()
    local path = folder / "a"
    for _, text in ipairs {"", "\n", "a", "a\n\nb\r\n", ("x"):rep(1 << 20)} do
      files.write_all(path, text)
      for _, format in ipairs {"l", "L", 3, "n"} do
        local f <close> = trio.open_file(path)
        local ours, stock = {}, {}
        for line in f:lines(format) do ours[#ours + 1] = line end
        for line in io.lines(path, format) do stock[#stock + 1] = line end
        assert.same(stock, ours)
      end
    end
  end)

  H.trio_it("is a checkpoint in every verb", function()
    local folder <close> = files.folder()
    local f <close> = trio.open_file(folder / "a", "w+")
    for _, verb in ipairs {
      {"write", "x"}, {"write"}, {"flush"}, {"seek", "set"}, {"seek"},
      {"read", 1}, {"read", 0}, {"setvbuf", "no"}, {"write", "y"}, {"flush"},
      {"aclose"}, {"aclose"},
    } do
      checkpoint(function()
        f[verb[1]](f, table.unpack(verb, 2))
      end)
    end
  end)

  H.trio_it("is used by one task at a time", function()
    local folder <close> = files.folder()
    files.write_all(folder / "a", ("x"):rep(1 << 20))
    local f <close> = trio.open_file(folder / "a", "r+")
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() assert.equal(1 << 20, #f:read("a")) end)
      trio.testing.wait_all_tasks_blocked()
    end)
    f:seek("set")
    trio.open_nursery(function(nursery)
      local refused = 0
      nursery:start_soon(function() assert.equal(1 << 20, #f:read("a")) end)
      for _, verb in ipairs {"read", "write", "flush", "seek"} do
        nursery:start_soon(function()
          H.raises_class(trio.BusyResourceError, f[verb], f)
          refused = refused + 1
        end)
      end
      nursery:start_soon(function()
        trio.lowlevel.checkpoint()
        assert.equal(4, refused)
      end)
    end)
  end)

  H.trio_it("refuses everything once it is closed", function()
    local folder <close> = files.folder()
    local f = trio.open_file(folder / "a", "w+")
    local step = f:lines()
    f:aclose()
    for _, verb in ipairs {"read", "write", "flush", "seek", "lines"} do
      local err = H.raises_class(trio.ClosedResourceError, f[verb], f)
      assert.truthy(tostring(err):find(folder.path, 1, true))
    end
    H.raises_class(trio.ClosedResourceError, f.setvbuf, f, "no")
    H.raises_class(trio.ClosedResourceError, step)
    f:aclose()
  end)

  H.trio_it("checks arguments before it waits", function()
    local folder <close> = files.folder()
    local f <close> = trio.open_file(folder / "a", "w+")
    H.raises("bad argument #1 to 'read' %(invalid format", function()
      f:read("x")
    end)
    H.raises("must not be negative", f.read, f, -1)
    H.raises("string expected, got table", f.read, f, {})
    H.raises("string expected, got nil", f.write, f, "x", nil)
    H.raises("invalid option 'up'", f.seek, f, "up")
    H.raises("number expected", f.seek, f, "set", "x")
    H.raises("invalid option 'big'", f.setvbuf, f, "big")
    H.raises("trio.File expected, got table", f.read, {})
    assert.equal(0, f:seek("end"))
  end)

  H.trio_it("may be closed while another task reads", function()
    local folder <close> = files.folder()
    os.execute("mkfifo " .. folder / "pipe")
    local f = trio.open_file(folder / "pipe", "r+")
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        H.raises_class(trio.ClosedResourceError, f.read, f)
      end)
      trio.testing.wait_all_tasks_blocked()
      f:aclose()
    end)
    assert.equal(0, files.descriptors(folder.path))
  end, {real_clock = true})

  it("that is left open is closed at the end, and reported", function()
    local folder <close> = files.folder()
    files.write_all(folder / "main.lua", ([[
      local trio = require "trio"
      trio.run(function()
        kept = trio.open_file("%s", "w")
        kept:write("text")
      end)
    ]]):format(folder / "a"))
    local pipe = io.popen(H.command .. " -W " .. folder / "main.lua" .. " 2>&1")
    local text = pipe:read("a")
    pipe:close()
    assert.truthy(text:find("main.lua:3: a file was never closed"), text)
    assert.equal("text", files.read_all(folder / "a"))
  end)

  H.trio_it("that is collected open is closed", function()
    local folder <close> = files.folder()
    trio.open_file(folder / "a", "w"):write("text")
    warn("@off")
    collectgarbage()
    collectgarbage()
    assert.equal("text", files.read_all(folder / "a"))
    assert.equal(0, files.descriptors(folder.path))
  end)
end)

