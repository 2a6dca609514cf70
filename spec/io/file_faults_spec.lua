-- SPDX-License-Identifier: MIT
-- file_faults_spec.lua: files on bad days: full and read-only places, files
-- that go away, pipes without an other end, and cancellation at every point.

local trio = require "trio"
local H = require "spec.support.helper"
local files = require "spec.support.files"

local function code_of(fn, ...)
  local err = H.raises_class(trio.OSError, fn, ...)
  return err.code, err.syscall
end

describe("a file that can't be written", function()
  H.trio_it("reports a full place where the data goes out", function()
    local f = trio.open_file("/dev/full", "w")
    f:write("x")
    assert.same({"ENOSPC", "write"}, {code_of(f.flush, f)})
    f:aclose()
    f = trio.open_file("/dev/full", "w")
    assert.equal("ENOSPC", code_of(f.write, f, ("x"):rep(1 << 20)))
    f:write("y")
    assert.equal("ENOSPC", code_of(f.seek, f, "end"))
    f:write("z")
    assert.equal("ENOSPC", code_of(f.aclose, f))
    assert.is_true(f.closed)
    f:aclose()
    assert.equal(0, files.descriptors("/dev/full"))
  end)

  H.trio_it("reports it from <close> too, but keeps another error", function()
    assert.equal("ENOSPC", code_of(function()
      local f <close> = trio.open_file("/dev/full", "w")
      f:setvbuf("full", 100)
      f:write("x")
      f:flush()
    end))
    warn("@off")
    H.raises("mine", function()
      local f <close> = trio.open_file("/dev/full", "w")
      f:write("x")
      error("mine", 0)
    end)
    assert.equal(0, files.descriptors("/dev/full"))
  end)

  H.trio_it("reports places that are read-only", function()
    local folder <close> = files.folder()
    local f <close> = trio.open_file(folder / "a", "w")
    assert.same({"EBADF", "read"}, {code_of(f.read, f)})
    local g <close> = trio.open_file(folder / "a", "r")
    assert.same({"EBADF", "write"}, {code_of(g.write, g, "x")})
    assert.equal("EISDIR", code_of(trio.open_file, folder.path, "r+"))
  end)

  H.trio_it("is refused as Lua refuses it, wherever it is", function()
    for _, path in ipairs {
      "/proc/version", "/proc/none", "/proc/self/x", "/sys/x", "/sys/kernel/x",
      "/sys/kernel/notes", "/dev/null/x", "/", "", "/no/such/place",
    } do
      for _, mode in ipairs {"r", "w", "a", "r+"} do
        local stock, _, code = io.open(path, mode)
        local ok, ours = pcall(trio.open_file, path, mode)
        assert.equal(code, not ok and ours.errno or nil, path .. " " .. mode)
        if stock then stock:close() end
        if ok then ours:aclose() end
      end
    end
  end)

  H.trio_it("is refused in a folder without permission", function()
    local folder <close> = files.folder()
    os.execute("chmod 555 " .. folder.path)
    local stock, _, code = io.open(folder / "a", "w")
    local ok, ours = pcall(trio.open_file, folder / "b", "w")
    assert.equal(code, not ok and ours.errno or nil)  -- root may do anything
    if stock then stock:close() end
    if ok then ours:aclose() end
  end)
end)

describe("a file that goes away", function()
  H.trio_it("can be used until it is closed", function()
    local folder <close> = files.folder()
    local f <close> = trio.open_file(folder / "a", "w+")
    f:write("before ")
    os.remove(folder / "a")
    f:write("after")
    f:seek("set")
    assert.equal("before after", f:read("a"))
    assert.equal("ENOENT", code_of(trio.open_file, folder / "a"))
  end)

  H.trio_it("gives what was added and what was cut off", function()
    local folder <close> = files.folder()
    files.write_all(folder / "a", "one\n")
    local f <close> = trio.open_file(folder / "a")
    assert.equal("one", f:read())
    assert.is_nil(f:read())
    local more = io.open(folder / "a", "a")
    more:write("two\nthr")
    more:flush()
    assert.same({"two", "thr"}, {f:read("l", "l")})
    more:write("ee\n")
    more:close()
    assert.same({"ee"}, {f:read("l", "l")})
    files.write_all(folder / "a", "")
    assert.is_nil(f:read())
  end)

  H.trio_it("is found out by path operations", function()
    local folder <close> = files.folder()
    local p = trio.Path(folder / "a")
    assert.equal("ENOENT", code_of(p.read_text, p))
    assert.equal("ENOENT", code_of(p.unlink, p))
    assert.equal("ENOENT", code_of(p.rename, p, folder / "b"))
    assert.equal("ENOENT", code_of(p.chmod, p, 420))
    p = trio.Path("/tmp")
    assert.equal("EINVAL", code_of(p.readlink, p))
  end)
end)

