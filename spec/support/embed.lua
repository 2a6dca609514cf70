-- SPDX-License-Identifier: MIT
-- What the programs of examples/embed print, and how to run commands.
local M = {}

M.expected = {
  async_function = "too early:\ttrue\nthe other thread has written\n",
  guest = [[
clicked at 10, 20
clicked at 30, 40
cleaned up
the run returned: goodbye
frames went on meanwhile: yes
]],
  luv = [[
the timer of luv has rung
given up: true
received from trio to luv
]],
}

-- Runs a shell command: whether it succeeded, and what it printed.
function M.run(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1"))
  local output = pipe:read("a")
  local ok = pipe:close()
  return ok, output
end

-- The same for one that must succeed; returns the output.
function M.succeeds(command)
  local ok, output = M.run(command)
  if not ok then error(command .. "\n" .. output, 0) end
  return output
end

return M
