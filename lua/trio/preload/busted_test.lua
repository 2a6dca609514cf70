-- SPDX-License-Identifier: MIT
-- busted_test.lua: one test of busted in a run of its own, for trio.busted.
--
-- The main task of the run does what busted does for a test: the before_each
-- bodies, the test's, finally and the after_each bodies. Each body has a scope
-- and a limit in real time. The nursery is held open by a system task, so that
-- a task that fails cancels the body that runs now and nothing else: after_each
-- can still wait.
--
-- Nothing is told to busted twice: a body raises its error to busted's own
-- xpcall, with the trace that was taken where it was raised. What comes to
-- light later is reported before the event "test end", which waits for it.

local error, pcall, xpcall = error, pcall, xpcall
local pack, unpack = table.pack, table.unpack

-- The bodies that run as part of a test, and what messages call them. A task
-- that fails in the nursery cancels the first two.
local BODIES = {before_each = "before_each", it = "test", finally = "finally",
                after_each = "after_each"}
local CANCELLED = {before_each = true, it = true}

-- Code that is never to blame for a failure; besides, busted itself.
local FOREIGN = {"^%[C%]", "^trio/[%w_/]+%.lua$", "luassert[/\\].*%.lua$"}

-- How the test's task is called.
local MAIN_TASK = "<Task 'trio/preload/busted_test[^>]*>"

local function folder_of(path) return path:match("^(.*)[/\\]") end

