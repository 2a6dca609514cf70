-- SPDX-License-Identifier: MIT
-- path_glob.lua: patterns of paths: path:match, path:glob, path:rglob.
-- Names: trio.Path
--
-- A pattern has parts, as a path has. In a part "*" stands for any text, "?"
-- for one character, "[abc]" and "[!a-z]" for one of a set; names that begin
-- with a dot are like others. A part "**" stands for any number of folders.

local error, table, pairs = error, table, pairs

-- Errors of folders and files that went away or are nobody's business.
local IGNORED = {ENOENT = true, ENOTDIR = true, EACCES = true, ELOOP = true}

return function(trio, kit)
  local check, Path, fs = kit.check, kit.Path, trio._fs
  local split, text_of = kit.path.split, kit.path.text_of

  -- The set that begins at `at` as a Lua pattern, and what follows it.
  local function translate_set(part, at)
    local close = part:find("]", part:match("^%[!?%]?()", at), true)
    if not close then return "%[", at + 1 end
    local set = part:sub(at + 1, close - 1)
    local negated = set:sub(1, 1) == "!"
    if negated then set = set:sub(2) end
    set = set:gsub("[%%%]%^%[]", "%%%0")
    return (negated and "[^" or "[") .. set .. "]", close + 1
  end

  local WILD = {["*"] = ".*", ["?"] = ".[\x80-\xBF]*"}

  -- A Lua pattern that matches the same names.
  local function translate(part)
    local words, at = {"^"}, 1
    while at <= #part do
      local byte = part:sub(at, at)
      if byte == "[" then
        words[#words + 1], at = translate_set(part, at)
      else
        words[#words + 1] = WILD[byte] or byte:gsub("%p", "%%%0")
        at = at + 1
      end
    end
    return table.concat(words) .. "$"
  end

  --- path:match(pattern): do the last parts of this path look like that, or,
  --- if the pattern is absolute, all of it?
  function Path:match(pattern)
    Path.check_self(self, "match")
    pattern = text_of(pattern, 1, "match")
    local wanted, is_absolute = split(pattern)
    if #wanted == 0 and not is_absolute then
      check.refuse(1, "match", "empty pattern")
    end
    local parts, has_root = split(self._text)
    local extra = #parts - #wanted
    if extra < 0 or (is_absolute and (extra > 0 or not has_root)) then
      return false
    end
    for i, part in ipairs(wanted) do
      if not parts[extra + i]:find(translate(part)) then return false end
    end
    return true
  end

  -- ---- searching

  -- The parts of a pattern, ready to be used: {text=}, {like=}, {deep=true}.
  local function compile(pattern)
    local list = {}
    for _, text in ipairs((split(pattern))) do
      local last = list[#list]
      if text == "**" then
        if not (last and last.deep) then list[#list + 1] = {deep = true} end
      elseif text:find("[*?%[]") then
        list[#list + 1] = {like = translate(text)}
      else
        list[#list + 1] = {text = text}
      end
    end
    return list
  end

  -- call(text), or nothing where there is no such thing.
  local function try(call, text)
    local ok, first, second = trio.pcall(call, text)
    if ok then return first, second end
    if trio.isinstance(first, trio.OSError) and IGNORED[first.code] then
      return nil
    end
    error(first, 0)
  end

  local function below(folder, name)
    if folder == "." then return name end
    return (folder == "/" and "/" or folder .. "/") .. name
  end

  -- Is it a folder itself, not through a link?
  local function is_folder(text, letter)
    if letter ~= "?" then return letter == "d" end
    local st = try(fs.lstat, text)
    return st ~= nil and st.type == "directory"
  end

  local Search = {}
  Search.__index = Search

  function Search:add(text)
    if self.seen[text] then return end
    self.seen[text] = true
    self.found[#self.found + 1] = kit.path.from_text(text)
  end

  function Search:literal(text, i)
    local path = below(text, self.parts[i].text)
    if self.parts[i + 1] then return self:go(path, i + 1) end
    if try(fs.lstat, path) then self:add(path) end
  end

  function Search:like(text, i)
    local names, letters = try(fs.scandir, text)
    for k, name in pairs(names or {}) do
      if name:find(self.parts[i].like) then
        local path = below(text, name)
        if not self.parts[i + 1] then
          self:add(path)
        elseif letters[k] ~= "f" then
          self:go(path, i + 1)
        end
      end
    end
  end

  function Search:deep(text, i)
    local is_last = self.parts[i + 1] == nil
    self:go(text, i + 1)
    local names, letters = try(fs.scandir, text)
    for k, name in ipairs(names or {}) do
      local path = below(text, name)
      if is_folder(path, letters[k]) then
        self:deep(path, i)
      elseif is_last then
        self:add(path)
      end
    end
  end

  function Search:go(text, i)
    local part = self.parts[i]
    if not part then
      self:add(text)
    elseif part.deep then
      self:deep(text, i)
    elseif part.like then
      self:like(text, i)
    else
      self:literal(text, i)
    end
  end

  local function in_order(paths)
    local keys = {}
    for _, path in pairs(paths) do keys[path] = kit.path.key_of(path) end
    table.sort(paths, function(a, b) return keys[a] < keys[b] end)
    return paths
  end

  local function search(self, pattern, prefix, name)
    Path.check_async(self, name, 1)
    pattern = text_of(pattern, 1, name, 1)
    local parts, is_absolute = split(pattern)
    if is_absolute then
      check.refuse(1, name, "the pattern must be relative", 1)
    elseif #parts == 0 then
      check.refuse(1, name, "empty pattern", 1)
    end
    trio.lowlevel.checkpoint()
    local job = setmetatable({
      parts = compile(prefix .. pattern), seen = {}, found = {},
    }, Search)
    job:go(self._text, 1)
    return in_order(job.found)
  end

  --- path:glob(pattern): an array of the paths below this one that match.
  function Path:glob(pattern)
    local found = search(self, pattern, "", "glob")
    return found
  end

  --- path:rglob(pattern): the same at any depth.
  function Path:rglob(pattern)
    local found = search(self, pattern, "**/", "rglob")
    return found
  end
end
