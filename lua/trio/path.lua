-- SPDX-License-Identifier: MIT
-- path.lua: trio.Path, its pure part: what can be said about a path without
-- looking at the disk. Python's rules (pathlib) for POSIX systems.
--
-- A path is its text in a normal form: no doubled "/", no "." parts, "." when
-- nothing is left. ".." stays, because of symbolic links. Paths never change.
-- The part that asks the system is path_io.lua; patterns are in path_glob.lua.

local error, type, table = error, type, table

return function(trio, kit)
  local check = kit.check
  local getters = {}
  local Path = kit.class("trio.Path", nil, getters)
  local check_self = Path.check_self
  kit.Path = Path

  -- The parts of a text without its root, and whether it has one.
  local function split(text)
    local parts = {}
    for part in text:gmatch("[^/]+") do
      if part ~= "." then parts[#parts + 1] = part end
    end
    return parts, text:sub(1, 1) == "/"
  end

  local function assemble(parts, is_absolute, count)
    local text = table.concat(parts, "/", 1, count or #parts)
    if is_absolute then return "/" .. text end
    return text == "" and "." or text
  end

  local function from_text(text)
    return Path:new({_text = assemble(split(text))})
  end

  --- The text of a path or string; an argument error for anything else.
  local function text_of(value, place, name, level)
    if Path.is(value) then return value._text end
    if type(value) ~= "string" then
      check.refuse(place, name, check.expected("string or trio.Path", value),
        1 + (level or 0))
    elseif value:find("\0", 1, true) then
      check.refuse(place, name, "zero byte in a path", 1 + (level or 0))
    end
    return value
  end

  -- What paths are ordered by: "/" comes before every other byte.
  local function key_of(path)
    return (path._text:gsub("/", "\0"))
  end

  kit.path = {
    split = split, from_text = from_text, text_of = text_of, key_of = key_of,
  }

  -- a/b; what is absolute begins anew.
  local function join(a, b)
    if b:sub(1, 1) == "/" then return b end
    return a .. "/" .. b
  end

  local function join_all(text, name, count, ...)
    for i = 1, count do
      local piece = text_of((select(i, ...)), i, name, 1)
      text = text and join(text, piece) or piece
    end
    return from_text(text or "")
  end

  -- ---- fields

  function getters.parts(self)
    local parts, is_absolute = split(self._text)
    if is_absolute then table.insert(parts, 1, "/") end
    return parts
  end

  function getters.root(self)
    return self._text:sub(1, 1) == "/" and "/" or ""
  end

  getters.anchor = getters.root

  function getters.name(self)
    local parts = split(self._text)
    return parts[#parts] or ""
  end

  -- "a.tar" and ".gz"; a dot at either end begins no suffix.
  local function split_name(name)
    local stem, suffix = name:match("^(.+)(%.[^.]+)$")
    return stem or name, suffix or ""
  end

  function getters.stem(self)
    return (split_name(self.name))
  end

  function getters.suffix(self)
    return (select(2, split_name(self.name)))
  end

  function getters.suffixes(self)
    local list, name = {}, self.name
    if name:sub(-1) == "." then return list end
    local first = name:gsub("^%.+", ""):match("^[^.]*(.*)$")
    for suffix in first:gmatch("%.[^.]*") do list[#list + 1] = suffix end
    return list
  end

  function getters.parent(self)
    local parts, is_absolute = split(self._text)
    return Path:new({
      _text = assemble(parts, is_absolute, math.max(#parts - 1, 0)),
    })
  end

  function getters.parents(self)
    local list = {}
    local parts, is_absolute = split(self._text)
    for count = #parts - 1, 0, -1 do
      list[#list + 1] = Path:new({
        _text = assemble(parts, is_absolute, count),
      })
    end
    return list
  end

  -- ---- other paths

  --- path:joinpath(...): this path and the others, one below the other.
  function Path:joinpath(...)
    check_self(self, "joinpath")
    local path = join_all(self._text, "joinpath", select("#", ...), ...)
    return path  -- no tail call: messages count the levels
  end

  -- The parent's text, a slash, and the new name.
  local function sibling(self, name)
    local parts, is_absolute = split(self._text)
    parts[#parts] = name
    return Path:new({_text = assemble(parts, is_absolute)})
  end

  local function check_name(self, name, method)
    if self.name == "" then
      error(("%s: '%s' has no name"):format(method, self._text), 3)
    elseif name == "" or name == "." or name:find("[/\0]") then
      error(("%s: '%s' is no name"):format(method, name), 3)
    end
  end

  --- path:with_name(name): the same path with another last part.
  function Path:with_name(name)
    check_self(self, "with_name")
    check.string(name, 1, "with_name")
    check_name(self, name, "with_name")
    return sibling(self, name)
  end

  --- path:with_stem(stem): the same, and the suffix stays.
  function Path:with_stem(stem)
    check_self(self, "with_stem")
    check.string(stem, 1, "with_stem")
    check_name(self, stem .. self.suffix, "with_stem")
    return sibling(self, stem .. self.suffix)
  end

  --- path:with_suffix(suffix): the same with another suffix; "" takes it away.
  function Path:with_suffix(suffix)
    check_self(self, "with_suffix")
    check.string(suffix, 1, "with_suffix")
    if suffix ~= "" and not suffix:find("^%.[^/]+$") then
      check.refuse(1, "with_suffix", "a suffix begins with a dot")
    end
    check_name(self, self.stem .. suffix, "with_suffix")
    return sibling(self, self.stem .. suffix)
  end

  -- How many parts two paths have in common, or nil where one is absolute and
  -- the other is not.
  local function common_parts(a, b)
    local x, x_absolute = split(a)
    local y, y_absolute = split(b)
    if x_absolute ~= y_absolute then return nil end
    local count = 0
    while x[count + 1] and x[count + 1] == y[count + 1] do count = count + 1 end
    return count, x, y
  end

  --- path:is_relative_to(other): does this path begin with the other?
  function Path:is_relative_to(other)
    check_self(self, "is_relative_to")
    other = text_of(other, 1, "is_relative_to")
    local count, _, theirs = common_parts(self._text, other)
    return count ~= nil and count == #theirs
  end

  --- path:relative_to(other [, {walk_up = true}]): what leads from the other
  --- to this path; with walk_up also by way of "..".
  function Path:relative_to(other, opts)
    check_self(self, "relative_to")
    other = text_of(other, 1, "relative_to")
    opts = check.options(opts, 2, "relative_to", {walk_up = true})
    local count, mine, theirs = common_parts(self._text, other)
    if not count or (count < #theirs and not opts.walk_up) then
      error(("'%s' is not below '%s'"):format(self._text, other), 2)
    end
    local parts = {}
    for i = count + 1, #theirs do
      if theirs[i] == ".." then
        error(("can't walk up '..' of '%s'"):format(other), 2)
      end
      parts[#parts + 1] = ".."
    end
    table.move(mine, count + 1, #mine, #parts + 1, parts)
    return Path:new({_text = assemble(parts, false)})
  end

  --- path:is_absolute(): does it begin with "/"?
  function Path:is_absolute()
    check_self(self, "is_absolute")
    return self.root == "/"
  end

  --- path:as_uri(): "file:///..."; only of an absolute path.
  function Path:as_uri()
    check_self(self, "as_uri")
    if self.root == "" then
      error(("'%s' is relative; it has no URI"):format(self._text), 2)
    end
    return "file://" .. self._text:gsub("[^%w%-._~/]", function(byte)
      return ("%%%02X"):format(byte:byte())
    end)
  end

  -- ---- operators

  local function check_both(a, b)
    if Path.is(a) and Path.is(b) then return end
    error(("attempt to compare %s with %s"):format(check.name_of(a),
      check.name_of(b)), 3)
  end

  function Path.__eq(a, b)
    return Path.is(a) and Path.is(b) and a._text == b._text
  end

  function Path.__lt(a, b)
    check_both(a, b)
    return key_of(a) < key_of(b)
  end

  function Path.__le(a, b)
    check_both(a, b)
    return key_of(a) <= key_of(b)
  end

  --- path / "name", "folder" / path
  function Path.__div(a, b)
    return from_text(join(text_of(a, 1, "/"), text_of(b, 2, "/")))
  end

  --- path .. "text": a string.
  function Path.__concat(a, b)
    return tostring(a) .. tostring(b)
  end

  function Path:__tostring()
    return self._text
  end

  --- trio.Path(...): a path of strings and paths, joined; "." of none.
  local function construct(_, ...)
    local path = join_all(nil, "trio.Path", select("#", ...), ...)
    return path
  end

  trio.Path = setmetatable({}, {
    __call = construct,
    __name = "trio.Path (class)",
    __metatable = "trio.Path (class)",
  })
end
