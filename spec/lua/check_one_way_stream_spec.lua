-- SPDX-License-Identifier: MIT
-- check_one_way_stream: good streams pass; each way to break a rule fails, and
-- never hangs.
local H = require "spec.support.helper"
local trio = require "trio"
local testing = trio.testing
local check = testing.check_one_way_stream
local memory_pair = testing.memory_stream_one_way_pair
local lockstep_pair = testing.lockstep_stream_one_way_pair

-- Streams that leave everything to others, but for what a fault replaces:
-- faults.send and faults.receive hold methods(stream, below, ...).
local function faulty(pair, faults)
  local function wrap(below, replaced)
    local class = {__index = function(_, name)
      if replaced[name] then
        return function(self, ...) return replaced[name](self, below, ...) end
      end
      return below[name] and function(_, ...) return below[name](below, ...) end
    end}
    return setmetatable({}, class)
  end
  return function()
    local s, r = pair()
    return wrap(s, faults.send or {}), wrap(r, faults.receive or {})
  end
end

-- The check must fail, with a text that holds these words.
local function fails(text, maker, clogged_maker)
  local err = H.raises_class(trio.Error, check, maker, clogged_maker)
  assert.is_truthy(tostring(err):find(text, 1, true), tostring(err))
  assert.matches("^Error: check_one_way_stream: ", tostring(err))
  assert.is_not_nil(err.cause)
end

local clogged = {pair = lockstep_pair}
function clogged.fails(text, send)
  fails(text, memory_pair, faulty(lockstep_pair, {send = send}))
end

