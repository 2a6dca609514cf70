-- SPDX-License-Identifier: MIT
-- report.lua: the output handler that spec/run.sh gives to busted. What went
-- wrong goes to standard output; every step goes, as it happens, to the file
-- named by SPEC_REPORT, so that a crash shows in which test it struck and what
-- a test prints can't be taken for a result. Lines of that file:
--   start NAME | ok NAME | fail NAME | skip NAME | done

local base = require "busted.outputHandlers.base"
local busted = require "busted"

local report = assert(io.open(os.getenv("SPEC_REPORT") or "/dev/null", "a"))
report:setvbuf("line")

local function step(kind, name)
  report:write(kind, " ", (name:gsub("%s+", " ")), "\n")
end

local function indent(text)
  return "    " .. text:gsub("\n+$", ""):gsub("\n", "\n    ") .. "\n"
end

-- The part of a traceback that belongs to the specs and to us.
local function own_frames(traceback)
  local lines = {}
  for line in traceback:gmatch("[^\n]+") do
    if line:find("busted", 1, true) or line:find("in function 'xpcall'") then
      break
    end
    if not line:find("spec/support/", 1, true) then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

return function()
  local handler = base()
  local failed = {}  -- tests that already have their "fail" line

  local function full_name(element)
    if element.descriptor == "file" then return element.name end
    return handler.getFullName(element)
  end

  local function on_start(element)
    step("start", full_name(element))
    return nil, true
  end

  local function on_wrong(element, _, message, trace)
    local name = full_name(element)
    io.stdout:write("FAIL ", name, "\n", indent(tostring(message)))
    if type(trace) == "table" and trace.traceback then
      local frames = own_frames(trace.traceback)
      if frames:find("\n") then io.stdout:write(indent(frames)) end
    end
    -- A before_each that raises costs one test each time.
    if element.descriptor ~= "it" or not failed[element] then
      failed[element] = true
      step("fail", name)
    end
    return nil, true
  end

  local function on_end(element, _, status)
    if status == "success" then
      step("ok", full_name(element))
    elseif status == "pending" then
      step("skip", full_name(element))
    elseif not failed[element] then
      step("fail", full_name(element))
    end
    return nil, true
  end

  local function on_suite_end()
    report:write("done\n")
    report:flush()
    return nil, true
  end

  function handler.subscribe()
    busted.subscribe({"test", "start"}, on_start)
    busted.subscribe({"test", "end"}, on_end)
    busted.subscribe({"failure"}, on_wrong)
    busted.subscribe({"error"}, on_wrong)
    busted.subscribe({"suite", "end"}, on_suite_end)
  end

  return handler
end
