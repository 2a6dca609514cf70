-- SPDX-License-Identifier: MIT
-- _stream_step.lua: what the check_*_stream functions are made of, for the
-- library's own Lua files.
--
-- A suite is a list of steps {name, fn}. fn(step, a, b) gets a fresh pair of
-- streams, which is closed by force behind it, and raises where a rule is
-- broken. What comes out names the suite and the step.
--
-- A stream that never answers must fail, too. Under a clock that jumps the
-- limit of a step comes at once; under a real clock it never does, because
-- only the test knows how long its stream may take.

local error, pcall, ipairs, type, setmetatable =
  error, pcall, ipairs, type, setmetatable

local LIMIT = 1e9  -- seconds

return function(trio, kit)
  local check, testing, isinstance = kit.check, trio.testing, trio.isinstance

  -- Data is shown in one line, and only its beginning.
  local function describe(value)
    if type(value) ~= "string" then return tostring(value) end
    local text = value:sub(1, 40):gsub("[^\x20-\x7e]", function(char)
      return ("\\x%02x"):format(char:byte())
    end)
    return ('"%s"%s'):format(text, #value > 40 and "..." or "")
  end

  local Step = {}

  function Step.fail(_, format, ...)
    error(format:format(...), 0)
  end

  function Step:equal(what, expected, got)
    if got == expected then return end
    self:fail("%s: expected %s, got %s", what, describe(expected),
      describe(got))
  end

  function Step:implements(interface, ...)
    for _, stream in ipairs({...}) do
      if not trio.abc.implements(stream, interface) then
        self:fail("%s lacks a method of a %s", tostring(stream), interface)
      end
    end
  end

  --- fn must raise an instance of the class. Whatever else it raises, passes.
  function Step:expect(class, what, fn, ...)
    local ok, err = pcall(fn, ...)
    if ok then
      self:fail("%s: expected %s, but it returned", what, tostring(class))
    elseif not isinstance(err, class) then
      error(err, 0)
    end
  end

  --- The same where fn may return instead. Returns whether it did, and what.
  function Step.allow(_, class, fn, ...)
    local ok, value = pcall(fn, ...)
    if not ok and not isinstance(value, class) then error(value, 0) end
    return ok, value
  end

  --- fn must refuse its arguments, as for any wrong use.
  function Step:expect_refused(what, fn, ...)
    local ok, err = pcall(fn, ...)
    if ok then self:fail("%s: expected an error, but it returned", what) end
    if type(err) ~= "string" then error(err, 0) end
  end

  --- Run the functions in a task each. (No method.)
  function Step.together(...)
    local functions = {...}
    trio.open_nursery(function(nursery)
      for _, fn in ipairs(functions) do nursery:start_soon(fn) end
    end)
  end

  --- Of two operations at once one must be refused; where `in_turn`, the
  --- second one.
  function Step:expect_busy(what, first, second, in_turn)
    local refused = false
    trio.open_nursery(function(nursery)
      local function attempt(operation)
        if self:allow(trio.BusyResourceError, operation) then return end
        refused = true
        nursery.cancel_scope:cancel()
      end
      nursery:start_soon(attempt, first)
      if in_turn then testing.wait_all_tasks_blocked() end
      nursery:start_soon(attempt, second)
      testing.wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    if not refused then
      self:fail("%s: expected trio.BusyResourceError, but both went on", what)
    end
  end

  -- Results of fn, which must have been a checkpoint.
  function Step:checkpoint(what, fn, ...)
    local schedule, cancel = testing._points()
    local results = table.pack(fn(...))
    local schedule_after, cancel_after = testing._points()
    if schedule == schedule_after or cancel == cancel_after then
      self:fail("%s was no checkpoint", what)
    end
    return table.unpack(results, 1, results.n)
  end

  -- ---- the operations of a stream, with what holds for every call

  function Step:send(stream, data)
    self:checkpoint("send_all", stream.send_all, stream, data)
  end

  function Step:wait_send(stream)
    self:checkpoint("wait_send_all_might_not_block",
      stream.wait_send_all_might_not_block, stream)
  end

  function Step:send_eof(stream)
    self:checkpoint("send_eof", stream.send_eof, stream)
  end

  function Step:close(stream)
    self:checkpoint("aclose", stream.aclose, stream)
  end

  function Step:receive(stream, max_bytes)
    local data = self:checkpoint("receive_some", stream.receive_some, stream,
      max_bytes)
    if data == nil then return nil end
    if type(data) ~= "string" then
      self:fail("receive_some: expected a string or nil, got %s",
        describe(data))
    elseif data == "" then
      self:fail("receive_some: got an empty string (the end is nil)")
    elseif max_bytes and #data > max_bytes then
      self:fail("receive_some(%d): got %d bytes", max_bytes, #data)
    end
    return data
  end

  function Step:expect_data(stream, expected)
    local data = ""
    while #data < #expected do
      local more = self:receive(stream, #expected - #data)
      if not more then
        self:fail("expected %s, got the end after %d bytes", describe(expected),
          #data)
      end
      data = data .. more
    end
    self:equal("the data received", expected, data)
  end

  function Step:expect_end(stream)
    for _ = 1, 2 do
      self:equal("receive_some at the end", nil, self:receive(stream, 10))
    end
  end

  -- ---- suites

  -- Closing it closes the stream.
  local Closer = {__metatable = false}

  function Closer:__close()
    trio.aclose_forcefully(self.stream)
  end

  local function closer(stream)
    return setmetatable({stream = stream}, Closer)
  end

  -- What a group of one stands for.
  local function unwrapped(err)
    while isinstance(err, trio.ExceptionGroup) and #err.exceptions == 1 do
      err = err.exceptions[1]
    end
    return err
  end

  local function call_step(fn, maker)
    local a, b = maker()
    if a == nil or b == nil then
      Step:fail("the stream maker must return two streams")
    end
    local _ <close> = closer(b)
    local _ <close> = closer(a)
    fn(Step, a, b)
  end

  local function run_step(suite, name, fn, maker)
    local ok, err
    local scope = trio.move_on_after(LIMIT, function()
      ok, err = trio.pcall(call_step, fn, maker)
    end)
    if ok then return end
    if scope.cancelled_caught then
      err = "every task is blocked: something waits for ever"
    end
    err = unwrapped(err)
    error(trio.Error(("%s: %s: %s"):format(suite, name, tostring(err)),
      {cause = err}))
  end

  --- Run the steps with streams of the maker; none without a maker.
  function kit.run_steps(suite, steps, maker)
    if maker == nil then return end
    for _, step in ipairs(steps) do run_step(suite, step[1], step[2], maker) end
  end

  --- Check the arguments of a suite.
  function kit.check_stream_makers(suite, maker, clogged_maker)
    check.callable(maker, 1, suite, 1)
    if clogged_maker ~= nil then check.callable(clogged_maker, 2, suite, 1) end
    check.task("trio.testing." .. suite, 1)
  end
end
