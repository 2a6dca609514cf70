-- SPDX-License-Identifier: MIT
-- docs.lua: reads the pages of the manual for the specs that check them.
--
-- A page is README.md or a file of docs/. It consists of fenced blocks, which
-- begin with three backquotes and a word (lua, text, sh...), and of prose.

local M = {}

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- The paths of all pages.
function M.pages()
  local paths = {"README.md"}
  local list = assert(io.popen("ls docs/*.md"))
  for path in list:lines() do paths[#paths + 1] = path end
  list:close()
  return paths
end

-- Does the page compare with other libraries? Its tables show how things are
-- called there.
function M.compares(path)
  return path:find("differences") ~= nil or path:find("coming%-from") ~= nil
end

-- Divides a page into its parts, in order: {kind = the word of a fenced block,
-- or "prose"; text =, line = number of its first line}.
function M.parts(page)
  local parts, kind, start, lines, number = {}, "prose", 1, {}, 0
  local function finish(next_kind)
    local text = table.concat(lines, "\n") .. (#lines > 0 and "\n" or "")
    parts[#parts + 1] = {kind = kind, text = text, line = start}
    kind, start, lines = next_kind, number + 1, {}
  end
  for line in page:gmatch("([^\n]*)\n") do
    number = number + 1
    local word = line:match("^```(.*)$")
    if not word then
      lines[#lines + 1] = line
    elseif kind == "prose" then
      finish(word)
    elseif word == "" then
      finish("prose")
    end
  end
  if kind ~= "prose" then
    error("the block of line " .. start .. " does not end", 0)
  end
  finish("prose")
  return parts
end

-- The prose of a page, without its blocks.
function M.prose(page)
  local texts = {}
  for _, part in ipairs(M.parts(page)) do
    if part.kind == "prose" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts, "\n")
end

return M
