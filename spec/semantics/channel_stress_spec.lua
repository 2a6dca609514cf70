-- SPDX-License-Identifier: MIT
-- A storm over one memory channel: many producers and consumers with clones of
-- their own, cancelled at random while they wait, and clones closed at random,
-- also while somebody waits there. None of the messages may be lost or doubled,
-- each consumer gets those of one producer in order, no task stays behind.
--
-- `make stress` sends ten million messages in all. Otherwise there are fewer,
-- and still fewer with TRIO_SMALL=1 or an interpreter that checks itself.
local H = require "spec.support.helper"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local open = trio.open_memory_channel

local function is_small()
  local variant = H.interpreter:match("build/(%w+)/")
  return os.getenv("TRIO_SMALL") == "1" or variant ~= nil
    or (os.getenv("TRIO_WRAPPER") or "") ~= ""
end

local stress = tonumber(os.getenv "TRIO_STRESS")
-- Every seed has its own schedule. All scenarios together send MESSAGES.
local TASKS, MESSAGES, SEEDS = 1000, 60000, {1, 2, 3, 4, 5}
if stress then
  MESSAGES = stress
elseif is_small() then
  TASKS, MESSAGES, SEEDS = 50, 2400, {1, 2}
end

-- A generator of our own, the same everywhere: below n, from 0.
local function generator(seed)
  local state = seed * 2654435761 % 4294967296
  return function(n)
    state = (state * 1664525 + 1013904223) % 4294967296
    return (state >> 8) % n
  end
end

-- A message says who sent it and which one of theirs it is, without a table.
-- Producer 0 are the tasks whose end is closed while they wait.
local function message(who, n) return n * 4096 + who end

local Storm = {}
Storm.__index = Storm

local function new_storm(seed, size, total)
  local storm = setmetatable({}, Storm)
  storm.random = generator(seed)
  storm.send, storm.receive = open(size)
  storm.total = total            -- messages to be sent altogether
  storm.given = 0                -- of these, handed to a producer
  storm.sent = {[0] = 0}         -- by producer: how many
  storm.seen = {[0] = {}}        -- by producer and number
  storm.received = 0
  storm.cancelled = 0
  storm.closed = 0
  return storm
end

