-- SPDX-License-Identifier: MIT
-- Draws a trace (trio-lua --trace FILE) as a picture for the manual:
--   lua5.4 .dev/trace_svg.lua FILE >docs/images/trace.svg
-- A bar for each step, a lighter one with its name for each wait, a frame
-- around them for each scope, a mark where a task learns of a cancellation.
-- Tasks of the library are left out.

local WIDTH, LEFT, TOP, ROW = 900, 150, 20, 44

local out = {}
local function emit(format, ...) out[#out + 1] = format:format(...) end

local function escape(text)
  return (text:gsub("[&<>]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;"}))
end

-- The trace has one event on each line; the fields that matter here.
local function read_events(path)
  local events = {}
  for line in io.lines(path) do
    local event = {
      phase = line:match('"ph":"(%a)"'), track = line:match('"tid":(%d+)'),
      time = tonumber(line:match('"ts":(%d+)')),
      length = tonumber(line:match('"dur":(%d+)')) or 0,
      name = line:match('"name":"([^"]*)"[,}]'),
      id = line:match('"id":"([^"]*)'),
      title = line:match('"args":{"name":"([^"]*)"'),
      kind = line:match('"cat":"(%a+)"'),
    }
    if event.phase then events[#events + 1] = event end
  end
  return events
end

local events = read_events(arg[1])
local rows, count = {}, 0
local first, last = math.huge, 0
for _, event in ipairs(events) do
  if event.title and not event.title:find("^<") then
    rows[event.track] = {y = TOP + count * ROW}
    count = count + 1
    emit('<text x="8" y="%d" class="task">%s</text>', rows[event.track].y + 20,
         escape(event.title))
  elseif rows[event.track] then
    first = math.min(first, event.time)
    last = math.max(last, event.time + event.length)
  end
end

local function x_of(time)
  return LEFT + (time - first) / (last - first) * (WIDTH - LEFT - 50)
end

local function bar(class, event, y, height)
  local x = x_of(event.time)
  emit('<rect x="%.1f" y="%d" width="%.1f" height="%d" class="%s"/>', x, y,
       math.max(x_of(event.time + event.length) - x, 1.5), height, class)
  return x
end

local opened = {}
for _, event in ipairs(events) do
  local row = rows[event.track]
  if row and event.phase == "b" then
    opened[event.id] = event
  elseif row and event.phase == "e" then
    local from = opened[event.id]
    from.length = event.time - from.time
    bar(from.name, from, row.y, 32)
  end
end
for _, event in ipairs(events) do
  local row = rows[event.track]
  if row and event.phase == "X" then
    local x = bar(event.kind, event, row.y + 6, 20)
    if event.kind == "wait" then
      emit('<text x="%.1f" y="%d">%s</text>', x + 4, row.y + 20,
           escape(event.name))
    end
  elseif row and event.kind == "cancel" then
    local x = x_of(event.time)
    emit('<path d="M%.1f %d v36" class="cancel"/>', x, row.y - 2)
    emit('<text x="%.1f" y="%d" class="cancel" text-anchor="end">%s</text>',
         x - 4, row.y + 40, escape(event.name:gsub(" from .*", "")))
  end
end

local height = TOP + count * ROW + 24
for i = 0, 5 do
  local time = first + (last - first) * i / 5
  emit('<text x="%.1f" y="%d" class="axis">%.1f ms</text>', x_of(time),
       height - 8, (time - first) / 1000)
end

print(([[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d">
<style>
  text { font: 11px sans-serif; fill: #333 } .task { font-weight: bold }
  .step { fill: #1f6fb2 } .wait { fill: #cfe2f3 }
  .scope, .nursery { fill: none; stroke: #999 } .nursery { stroke-dasharray: 3 }
  path.cancel { stroke: #c0392b; stroke-width: 2 } text.cancel { fill: #c0392b }
  .axis { fill: #777 }
</style>
<rect width="100%%" height="100%%" fill="#fff"/>]]):format(WIDTH, height))
print(table.concat(out, "\n"))
print("</svg>")
