-- SPDX-License-Identifier: MIT
-- nursery_random_spec.lua: random programs of nurseries, starts, scopes and
-- coroutines. Whatever they do, every task ends before the run does, nothing
-- internal comes out, nothing is left behind, and a seed gives the same again.

local trio = require "trio"
local H = require "spec.support.helper"

local lowlevel = trio.lowlevel
local co = trio.coroutine
local PROGRAMS = 300

-- Is there a TrioInternalError in the error?
local function is_internal(err)
  if not trio.isinstance(err, trio.ExceptionGroup) then
    return trio.isinstance(err, trio.TrioInternalError)
  end
  for leaf in err:leaves() do
    if trio.isinstance(leaf, trio.TrioInternalError) then return true end
  end
  return false
end

-- One random program. `act(p, depth)` does one random thing of `p.actions`;
-- p.nurseries and p.scopes are all that were ever opened.
local function act(p, depth)
  p.steps = p.steps + 1
  if p.steps > 150 or depth > 8 then return end
  local action = p.actions[math.random(#p.actions)]
  p.trace[#p.trace + 1] = ("%.6f %s"):format(trio.current_time(), action)
  p[action](p, depth + 1)
end

local function body(p, depth)
  for _ = 1, math.random(4) do act(p, depth) end
end

-- The function of a task: counts tasks that began and have not ended.
local function task(p, depth)
  p.running = p.running + 1
  local ended <close> = setmetatable({}, {__close = function()
    p.running = p.running - 1
  end})
  body(p, depth)
  return ended
end

local function any(list)
  return list[math.random(#list)]
end

local actions = {}

function actions.sleep() trio.sleep(math.random() * 5) end

function actions.checkpoint() lowlevel.checkpoint() end

function actions.raise() error("an error", 0) end

function actions.catch(p, depth) pcall(body, p, depth) end

function actions.nursery(p, depth)
  trio.open_nursery(function(nursery)
    table.insert(p.nurseries, nursery)
    table.insert(p.scopes, nursery.cancel_scope)
    body(p, depth)
  end)
end

function actions.scope(p, depth)
  local scope = trio.CancelScope({
    relative_deadline = math.random() < 0.5 and math.random() * 5 or nil,
    shield = math.random() < 0.2,
  })
  table.insert(p.scopes, scope)
  scope:run(function() body(p, depth) end)
end

function actions.spawn(p, depth)
  local nursery = any(p.nurseries)
  if nursery then pcall(nursery.start_soon, nursery, task, p, depth) end
end

function actions.start(p, depth)
  local nursery = any(p.nurseries)
  if not nursery then return end
  nursery:start(function(status)
    act(p, depth)
    if math.random() < 0.8 then status:started() end
    task(p, depth)
  end)
end

function actions.cancel(p)
  local scope = any(p.scopes)
  if scope then scope:cancel() end
end

function actions.shield(p)
  local scope = any(p.scopes)
  if scope then scope.shield = math.random() < 0.5 end
end

function actions.create(p, depth)
  local gen = co.create(function() body(p, depth) end)
  table.insert(p.coroutines, gen)
  co.resume(gen)
end

function actions.resume(p)
  local gen = any(p.coroutines)
  if gen then
    local _, err = co.resume(gen)
    assert.is_false(is_internal(err))
  end
end

function actions.yield()
  if co.isyieldable() then co.yield() end
end

function actions.close(p)
  local gen = any(p.coroutines)
  if gen then pcall(co.close, gen) end
end

function actions.forget(p)
  p.coroutines = {}
  collectgarbage()
end

local STRUCTURED = {"sleep", "sleep", "checkpoint", "raise", "catch", "nursery",
  "nursery", "scope", "spawn", "spawn", "start", "start", "cancel", "shield"}
local CROOKED = {"sleep", "checkpoint", "raise", "catch", "nursery", "nursery",
  "scope", "spawn", "start", "create", "create", "resume", "resume", "yield",
  "yield", "close", "forget"}

-- Run the program of this number; returns it and the error that came out.
local function run(number, names, seed)
  math.randomseed(number)
  local p = setmetatable({actions = names, steps = 0, running = 0, trace = {},
    nurseries = {}, scopes = {}, coroutines = {}}, {__index = actions})
  local _, err = pcall(H.run, function()
    trio.open_nursery(function(nursery)
      p.nurseries[1], p.scopes[1] = nursery, nursery.cancel_scope
      -- Shields and lonely waits must not keep the program alive for ever.
      nursery:start_soon(function()
        trio.sleep(1000)
        for _, scope in ipairs(p.scopes) do scope:cancel() end
      end)
      for _ = 1, 3 do nursery:start_soon(task, p, 0) end
      body(p, 0)
    end)
  end, {seed = seed})
  return p, err
end

-- Run them all, each twice, every second one with its batches shuffled.
local function check(names)
  local before
  local failed = 0
  for number = 1, PROGRAMS do
    local seed = number % 2 == 0 and number or nil
    local p, err = run(number, names, seed)
    if is_internal(err) then error(err, 0) end
    assert.equal(0, p.running, "tasks left in program " .. number)
    if err ~= nil then failed = failed + 1 end
    local again = run(number, names, seed)
    assert.same(p.trace, again.trace)
    if number == 1 then
      p, again = nil, nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      before = trio.testing._counters()
    end
  end
  assert.truthy(failed > PROGRAMS / 20 and failed < PROGRAMS)
  collectgarbage()
  collectgarbage()
  assert.same(before, trio.testing._counters())
  math.randomseed(os.time())
end

describe("random programs #slow", function()
  it("of nurseries, starts and scopes keep the rules", function()
    check(STRUCTURED)
  end)

  it("that leave scopes and nurseries in coroutines end with an error",
    function() check(CROOKED) end)
end)