-- fn() in a scope that is cancelled at a random moment, or never. Returns
-- whether fn ended by itself.
function Storm:risky(fn)
  local scope, ended = trio.CancelScope(), false
  local fate = self.random(8)
  if fate == 0 then
    scope:cancel()
  elseif fate <= 3 then
    self.victims[#self.victims + 1] = scope
  end
  scope:run(function()
    fn()
    ended = true
  end)
  if not ended then self.cancelled = self.cancelled + 1 end
  return ended
end

-- Sends until there is nothing left to send. A send that was cancelled has not
-- happened, so the same message is sent again. Now and then through a new
-- clone.
function Storm:produce(who, own)
  local n = 0
  self.sent[who], self.seen[who] = 0, {}
  while self.given < self.total do
    self.given = self.given + 1
    n = n + 1
    local value = message(who, n)
    local function send_it() own:send(value) end
    if self.random(16) == 0 then
      while not self:risky(send_it) do end
    elseif self.random(32) ~= 0 or not pcall(own.send_nowait, own, value) then
      own:send(value)
    end
    self.sent[who] = n
    if self.random(64) == 0 then own = self:renew(own) end
  end
  own:close()
end

-- `last`: the number of the last message that this consumer had, by producer.
function Storm:note(value, last)
  local who, n = value % 4096, value // 4096
  if self.seen[who][n] then
    error(("message %d of producer %d came twice"):format(n, who))
  end
  self.seen[who][n] = true
  self.received = self.received + 1
  local before = last[who] or 0
  if who > 0 and (n <= before or self.alone and n ~= before + 1) then
    error(("message %d of producer %d came after %d"):format(n, who, before))
  end
  last[who] = n
end

-- Receives until the channel ends.
function Storm:consume(own)
  local value
  local last = {}
  local function receive_it() value = own:receive() end
  while true do
    local way = self.random(16)
    value = nil
    if way == 0 then
      if not pcall(self.risky, self, receive_it) then return own:close() end
    elseif way == 1 then
      local ok, got = pcall(own.receive_nowait, own)
      if ok then value = got end
      checkpoint()
    else
      value = own()
      if value == nil then return own:close() end
    end
    -- What a cancelled scope was given before the cancellation counts.
    if value then self:note(value, last) end
    if self.random(64) == 0 then own = self:renew(own) end
  end
end

-- A clone for the end, which is closed; in either order of both.
function Storm:renew(own)
  local new = own:clone()
  self.closed = self.closed + 1
  if self.random(2) == 0 then
    own:close()
  else
    own:aclose()
  end
  return new
end

-- Cancels those who wait in a risky place, some of them in every step.
function Storm:cancel_some(done)
  while not done() do
    local victims = self.victims
    for _ = 1, math.min(#victims, 50) do
      local i = self.random(#victims) + 1
      victims[i]:cancel()
      victims[i] = victims[#victims]
      victims[#victims] = nil
    end
    checkpoint()
  end
end

-- fn() or what it raises because its end or the channel was closed.
local function unless_closed(fn, ...)
  local ok, value = pcall(fn, ...)
  if ok then return true, value end
  if not trio.isinstance(value, trio.ClosedResourceError)
      and not trio.isinstance(value, trio.EndOfChannel) then
    error(value)
  end
  return false
end

-- Ends at which somebody waits are closed by somebody else.
function Storm:close_while_waiting(nursery, n)
  local from, to = self.receive:clone(), self.spare:clone()
  nursery:start_soon(function()
    local ok, value = unless_closed(from.receive, from)
    if ok then self:note(value, {}) end
  end)
  nursery:start_soon(function()
    if unless_closed(to.send, to, message(0, n)) then
      self.sent[0] = self.sent[0] + 1
    end
  end)
  for _ = 0, self.random(3) do checkpoint() end
  to:close()
  from:close()
  self.closed = self.closed + 2
end

function Storm:disturb(nursery, done)
  for n = 1, 300 do
    if done() then break end
    self:close_while_waiting(nursery, n)
    checkpoint()
  end
  self.spare:close()
end

function Storm:run(producers, consumers)
  self.victims = {}
  self.alone = consumers == 1
  self.spare = self.send:clone()
  local sending, alive = producers, producers + consumers
  local function produce(...)
    self:produce(...)
    sending, alive = sending - 1, alive - 1
  end
  local function consume(...)
    self:consume(...)
    alive = alive - 1
  end
  trio.open_nursery(function(nursery)
    for i = 1, math.max(producers, consumers) do
      if i <= producers then
        nursery:start_soon(produce, i, self.send:clone())
      end
      if i <= consumers then
        nursery:start_soon(consume, self.receive:clone())
      end
    end
    self.send:close()
    if self.alone then
      self.spare:close()
    else
      nursery:start_soon(self.disturb, self, nursery,
        function() return sending == 0 end)
    end
    self:cancel_some(function() return alive == 0 end)
  end)
end

function Storm:check(producers)
  local sent = 0
  for who = 0, producers do
    sent = sent + self.sent[who]
    if who > 0 then assert.equal(self.sent[who], #self.seen[who]) end
  end
  assert.equal(self.total, sent - self.sent[0])
  assert.equal(sent, self.received)
  assert.is_true(self.cancelled > 0)
  assert.is_true(self.closed > 0)
  local statistics = self.receive:statistics()
  for _, name in ipairs {"current_buffer_used", "open_send_channels",
      "tasks_waiting_send", "tasks_waiting_receive"} do
    assert.equal(0, statistics[name], name)
  end
  assert.equal(1, statistics.open_receive_channels)
end

-- {size of the buffer, producers, consumers}
local scenarios = {
  {0, TASKS, TASKS},
  {1, TASKS, TASKS},
  {64, TASKS, TASKS // 10},
  {7, TASKS // 10, TASKS},
  {64, TASKS, 1},
  {math.huge, TASKS, TASKS},
}

describe("a storm over a channel", function()
  local share = MESSAGES // (#scenarios * #SEEDS)
  for _, scenario in ipairs(scenarios) do
    local size, producers, consumers = table.unpack(scenario)
    for _, seed in ipairs(SEEDS) do
      H.trio_it(("CHAN-17 CHAN-18 loses and doubles nothing: buffer %s, " ..
        "%d to %d, seed %d"):format(size, producers, consumers, seed),
        function()
          local storm = new_storm(seed, size, share)
          storm:run(producers, consumers)
          storm:check(producers)
          assert.same({}, trio.lowlevel.current_task().child_nurseries)
        end, {seed = seed})
    end
  end
end)
