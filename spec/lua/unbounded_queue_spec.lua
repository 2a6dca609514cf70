-- SPDX-License-Identifier: MIT
-- UnboundedQueue: batches, the hand-over to the first who waits, and the
-- manners of every class written in Lua.
local H = require "spec.support.helper"
local trio = require "trio"
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked
local UnboundedQueue = trio.lowlevel.UnboundedQueue

describe("an unbounded queue", function()
  H.trio_it("gives everything at once, in order", function()
    local queue = UnboundedQueue()
    queue:put_nowait("a")
    queue:put_nowait("b")
    assert.same({"a", "b"}, queue:get_batch())
    queue:put_nowait(false)
    assert.same({false}, queue:get_batch_nowait())
  end)

  H.trio_it("raises WouldBlock where it is empty", function()
    local queue = UnboundedQueue()
    H.raises_class(trio.WouldBlock, queue.get_batch_nowait, queue)
    queue:put_nowait(1)
    queue:get_batch()
    H.raises_class(trio.WouldBlock, queue.get_batch_nowait, queue)
  end)

  H.trio_it("tells how full it is", function()
    local queue = UnboundedQueue()
    assert.is_true(queue:empty())
    assert.equal(0, queue:qsize())
    assert.same({qsize = 0, tasks_waiting = 0}, queue:statistics())
    queue:put_nowait(1)
    queue:put_nowait(2)
    assert.is_false(queue:empty())
    assert.equal(2, queue:qsize())
    assert.equal(2, #queue)
    assert.same({qsize = 2, tasks_waiting = 0}, queue:statistics())
    assert.matches("^<trio%.lowlevel%.UnboundedQueue .* 2 items, 0 waiting>$",
      tostring(queue))
  end)

  H.trio_it("wakes who waits, with all that was put meanwhile", function()
    local queue = UnboundedQueue()
    local got
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() got = queue:get_batch() end)
      wait_all_tasks_blocked()
      assert.equal(1, queue:statistics().tasks_waiting)
      queue:put_nowait(1)
      queue:put_nowait(2)
      assert.equal(0, queue:statistics().tasks_waiting)
    end)
    assert.same({1, 2}, got)
  end)

  H.trio_it("promises a batch to the task that it has woken", function()
    local queue = UnboundedQueue()
    local got, later
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() got = queue:get_batch() end)
      wait_all_tasks_blocked()
      queue:put_nowait(1)
      H.raises_class(trio.WouldBlock, queue.get_batch_nowait, queue)
      nursery:start_soon(function() later = queue:get_batch() end)
      wait_all_tasks_blocked()
      assert.same({1}, got)
      assert.is_nil(later)
      queue:put_nowait(2)
    end)
    assert.same({2}, later)
  end)

  H.trio_it("loses nothing when the woken task is cancelled", function()
    local queue = UnboundedQueue()
    local got
    local scope = trio.CancelScope()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        scope:run(function() got = queue:get_batch() end)
      end)
      wait_all_tasks_blocked()
      queue:put_nowait(1)
      scope:cancel()
    end)
    assert.same({1}, got)
    assert.is_false(scope.cancelled_caught)
  end)

  H.trio_it("keeps its items where the wait is cancelled", function()
    local queue = UnboundedQueue()
    trio.move_on_after(1, function() queue:get_batch() end)
    queue:put_nowait(1)
    local scope = trio.CancelScope()
    scope:run(function()
      scope:cancel()
      queue:get_batch()
    end)
    assert.is_true(scope.cancelled_caught)
    assert.same({1}, queue:get_batch_nowait())
  end)

  H.trio_it("serves who waits longest first", function()
    local queue = UnboundedQueue()
    local seen, log = H.trace()
    trio.open_nursery(function(nursery)
      for i = 1, 3 do
        nursery:start_soon(function() log({i, queue:get_batch()[1]}) end)
        wait_all_tasks_blocked()
      end
      for i = 1, 3 do
        queue:put_nowait(i)
        wait_all_tasks_blocked()
      end
    end)
    assert.same({{1, 1}, {2, 2}, {3, 3}}, seen)
  end)

  H.trio_it("is a checkpoint, also where it is full", function()
    local queue = UnboundedQueue()
    queue:put_nowait(1)
    trio.testing.assert_checkpoints(function() queue:get_batch() end)
    trio.testing.assert_no_checkpoints(function()
      queue:put_nowait(1)
      queue:get_batch_nowait()
    end)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        trio.testing.assert_checkpoints(function() queue:get_batch() end)
      end)
      wait_all_tasks_blocked()
      queue:put_nowait(1)
    end)
  end)

  H.trio_it("can be iterated, batch by batch", function()
    local queue = UnboundedQueue()
    local seen, log = H.trace()
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for batch in queue do
          log(table.concat(batch, " "))
          if #seen == 3 then break end
        end
      end)
      for i = 1, 3 do
        queue:put_nowait(i)
        queue:put_nowait(-i)
        wait_all_tasks_blocked()
      end
    end)
    assert.same({"1 -1", "2 -2", "3 -3"}, seen)
  end)
end)

describe("an unbounded queue's wrong use", function()
  it("is refused outside of a task, by name", function()
    local queue = UnboundedQueue()
    H.raises("^[^:]*unbounded_queue_spec%.lua:%d+: UnboundedQueue:get_batch "
      .. "must be called from inside a task; start one with trio%.run$",
      function() queue:get_batch(); return 1 end)
    H.raises("iterating an UnboundedQueue must be called from inside a task",
      function() queue(); return 1 end)
    queue:put_nowait("x")
    assert.same({"x"}, queue:get_batch_nowait())
  end)

  it("is refused for nil", function()
    local queue = UnboundedQueue()
    H.raises("^[^:]*unbounded_queue_spec%.lua:%d+: bad argument #1 to "
      .. "'put_nowait' %(nil can't be put into a queue%)$",
      function() queue:put_nowait(nil); return 1 end)
    assert.is_true(queue:empty())
  end)

  it("is refused without an object", function()
    local queue = UnboundedQueue()
    for _, method in ipairs {"put_nowait", "get_batch_nowait", "get_batch",
      "qsize", "empty", "statistics"} do
      H.raises("^[^:]*unbounded_queue_spec%.lua:%d+: calling '" .. method
        .. "' on bad self %(trio%.lowlevel%.UnboundedQueue expected, got "
        .. "table%)$", function() queue[method]({}); return 1 end)
    end
  end)

  it("of fields is refused", function()
    local queue = UnboundedQueue()
    H.raises("^[^:]*unbounded_queue_spec%.lua:%d+: "
      .. "trio%.lowlevel%.UnboundedQueue has no field 'x'$",
      function() queue.x = 1 end)
    H.raises("field 'qsize' of trio%.lowlevel%.UnboundedQueue is read%-only",
      function() queue.qsize = 1 end)
    assert.is_nil(queue.x)
    assert.equal("trio.lowlevel.UnboundedQueue", getmetatable(queue))
  end)
end)
