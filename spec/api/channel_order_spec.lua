-- SPDX-License-Identifier: MIT
-- Memory channels: every order in which ends can be closed while tasks wait at
-- them, and closing in the same step as a hand-over or a cancellation.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local settle = trio.testing.wait_all_tasks_blocked
local open = trio.open_memory_channel

local Closed, Broken = trio.ClosedResourceError, trio.BrokenResourceError

local function raises(Class, object, method, ...)
  return H.raises_class(Class, object[method], object, ...)
end

-- All orders in which four ends can be closed.
local function permutations(list)
  if #list == 1 then return {list} end
  local all = {}
  for i = 1, #list do
    local rest = {}
    for j = 1, #list do if j ~= i then rest[#rest + 1] = list[j] end end
    for _, tail in ipairs(permutations(rest)) do
      all[#all + 1] = {list[i], table.unpack(tail)}
    end
  end
  return all
end

local function close_by(way, nursery, the_end)
  if way == "close" then
    the_end:close()
  elseif way == "aclose" then
    the_end:aclose()
  elseif way == "<close>" then
    local _ <close> = the_end
  else
    nursery:start_soon(the_end.aclose, the_end)
    checkpoint()
  end
end

describe("closing four ends in any order", function()
  -- Two tasks wait at each end of that side. Checks after every close which
  -- of them have ended, and how.
  local function check_order(side, order, way, settles)
    local ends, got, expected, shut = {}, {}, {}, {}
    ends.s1, ends.r1 = open(0)
    ends.s2, ends.r2 = ends.s1:clone(), ends.r1:clone()
    trio.open_nursery(function(nursery)
      for _, own in ipairs {side .. 1, side .. 2} do
        for i = 1, 2 do
          nursery:start_soon(function()
            local method = side == "s" and "send" or "receive"
            got[own .. i] = P.outcome(ends[own][method], ends[own], "value")
          end)
        end
      end
      settle()
      for _, name in ipairs(order) do
        close_by(way, nursery, ends[name])
        shut[name] = true
        local other = side == "s" and "r" or "s"
        local all_shut = shut[other .. 1] and shut[other .. 2]
        for _, own in ipairs {side .. 1, side .. 2} do
          if not expected[own .. 1] then
            local how = shut[own] and "closed" or
              all_shut and (side == "s" and "broken" or "end") or nil
            expected[own .. 1], expected[own .. 2] = how, how
          end
        end
        if settles then
          settle()
          assert.same(expected, got)
        end
      end
    end)
    assert.same(expected, got)
    for _, name in ipairs(order) do raises(Closed, ends[name], "clone") end
    local statistics = ends.s1:statistics()
    for name, value in pairs(statistics) do assert.equal(0, value, name) end
  end

  for _, side in ipairs {"s", "r"} do
    for _, way in ipairs {"close", "aclose", "<close>", "another task"} do
      for _, settles in ipairs {true, false} do
        H.trio_it(("CHAN-14 CHAN-15 %s wait, by %s, %s"):format(
          side == "s" and "senders" or "receivers", way,
          settles and "one after the other" or "all at once"), function()
            local orders = permutations {"s1", "s2", "r1", "r2"}
            assert.equal(24, #orders)
            for _, order in ipairs(orders) do
              check_order(side, order, way, settles)
            end
          end)
      end
    end
  end
end)

describe("closing in the same step as something else", function()
  -- A task that waits in `wait` within a scope; act(scope) in main.
  local function race(wait, act)
    local scope, got = trio.CancelScope(), nil
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function() got = P.outcome(wait) end)
      end)
      settle()
      act(scope)
    end)
    return got, scope.cancelled_caught
  end

  H.trio_it("CHAN-05 a value that was handed over stays", function()
    for _, close_which in ipairs {"send", "receive"} do
      local ends = {}
      ends.send, ends.receive = open(0)
      local got = race(function() return ends.receive:receive() end,
        function()
          ends.send:send_nowait("value")
          ends[close_which]:close()
        end)
      assert.equal("value", got)
    end
  end)

  H.trio_it("CHAN-05 a send that was taken has happened", function()
    for _, close_which in ipairs {"send", "receive"} do
      local ends = {}
      ends.send, ends.receive = open(0)
      local got = race(function() return ends.send:send("value") end,
        function()
          assert.equal("value", ends.receive:receive_nowait())
          ends[close_which]:close()
        end)
      assert.equal("done", got)
    end
  end)

  H.trio_it("CHAN-11 closed, then cancelled: closed", function()
    for _, close_which in ipairs {"send", "receive"} do
      local ends = {}
      ends.send, ends.receive = open(0)
      local got, caught = race(function() return ends.receive:receive() end,
        function(scope)
          ends[close_which]:close()
          scope:cancel()
        end)
      assert.equal(close_which == "send" and "end" or "closed", got)
      assert.is_false(caught)
    end
  end)

  H.trio_it("CHAN-11 cancelled, then closed: cancelled", function()
    for _, close_which in ipairs {"send", "receive"} do
      local ends = {}
      ends.send, ends.receive = open(0)
      local got, caught = race(function() return ends.send:send("value") end,
        function(scope)
          scope:cancel()
          ends[close_which]:close()
        end)
      assert.is_nil(got)
      assert.is_true(caught)
    end
  end)

  H.trio_it("CHAN-14 the closer may be the one that was woken", function()
    local send, receive = open(0)
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      for i = 1, 3 do
        nursery:start_soon(function()
          log(i .. " " .. P.outcome(receive.receive, receive))
          receive:close()
        end)
      end
      settle()
      send:send_nowait("value")
    end)
    assert.same({"1 value", "2 closed", "3 closed"}, trace)
    raises(Broken, send, "send_nowait", 1)
  end)
end)
