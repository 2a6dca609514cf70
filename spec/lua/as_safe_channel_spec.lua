-- SPDX-License-Identifier: MIT
-- as_safe_channel: when the producer runs, who gets what, and which error
-- comes out. The receiving end itself: as_safe_channel_ends_spec.
local H = require "spec.support.helper"
local trio = require "trio"
local as_safe_channel = trio.as_safe_channel
local checkpoint = trio.lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local V = trio.Error:subclass("V")
local K = trio.Error:subclass("K")

local function never() error("this must not be reached", 0) end

-- A producer that counts from 1 to n and logs what it does.
local function counter(log)
  return as_safe_channel(function(yield, n)
    for i = 1, n do
      log("make " .. i)
      yield(i)
    end
    log("end")
  end)
end

describe("a safe channel", function()
  H.trio_it("SAFE-01 starts its producer at the first receive", function()
    local seen, log = H.trace()
    counter(log)(3, function(receive)
      wait_all_tasks_blocked()
      log("before the first")
      log(receive:receive())
      wait_all_tasks_blocked()
      log("before the second")
      log(receive:receive())
      wait_all_tasks_blocked()
    end)
    assert.same({"before the first", "make 1", 1, "before the second",
      "make 2", 2}, seen)
  end)

  H.trio_it("SAFE-01 makes nothing for a receive that was cancelled",
    function()
      local seen, log = H.trace()
      local open = as_safe_channel(function(yield)
        for i = 1, 3 do
          trio.sleep(10)
          log("made " .. i)
          yield(i)
        end
      end)
      open(function(receive)
        trio.move_on_after(1, function() receive:receive() end)
        trio.sleep(100)
        log(receive:receive())
        trio.sleep(100)
      end)
      assert.same({"made 1", 1}, seen)
    end)

  H.trio_it("SAFE-02 ends with its producer", function()
    local seen, log = H.trace()
    counter(log)(2, function(receive)
      for value in receive do log(value) end
      log("after the loop")
      H.raises_class(trio.EndOfChannel, receive.receive, receive)
      for _ in receive do never() end
    end)
    assert.same({"make 1", 1, "make 2", 2, "end", "after the loop"}, seen)
  end)

  H.trio_it("SAFE-02 may be empty", function()
    as_safe_channel(function() end)(function(receive)
      for _ in receive do never() end
      H.raises_class(trio.EndOfChannel, receive.receive, receive)
    end)
  end)

  H.trio_it("SAFE-03 asks for no second item that nobody wants", function()
    local scope = trio.move_on_after(5, function()
      as_safe_channel(function(yield)
        yield(1)
        never()
      end)(function(receive)
        for value in receive do
          assert.equal(1, value)
          trio.sleep_forever()
        end
      end)
    end)
    assert.is_true(scope.cancelled_caught)
    assert.equal(5, trio.current_time())
  end)

  H.trio_it("SAFE-04 cancels its producer at the exit, and waits for it",
    function()
      local seen, log = H.trace()
      local open = as_safe_channel(function(yield)
        local _ <close> = trio.defer(function(err)
          assert.is_true(H.is_cancelled(err))
          assert.matches("exit", err.reason)
          assert.matches("as_safe_channel", err.reason)
          log("cleanup")
          log(trio.current_effective_deadline())
          assert.is_true(H.is_cancelled(select(2, pcall(checkpoint))))
        end, {shield = false})
        while true do yield(1) end
      end)
      open(function(receive)
        for value in receive do if value then break end end
        log("exit")
      end)
      log("out")
      assert.same({"exit", "cleanup", -math.huge, "out"}, seen)
    end)

  H.trio_it("SAFE-04 waits for a cleanup that takes its time", function()
    as_safe_channel(function(yield)
      local _ <close> = trio.defer(function() trio.sleep(3) end)
      while true do yield(1) end
    end)(function(receive) receive:receive() end)
    assert.equal(3, trio.current_time())
  end)

  H.trio_it("SAFE-10 never starts its producer for a cancelled consumer",
    function()
      local scope = trio.CancelScope()
      scope:run(function()
        as_safe_channel(never)(function(receive)
          scope:cancel()
          receive:receive()
        end)
      end)
      assert.is_true(scope.cancelled_caught)
    end)

  H.trio_it("SAFE-10 doesn't even call the body when cancelled before",
    function()
      local scope = trio.CancelScope()
      scope:run(function()
        scope:cancel()
        as_safe_channel(never)(never)
      end)
      assert.is_true(scope.cancelled_caught)
    end)

  H.trio_it("SAFE-12 keeps the producer's own cancellation inside", function()
    local reached = false
    as_safe_channel(function(yield)
      yield(1)
      trio.CancelScope():run(function(scope)
        scope:cancel()
        yield(2)
      end)
    end)(function(receive)
      local count = 0
      for _ in receive do count = count + 1 end
      assert.equal(1, count)
      checkpoint()
      reached = true
    end)
    assert.is_true(reached)
  end)

  H.trio_it("SAFE-12 lets the producer limit the time of its consumer",
    function()
      local seen, log = H.trace()
      as_safe_channel(function(yield)
        local scope = trio.move_on_after(5, function() yield("first") end)
        log(scope.cancelled_caught)
        yield("second")
      end)(function(receive)
        log(receive:receive())
        trio.sleep(10)
        log(trio.current_time())
        for value in receive do log(value) end
      end)
      assert.same({"first", true, 10, "second"}, seen)
    end)

  H.trio_it("SAFE-13 serves receivers in the order of their calls", function()
    local event = trio.Event()
    local got = {}
    as_safe_channel(function(yield)
      event:wait()
      yield(0)
      yield(1)
    end)(function(receive)
      trio.open_nursery(function(nursery)
        for i = 1, 2 do
          nursery:start_soon(function() got[i] = receive:receive() end)
          wait_all_tasks_blocked()
        end
        event:set()
      end)
    end)
    assert.same({0, 1}, got)
  end)

  H.trio_it("SAFE-15 is independent of others of its producer", function()
    local seen, log = H.trace()
    local open = as_safe_channel(function(yield, n)
      for i = 1, n do yield(i) end
    end)
    open(2, function(outer)
      for i in outer do
        open(3, function(inner)
          for j in inner do log(i .. "." .. j) end
        end)
      end
    end)
    assert.same({"1.1", "1.2", "1.3", "2.1", "2.2", "2.3"}, seen)
  end)

  H.trio_it("SAFE-15 passes the arguments on, and the results back", function()
    local open = as_safe_channel(function(yield, ...)
      yield(table.pack(...))
    end)
    local results = table.pack(open("a", nil, print, nil, function(receive)
      assert.same({"a", nil, print, nil, n = 4}, receive:receive())
      return 1, nil, "x", nil
    end))
    assert.same({1, nil, "x", nil, n = 4}, results)
    assert.same({n = 0}, table.pack(open(function() end)))
  end)

  H.trio_it("lets several tasks of the producer yield", function()
    local sum = 0
    as_safe_channel(function(yield)
      trio.open_nursery(function(nursery)
        for i = 1, 10 do
          nursery:start_soon(function()
            trio.sleep(i % 3)
            yield(i)
          end)
        end
      end)
    end)(function(receive)
      for value in receive do sum = sum + value end
    end)
    assert.equal(55, sum)
  end)

  H.trio_it("is a checkpoint, whatever its body does", function()
    trio.testing.assert_checkpoints(function()
      as_safe_channel(never)(function() end)
    end)
  end)
end)