return function(trio)
  local testing, lowlevel = trio.testing, trio.lowlevel
  local isinstance = trio.isinstance

  local Test = {}
  Test.__index = Test

  --- A test that is to run. `busted` has the functions of busted that are
  --- replaced by trio.busted, `core`, its core, and `folder`, where it is.
  function Test.new(busted, element, options)
    return setmetatable({
      busted = busted, element = element, options = options, problems = {},
      depth = 0,  -- calls of busted.safe that have not returned
    }, Test)
  end

  -- ---- errors and where they come from

  local function is_group(err) return isinstance(err, trio.ExceptionGroup) end

  -- The error without its Cancelled, or nil.
  local function without_cancelled(err)
    if isinstance(err, trio.Cancelled) then return nil end
    if not is_group(err) then return err end
    local _, rest = err:split(trio.Cancelled)
    return rest
  end

  local function is_interrupt(err)
    return isinstance(err, trio.KeyboardInterrupt)
      or is_group(err) and err:subgroup(trio.KeyboardInterrupt) ~= nil
  end

  -- Adds {value=, traceback=} for every leaf.
  local function collect_leaves(group, leaves)
    local exceptions = group.exceptions
    for i = 1, exceptions.n or #exceptions do
      local value = exceptions[i]
      if is_group(value) then
        collect_leaves(value, leaves)
      else
        leaves[#leaves + 1] = {
          value = value, traceback = group.tracebacks and group.tracebacks[i],
        }
      end
    end
    return leaves
  end

  local function is_foreign(source, busted_folder)
    for _, pattern in ipairs(FOREIGN) do
      if source:find(pattern) then return true end
    end
    return folder_of(source) == busted_folder
  end

  -- "file", line of the first level that is the program's own, or nil.
  local function place_in(traceback, busted_folder)
    for line in traceback:gmatch("[^\n]+") do
      local source, number = line:match("^%s+(.-):(%d+): in ")
      if source and not is_foreign(source, busted_folder) then
        return source, tonumber(number)
      end
    end
    return nil
  end

  -- The traceback without what called the body: us and busted.
  local function cut(traceback)
    local place = traceback:find("\n%s+trio/preload/busted")
    if not place then return traceback end
    return (traceback:sub(1, place):gsub("\n%s+%[C%][^\n]*\n*$", ""))
  end

  -- What busted keeps of a place; `shown` is what it prints with -v.
  function Test:trace_from(traceback, shown)
    traceback = cut(traceback)
    local source, line = place_in(traceback, self.busted.folder)
    if not source then return nil end
    return {
      short_src = source, source = "@" .. source, currentline = line,
      what = "Lua", traceback = "\n" .. (shown or traceback),
    }
  end

  -- What busted raises itself: "failure" for a failed assertion, "pending".
  local function kind_of(value)
    local meta = type(value) == "table" and debug.getmetatable(value)
    return meta and rawget(meta, "__type")
  end

  -- A failure with this text, as assert makes them.
  function Test:failure(text)
    local _, failure = pcall(self.busted.core.fail, text, 0)
    return failure
  end

  -- A group as busted shall see it: a failed assertion in one task is just
  -- that, several are one failure with the tree as its text.
  function Test:simplify(group)
    local leaves = collect_leaves(group, {})
    local trace = leaves[1].traceback
      and self:trace_from(leaves[1].traceback, group:report())
    if #leaves == 1 and kind_of(leaves[1].value) then
      return leaves[1].value, leaves[1].traceback
        and self:trace_from(leaves[1].traceback)
    end
    for _, leaf in ipairs(leaves) do
      if kind_of(leaf.value) ~= "failure" then return group, trace end
    end
    return self:failure(tostring(group)), trace
  end

  -- The error for busted, and its trace if that is known better than `trace`.
  function Test:present(err, trace)
    self.interrupted = self.interrupted or is_interrupt(err)
    if is_group(err) then
      local simple, place = self:simplify(err)
      return simple, place or trace
    elseif isinstance(err, trio.DeadlockError) then
      return self:failure((tostring(err):gsub(MAIN_TASK, "the test"))), trace
    end
    local traceback = isinstance(err, trio.Error) and err.traceback
      or testing._traceback(err)
    return err, traceback and self:trace_from(traceback) or trace
  end

  -- ---- the limit

  -- The tree of the tasks of the test, or only of those in its nursery.
  function Test:tree(in_nursery)
    local texts = {}
    if not in_nursery then
      local tree = lowlevel.task_tree(self.task)
      texts[1] = tree:gsub("^task .-: ", "the test: ", 1)
    end
    for _, task in ipairs(self.nursery and self.nursery.child_tasks or {}) do
      texts[#texts + 1] = lowlevel.task_tree(task)
    end
    return ("  " .. table.concat(texts):gsub("\n(.)", "\n  %1")):gsub("\n$", "")
  end

  -- The run ends at once, without its tasks.
  function Test:give_up(text, in_nursery)
    self.given_up = self:failure(text .. "\n" .. self:tree(in_nursery))
    error(text, 0)
  end

  -- The time is over, for a task that doesn't wait: the error is raised in it.
  function Test:stop_hog(body)
    local info = debug.getinfo(3, "Sl")
    body.late = ("%s:%d: this %s has run for longer than its limit of %g s, in "
      .. "code that doesn't wait"):format(info.short_src, info.currentline,
        body.name, self.options.timeout)
    body.late_trace = self:trace_from(debug.traceback(nil, 3))
    body.is_hogging = true
    self:set_limit(body)
    error(body.late, 0)
  end

  -- The time is over, while the tasks wait.
  function Test:stop_waiting(body)
    local seconds = self.options.timeout
    if body.late then
      self:give_up(("this %s has not ended %g s after it was cancelled; its "
        .. "run was given up:"):format(body.name, seconds))
    end
    body.late = ("this %s has run for longer than its limit of %g s:\n%s")
      :format(body.name, seconds, self:tree())
    body.late_trace = self:trace_from(self.task:traceback())
    body.scope:cancel("the time limit of the test")
    self:set_limit(body)
  end

  function Test:set_limit(body)
    testing._alarm(self.options.timeout, function(busy)
      if busy then self:stop_hog(body) else self:stop_waiting(body) end
    end)
  end

  -- ---- bodies

  -- What a body that ended so means to busted: nothing, or an error and its
  -- trace.
  function Test:judge(body, ok, err, trace)
    if body.late then
      if body.is_hogging then self.nursery_error = nil end  -- the same error
      return self:failure(body.late), body.late_trace or trace
    elseif ok then
      return nil
    elseif body.scope.cancel_called then
      err = without_cancelled(err)
      if err == nil then
        err, self.nursery_error = self.nursery_error, nil
      end
    end
    return self:present(err, trace)
  end

  --- Call a body, in busted's xpcall.
  function Test:call(descriptor, run)
    local body = {
      descriptor = descriptor, name = BODIES[descriptor],
      scope = trio.CancelScope(),
    }
    local trace, outcome
    local function handler(err)
      if not isinstance(err, trio.Cancelled) then
        trace = self:trace_from(debug.traceback(nil, 2))
      end
      return err
    end
    self.body = body
    self:set_limit(body)
    body.scope:run(function()
      outcome = pack(xpcall(run, handler, self.nursery, self.clock))
    end)
    testing._alarm()
    self.body = nil
    local err
    err, trace = self:judge(body, outcome[1], outcome[2], trace)
    if err ~= nil or not outcome[1] then
      self.failed = true
      self.trace = trace or self.element.trace
      error(err, 0)
    end
  end

  --- busted.safe while the test runs.
  function Test:safe(descriptor, run, element)
    local call = run
    if BODIES[descriptor] then
      call = function() self:call(descriptor, run) end
    end
    self.depth = self.depth + 1
    local results = pack(self.busted.safe(descriptor, call, element))
    self.depth = self.depth - 1
    return unpack(results, 1, results.n)
  end

  --- busted.getTrace for errors that come from us.
  function Test:take_trace()
    local trace = self.trace
    self.trace = nil
    return trace
  end

  --- busted.safe_publish while the test runs: the end waits.
  function Test:safe_publish(descriptor, channel, element, parent, status)
    local event = channel[1] == "test" and channel[2]
    if event == "end" then
      self.status = status
      return true
    elseif event == "start" then
      self.started, self.parent = true, parent
    end
    return self.busted.safe_publish(descriptor, channel, element, parent,
      status)
  end

  -- ---- the nursery

  -- The system task that the nursery belongs to.
  local function hold(self, opened, closed)
    local ok, err = pcall(trio.open_nursery, function(nursery)
      self.nursery = nursery
      opened:set()
      trio.sleep_forever()
    end)
    if not ok then
      self.nursery_error = err
      local body = self.body
      if body and CANCELLED[body.descriptor] then
        body.scope:cancel("a task of the test's nursery has failed")
      end
    end
    closed:set()
  end

  function Test:open_nursery()
    local opened = trio.Event()
    self.closed = trio.Event()
    self.holder = lowlevel.spawn_system_task({name = "the test's nursery"},
      hold, self, opened, self.closed)
    opened:wait()
  end

  function Test:close_nursery()
    self.nursery.cancel_scope:cancel("the test is over")
    testing._alarm(self.options.timeout, function()
      self:give_up(("the tasks of the test's nursery have not ended %g s after "
        .. "they were cancelled:"):format(self.options.timeout), true)
    end)
    local ok = pcall(self.closed.wait, self.closed)
    testing._alarm()
    if not ok then
      self:give_up("the tasks of the test's nursery don't end although they "
        .. "were cancelled:", true)
    end
  end

  -- ---- the run

  -- The system tasks that the test has started.
  function Test:add_system_tasks(list)
    local nurseries = lowlevel.current_root_task().child_nurseries
    for i = 2, #nurseries do
      for _, task in ipairs(nurseries[i].child_tasks) do
        if task ~= self.task and task ~= self.holder then
          list[#list + 1] = "the system task " .. task.name
        end
      end
    end
  end

  function Test:check_leftovers()
    local list = testing._leftovers()
    self:add_system_tasks(list)
    if #list == 0 then return end
    table.sort(list)
    self:add_problem(self:failure("the test has left open:\n  "
      .. table.concat(list, "\n  ")), self.element.trace)
  end

  function Test:main(execute)
    self.task = lowlevel.current_task()
    self.clock = lowlevel.current_clock()
    testing._watch()
    self:open_nursery()
    execute(self.element)
    self:close_nursery()
    if self.nursery_error then
      self:add_problem(self:present(self.nursery_error, self.element.trace))
    elseif self.options.check_leaks and not self.failed then
      self:check_leftovers()
    end
  end

  function Test:add_problem(err, trace)
    table.insert(self.problems, {err = err, trace = trace})
  end

  -- Tell busted what came to light late, and that the test is over.
  function Test:finish()
    local busted, element = self.busted, self.element
    local status = busted.core.status(self.status or "success")
    -- busted knows failures of tests that it has begun; all else are errors.
    local descriptor = self.started and "it" or "test"
    for _, problem in ipairs(self.problems) do
      status:update(busted.safe(descriptor, function()
        self.trace = problem.trace or element.trace
        error(problem.err, 0)
      end, element))
    end
    if self.started then
      busted.safe_publish("test", {"test", "end"}, element, self.parent,
        tostring(status))
    end
  end

  --- Run execute(element), busted's way to run a test, as the main task.
  function Test:run(execute)
    local ok, err = pcall(trio.run, self.options.run, function()
      self:main(execute)
    end)
    testing._alarm()
    -- A run that was given up has left busted in the middle.
    for _ = 1, self.depth do self.busted.core.context.pop() end
    if not ok then
      self.interrupted = self.interrupted or is_interrupt(err)
      self:add_problem(self.given_up or err)
    end
    self:finish()
    -- Ctrl+C is for all tests. Said last, since busted sets it with each error.
    if self.interrupted then self.busted.core.skipAll = true end
  end

  return Test
end
