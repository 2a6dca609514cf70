-- SPDX-License-Identifier: MIT
-- trace_spec.lua: the trace of a run is JSON that says who waited for what.
local trio = require "trio"
local H = require "spec.support.helper"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

describe("a trace", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function traced(main)
    local tracer = require "trio.trace"(path)
    trio.run({instruments = {tracer},
      clock = trio.testing.MockClock{autojump_threshold = 0}}, main)
    return tracer
  end

  it("has a named track for each task, and a span for each wait", function()
    traced(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = 'a "quoted" one'}, trio.sleep, 1)
      end)
    end)
    local text = read(path)
    assert.truthy(text:find([["args":{"name":"a \"quoted\" one"}]], 1, true))
    assert.truthy(text:find([["name":"trio.sleep"]], 1, true))
    assert.truthy(text:find([["name":"step"]], 1, true))
  end)

  it("marks a cancellation with its reason", function()
    traced(function()
      trio.move_on_after(1, function()
        pcall(trio.sleep_forever)
        trio.lowlevel.checkpoint()
      end)
    end)
    assert.truthy(read(path):find("cancelled due to deadline", 1, true))
  end)

  it("is a whole JSON array after each run", function()
    local tracer = traced(function() trio.sleep(1) end)
    local first = read(path)
    assert.truthy(first:find("^%[\n{.*}\n%]$"))
    trio.run({instruments = {tracer}}, function() end)
    local second = read(path)
    assert.truthy(second:find("^%[\n{.*}\n%]$"))
    assert.is_true(#second > #first)
    assert.is_nil(second:find("]\n", 2, true))
    for line in second:gmatch("\n({[^\n]*)") do
      assert.truthy(line:find("^{.*},?$"), line)
    end
  end)

  it("complains about a file that can't be written", function()
    H.raises("cannot write the trace", require "trio.trace", "/no/such/dir/x")
  end)
end)
