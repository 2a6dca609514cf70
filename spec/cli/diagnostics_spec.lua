-- SPDX-License-Identifier: MIT
-- diagnostics_spec.lua: --trace and --slow-step of the interpreter.
local H = require "spec.support.helper"

local function run(arguments, script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local pipe = assert(io.popen(H.interpreter .. " " .. arguments .. " " ..
    path .. " 2>&1"))
  local output = pipe:read("a")
  local ok, _, status = pipe:close()
  os.remove(path)
  return output, ok and 0 or status
end

describe("the option", function()
  it("--slow-step reports a task that holds the loop, in the act", function()
    local output, status = run("--slow-step 0.05", [[
local trio = require "trio"
local function hog()
  local t0 = os.clock()
  while os.clock() - t0 < 0.6 do end
end
trio.run(function()
  trio.open_nursery(function(nursery)
    nursery:start_soon({name = "the hog"}, hog)
  end)
  print "went on"
end)]])
    assert.truthy(output:find("<Task 'the hog' at [^>]*> holds the loop"),
      output)
    assert.truthy(output:find("in upvalue 'hog'", 1, true) or
      output:find(":4: in function", 1, true), output)
    assert.truthy(output:find("went on", 1, true))
    assert.equal(0, status)
  end)

  it("--slow-step says nothing about tasks that wait", function()
    local output = run("--slow-step=0.05 --await", [[
require "trio".sleep(0.2)
print "done"]])
    assert.equal("done\n", output)
  end)

  it("--slow-step wants seconds", function()
    local output, status = run("--slow-step never", "")
    local problem = "'--slow-step' needs a number of seconds"
    assert.truthy(output:find(problem, 1, true))
    assert.equal(1, status)
  end)

  it("--trace writes the file", function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    local _, status = run("--await --trace " .. path,
      [[require "trio".sleep(0.001)]])
    assert.equal(0, status)
    local file = assert(io.open(path))
    assert.truthy(file:read("a"):find('"name":"trio.sleep"', 1, true))
    file:close()
  end)
end)
