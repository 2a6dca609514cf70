-- SPDX-License-Identifier: MIT
-- path_io.lua: trio.Path, the part that asks the system. All of it waits while
-- a thread of the pool does the work, and raises trio.OSError with the path.

local error = error

-- Codes that mean: there is nothing (that one could see) at this path.
local ABSENT = {ENOENT = true, ENOTDIR = true, ELOOP = true, EBADF = true}

return function(trio, kit)
  local check, Path, fs = kit.check, kit.Path, trio._fs
  local from_text, text_of = kit.path.from_text, kit.path.text_of
  local check_async = Path.check_async

  local function is_os_error(err)
    return trio.isinstance(err, trio.OSError)
  end

  -- ---- what is there

  --- path:stat(): what is known about the file, see the manual.
  function Path:stat()
    check_async(self, "stat")
    return (fs.stat(self._text))
  end

  --- path:lstat(): the same; of a symbolic link about the link.
  function Path:lstat()
    check_async(self, "lstat")
    return (fs.lstat(self._text))
  end

  -- The stat of the path, nil if nothing is there.
  local function stat_or_nil(call, text)
    local ok, result = trio.pcall(call, text)
    if ok then return result end
    if is_os_error(result) and ABSENT[result.code] then return nil end
    error(result, 0)
  end

  --- path:exists(): is something there? A link counts as what it leads to.
  function Path:exists()
    check_async(self, "exists")
    return stat_or_nil(fs.stat, self._text) ~= nil
  end

  local function add_question(name, call, wanted)
    Path[name] = function(self)
      check_async(self, name)
      local st = stat_or_nil(call, self._text)
      return st ~= nil and st.type == wanted
    end
  end

  add_question("is_file", fs.stat, "file")
  add_question("is_dir", fs.stat, "directory")
  add_question("is_symlink", fs.lstat, "link")
  add_question("is_fifo", fs.stat, "fifo")
  add_question("is_socket", fs.stat, "socket")
  add_question("is_block_device", fs.stat, "block")
  add_question("is_char_device", fs.stat, "char")

  --- path:samefile(other): do both lead to the same file?
  function Path:samefile(other)
    check_async(self, "samefile")
    local a, b = fs.stat(self._text), fs.stat(text_of(other, 1, "samefile"))
    return a.dev == b.dev and a.ino == b.ino
  end

  --- path:iterdir(): an array of the paths in this folder, by name.
  function Path:iterdir()
    check_async(self, "iterdir")
    local list = {}
    for i, name in ipairs((fs.scandir(self._text))) do
      list[i] = self / name
    end
    return list
  end

  -- ---- contents

  --- path:open([mode]): a file, as of trio.open_file.
  function Path:open(mode)
    check_async(self, "open")
    local file = trio.open_file(self._text, mode)
    return file
  end

  local function read(self)
    local file <close> = trio.open_file(self._text, "rb")
    local text = file:read("a")
    file:aclose()
    return text
  end

  --- path:read_bytes(), path:read_text(): all of the file.
  function Path:read_bytes()
    check_async(self, "read_bytes")
    local text = read(self)
    return text
  end

  function Path:read_text()
    check_async(self, "read_text")
    local text = read(self)
    return text
  end

  local function write(self, data)
    local file <close> = trio.open_file(self._text, "wb")
    file:write(data)
    file:aclose()
    return #data
  end

  --- path:write_bytes(data), path:write_text(text): make this the content of
  --- the file; the number of bytes.
  function Path:write_bytes(data)
    check_async(self, "write_bytes")
    check.string(data, 1, "write_bytes")
    local count = write(self, data)
    return count
  end

  function Path:write_text(text)
    check_async(self, "write_text")
    check.string(text, 1, "write_text")
    local count = write(self, text)
    return count
  end

  -- ---- making and removing

  local function make_folder(path, mode, parents, exist_ok)
    local ok, err = trio.pcall(fs.mkdir, path._text, mode)
    if ok then return end
    if not is_os_error(err) then error(err, 0) end
    if err.code == "ENOENT" and parents and path.parent ~= path then
      make_folder(path.parent, 511, true, true)
      return make_folder(path, mode, false, exist_ok)
    end
    local st = exist_ok and stat_or_nil(fs.stat, path._text)
    if not (st and st.type == "directory") then error(err, 0) end
  end

  --- path:mkdir([opts]): make a folder. Options: mode, parents (make those
  --- that are missing too), exist_ok (it may be there already).
  function Path:mkdir(opts)
    check_async(self, "mkdir")
    opts = check.options(opts, 1, "mkdir",
      {mode = true, parents = true, exist_ok = true})
    make_folder(self, opts.mode or 511, opts.parents, opts.exist_ok)
  end

  --- path:touch([opts]): make an empty file, or set its times to now. Options:
  --- mode, exist_ok (default true).
  function Path:touch(opts)
    check_async(self, "touch")
    opts = check.options(opts, 1, "touch", {mode = true, exist_ok = true})
    fs.touch(self._text, opts.mode or 438, opts.exist_ok == false and 1 or 0)
  end

  --- path:unlink([opts]): remove a file. Option missing_ok.
  function Path:unlink(opts)
    check_async(self, "unlink")
    opts = check.options(opts, 1, "unlink", {missing_ok = true})
    local ok, err = trio.pcall(fs.unlink, self._text)
    if ok then return end
    if opts.missing_ok and is_os_error(err) and err.code == "ENOENT" then
      return
    end
    error(err, 0)
  end

  --- path:rmdir(): remove an empty folder.
  function Path:rmdir()
    check_async(self, "rmdir")
    fs.rmdir(self._text)
  end

  --- path:rename(target), path:replace(target): give it another path, which it
  --- returns. A file that is there already is replaced.
  function Path:rename(target)
    check_async(self, "rename")
    target = text_of(target, 1, "rename")
    fs.rename(self._text, target)
    return from_text(target)
  end

  function Path:replace(target)
    check_async(self, "replace")
    target = text_of(target, 1, "replace")
    fs.rename(self._text, target)
    return from_text(target)
  end

  --- path:chmod(mode): set its permissions, a number such as 420 (rw-r--r--).
  function Path:chmod(mode)
    check_async(self, "chmod")
    fs.chmod(self._text, check.integer(mode, 1, "chmod", 0))
  end

  --- path:symlink_to(target), path:hardlink_to(target): make it a link.
  function Path:symlink_to(target)
    check_async(self, "symlink_to")
    fs.symlink(self._text, text_of(target, 1, "symlink_to"))
  end

  function Path:hardlink_to(target)
    check_async(self, "hardlink_to")
    fs.link(self._text, text_of(target, 1, "hardlink_to"))
  end

  --- path:readlink(): where a symbolic link leads to.
  function Path:readlink()
    check_async(self, "readlink")
    return from_text((fs.readlink(self._text)))
  end

  -- ---- where it is

  --- path:absolute(): the same path from the root on; links stay.
  function Path:absolute()
    check_async(self, "absolute")
    return from_text((fs.getcwd())) / self
  end

  -- The real path of what exists, and the rest as it is.
  local function resolve(text)
    local ok, result = trio.pcall(fs.realpath, text)
    if ok then return from_text(result) end
    local path = from_text(text)
    if not is_os_error(result) or not ABSENT[result.code]
      or result.code == "ELOOP" or path.parent == path then
      error(result, 0)
    end
    local parent = resolve(path.parent._text)
    return path.name == ".." and parent.parent or parent / path.name
  end

  --- path:resolve([opts]): absolute, without links and "..". Option strict:
  --- the path must exist.
  function Path:resolve(opts)
    check_async(self, "resolve")
    opts = check.options(opts, 1, "resolve", {strict = true})
    if opts.strict then return from_text((fs.realpath(self._text))) end
    return resolve(self._text)
  end

  --- path:expanduser(): with a home folder in place of "~" or "~name".
  function Path:expanduser()
    check_async(self, "expanduser")
    local user, rest = self._text:match("^~([^/]*)/?(.*)$")
    if not user then
      trio.lowlevel.checkpoint()
      return self
    end
    return from_text((fs.home(user))) / rest
  end

  --- trio.Path.cwd(): the working directory of the program.
  function trio.Path.cwd()
    return from_text((fs.getcwd()))
  end

  --- trio.Path.home(): the user's home folder.
  function trio.Path.home()
    return from_text((fs.home("")))
  end
end
