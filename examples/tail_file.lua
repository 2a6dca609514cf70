-- SPDX-License-Identifier: MIT
-- Tail a file: follow what is added to it, as `tail -f` does.

local trio = require "trio"

-- Calls handle(line) for every line, also for those that are yet to come. A
-- line that is only half there is kept until its end has come.
local function tail(path, handle)
  local file <close> = trio.open_file(path)
  local half = ""
  while true do
    local text = file:read("L")
    if not text then
      trio.sleep(0.01)               -- at the end, for now
    elseif text:sub(-1) == "\n" then
      handle(half .. text:sub(1, -2))
      half = ""
    else
      half = half .. text
    end
  end
end

local function write_log(path)
  local log <close> = trio.open_file(path, "a")
  for _, piece in ipairs {"start\n", "working", "...", " done\n", "end\n"} do
    log:write(piece):flush()
    trio.sleep(0.02)
  end
end

trio.run(function()
  local path = trio.Path("app.log")
  path:write_text("an old line\n")
  trio.open_nursery(function(nursery)
    nursery:start_soon(write_log, path)
    tail(path, function(line)
      print("log: " .. line)
      if line == "end" then nursery.cancel_scope:cancel() end
    end)
  end)
  path:unlink()
end)

--[[ expected output
log: an old line
log: start
log: working... done
log: end
]]