describe("a pipe", function()
  local function with_pipe(mode, fn)
    local folder <close> = files.folder()
    os.execute("mkfifo " .. folder / "pipe")
    fn(folder / "pipe", mode)
    collectgarbage()
    assert.equal(0, files.descriptors(folder.path))
  end

  H.trio_it("without a writer is waited for, and the wait ends", function()
    with_pipe("r", function(path)
      local f <close> = trio.open_file(path)
      local scope = trio.move_on_after(0.05, function() f:read("a") end)
      assert.is_true(scope.cancelled_caught)
    end)
  end, {real_clock = true})

  H.trio_it("without a reader is waited for, and the wait ends", function()
    with_pipe("w", function(path)
      local scope = trio.move_on_after(0.05, function()
        trio.open_file(path, "w")
      end)
      assert.is_true(scope.cancelled_caught)
    end)
  end, {real_clock = true})

  H.trio_it("carries lines from task to task, and ends", function()
    with_pipe("r", function(path)
      local got = {}
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          local f <close> = trio.open_file(path)
          for line in f:lines() do got[#got + 1] = line end
        end)
        nursery:start_soon(function()
          local f <close> = trio.open_file(path, "w")
          f:setvbuf("line")
          f:write("one\ntw")
          f:write("o\n", ("x"):rep(300000), "\n")
          f:aclose()
        end)
      end)
      assert.same({"one", "two", ("x"):rep(300000)}, got)
    end)
  end, {real_clock = true})

  H.trio_it("loses nothing to a read that is cancelled", function()
    with_pipe("r+", function(path, mode)
      local f <close> = trio.open_file(path, mode)
      local writer <close> = trio.open_file(path, "w")
      writer:write("begun")
      writer:flush()
      local scope = trio.move_on_after(0.05, function() f:read("l") end)
      assert.is_true(scope.cancelled_caught)
      writer:write(" and done\n")
      writer:flush()
      assert.equal("begun and done", f:read("l"))
    end)
  end, {real_clock = true})

  H.trio_it("that is full holds up neither a cancel nor a close", function()
    with_pipe("r+", function(path, mode)
      local f = trio.open_file(path, mode)
      local scope = trio.move_on_after(0.05, function()
        f:write(("x"):rep(1 << 20))
      end)
      assert.is_true(scope.cancelled_caught)
      scope = trio.move_on_after(0.05, function() f:aclose() end)
      assert.is_true(scope.cancelled_caught)
      assert.is_true(f.closed)
    end)
  end, {real_clock = true})
end)

describe("cancellation", function()
  H.trio_it("FILE-03 in a cancelled scope writes nothing, and closes",
    function()
      local folder <close> = files.folder()
      local f = trio.open_file(folder / "a", "w")
      f:write("kept")
      local scope = trio.CancelScope()
      scope:cancel()
      scope:run(function()
        H.raises_class(trio.Cancelled, f.write, f, "not")
        H.raises_class(trio.Cancelled, f.aclose, f)
      end)
      assert.is_true(f.closed)
      assert.equal("kept", files.read_all(folder / "a"))
      assert.equal(0, files.descriptors(folder.path))
    end)

  -- Cancels `work` once after so many schedule passes; it must leave the text
  -- whole, whichever operation that hits.
  local function cancel_after(passes, work)
    trio.open_nursery(function(nursery)
      local scope = trio.CancelScope()
      nursery:start_soon(function()
        for _ = 1, passes do trio.lowlevel.checkpoint() end
        scope:cancel()
      end)
      scope:run(work)
    end)
  end

  H.trio_it("at any point leaves files whole and closed", function()
    local folder <close> = files.folder()
    local line = ("y"):rep(1 << 17) .. "\n"
    for passes = 0, 60 do
      local path, finished = folder / "a", 0
      files.write_all(path, line:rep(2))
      local read = 0
      cancel_after(passes * passes, function()
        local f <close> = trio.open_file(path, "r+")
        for text in f:lines("L") do
          assert.is_true(text == line)
          read = read + 1
        end
        f:write(line)
        finished = 1
        f:flush()
        f:seek("set", 0)
        assert.is_true(#f:read("a") == 3 * #line)
        f:aclose()
      end)
      local text = files.read_all(path)
      assert.is_true(text == line:rep(2) or text == line:rep(3))
      assert.is_true(finished == 0 or #text == 3 * #line)
      assert.equal(0, files.descriptors(folder.path))
    end
  end)

  H.trio_it("at any point leaves folders to be used again", function()
    local folder <close> = files.folder()
    for passes = 0, 60 do
      local p = trio.Path(folder / ("d" .. passes))
      cancel_after(passes * 5, function()
        (p / "a/b"):mkdir({parents = true});
        (p / "a/file"):write_text("text")
        p:rglob("*");
        (p / "a/file"):rename(p / "a/b/file");
        (p / "a/b/file"):unlink()
      end)
      assert.equal(0, files.descriptors(folder.path))
    end
  end)

  H.trio_it("of a read keeps the place in the file", function()
    local folder <close> = files.folder()
    files.write_all(folder / "a", ("0123456789"):rep(500000))
    local f <close> = trio.open_file(folder / "a")
    f:read(5)
    local cancelled = 0
    for _ = 1, 20 do
      trio.open_nursery(function(nursery)
        local scope = trio.CancelScope()
        nursery:start_soon(function() scope:cancel() end)
        scope:run(function()
          local place = f:seek()
          local text = f:read("a")
          f:seek("set", place)
          assert.equal(5000000 - place, #text)
        end)
        if scope.cancelled_caught then cancelled = cancelled + 1 end
      end)
      trio.CancelScope({shield = true}):run(function()
        local place = f:seek()
        assert.equal(("%d"):format(place % 10), f:read(1))
      end)
    end
    assert.is_true(cancelled > 0)
  end)
end)

describe("long lines", function()
  H.trio_it("of a megabyte are read by many tasks at once", function()
    local folder <close> = files.folder()
    local line = ("z"):rep(1 << 20)
    trio.open_nursery(function(nursery)
      for i = 1, 20 do
        nursery:start_soon(function()
          local path = folder / ("f" .. i)
          local f <close> = trio.open_file(path, "w+")
          for _ = 1, 3 do f:write(line, "\n") end
          f:seek("set")
          local count = 0
          for text in f:lines() do
            assert.equal(1 << 20, #text)
            count = count + 1
          end
          assert.equal(3, count)
        end)
      end
    end)
    assert.equal(0, files.descriptors(folder.path))
  end)
end)
