-- SPDX-License-Identifier: MIT
-- trace.lua: writes what a run does as a Chrome/Perfetto trace: one track for
-- each task, with a span for every step and for every wait in between, named
-- by the operation with its place and object, a span for every scope that
-- lasts longer than a step, and marks for cancellations with their reason.
-- `trio-lua --trace FILE` uses it for every run of the program.

local format, floor = string.format, math.floor

local ESCAPES = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n",
  ["\r"] = "\\r", ["\t"] = "\\t"}

local function quote(text)
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  local escaped = text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or format("\\u%04x", c:byte())
  end)
  return '"' .. escaped .. '"'
end

return function(trio)
  local lowlevel = trio.lowlevel
  local monotonic, wait_of = lowlevel._monotonic, lowlevel._wait_of
  local scopes_of = lowlevel._scopes_of

  -- One file. The array is closed after every event that ends a run, and
  -- opened again by the next run.
  local Trace = {}
  Trace.__index = Trace

  local function now(self) return floor((monotonic() - self.origin) * 1e6) end

  local function put(self, text)
    if self.closed then
      self.file:seek("end", -2)
      self.closed = false
    end
    self.file:write(self.count == 0 and "" or ",\n", text)
    self.count = self.count + 1
  end

  local function event(self, phase, name, track, time, more)
    put(self, format('{"ph":"%s","pid":1,"tid":%d,"ts":%d,"name":%s%s}', phase,
      track, time, quote(name), more or ""))
  end

  local function track_of(self, task)
    local track = self.tracks[task]
    if track == nil then
      self.last_track = self.last_track + 1
      track = {id = self.last_track, scopes = {}}
      self.tracks[task] = track
      event(self, "M", "thread_name", track.id, 0,
        format(',"args":{"name":%s}', quote(task.name)))
    end
    return track
  end

  -- The wait that the task was in is over.
  local function end_wait(self, track)
    if track.wait == nil then return end
    local object = track.object and ',"for":' .. quote(track.object) or ""
    event(self, "X", track.wait, track.id, track.waits_since,
      format(',"dur":%d,"cat":"wait","args":{"at":%s%s}',
        now(self) - track.waits_since, quote(track.place), object))
    track.wait = nil
  end

  -- Scopes may begin and end in the middle of steps, so they are spans beside
  -- the track, as precise as its steps.
  local function note_scope(self, track, phase, name, serial, time)
    event(self, phase, name, track.id, time,
      format(',"cat":"scope","id":"%d.%d"', self.runs, serial))
  end

  -- Note which scopes were opened, cancelled and closed since the last look.
  local function look_at_scopes(self, track, task)
    local open, list, seen = track.scopes, scopes_of(task), {}
    for i = #list - 2, 1, -3 do
      local serial, what, cancelled = list[i], list[i + 1], list[i + 2]
      local scope = open[serial] or {what = what, cancelled = false}
      if open[serial] == nil then
        note_scope(self, track, "b", what, serial, track.step_since)
      end
      if cancelled and not scope.cancelled then
        note_scope(self, track, "n", "cancelled", serial, now(self))
      end
      scope.cancelled = cancelled
      open[serial], seen[serial] = scope, true
    end
    for serial, scope in pairs(open) do
      if not seen[serial] then
        note_scope(self, track, "e", scope.what, serial, now(self))
        open[serial] = nil
      end
    end
  end

  function Trace:before_run() self.runs = self.runs + 1 end

  function Trace:before_task_step(task)
    local track = track_of(self, task)
    end_wait(self, track)
    local reason = wait_of(task)
    if reason ~= nil and reason ~= track.reason then
      event(self, "i", reason, track.id, now(self), ',"s":"t","cat":"cancel"')
    end
    track.reason = reason
    track.step_since = now(self)
    look_at_scopes(self, track, task)
  end

  function Trace:after_task_step(task)
    local track = track_of(self, task)
    local time = now(self)
    event(self, "X", "step", track.id, track.step_since,
      format(',"dur":%d,"cat":"step"', time - track.step_since))
    look_at_scopes(self, track, task)
    local _, name, place, object = wait_of(task)
    if name ~= nil then
      track.wait, track.place, track.object = name, place, object
      track.waits_since = time
    end
  end

  function Trace:task_exited(task)
    local track = track_of(self, task)
    event(self, "i", "exit", track.id, now(self), ',"s":"t","cat":"task"')
  end

  function Trace:after_run()
    if not self.closed then self.file:write("\n]") end
    self.closed = true
    self.file:flush()
    self.tracks = setmetatable({}, {__mode = "k"})
  end

  --- An instrument that writes the trace to the file of that name.
  -- @tparam string path
  -- @treturn table for the option `instruments` of trio.run
  return function(path)
    local file, problem = io.open(path, "w")
    if file == nil then error("cannot write the trace: " .. problem, 2) end
    file:write("[\n")
    return setmetatable({file = file, count = 0, runs = 0, origin = monotonic(),
      last_track = 0, tracks = setmetatable({}, {__mode = "k"})}, Trace)
  end
end
