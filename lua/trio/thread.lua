-- SPDX-License-Identifier: MIT
-- thread.lua: trio.to_thread, trio.from_thread, trio.lowlevel.start_thread_soon
-- and what trio.testing knows of threads.
--
-- The C side (src/io/thread*.c) moves calls between threads and parks the host,
-- the task that waits for its thread. Here stands what happens in which order:
-- acquire the limiter, start, serve requests, release once the thread is done.
-- The same file runs in every worker's Lua state, where from_thread is used.

local error, pcall, rawget, setmetatable = error, pcall, rawget, setmetatable
local xpcall, type, warn, select = xpcall, type, warn, select
local tostring = tostring
local pack, unpack = table.pack, table.unpack

local DEFAULT_LIMIT = 40

local TO_THREAD = {abandon_on_cancel = true, limiter = true, thread_name = true}
local FROM_THREAD = {trio_token = true}

-- Stands for a thread in limiters, as a task may run several.
local Placeholder = {
  __name = "trio.ThreadPlaceholder",
  __metatable = "trio.ThreadPlaceholder",
}
function Placeholder:__tostring()
  return ("<%s %p>"):format(Placeholder.__name, self)
end

return function(trio, kit)
  local check, lowlevel, testing = kit.check, trio.lowlevel, trio.testing
  local thread = trio._thread
  local to_thread, from_thread = {}, {}
  trio.to_thread, trio.from_thread = to_thread, from_thread

  -- The entries of threads at work for the run, by the key that the C side
  -- names them by: {finish = function, failed = boolean, error = what finish
  -- raised}. What still works at the end of the run is forgotten with it.
  local at_work = lowlevel.RunVar("threads at work", false)

  local default_limiter = lowlevel.RunVar("default thread limiter", false)
  local active = lowlevel.RunVar("active threads", false)

  local function is_text(err) return type(err) == "string" end

  -- Raise err; a string of ours gets the position of the program's call.
  local function raise_ours(err)
    error(err, is_text(err) and 3 or 0)
  end

  -- The place of the function among the arguments, and the options before it.
  local function read_call(name, known, ...)
    local opts = ...
    if not check.is_options(opts) then
      check.callable(opts, 1, name, 1)
      return 1, {}
    end
    check.options(opts, 1, name, known, 1)
    check.callable((select(2, ...)), 2, name, 1)
    return 2, opts
  end

  local function check_option(opts, option, kind, name)
    local value = opts[option]
    if value == nil or type(value) == kind then return end
    error(("bad argument #1 to '%s' (option '%s' must be a %s)"):format(name,
      option, kind), 3)
  end

  -- ---- counting

  local function counter()
    local count = active:get()
    if not count then
      count = {threads = 0, event = trio.Event()}
      active:set(count)
    end
    return count
  end

  local function count_down(count)
    count.threads = count.threads - 1
    if count.threads == 0 then
      count.event:set()
      count.event = trio.Event()
    end
  end

  --- trio.testing.active_thread_count(): threads that a task waits for.
  function testing.active_thread_count()
    if not lowlevel.in_trio_run() then return 0 end
    local count = active:get()
    return count and count.threads or 0
  end

  --- trio.testing.wait_all_threads_completed(): until no task waits for one.
  function testing.wait_all_threads_completed()
    check.task("trio.testing.wait_all_threads_completed")
    lowlevel.checkpoint()
    local count = counter()
    while count.threads > 0 do count.event:wait() end
  end

  local counters = testing._counters
  function testing._counters()
    thread.collect()
    return counters()
  end

  testing._worker_count = thread.count

  local function entries()
    local found = at_work:get()
    if not found then
      found = {}
      at_work:set(found)
    end
    return found
  end

  -- ---- requests

  -- Call what a request asks for.
  local function perform(request)
    local call = pack(thread.open(request))
    if call[1] then
      return thread.call_sync(unpack(call, 2, call.n))
    end
    return call[2](unpack(call, 3, call.n))
  end

  local function reply(request, ...)
    local sent, problem = pcall(thread.answer, request, ...)
    if not sent then thread.answer(request, false, problem) end
  end

  -- A thread must not wait for ever where memory ran out for its answer.
  local function serve(request)
    local answered = pcall(reply, request,
      xpcall(perform, thread.handler, request))
    if not answered then thread.drop(request) end
  end

  -- The callbacks of the C side run in the token task of the run.
  local callbacks = {}
  thread.callbacks(callbacks)

  --- A request that no particular task has to serve.
  function callbacks.request(request, is_sync)
    if is_sync then return serve(request) end
    local started, task = pcall(lowlevel.spawn_system_task,
      {name = "trio.from_thread.run"}, serve, request)
    if started then
      thread.entrust(request, task)
    else
      thread.drop(request)
    end
  end

  --- A thread has ended.
  function callbacks.done(key)
    local entry = entries()[key]
    entries()[key] = nil
    local ok, err = pcall(entry.finish)
    entry.failed, entry.error = not ok, err
  end

  -- ---- to_thread

  --- trio.to_thread.current_default_thread_limiter(): of this run, 40 tokens.
  function to_thread.current_default_thread_limiter()
    local limiter = default_limiter:get()
    if not limiter then
      limiter = trio.CapacityLimiter(DEFAULT_LIMIT)
      default_limiter:set(limiter)
    end
    return limiter
  end

  -- Wait until the thread is done, serving what it asks for.
  local function attend(job)
    local request = thread.wait(job)
    while request do
      thread.borrow(request)
      serve(request)
      request = thread.wait(job)
    end
  end

  -- The error of a limiter that failed to take its token back; it hides the
  -- error of the function.
  local function raise_release_error(err, ok, hidden)
    local ours = trio.isinstance(err, trio.Error)
    if ours and not ok and rawget(err, "context") == nil then
      err.context = hidden
    end
    error(err, 0)
  end

  local function conclude(entry, ok, ...)
    if entry.failed then raise_release_error(entry.error, ok, (...)) end
    if ok then return ... end
    return thread.raise(...)
  end

  local function start(opts, entry, ...)
    return thread.start(entries(), entry, true, opts.abandon_on_cancel,
      opts.thread_name, ...)
  end

  local function run_in_thread(opts, ...)
    lowlevel.checkpoint_if_cancelled()
    local limiter = opts.limiter or to_thread.current_default_thread_limiter()
    local placeholder = setmetatable({}, Placeholder)
    local entry = {
      finish = function() limiter:release_on_behalf_of(placeholder) end,
    }
    limiter:acquire_on_behalf_of(placeholder)
    local counted, count = pcall(counter)
    local started, job = counted, count
    if counted then started, job = pcall(start, opts, entry, ...) end
    if not started then
      limiter:release_on_behalf_of(placeholder)
      raise_ours(job)
    end
    count.threads = count.threads + 1
    local ended, err = pcall(attend, job)
    count_down(count)
    if not ended then error(err, 0) end
    return conclude(entry, thread.results(job))
  end

  -- A limiter is what has a limiter's methods, whatever its type.
  local function check_limiter(limiter)
    if limiter == nil then return end
    local ok, acquire, release = pcall(function()
      return limiter.acquire_on_behalf_of, limiter.release_on_behalf_of
    end)
    if ok and acquire and release then return end
    check.refuse(1, "run_sync", "option 'limiter' must be a CapacityLimiter", 1)
  end

  --- trio.to_thread.run_sync([opts,] fn, ...): the results of fn(...), called
  --- in a worker thread.
  function to_thread.run_sync(...)
    local place, opts = read_call("run_sync", TO_THREAD, ...)
    check_option(opts, "abandon_on_cancel", "boolean", "run_sync")
    check_option(opts, "thread_name", "string", "run_sync")
    check_limiter(opts.limiter)
    check.task("trio.to_thread.run_sync")
    return run_in_thread(opts, select(place, ...))
  end

  --- trio.lowlevel.start_thread_soon(fn, deliver [, name]): call fn() in a
  --- worker thread, and deliver(true, results...) or deliver(false, error) in
  --- the run.
  function lowlevel.start_thread_soon(fn, deliver, name)
    check.callable(fn, 1, "start_thread_soon")
    check.callable(deliver, 2, "start_thread_soon")
    if name ~= nil then check.string(name, 3, "start_thread_soon") end
    local entry = {}
    function entry.finish()
      local ok, err = pcall(function()
        local results = pack(thread.results(entry.job))
        if not results[1] then results.n = 2 end
        deliver(unpack(results, 1, results.n))
      end)
      if not ok then
        warn("error in the deliver function of start_thread_soon: ",
          tostring(err))
      end
    end
    local function start_it()
      return thread.start(entries(), entry, false, false, name, fn)
    end
    local started, job = pcall(start_it)
    if not started then raise_ours(job) end
    entry.job = job
  end

  -- ---- from_thread

  local function ask(name, is_sync, ...)
    local place, opts = read_call(name, FROM_THREAD, ...)
    local outcome = pack(pcall(thread.ask, is_sync, opts.trio_token,
      select(place, ...)))
    if not outcome[1] then raise_ours(outcome[2]) end
    if not outcome[2] then error(outcome[3], 0) end
    return unpack(outcome, 3, outcome.n)
  end

  --- trio.from_thread.run([opts,] fn, ...): call fn, which may wait, in the run
  --- that this thread works for; block the thread meanwhile.
  function from_thread.run(...)
    return ask("run", false, ...)
  end

  --- trio.from_thread.run_sync([opts,] fn, ...): the same for a function that
  --- does not wait.
  function from_thread.run_sync(...)
    return ask("run_sync", true, ...)
  end

  --- trio.from_thread.check_cancelled(): raise Cancelled if the task that waits
  --- for this thread was cancelled.
  function from_thread.check_cancelled()
    local ok, err = pcall(thread.check_cancelled)
    if not ok then raise_ours(err) end
  end
end