describe("check_one_way_stream", function()
  H.trio_it("TEST-11 passes memory and lockstep streams", function()
    check(memory_pair)
    check(memory_pair, lockstep_pair)
    check(lockstep_pair, lockstep_pair)
  end)

  H.trio_it("TEST-11 passes streams that only look like streams", function()
    check(faulty(memory_pair, {}), faulty(lockstep_pair, {}))
  end)

  it("TEST-11 passes under any order of tasks", function()
    testing.explore({runs = 30}, function()
      check(memory_pair, lockstep_pair)
      check(lockstep_pair, lockstep_pair)
    end)
  end)

  H.trio_it("TEST-11 finds streams that lie about their end", function()
    fails("the sender closes: receive_some: got an empty string",
      faulty(memory_pair, {receive = {receive_some = function(_, r, n)
        return r:receive_some(n) or ""
      end}}))
    fails("expected nil, got \"x\"",
      faulty(memory_pair, {receive = {receive_some = function(_, r, n)
        return r:receive_some(n) or "x"
      end}}))
    fails("waits for ever",
      faulty(memory_pair, {receive = {receive_some = function(_, r, n)
        return r:receive_some(n) or trio.sleep_forever()
      end}}))
    local over = setmetatable({}, {__mode = "k"})
    fails("the sender closes: ",
      faulty(memory_pair, {receive = {receive_some = function(_, r, n)
        if over[r] then return "more" end
        local data = r:receive_some(n)
        over[r] = data == nil
        return data
      end}}))
  end)

  H.trio_it("TEST-11 finds an end that comes too early", function()
    fails("expected \"y\", got nil",
      faulty(memory_pair, {receive = {receive_some = function(self, r, n)
        local data = r:receive_some(n)
        rawset(self, "count", (rawget(self, "count") or 0) + 1)
        if data == "y" then return nil end
        return data
      end}}))
  end)

  H.trio_it("TEST-11 finds a stream that drops Busy on receiving", function()
    local lot = trio.lowlevel.ParkingLot()
    fails("two receivers: receive_some in two tasks: expected "
      .. "trio.BusyResourceError, but both went on",
      faulty(memory_pair, {receive = {receive_some = function(self, r, n)
        if rawget(self, "taken") then lot:park() end
        rawset(self, "taken", true)
        local _ <close> = trio.defer(function() rawset(self, "taken", nil) end)
        return r:receive_some(n)
      end}}))
  end)

  H.trio_it("TEST-11 finds a stream that drops Busy on sending", function()
    local function patient(method)
      return function(_, s, ...)
        while true do
          local ok, err = trio.pcall(s[method], s, ...)
          if ok then return end
          if not trio.isinstance(err, trio.BusyResourceError) then
            error(err)
          end
          trio.sleep(1e10)
        end
      end
    end
    clogged.fails("send_all in two tasks: expected trio.BusyResourceError",
      {send_all = patient("send_all")})
    clogged.fails("wait_send_all_might_not_block in two tasks: expected", {
      wait_send_all_might_not_block = patient("wait_send_all_might_not_block"),
    })
  end)

  H.trio_it("TEST-11 finds a send that is no checkpoint", function()
    fails("send_all was no checkpoint",
      faulty(memory_pair, {send = {send_all = function(_, s, data)
        s.send_all_hook()
        if data ~= "" then return s:send_all(data) end
      end}}))
  end)

  H.trio_it("TEST-11 finds an aclose that is no checkpoint", function()
    fails("aclose was no checkpoint", faulty(memory_pair, {
      receive = {aclose = function(_, r) r:close() end},
    }))
  end)

  H.trio_it("TEST-11 finds an aclose that a cancellation prevents", function()
    fails("expected trio.ClosedResourceError, but it returned",
      faulty(memory_pair, {send = {aclose = function(_, s)
        trio.lowlevel.checkpoint()
        s:close()
      end}}))
  end)

  H.trio_it("TEST-11 finds a sender that never breaks", function()
    fails("send_all to a closed stream: expected trio.BrokenResourceError",
      faulty(memory_pair, {send = {send_all = function(_, s, data)
        local ok, err = trio.pcall(s.send_all, s, data)
        if ok or trio.isinstance(err, trio.BrokenResourceError) then return end
        error(err)
      end}}))
  end)

  H.trio_it("TEST-11 finds a stream that isn't closed by its close", function()
    fails("receive_some after aclose: expected trio.ClosedResourceError",
      faulty(memory_pair, {receive = {receive_some = function(_, r, n)
        local ok, data = trio.pcall(r.receive_some, r, n)
        if ok then return data end
        if trio.isinstance(data, trio.ClosedResourceError) then return nil end
        error(data)
      end}}))
  end)

  H.trio_it("TEST-11 finds data that is lost, doubled, or too much", function()
    fails("data: receive_some(1): got 2 bytes", faulty(memory_pair, {
      send = {send_all = function(_, s, data) s:send_all(data:rep(2)) end},
      receive = {receive_some = function(_, r) return r:receive_some() end},
    }))
    fails([[expected "\x00\x0d\x0a\xff", got "\x00\x0d\x0a?"]],
      faulty(memory_pair, {send = {send_all = function(_, s, data)
        s:send_all((data:gsub("\xff", "?")))
      end}}))
    fails("waits for ever", faulty(memory_pair, {
      send = {send_all = function(_, s) s:send_all("") end},
    }))
  end)

  H.trio_it("TEST-11 finds unchecked numbers of bytes", function()
    fails("receive_some(-1): expected an error, but it returned",
      faulty(memory_pair, {receive = {receive_some = function(_, r, n)
        if n == -1 then return nil end
        return r:receive_some(n)
      end}}))
    fails("receive_some(x): expected an error, but it returned",
      faulty(memory_pair, {receive = {receive_some = function(_, r, n)
        if n == "x" then return nil end
        return r:receive_some(n)
      end}}))
  end)

  H.trio_it("TEST-11 finds a wait to send that wakes too early", function()
    clogged.fails("order of events: expected \"waiting receiving woken\"",
      {wait_send_all_might_not_block = function() trio.sleep(0) end})
  end)

  H.trio_it("TEST-11 finds a wait to send that its close doesn't end",
    function()
      clogged.fails("waits for ever", {
        wait_send_all_might_not_block = function(_, s)
          local ok, err = trio.pcall(s.wait_send_all_might_not_block, s)
          if ok then return end
          if trio.isinstance(err, trio.ClosedResourceError) then
            trio.sleep_forever()
          end
          error(err)
        end,
      })
    end)

  H.trio_it("TEST-11 finds a missing method", function()
    local function without(method)
      return function()
        local s, r = faulty(memory_pair, {})()
        for _, stream in ipairs {s, r} do
          local index = getmetatable(stream).__index
          getmetatable(stream).__index = function(self, name)
            if name ~= method then return index(self, name) end
          end
        end
        return s, r
      end
    end
    fails("lacks a method of a SendStream", without("send_all"))
    fails("lacks a method of a ReceiveStream", without("receive_some"))
  end)

  H.trio_it("closes its streams, whatever happens", function()
    local count = 0
    local function maker()
      local s, r = memory_pair()
      s.close_hook = function() count = count + 1 end
      r.close_hook = s.close_hook
      s.send_all_hook = function() error("broken", 0) end
      return s, r
    end
    fails("broken", maker)
    assert.is_true(count >= 2)
  end)

  H.trio_it("lets a cancellation pass", function()
    local scope = trio.move_on_after(1, function()
      check(trio.sleep_forever)
    end)
    assert.is_true(scope.cancelled_caught)
  end)
end)

describe("wrong use of check_one_way_stream", function()
  H.trio_it("names the argument", function()
    H.raises("^[^:]*check_one_way_stream_spec%.lua:%d+: bad argument #1 to "
      .. "'check_one_way_stream' %(function expected, got nil%)$",
      function() check(); return 1 end)
    H.raises("bad argument #2 to 'check_one_way_stream' %(function expected, "
      .. "got boolean%)", function() check(memory_pair, false); return 1 end)
  end)

  H.trio_it("is a maker that makes no pair", function()
    local text = "methods: the stream maker must return two streams"
    fails(text, function() end)
    fails(text, function() return (memory_pair()) end)
  end)

  it("is refused outside of a task", function()
    H.raises("^trio%.testing%.check_one_way_stream must be called from inside "
      .. "a task", check, memory_pair)
  end)
end)
