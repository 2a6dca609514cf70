-- SPDX-License-Identifier: MIT
-- Cancelling a conversation over TLS before each of a task's steps. A stream
-- that is open afterwards goes on as if nothing had happened: nothing was lost
-- and nothing sent twice. Any other one is of no use but to be closed.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local T = require "spec.support.tls"
local trio = require "trio"
local it = H.trio_it

local SENT, RECEIVED = ("sent"):rep(25000), ("received"):rep(3000)

-- What the task does, phase after phase. Each may be done again.
local function new_conversation(stream, ending)
  local self = {stream = stream, received = "", place = 1}
  local function receive()
    while #self.received < #RECEIVED do
      self.received = self.received .. stream:receive_some(5000)
    end
  end
  self.phases = {
    {"handshake", function() stream:do_handshake() end},
    {"send", function() stream:send_all(SENT) end},
    {"receive", receive},
    {ending, function() stream[ending](stream) end},
  }
  return self
end

local function go_on(self)
  while self.phases[self.place] do
    self.phases[self.place][2]()
    self.place = self.place + 1
  end
end

-- The other side. Returns what it has heard, and whether up to its end.
local function answer(stream, result)
  result.heard, result.ended = "", false
  trio.pcall(function()
    T.together(function() stream:send_all(RECEIVED) end, function()
      for data in stream do result.heard = result.heard .. data end
      result.ended = true
    end)
    stream:aclose()
  end)
end

-- Cancel the scope before the `count`th step of this task from now on.
local function cancel_before_step(count, scope)
  local this = trio.lowlevel.current_task()
  local instrument = {}
  function instrument.before_task_step(_, task)
    if task ~= this then return end
    count = count - 1
    if count == 0 then scope:cancel() end
  end
  trio.lowlevel.add_instrument(instrument)
  return instrument
end

local function state_of(stream)
  return tostring(stream):match(" (%l+) of ")
end

-- Which states the stream may be in where a phase was cancelled.
local STATES = {
  handshake = {open = true, broken = true},
  send = {open = true, broken = true},
  receive = {open = true},
  unwrap = {open = true, broken = true, closed = true},
  aclose = {closed = true},
}

local function check_unusable(stream, state)
  local class = state == "closed" and trio.ClosedResourceError
    or trio.BrokenResourceError
  for _, name in ipairs {"do_handshake", "receive_some", "unwrap"} do
    H.raises_class(class, stream[name], stream)
  end
  H.raises_class(class, stream.send_all, stream, "x")
end

-- One conversation, cancelled before this step. Returns the phase and the state
-- it was cancelled in; nil if it ended before.
local function converse(opts, ending, count)
  local streams = table.pack(T.pair(opts.contexts))
  local stream, other = streams[opts.side], streams[3 - opts.side]
  local transport = stream.transport_stream
  local conversation, result = new_conversation(stream, ending), {}
  local phase, state
  trio.open_nursery(function(nursery)
    nursery:start_soon(answer, other, result)
    local scope = trio.CancelScope()
    local instrument
    scope:run(function()
      instrument = cancel_before_step(count, scope)
      trio.lowlevel.checkpoint()
      go_on(conversation)
    end)
    trio.lowlevel.remove_instrument(instrument)
    if scope.cancelled_caught then
      phase, state = conversation.phases[conversation.place][1],
        state_of(stream)
      if state == "open" then
        go_on(conversation)
      else
        check_unusable(stream, state)
        stream:aclose()
      end
    end
    if ending == "unwrap" then trio.aclose_forcefully(transport) end
  end)
  assert.equal(SENT:sub(1, #result.heard), result.heard)
  assert.equal(RECEIVED:sub(1, #conversation.received), conversation.received)
  if state == nil or state == "open" then
    assert.equal(#SENT, #result.heard)
    assert.equal(#RECEIVED, #conversation.received)
    assert.is_true(result.ended)
  end
  H.raises_class(trio.ClosedResourceError, transport.send_all, transport, "x")
  T.close(stream, other)
  return phase, state
end

describe("cancelling before every step", function()
  for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    for side, role in ipairs {"client", "server"} do
      for _, ending in ipairs {"unwrap", "aclose"} do
        it(("leaves the %s as documented, %s, %s"):format(role, version,
          ending), function()
          local opts = {side = side, contexts = {
            client = C.client_context{maximum_version = version},
            server = C.server_context{maximum_version = version},
          }}
          local seen = {}
          for count = 1, 1000 do
            local phase, state = converse(opts, ending, count)
            if not phase then break end
            assert(STATES[phase][state], ("step %d, %s: %s"):format(count,
              phase, state))
            seen[phase] = (seen[phase] or 0) + 1
          end
          -- Each phase was met.
          for _, phase in ipairs {"handshake", "send", "receive", ending} do
            assert.is_true((seen[phase] or 0) > 0, phase)
          end
        end)
      end
    end
  end
end)
