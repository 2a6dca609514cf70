-- SPDX-License-Identifier: MIT
-- trace_spec.lua: the trace of a run is JSON in the Trace Event Format of
-- Chrome and Perfetto, and says who waited for what.
local json = require "dkjson"
local trio = require "trio"
local H = require "spec.support.helper"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

local function is_time(x) return math.type(x) == "integer" and x >= 0 end
local function is_text(x) return type(x) == "string" and utf8.len(x) end
local function is_integer(x) return math.type(x) == "integer" end

-- What the format asks of every event, and of those of each phase.
local EVERY = {ph = is_text, pid = is_integer, tid = is_integer, ts = is_time,
  name = is_text}
local scope = {cat = is_text, id = is_text}
local PHASES = {
  M = {args = function(x) return is_text(x.name) end},
  X = {dur = is_time, cat = is_text},
  i = {s = function(x) return x == "t" end, cat = is_text},
  b = scope, n = scope, e = scope,
}
local OPTIONAL = {X = {args = function(x)
  return is_text(x.at) and (x["for"] == nil or is_text(x["for"]))
end}}

local function check_fields(event, ...)
  local known = {}
  for _, fields in ipairs {...} do
    for key, test in pairs(fields) do
      known[key] = true
      assert.truthy(test(event[key]), key .. " in " .. json.encode(event))
    end
  end
  return known
end

-- Events by the shape that they must have.
local function check_event(event)
  local phase = assert(PHASES[event.ph], event.ph)
  local known = check_fields(event, EVERY, phase)
  for key, value in pairs(event) do
    local optional = (OPTIONAL[event.ph] or {})[key]
    assert.truthy(known[key] or optional and optional(value),
      key .. " in " .. json.encode(event))
  end
end

-- Spans of one track follow one another; scopes are opened once, then closed
-- once, by the same task; every track has a name.
local function check_order(events)
  local ends, open, named = {}, {}, {}
  local spans = {}
  for _, event in ipairs(events) do
    local phase, id = event.ph, event.id
    if phase == "M" then
      assert.is_nil(named[event.tid])
      named[event.tid] = true
    elseif phase == "X" then
      spans[#spans + 1] = event
    elseif phase == "b" then
      assert.is_nil(open[id])
      open[id] = event
    elseif phase == "e" then
      assert.equal(open[id].tid, event.tid)
      assert.equal(open[id].name, event.name)
      assert.is_true(event.ts >= open[id].ts)
      open[id] = false
    end
    assert.is_true(named[event.tid])
  end
  table.sort(spans, function(a, b)
    return a.ts < b.ts or a.ts == b.ts and a.dur < b.dur
  end)
  for _, span in ipairs(spans) do
    assert.is_true(span.ts >= (ends[span.tid] or 0), json.encode(span))
    ends[span.tid] = span.ts + span.dur
  end
  for id, state in pairs(open) do assert.is_false(state, id) end
end

local function check_trace(text)
  local events, _, problem = json.decode(text)
  assert.is_nil(problem)
  assert.equal(#events, select(2, text:gsub('{"ph":', "")))
  for _, event in ipairs(events) do check_event(event) end
  check_order(events)
  return events
end

-- The events of that phase and name.
local function select_events(events, phase, name)
  local found = {}
  for _, event in ipairs(events) do
    if event.ph == phase and event.name == name then
      found[#found + 1] = event
    end
  end
  return found
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

  it("is what Chrome and Perfetto read", function()
    local tracer = traced(function()
      local lock = trio.Lock()
      local send, receive = trio.open_memory_channel(0)
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = "na\xefve \1\"\\\n"}, function()
          lock:with(function() trio.sleep(2) end)
          receive:receive()
        end)
        nursery:start_soon(function()
          trio.move_on_after(1, function() lock:acquire() end)
          pcall(trio.fail_after, 1, trio.sleep_forever)
          send:send(1)
        end)
      end)
    end)
    trio.run({instruments = {tracer}}, function() trio.sleep(0) end)
    local events = check_trace(read(path))
    assert.truthy(select_events(events, "M", "thread_name")[2])
    local wait = select_events(events, "X", "Lock:acquire")[1]
    assert.truthy(wait.args.at:find("trace_spec.lua:%d+$"), wait.args.at)
    assert.truthy(wait.args["for"]:find("^<trio.Lock .* locked"))
  end)

  it("shows scopes, and which were cancelled", function()
    traced(function()
      trio.move_on_after(1, trio.sleep_forever)
      trio.move_on_after(5, function() trio.sleep(1) end)
    end)
    local events = check_trace(read(path))
    local opened = select_events(events, "b", "scope")
    assert.equal(2, #opened)
    assert.equal(2, #select_events(events, "e", "scope"))
    local cancelled = {}
    for _, event in ipairs(select_events(events, "n", "cancelled")) do
      cancelled[event.id] = true
    end
    assert.is_true(cancelled[opened[1].id])
    assert.is_nil(cancelled[opened[2].id])
    assert.truthy(select_events(events, "b", "nursery")[1])
  end)

  it("can be drawn for the manual", function()
    traced(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon({name = "a <task>"}, trio.sleep, 2)
      end)
    end)
    local pipe = assert(io.popen("lua5.4 .dev/trace_svg.lua " .. path))
    local picture = pipe:read("a")
    assert.is_true(pipe:close())
    assert.truthy(picture:find("^<svg .*>a &lt;task&gt;</text>.*</svg>\n$"))
    assert.truthy(picture:find(">trio.sleep</text>", 1, true))
  end)

  it("complains about a file that can't be written", function()
    H.raises("cannot write the trace", require "trio.trace", "/no/such/dir/x")
  end)
end)
