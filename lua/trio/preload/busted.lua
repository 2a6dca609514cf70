-- SPDX-License-Identifier: MIT
-- busted.lua: the module trio.busted: tests of busted as tasks.
--
--   busted --lua=trio-lua --helper=trio.busted     -- for every spec, or
--   require "trio.busted"                          -- at the top of one
--
-- Once it is required in a run of busted, the body of every `it`, `before_each`
-- and `after_each` of that spec (or of all) may wait; busted_test.lua has how.
-- Everything else of busted stays as it is.
--
-- busted has no way to add to what an `it` does, so its table of executors and
-- four functions of its core are replaced, once; all do what they did unless a
-- test of ours runs. Specs are loaded and unloaded together with the modules
-- they require, so what must last is kept in busted's core.

local error, type, pairs = error, type, pairs

-- The key of busted's core under which we keep our state.
local KEY = "trio.busted"

-- What trio.run is given, and what is ours.
local RUN_OPTIONS = {
  clock = true, instruments = true, on_deadlock = true, seed = true,
  strict_exception_groups = true,
  restrict_keyboard_interrupt_to_checkpoints = true,
}
local OWN_OPTIONS = {
  autojump_clock = true, check_leaks = true, enabled = true, timeout = true,
}
local DEFAULTS = {
  check_leaks = true, enabled = true, on_deadlock = "raise", timeout = 10,
}
local BLOCKS = {suite = true, file = true, describe = true}

local function upvalue(fn, name)
  for i = 1, type(fn) == "function" and 255 or 0 do
    local found, value = debug.getupvalue(fn, i)
    if found == nil or found == name then return value end
  end
end

-- busted's core, its executors and its blocks; or an error.
local function find_parts()
  local meta = getmetatable(package.loaded.busted)
  local core = meta and upvalue(meta.__index, "busted")
  if not core then
    error("trio.busted is for specs: require it in a run of busted", 0)
  end
  local executors = upvalue(core.execute, "executors")
  local installed = core[KEY]
  local execute = installed and installed.execute
    or executors and executors.it
  local block = upvalue(execute, "block")
  if not block then
    error(("trio.busted does not know this version of busted (%s)"):format(
      tostring(core.version)), 0)
  end
  return core, executors, block
end

return function(trio, kit)
  local check = kit.check
  local core, executors, block = find_parts()
  local context = core.context

  local known = {}
  for name in pairs(RUN_OPTIONS) do known[name] = true end
  for name in pairs(OWN_OPTIONS) do known[name] = true end

  -- What is wrong with the options, or nil.
  local function problem_of(opts)
    local jump = opts.autojump_clock
    for _, name in ipairs {"check_leaks", "enabled"} do
      if opts[name] ~= nil and type(opts[name]) ~= "boolean" then
        return ("option '%s' must be a boolean"):format(name)
      end
    end
    if opts.timeout ~= nil and not (type(opts.timeout) == "number"
        and opts.timeout > 0) then
      return "option 'timeout' must be a positive number"
    elseif jump ~= nil and type(jump) ~= "boolean"
        and not (type(jump) == "number" and jump >= 0) then
      return "option 'autojump_clock' must be a boolean or a number of seconds"
    elseif jump and opts.clock ~= nil then
      return "options 'clock' and 'autojump_clock' can't both be given"
    end
    return nil
  end

  local function check_options(opts, name)
    if opts == nil then check.refuse(1, name, check.expected("table"), 1) end
    check.options(opts, 1, name, known, 1)
    local problem = problem_of(opts)
    if problem then check.refuse(1, name, problem, 1) end
  end

  -- Later options replace earlier ones; each of the two clocks, the other.
  local function merge(options, more)
    if more.clock ~= nil then options.autojump_clock = nil end
    if more.autojump_clock ~= nil then options.clock = nil end
    for name, value in pairs(more) do options[name] = value end
  end

  local function clock_of(options)
    local jump, clock = options.autojump_clock, options.clock
    if jump then
      return trio.testing.MockClock({
        autojump_threshold = jump == true and 0 or jump,
      })
    end
    return type(clock) == "function" and clock() or clock
  end

  local ROOT = {}      -- stands for the root, which is new in every repetition
  local settings = {}  -- options by block
  local options_of = setmetatable({}, {__mode = "k"})  -- by body of a test

  local function key_of(ctx)
    return context.parent(ctx) and ctx or ROOT
  end

  -- The options of a test, or nil where it isn't for us.
  local function find_options(element)
    local chain, ctx, is_known = {}, element, false
    while ctx do
      local own = settings[key_of(ctx)]
      is_known = is_known or own ~= nil
      table.insert(chain, 1, own or {})
      ctx = context.parent(ctx)
    end
    if not is_known then return nil end
    table.insert(chain, 1, DEFAULTS)
    table.insert(chain, options_of[element.run] or {})
    local options = {}
    for _, more in ipairs(chain) do merge(options, more) end
    return options.enabled and options or nil
  end

  -- The block whose tests are for us, once required: the modules of a block
  -- that is insulated are forgotten at its end.
  local function enable()
    local ctx = context.get()
    while context.parent(ctx) and ctx.attributes.envmode ~= "insulate" do
      ctx = context.parent(ctx)
    end
    settings[key_of(ctx)] = {}
  end

  local busted = {
    core = core, safe = core.safe, safe_publish = core.safe_publish,
    folder = debug.getinfo(core.safe, "S").short_src:match("^(.*)[/\\]"),
  }
  local current  -- the test that runs, or nil

  local function install(Test)
    local get_trace, execute = core.getTrace, executors.it

    function core.safe(...)
      if current then return current:safe(...) end
      return busted.safe(...)
    end

    function core.safe_publish(...)
      if current then return current:safe_publish(...) end
      return busted.safe_publish(...)
    end

    function core.getTrace(element, level, ...)
      local trace = current and current:take_trace()
      return trace or get_trace(element, (level or 3) + 1, ...)
    end

    function executors.it(element)
      local options = find_options(element)
      if not options then return execute(element) end
      -- What is set up for many tests can't belong to the run of one.
      if not block.lazySetup(context.parent(element)) then return end
      local run = {}
      for name in pairs(RUN_OPTIONS) do run[name] = options[name] end
      run.clock = clock_of(options)
      options.run = run
      current = Test.new(busted, element, options)
      local ok, err = pcall(current.run, current, execute)
      current = nil
      if not ok then error(err, 0) end
    end

    return execute
  end

  local M = {}

  --- configure(opts): options for all tests of the block that is being read.
  function M.configure(opts)
    check_options(opts, "configure")
    local ctx = context.get()
    if not BLOCKS[ctx.descriptor] then
      error("configure must be called where tests are defined, not in a test",
        2)
    end
    local key = key_of(ctx)
    settings[key] = settings[key] or {}
    merge(settings[key], opts)
  end

  --- test([opts,] body): body, to be handed to `it`, with these options.
  function M.test(opts, body)
    if body == nil and type(opts) == "function" then opts, body = {}, opts end
    check_options(opts, "test")
    if type(body) ~= "function" then
      check.refuse(2, "test", check.expected("function", body))
    elseif options_of[body] then
      check.refuse(2, "test", "this function has options already")
    end
    options_of[body] = opts
    return body
  end

  local installed = core[KEY]
  if installed then
    installed.enable()
    return installed.module
  end
  require("trio.busted_groups")(require "luassert")
  core[KEY] = {
    module = M, enable = enable, execute = install(require "trio.busted_test"),
  }
  enable()
  return M
end