describe("the error of a safe channel", function()
  H.trio_it("SAFE-05 is the producer's, raised at the exit", function()
    local v = V("late")
    local reached = false
    local err = H.raises_class(V, as_safe_channel(function(yield)
      yield(1)
      error(v)
    end), function(receive)
      local count = 0
      for _ in receive do count = count + 1 end
      assert.equal(1, count)
      reached = true
    end)
    assert.is_true(reached)
    assert.equal(v, err)
  end)

  H.trio_it("SAFE-05 cancels the body at its next checkpoint", function()
    local v = V("late")
    local cancelled
    local err = H.raises_class(V, as_safe_channel(function() error(v) end),
      function(receive)
        for _ in receive do never() end
        cancelled = select(2, pcall(trio.sleep, 10))
        error(cancelled)
      end)
    assert.equal(v, err)
    assert.is_true(H.is_cancelled(cancelled))
    assert.equal(0, trio.current_time())
  end)

  H.trio_it("SAFE-05 may be any value", function()
    for _, value in ipairs {"text", false, 1, {}} do
      local ok, err = pcall(as_safe_channel(function() error(value, 0) end),
        function(receive) for _ in receive do never() end end)
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
    end
    local results = table.pack(pcall(as_safe_channel(function() error() end),
      function(receive) for _ in receive do never() end end))
    assert.same({false, nil, n = 2}, results)
  end)

  H.trio_it("SAFE-06 may be a group of the producer's", function()
    local v = V("1")
    local group
    local err = H.raises_class(trio.ExceptionGroup, as_safe_channel(function()
      local ok
      ok, group = pcall(trio.open_nursery, function(nursery)
        nursery:start_soon(error, v)
      end)
      assert.is_false(ok)
      error(group)
    end), function(receive)
      for _ in receive do never() end
    end)
    assert.equal(group, err)
    H.group_of(err, v)
  end)

  H.trio_it("SAFE-07 is the body's, as it is", function()
    local k = K("1")
    local open = as_safe_channel(function(yield) yield(1) end)
    assert.equal(k, H.raises_class(K, open, function() error(k) end))
    assert.equal(k, H.raises_class(K, open, function(receive)
      receive:receive()
      error(k)
    end))
  end)

  H.trio_it("SAFE-08 is a group with a note where both fail", function()
    local v, k = V("cleanup"), K("body")
    local err = H.raises_class(trio.ExceptionGroup,
      as_safe_channel(function(yield)
        local _ <close> = trio.defer(function() error(v) end)
        yield(1)
      end), function(receive)
        for _ in receive do error(k) end
      end)
    H.group_set(err, v, k)
    assert.matches("both the body of trio%.as_safe_channel and its producer "
      .. "failed", tostring(err))
  end)

  H.trio_it("SAFE-09 is a group of the body's, as it is", function()
    local group = trio.ExceptionGroup("mine", {V("1")})
    local err = H.raises_class(trio.ExceptionGroup,
      as_safe_channel(function() never() end), function() error(group) end)
    assert.equal(group, err)
    assert.equal("mine", err.message)
  end)

  H.trio_it("SAFE-11 is one Cancelled where both were cancelled", function()
    local seen, log = H.trace()
    local scope = trio.CancelScope()
    local err
    scope:run(function()
      local open = as_safe_channel(function(yield)
        local _ <close> = trio.defer(function()
          local _, cancelled = pcall(checkpoint)
          if H.is_cancelled(cancelled) then log("producer cancelled") end
          error(cancelled)
        end, {shield = false})
        yield(1)
      end)
      err = H.raises_class(trio.Cancelled, open, function(receive)
        for _ in receive do
          scope:cancel()
          local _, cancelled = pcall(checkpoint)
          if H.is_cancelled(cancelled) then log("body cancelled") end
          error(cancelled)
        end
      end)
      error(err)
    end)
    assert.is_true(scope.cancelled_caught)
    assert.same({"body cancelled", "producer cancelled"}, seen)
  end)

  H.trio_it("is KeyboardInterrupt before all others", function()
    local interrupt, k = trio.KeyboardInterrupt("ctrl"), K("body")
    local err = H.raises_class(trio.KeyboardInterrupt,
      as_safe_channel(function(yield)
        local _ <close> = trio.defer(function() error(interrupt) end)
        yield(1)
      end), function(receive)
        receive:receive()
        error(k)
      end)
    assert.equal("ctrl", err.message)
    H.group_set(err.cause, interrupt, k)
  end)
end)
