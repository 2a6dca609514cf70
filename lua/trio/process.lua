-- SPDX-License-Identifier: MIT
-- process.lua: trio.lowlevel.open_process and trio.run_process.
--
-- Here options are checked and put into the plain form that the C side takes
-- (src/io/process.c), and here a process that run_process started is fed,
-- read, watched over and, on any error, ended before the error goes on.

local error, ipairs, pairs, pcall, type, warn =
  error, ipairs, pairs, pcall, type, warn
local tostring = tostring

-- How long a process may take to react to SIGTERM.
local PATIENCE = 5

local OPEN_OPTIONS = {
  stdin = true, stdout = true, stderr = true, cwd = true, env = true,
  shell = true,
}
local RUN_OPTIONS = {
  input = true, capture_stdout = true, capture_stderr = true, check = true,
  deliver_cancel = true,
}
for name in pairs(OPEN_OPTIONS) do RUN_OPTIONS[name] = true end

-- ---- checks: each returns what is wrong, or nil

local function has_zero(text)
  return text:find("\0", 1, true) ~= nil
end

return function(trio, kit)
  local check, isinstance = kit.check, trio.isinstance
  local lowlevel = trio.lowlevel
  -- Functions of the C side that are not for programs.
  local open, set_stream = lowlevel._open_process, lowlevel._set_stream

  -- Text for the system: a string, a number, or a Path.
  local function as_text(value)
    if type(value) == "string" then return value end
    if type(value) == "number" or check.name_of(value) == "trio.Path" then
      return tostring(value)
    end
    return nil
  end

  -- The argument vector of a command, or nil and what is wrong.
  local function argv_of(command, shell)
    local text = as_text(command)
    if text then
      if not shell then
        return nil, "array of strings expected; a command line needs the " ..
          "option 'shell = true'"
      elseif has_zero(text) then
        return nil, "the command contains a zero byte"
      end
      return {"/bin/sh", "-c", text}
    elseif not check.is_options(command) then
      return nil, check.expected("array of strings", command)
    elseif shell then
      return nil, "with 'shell = true' the command must be a string"
    elseif #command == 0 then
      return nil, "the command is an empty array"
    end
    local argv = {}
    for i = 1, #command do
      argv[i] = as_text(command[i])
      -- A program that is a number is more likely a table of something else.
      if not argv[i] or (i == 1 and type(command[1]) == "number") then
        return nil, ("argument %d of the command: %s"):format(i,
          check.expected("string", command[i]))
      elseif has_zero(argv[i]) then
        return nil, ("argument %d of the command contains a zero byte"):format(
          i)
      end
    end
    return argv
  end

  local STREAMS = {stdin = 0, stdout = 1, stderr = 2}

  -- What the C side takes for a standard stream, or nil and what is wrong.
  local function stream_of(name, value)
    if value == nil or value == "inherit" then return STREAMS[name] end
    if value == "pipe" or value == "null" then return value end
    if value == "stdout" and name == "stderr" then return value end
    local fd = math.type(value) == "integer" and value
    if fd and fd >= 0 then return fd end
    local kinds = name == "stderr"
      and "'pipe', 'null', 'inherit', 'stdout' or a descriptor number"
      or "'pipe', 'null', 'inherit' or a descriptor number"
    local got = type(value) == "string" and ("'%s'"):format(value)
      or type(value) == "number" and tostring(value) or check.name_of(value)
    return nil, ("option '%s' must be %s, got %s"):format(name, kinds, got)
  end

  -- One "NAME=value", or nil and what is wrong.
  local function variable_of(name, value)
    if type(name) ~= "string" or name == "" or name:find("[=\0]") then
      return nil, ("option 'env': bad name of a variable: %s"):format(
        tostring(name))
    end
    local text = as_text(value)
    if not text or has_zero(text) then
      return nil, ("option 'env': variable '%s' must be a string%s"):format(
        name, text and " without zero bytes" or "")
    end
    return name .. "=" .. text
  end

  -- The environment as an array, or nil and perhaps what is wrong.
  local function env_of(env)
    if env == nil then return nil end
    if not check.is_options(env) then
      return nil, "option 'env' must be a table, got " .. check.name_of(env)
    end
    local array = {}
    for name, value in pairs(env) do
      local variable, problem = variable_of(name, value)
      if not variable then return nil, problem end
      array[#array + 1] = variable
    end
    return array
  end

  local function problem_of_boolean(opts, name)
    local value = opts[name]
    if value == nil or type(value) == "boolean" then return nil end
    return ("option '%s' must be a boolean, got %s"):format(name,
      check.name_of(value))
  end

  -- A plan: what the C side needs to know. Or nil, the number of the wrong
  -- argument, and what is wrong with it.
  local function plan_of(command, opts)
    local problem = problem_of_boolean(opts, "shell")
    if problem then return nil, 2, problem end
    local plan = {command = command}
    plan.argv, problem = argv_of(command, opts.shell)
    if not plan.argv then return nil, 1, problem end
    for _, name in ipairs {"stdin", "stdout", "stderr"} do
      plan[name], problem = stream_of(name, opts[name])
      if not plan[name] then return nil, 2, problem end
    end
    plan.env, problem = env_of(opts.env)
    if problem then return nil, 2, problem end
    plan.cwd = opts.cwd ~= nil and as_text(opts.cwd) or nil
    if opts.cwd ~= nil and (not plan.cwd or has_zero(plan.cwd)) then
      return nil, 2, "option 'cwd' must be the path of a folder, got " ..
        check.name_of(opts.cwd)
    end
    if type(command) == "table" then plan.command = plan.argv end
    return plan
  end

  local function open_plan(plan)
    local process = open(plan.argv, plan.stdin, plan.stdout, plan.stderr,
      plan.cwd, plan.env, plan.command)
    if process.stdin and process.stdout then
      set_stream(process, "stdio",
        trio.StapledStream(process.stdin, process.stdout))
    end
    return process
  end

  --- trio.lowlevel.open_process(command [, opts]) -> Process, which nobody
  --- watches over. Raises OSError.
  function lowlevel.open_process(command, opts)
    opts = check.options(opts, 2, "open_process", OPEN_OPTIONS)
    local plan, place, problem = plan_of(command, opts)
    if not plan then check.refuse(place, "open_process", problem) end
    check.task("trio.lowlevel.open_process")
    return open_plan(plan)
  end

  -- ---- run_process

  -- What is wrong with the options that only run_process has, or nil.
  -- `started`: was it called by nursery:start?
  local function problem_of_run(opts, started)
    for _, name in ipairs {"capture_stdout", "capture_stderr", "check"} do
      local problem = problem_of_boolean(opts, name)
      if problem then return problem end
    end
    if opts.input ~= nil and type(opts.input) ~= "string" then
      return "option 'input' must be a string, got " ..
        check.name_of(opts.input)
    elseif opts.input and opts.stdin ~= nil then
      return "options 'input' and 'stdin' exclude each other"
    elseif opts.capture_stdout and opts.stdout ~= nil then
      return "options 'capture_stdout' and 'stdout' exclude each other"
    elseif opts.capture_stderr and opts.stderr ~= nil then
      return "options 'capture_stderr' and 'stderr' exclude each other"
    elseif opts.deliver_cancel ~= nil
        and not check.is_callable(opts.deliver_cancel) then
      return "option 'deliver_cancel' must be a function, got " ..
        check.name_of(opts.deliver_cancel)
    end
    for _, name in ipairs {"stdin", "stdout", "stderr"} do
      if opts[name] == "pipe" and not started then
        return ("option '%s' can be 'pipe' only with nursery:start, which " ..
          "returns the process"):format(name)
      end
    end
    return nil
  end

  -- The default way to cancel: ask, wait, end it.
  local function deliver_cancel(process)
    local ok, err = pcall(function()
      process:terminate()
      trio.sleep(PATIENCE)
      warn(("%s ignored SIGTERM for %d seconds (maybe it needs an option " ..
        "'deliver_cancel' of its own); sending SIGKILL"):format(
        tostring(process), PATIENCE))
      process:kill()
    end)
    if ok then return end
    if not isinstance(err, trio.OSError) then error(err, 0) end
    warn(("%s could not be ended: %s"):format(tostring(process),
      tostring(err)))
  end

  -- A process may close its input before it has read everything.
  local function feed(stream, input)
    local _ <close> = stream
    local ok, err = pcall(stream.send_all, stream, input)
    if not ok and not isinstance(err, trio.BrokenResourceError) then
      error(err, 0)
    end
  end

  local function collect(stream, chunks)
    local _ <close> = stream
    for chunk in stream do chunks[#chunks + 1] = chunk end
  end

  -- Take a stream away from the process: it is ours.
  local function take(process, name)
    local stream = process[name]
    set_stream(process, name, nil)
    set_stream(process, "stdio", nil)
    return stream
  end

  -- Something failed or was cancelled: the process must have ended before the
  -- nursery's body does.
  local function end_process(nursery, process, deliver)
    trio.CancelScope({shield = true}):run(function()
      local killer = trio.CancelScope({shield = true})
      nursery:start_soon({name = "deliver_cancel"}, function()
        killer:run(function() deliver(process) end)
      end)
      process:wait()
      killer:cancel("the process has ended")
    end)
  end

  -- Feeds and reads until the process has ended. Returns the chunks of its
  -- outputs that were captured.
  local function supervise(process, opts, task_status)
    local outputs = {}
    trio.open_nursery(function(nursery)
      local ok, err = pcall(function()
        if opts.input and opts.input ~= "" then
          nursery:start_soon({name = "feed"}, feed, take(process, "stdin"),
            opts.input)
        end
        for _, name in ipairs {"stdout", "stderr"} do
          if opts["capture_" .. name] then
            outputs[name] = {}
            nursery:start_soon({name = "read " .. name}, collect,
              take(process, name), outputs[name])
          end
        end
        if task_status then task_status:started(process) end
        process:wait()
      end)
      if ok then return end
      end_process(nursery, process, opts.deliver_cancel or deliver_cancel)
      error(err, 0)
    end)
    return outputs
  end

  local function failure_of(command, returncode)
    local name = type(command) == "table" and command[1] or command
    local how = returncode > 0 and "exited with status " .. returncode
      or "was ended by signal " .. -returncode
    return ("'%s' %s"):format(name, how)
  end

  -- The options of open_process that stand behind those of run_process.
  local function open_options(opts)
    local result = {}
    for name in pairs(OPEN_OPTIONS) do result[name] = opts[name] end
    if opts.input and opts.input ~= "" then
      result.stdin = "pipe"
    elseif opts.stdin == nil then
      result.stdin = "null"
    end
    if opts.capture_stdout then result.stdout = "pipe" end
    if opts.capture_stderr then result.stderr = "pipe" end
    return result
  end

  local function run(plan, opts, task_status)
    local process = open_plan(plan)
    local outputs = supervise(process, opts, task_status)
    local result = {args = process.args, returncode = process.returncode}
    for name, chunks in pairs(outputs) do
      result[name] = table.concat(chunks)
    end
    if result.returncode ~= 0 and opts.check ~= false then
      error(trio.CalledProcessError(
        failure_of(result.args, result.returncode), result), 0)
    end
    return result
  end

  --- trio.run_process(command [, opts]) -> {args, returncode, stdout, stderr}
  --- Raises CalledProcessError, OSError. With nursery:start the process.
  function trio.run_process(...)
    local task_status, command, opts = nil, ...
    local first = check.name_of(command)
    local is_status = first == "trio.TaskStatus"
      or first == "trio.TASK_STATUS_IGNORED"
    if is_status then task_status, command, opts = ... end
    opts = check.options(opts, 2, "run_process", RUN_OPTIONS)
    local problem = problem_of_run(opts, first == "trio.TaskStatus")
    if problem then check.refuse(2, "run_process", problem) end
    local plan, place
    plan, place, problem = plan_of(command, open_options(opts))
    if not plan then check.refuse(place, "run_process", problem) end
    check.task("trio.run_process")
    return run(plan, opts, task_status)
  end
end
