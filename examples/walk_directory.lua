-- SPDX-License-Identifier: MIT
-- Walk a folder: count the bytes of every kind of file, folders side by side.

local trio = require "trio"

-- Adds the sizes of all files below to `totals`, one task per folder.
local function walk(nursery, folder, totals)
  for _, path in ipairs(folder:iterdir()) do
    local st = path:lstat()
    if st.type == "directory" then
      nursery:start_soon(walk, nursery, path, totals)
    elseif st.type == "file" then
      local kind = path.suffix ~= "" and path.suffix or "(none)"
      totals[kind] = (totals[kind] or 0) + st.size
    end
  end
end

local function make_tree(root)
  for name, text in pairs {
    ["README"] = "read me", ["src/main.c"] = "int main;",
    ["src/core/task.c"] = "struct task;", ["lua/init.lua"] = "return {}",
  } do
    local path = root / name
    path.parent:mkdir({parents = true, exist_ok = true})
    path:write_text(text)
  end
end

trio.run(function()
  local root = trio.Path("tree")
  make_tree(root)

  local totals = {}
  trio.open_nursery(function(nursery) walk(nursery, root, totals) end)

  local kinds = {}
  for kind in pairs(totals) do table.insert(kinds, kind) end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do print(kind, totals[kind]) end

  print "sources:"
  for _, path in ipairs(root:rglob("*.[ch]")) do
    print("  " .. path:relative_to(root))
  end
end)

--[[ expected output
(none)	7
.c	21
.lua	9
sources:
  src/core/task.c
  src/main.c
]]
