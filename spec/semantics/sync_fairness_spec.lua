-- SPDX-License-Identifier: MIT
-- Whatever can serve as a lock lets one task in at a time, and everybody in
-- turn: the primitives, and locks made of a channel.
local H = require "spec.support.helper"
local P = require "spec.support.primitives"
local trio = require "trio"
local checkpoint = trio.lowlevel.checkpoint
local settle = trio.testing.wait_all_tasks_blocked

-- A lock out of three functions.
local function made_of(acquire, acquire_nowait, release)
  return {
    acquire = acquire,
    acquire_nowait = acquire_nowait,
    release = release,
    with = function(_, body)
      acquire()
      local _ <close> = trio.defer(release)
      body()
    end,
  }
end

-- Held while the buffer is full.
local function sending_lock(size)
  local send, receive = trio.open_memory_channel(size)
  for _ = 1, size - 1 do send:send_nowait("filler") end
  return made_of(
    function() send:send("held") end,
    function() send:send_nowait("held") end,
    function() receive:receive_nowait() end)
end

-- Held while the buffer is empty.
local function receiving_lock()
  local send, receive = trio.open_memory_channel(10)
  send:send_nowait("free")
  return made_of(
    function() receive:receive() end,
    function() receive:receive_nowait() end,
    function() send:send_nowait("free") end)
end

-- Who waits stands in a rendezvous.
local function rendezvous_lock()
  local send, receive = trio.open_memory_channel(0)
  local held = false
  local function acquire_nowait()
    assert.is_false(held)
    held = true
  end
  local function acquire()
    if held then
      send:send("next")
    else
      held = true
      checkpoint()
    end
  end
  return made_of(acquire, acquire_nowait, function()
    if not pcall(receive.receive_nowait, receive) then held = false end
  end)
end

local locks = {
  {"Lock", trio.Lock},
  {"StrictFIFOLock", trio.StrictFIFOLock},
  {"Condition", trio.Condition},
  {"Semaphore(1)", function() return trio.Semaphore(1) end},
  {"CapacityLimiter(1)", function() return trio.CapacityLimiter(1) end},
  {"a channel to send to, of 1", function() return sending_lock(1) end},
  {"a channel to send to, of 10", function() return sending_lock(10) end},
  {"a channel to receive from", receiving_lock},
  {"a rendezvous", rendezvous_lock},
}

for _, entry in ipairs(locks) do
  local name, new = table.unpack(entry)
  describe(name .. " as a lock", function()
    H.trio_it("SYNC-10 lets one in at a time", function()
      local lock, inside, count = new(), false, 0
      local function work()
        for _ = 1, 10 do
          lock:with(function()
            assert.is_false(inside)
            inside = true
            count = count + 1
            checkpoint()
            checkpoint()
            assert.is_true(inside)
            inside = false
          end)
        end
      end
      trio.open_nursery(function(nursery)
        for _ = 1, 5 do nursery:start_soon(work) end
      end)
      assert.equal(50, count)
      assert.is_false(inside)
    end)

    H.trio_it("SYNC-10 also where acquire and release stand alone", function()
      local lock, inside, count = new(), 0, 0
      trio.open_nursery(function(nursery)
        for _ = 1, 20 do
          nursery:start_soon(function()
            lock:acquire()
            inside = inside + 1
            assert.equal(1, inside)
            checkpoint()
            inside = inside - 1
            count = count + 1
            lock:release()
          end)
        end
      end)
      assert.equal(20, count)
    end)

    for _, seed in ipairs {0, 1, 2, 3} do
      H.trio_it("SYNC-11 everybody in turn, schedule " .. seed, function()
        local lock = new()
        local first, log_first = H.trace()
        local order, log = H.trace()
        local function loop(who)
          log_first(who)
          for _ = 1, 5 do
            lock:with(function() log(who) end)
          end
        end
        trio.open_nursery(function(nursery)
          for who = 1, 3 do nursery:start_soon(loop, who) end
        end)
        assert.equal(15, #order)
        for i, who in ipairs(order) do
          assert.equal(first[(i - 1) % 3 + 1], who)
        end
      end, {seed = seed ~= 0 and seed or nil})
    end

    H.trio_it("SYNC-10 taken by acquire_nowait it stops others", function()
      local lock = new()
      local trace, log = H.trace()
      trio.open_nursery(function(nursery)
        lock:acquire_nowait()
        nursery:start_soon(function()
          log("begin")
          lock:with(function() log("inside") end)
        end)
        settle()
        assert.same({"begin"}, trace)
        lock:release()
      end)
      assert.same({"begin", "inside"}, trace)
    end)

    H.trio_it("SYNC-10 survives cancellations of whoever waits", function()
      local lock, inside, entered, left = new(), 0, 0, 0
      local random = 12345
      local function next_random(n)
        random = (random * 1103515245 + 12345) % 2147483648
        return random // 65536 % n
      end
      trio.open_nursery(function(nursery)
        for _ = 1, 60 do
          nursery:start_soon(function()
            trio.move_on_after(next_random(40) / 10, function()
              for _ = 1, 5 do
                lock:with(function()
                  inside = inside + 1
                  assert.equal(1, inside)
                  entered = entered + 1
                  local _ <close> = trio.defer(function()
                    inside = inside - 1
                    left = left + 1
                  end)
                  trio.sleep(next_random(3) / 10)
                end)
              end
            end)
          end)
        end
      end)
      assert.is_true(entered > 10)
      assert.equal(entered, left)
      P.is_checkpoint(lock.acquire, lock)
      lock:release()
    end)
  end)
end

describe("a lock for many", function()
  H.trio_it("SYNC-10 a Semaphore(3) lets three in", function()
    local semaphore, inside, most = trio.Semaphore(3), 0, 0
    trio.open_nursery(function(nursery)
      for _ = 1, 10 do
        nursery:start_soon(function()
          semaphore:with(function()
            inside = inside + 1
            most = math.max(most, inside)
            trio.sleep(1)
            inside = inside - 1
          end)
        end)
      end
    end)
    assert.equal(3, most)
    assert.equal(4, trio.current_time())
  end)

  H.trio_it("SYNC-10 a CapacityLimiter(3) lets three in", function()
    local limiter, inside, most = trio.CapacityLimiter(3), 0, 0
    trio.open_nursery(function(nursery)
      for _ = 1, 10 do
        nursery:start_soon(function()
          limiter:with(function()
            inside = inside + 1
            most = math.max(most, inside)
            trio.sleep(1)
            inside = inside - 1
          end)
        end)
      end
    end)
    assert.equal(3, most)
    assert.equal(4, trio.current_time())
  end)
end)
