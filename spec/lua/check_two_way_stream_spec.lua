-- SPDX-License-Identifier: MIT
-- check_two_way_stream and check_half_closeable_stream: what they add to
-- check_one_way_stream.
local H = require "spec.support.helper"
local trio = require "trio"
local testing = trio.testing
local check_two_way = testing.check_two_way_stream
local check_half_closeable = testing.check_half_closeable_stream
local memory_pair = testing.memory_stream_pair
local lockstep_pair = testing.lockstep_stream_pair

-- A pair of streams; `change` is called with each, and with its place.
local function changed(pair, change)
  return function()
    local a, b = pair()
    change(a, 1)
    change(b, 2)
    return a, b
  end
end

local function fails(check, text, ...)
  local err = H.raises_class(trio.Error, check, ...)
  assert.is_truthy(tostring(err):find(text, 1, true), tostring(err))
end

-- Lockstep streams with a send_eof that refuses to interrupt a send.
local function careful_pair()
  return changed(lockstep_pair, function(stream)
    local below = stream.send_stream
    local busy, ended = false, false
    local half = {aclose = function() below:aclose() end}
    for _, name in ipairs {"send_all", "wait_send_all_might_not_block"} do
      half[name] = function(_, data)
        if busy then error(trio.BusyResourceError("busy")) end
        busy = true
        local _ <close> = trio.defer(function() busy = false end)
        below[name](below, data)
      end
    end
    function half.send_eof()
      if busy then error(trio.BusyResourceError("busy")) end
      ended = true
      below:aclose()
    end
    stream.send_stream = half
    assert.is_false(ended)
  end)()
end

describe("check_two_way_stream", function()
  H.trio_it("TEST-11 passes memory and lockstep pairs", function()
    check_two_way(memory_pair)
    check_two_way(memory_pair, lockstep_pair)
    check_two_way(lockstep_pair, lockstep_pair)
  end)

  H.trio_it("TEST-11 checks both directions", function()
    for faulty = 1, 2 do
      fails(check_two_way, "check_two_way_stream: data: ",
        changed(memory_pair, function(stream, place)
          if place ~= faulty then return end
          local below = stream.receive_stream
          stream.receive_stream = {
            receive_some = function(_, ...)
              local data = below:receive_some(...)
              return data == "x" and "y" or data
            end,
            aclose = function() below:aclose() end,
          }
        end))
    end
  end)

  H.trio_it("TEST-11 finds data that changes when there is much", function()
    fails(check_two_way, "both ways at once: the data changed on its way",
      changed(memory_pair, function(stream)
        local below = stream.receive_stream
        stream.receive_stream = {
          receive_some = function(_, ...)
            local data = below:receive_some(...)
            if data and #data > 1000 then return data:reverse() end
            return data
          end,
          aclose = function() below:aclose() end,
        }
      end))
  end)

  H.trio_it("TEST-11 finds streams for one direction only", function()
    fails(check_two_way, "lacks a method of a",
      testing.memory_stream_one_way_pair)
  end)
end)

describe("check_half_closeable_stream", function()
  H.trio_it("TEST-11 passes memory pairs and careful ones", function()
    check_half_closeable(memory_pair)
    check_half_closeable(memory_pair, careful_pair)
    check_half_closeable(careful_pair, careful_pair)
  end)

  H.trio_it("TEST-11 finds a send_eof that interrupts a send", function()
    fails(check_half_closeable, "send_all and send_eof", lockstep_pair,
      lockstep_pair)
  end)

  H.trio_it("TEST-11 finds a send_eof that ends nothing", function()
    fails(check_half_closeable, "send_eof: every task is blocked",
      changed(memory_pair, function(stream)
        rawset(stream, "send_eof", function()
          trio.lowlevel.checkpoint()
        end)
      end))
  end)

  H.trio_it("TEST-11 finds a send_eof that ends both directions", function()
    fails(check_half_closeable, "send_eof: ",
      changed(memory_pair, function(stream)
        rawset(stream, "send_eof", function(self) self:aclose() end)
      end))
  end)

  H.trio_it("TEST-11 finds a send_eof that can't be repeated", function()
    fails(check_half_closeable, "send_eof: text",
      changed(memory_pair, function(stream)
        rawset(stream, "send_eof", function(self)
          if rawget(self, "ended") then error("text", 0) end
          rawset(self, "ended", true)
          self.send_stream:aclose()
        end)
      end))
  end)

  H.trio_it("TEST-11 finds streams without send_eof", function()
    fails(check_half_closeable,
      "methods: " .. "table", function()
        local a, b = memory_pair()
        local function without(stream)
          local copy = {}
          for _, name in ipairs {"send_all", "receive_some", "aclose",
            "wait_send_all_might_not_block"} do
            copy[name] = function(_, ...)
              return stream[name](stream, ...)
            end
          end
          return copy
        end
        return without(a), without(b)
      end)
  end)
end)

describe("wrong use", function()
  H.trio_it("names the function and the argument", function()
    for name, check in pairs {check_two_way_stream = check_two_way,
      check_half_closeable_stream = check_half_closeable} do
      H.raises("^[^:]*check_two_way_stream_spec%.lua:%d+: bad argument #1 to '"
        .. name .. "' %(function expected, got table%)$",
        function() check({}); return 1 end)
      H.raises("bad argument #2 to '" .. name .. "'",
        function() check(memory_pair, 1); return 1 end)
    end
  end)

  it("is refused outside of a task", function()
    H.raises("^trio%.testing%.check_two_way_stream must be called",
      check_two_way, memory_pair)
    H.raises("^trio%.testing%.check_half_closeable_stream must be called",
      check_half_closeable, memory_pair)
  end)
end)
