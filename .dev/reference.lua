-- SPDX-License-Identifier: MIT
-- `make reference`: one page of HTML with every public name, by namespace:
-- the entries of the manual, and the declarations of include/trio.h with their
-- comments.
--   build/trio-lua .dev/reference.lua >build/reference.html

local docs = require "spec.support.docs"

local ESCAPES = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;"}
local function escape(text) return (text:gsub("[&<>]", ESCAPES)) end

-- ---- the little of Markdown that the manual uses

local function inline(text)
  local codes = {}
  text = escape(text):gsub("`([^`]+)`", function(code)
    codes[#codes + 1] = "<code>" .. code .. "</code>"
    return "\0" .. #codes .. "\0"
  end)
  text = text:gsub("%[([^%]]*)%]%([^)]*%)", "%1")
    :gsub("%*%*(.-)%*%*", "<b>%1</b>"):gsub("%*(%S.-)%*", "<i>%1</i>")
  return (text:gsub("\0(%d+)\0", function(i) return codes[tonumber(i)] end))
end

local function cells(line)
  local list = {}
  for cell in (line:gsub("\\|", "\1") .. "\n"):gmatch("|%s*([^|\n]*)%f[|\n]") do
    if cell:find("%S") or #list == 0 then
      list[#list + 1] = "<td>" .. inline(cell:gsub("\1", "|")) .. "</td>"
    end
  end
  return "<tr>" .. table.concat(list) .. "</tr>"
end

-- A block of lines without an empty one.
local function block(lines)
  local first = lines[1]
  if first:find("^|") then
    local rows = {}
    for _, line in ipairs(lines) do
      if not line:find("^|[%s|-]*$") then rows[#rows + 1] = cells(line) end
    end
    return "<table>" .. table.concat(rows, "\n") .. "</table>"
  end
  local text = table.concat(lines, "\n")
  if first:find("^%* ") then
    text = ("\n" .. text):gsub("\n%* ", "\0")
    local items = {}
    for item in text:gmatch("%z([^%z]*)") do
      items[#items + 1] = "<li>" .. inline(item) .. "</li>"
    end
    return "<ul>" .. table.concat(items, "\n") .. "</ul>"
  end
  return "<p>" .. inline(text) .. "</p>"
end

local function render(text)
  local out = {}
  for _, part in ipairs(docs.parts(text)) do
    if part.kind ~= "prose" then
      out[#out + 1] = "<pre>" .. escape(part.text) .. "</pre>"
    else
      local lines = {}
      for line in (part.text .. "\n\n"):gmatch("([^\n]*)\n") do
        if line:find("%S") then
          lines[#lines + 1] = line
        elseif #lines > 0 then
          out[#out + 1] = block(lines)
          lines = {}
        end
      end
    end
  end
  return table.concat(out, "\n")
end

-- ---- what there is: {[section] = array of {name =, heading =, body =}}. Of
-- several names in one heading, the first has these.

local sections, seen = {}, {}

local function section_of(name)
  return name:match("^([%w_]+):") or name:match("^(.*)%.[%w_]+$") or "assert"
end

local function note(signatures, body)
  local heading = inline(signatures)
  for quoted in signatures:gmatch("`([^`]+)`") do
    local name = quoted:match("^[%a_][%w_.:]*")
    if name and not seen[name] and name:find("[.:]") then
      seen[name] = true
      local section = section_of(name)
      sections[section] = sections[section] or {}
      table.insert(sections[section], {name = name, heading = heading,
                                       body = body})
      heading = nil
    end
  end
end

-- The entries of a page, with everything up to the next heading.
local function read_page(path)
  local heading, lines, fenced = nil, {}, false
  for line in (docs.read(path) .. "\n# \n"):gmatch("([^\n]*)\n") do
    if line:find("^```") then fenced = not fenced end
    if line:find("^#+ ") and not fenced then
      lines[#lines + 1] = ""
      if heading then note(heading, render(table.concat(lines, "\n"))) end
      heading, lines = line:match("^### (`%a.*)"), {}
    elseif heading then
      lines[#lines + 1] = line
    end
  end
end

-- Functions that stand in a table: `signature` | meaning.
local function read_tables(path)
  local page = docs.prose(docs.read(path))
  for cell, text in page:gmatch("\n| (`[^|\n]*%([^|\n]*) | ([^\n]*) |%f[\n]") do
    note(cell, "<p>" .. inline(text) .. "</p>")
  end
end

local pages = {}
for _, path in ipairs(docs.pages()) do
  if not docs.compares(path) then pages[#pages + 1] = path end
end
for _, path in ipairs(pages) do read_page(path) end
for _, path in ipairs(pages) do read_tables(path) end

-- Declarations with the comment above them.
local function read_header(path)
  local list, comment, code = {}, {}, nil
  for line in docs.read(path):gmatch("([^\n]*)\n") do
    if line:find("^// ?") and not code then
      comment[#comment + 1] = line:gsub("^// ?", "")
    elseif code or line:find("^TRIO_API ") or line:find("^typedef ")
        or line:find("^enum ") or line:find("^#define TRIO_W") then
      code = (code and code .. "\n" or "") .. line:gsub("^TRIO_API ", "")
      local opened = select(2, code:gsub("[{(]", ""))
      local closed = select(2, code:gsub("[})]", ""))
      if opened == closed and (line:find(";") or line:find("^#")) then
        list[#list + 1] = {code = code, text = table.concat(comment, "\n")}
        code, comment = nil, {}
      end
    else
      comment = {}
    end
  end
  return list
end

-- ---- the page

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    local a_first, b_first = a:find("^trio") ~= nil, b:find("^trio") ~= nil
    if a_first ~= b_first then return a_first end
    return a < b
  end)
  return keys
end

-- A heading can be reached by each of its names.
local function with_anchors(heading)
  return (heading:gsub("<code>([%a_][%w_.:]*)", '<code id="%1">%1'))
end

local names = sorted(sections)
print([[<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>trio-lua: reference</title>
<style>
  body { font: 16px/1.5 sans-serif; max-width: 50em; margin: 2em auto }
  h3 { border-top: 1px solid #ccc; padding-top: .6em; font-weight: normal }
  pre { background: #f5f5f5; padding: .6em; overflow: auto }
  td { vertical-align: top; padding-right: 1em }
</style></head><body>
<h1>trio-lua: reference</h1>]])
for _, section in ipairs(names) do
  table.sort(sections[section], function(a, b) return a.name < b.name end)
  local links = {}
  for _, entry in ipairs(sections[section]) do
    links[#links + 1] = ('<a href="#%s">%s</a>'):format(
      entry.name, entry.name:match("[%w_]+$"))
  end
  print(("<p><b>%s</b>: %s</p>"):format(section, table.concat(links, ", ")))
end
print('<p><b><a href="#C">trio.h</a></b></p>')
for _, section in ipairs(names) do
  print(("<h2>%s</h2>"):format(section))
  for _, entry in ipairs(sections[section]) do
    if entry.heading then
      print(("<h3>%s</h3>\n%s"):format(with_anchors(entry.heading), entry.body))
    end
  end
end
print('<h2 id="C">trio.h</h2>')
for _, entry in ipairs(read_header("include/trio.h")) do
  print(("<pre>%s</pre>\n<p>%s</p>"):format(escape(entry.code),
                                            escape(entry.text)))
end
print("</body></html>")
