-- SPDX-License-Identifier: MIT
-- file_system_spec.lua: file systems that are really full, or really
-- read-only: a small one in memory, mounted in a mount namespace of its own.
local cli = require "spec.support.cli"

-- Mounts a tmpfs with these options and runs the script there. It has the
-- folder in `dir`, and the functions of PRELUDE.
local PRELUDE = [[
  local root, dir = ...
  package.path = root .. "/?.lua;" .. package.path
  local trio = require "trio"
  local files = require "spec.support.files"
  local function code_of(fn, ...)
    local ok, err = pcall(fn, ...)
    if ok then return "no error" end
    if not trio.isinstance(err, trio.OSError) then error(err, 0) end
    return err.code
  end
  local function check(expected, got)
    if got ~= expected then
      error(("%s expected, got %s"):format(expected, got), 2)
    end
  end
]]

local function run_in(options, script)
  local command = ([[unshare -rm sh -c '
    set -e
    mkdir mnt
    mount -t tmpfs -o %s none mnt
    [ -z "$1" ] || exec "$@"' sh ]]):format(options)
  local probe = cli.run(command, {})
  if probe.status ~= 0 then
    return pending("no file system can be mounted here: " .. probe.err)
  end
  local result = cli.run(("%s PROG main.lua '%s' mnt"):format(command,
    os.getenv("PWD")), {files = {["main.lua"] = PRELUDE .. script}})
  assert.equal("", result.err)
  assert.equal("done\n", result.out)
  assert.equal(0, result.status)
end

describe("a full file system", function()
  it("is reported where the data goes out, and can be used again", function()
    run_in("size=64k", [[
      local path = dir .. "/file"
      trio.run(function()
        local f = trio.open_file(path, "w")
        check("ENOSPC", code_of(f.write, f, ("x"):rep(1 << 18)))
        f:aclose()
        check(0, files.descriptors(dir))
        -- What had room is there, and still readable.
        check(("x"):rep(1 << 16), trio.Path(path):read_text())

        -- Little data is refused by whoever sends it on its way.
        f = trio.open_file(dir .. "/other", "w")
        f:write("y")
        check("ENOSPC", code_of(f.flush, f))
        f:write("y")
        check("ENOSPC", code_of(f.aclose, f))
        check(true, f.closed)
        local p = trio.Path(dir) / "other"
        check("ENOSPC", code_of(p.write_bytes, p, "z"))
        check("ENOSPC", code_of(p.write_text, p, "z"))
        check(0, p:stat().size)
        check(0, files.descriptors(dir))

        -- A child that writes there fails by itself, which is no fault of ours.
        local result = trio.run_process("echo x >mnt/third 2>/dev/null",
          {shell = true, check = false, capture_stderr = true})
        check(true, result.returncode ~= 0)

        trio.Path(path):unlink()
        p:write_text("there is room again")
        check("there is room again", p:read_text())
      end)
      print("done")
    ]])
  end)

  it("takes no new files and folders", function()
    run_in("size=64k,nr_inodes=4", [[
      trio.run(function()
        local top = trio.Path(dir)
        for i = 1, 3 do (top / ("f" .. i)):write_text("") end
        local p = top / "more"
        check("ENOSPC", code_of(trio.open_file, p, "w"))
        check("ENOSPC", code_of(p.mkdir, p))
        check("ENOSPC", code_of(p.touch, p))
        check("ENOSPC", code_of(p.symlink_to, p, "f1"))
        check("ENOSPC", code_of(p.write_text, p, "text"))
        check(0, files.descriptors(dir))
        check(3, #top:iterdir());
        (top / "f1"):unlink()
        p:mkdir()
      end)
      print("done")
    ]])
  end)

  it("loses nothing but what had no room, with many writers at once", function()
    run_in("size=1m", [[
      trio.run(function()
        local failed, written = 0, 0
        trio.open_nursery(function(nursery)
          for i = 1, 20 do
            nursery:start_soon(function()
              local p = trio.Path(dir) / ("f" .. i)
              local code = code_of(p.write_bytes, p, ("w"):rep(100000))
              if code == "ENOSPC" then failed = failed + 1 end
              if code == "no error" then written = written + 1 end
            end)
          end
        end)
        check(20, failed + written)
        check(true, failed >= 10 and written >= 1)
        check(0, files.descriptors(dir))
        local whole = 0
        for _, p in ipairs(trio.Path(dir):iterdir()) do
          if p:stat().size == 100000 then whole = whole + 1 end
        end
        check(written, whole)
      end)
      print("done")
    ]])
  end)
end)

describe("a read-only file system", function()
  it("can be read, and refuses everything else", function()
    run_in("size=64k", [[
      trio.run(function()
        local top = trio.Path(dir)
        local file, folder = top / "file", top / "folder"
        file:write_text("text")
        folder:mkdir()
        assert(os.execute("mount -o remount,ro " .. dir))

        check("text", file:read_text())
        check(2, #top:iterdir())
        local f = trio.open_file(file)
        check("text", f:read("a"))
        f:aclose()
        for _, mode in ipairs {"w", "a", "r+", "w+", "a+"} do
          check("EROFS", code_of(trio.open_file, file, mode))
          check(mode:find("r") and "ENOENT" or "EROFS",
            code_of(trio.open_file, top / "new", mode))
        end
        local new = top / "new"
        check("EROFS", code_of(file.write_text, file, "x"))
        check("EROFS", code_of(file.write_bytes, file, "x"))
        check("EROFS", code_of(file.unlink, file))
        check("EROFS", code_of(file.chmod, file, 384))
        check("EROFS", code_of(file.rename, file, new))
        check("EROFS", code_of(file.replace, file, new))
        check("EROFS", code_of(folder.rmdir, folder))
        check("EROFS", code_of(new.mkdir, new))
        check("EROFS", code_of(new.touch, new))
        check("EROFS", code_of(new.symlink_to, new, "file"))
        check(0, files.descriptors(dir))
      end)
      print("done")
    ]])
  end)
end)
