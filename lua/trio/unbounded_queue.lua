-- SPDX-License-Identifier: MIT
-- unbounded_queue.lua: trio.lowlevel.UnboundedQueue: items go in one by one
-- and come out in batches, all that are there.
--
-- One put wakes one task that waits; later ones join that batch. Until the
-- woken task has run the batch is promised to it: nobody else may take it, and
-- as a woken task can't be cancelled any more, it never gets lost.

local error = error

return function(trio, kit)
  local check, lowlevel = kit.check, trio.lowlevel
  local Queue = kit.class("trio.lowlevel.UnboundedQueue")
  local check_self, check_async = Queue.check_self, Queue.check_async

  local function take(self)
    local batch = self._items
    self._items = {}
    self._promised = false
    return batch
  end

  local function is_free(self)
    return #self._items > 0 and not self._promised
  end

  --- queue:put_nowait(item): always succeeds; any value but nil.
  function Queue:put_nowait(item)
    check_self(self, "put_nowait")
    if item == nil then
      check.refuse(1, "put_nowait", "nil can't be put into a queue")
    end
    local items = self._items
    if #items == 0 then
      self._promised = #self._lot:unpark() > 0
    end
    items[#items + 1] = item
  end

  --- queue:get_batch_nowait(): the items that are there, in order; WouldBlock
  --- where there are none.
  function Queue:get_batch_nowait()
    check_self(self, "get_batch_nowait")
    if is_free(self) then return take(self) end
    error(trio.WouldBlock("the queue is empty"))
  end

  -- The ways of get_batch and of a loop.
  local function get_batch(self)
    lowlevel.checkpoint_if_cancelled()
    if is_free(self) then
      local batch = take(self)
      lowlevel.cancel_shielded_checkpoint()
      return batch
    end
    self._lot:park()
    return take(self)
  end

  --- queue:get_batch(): the same, waiting for an item.
  function Queue:get_batch()
    check_async(self, "get_batch")
    return get_batch(self)
  end

  --- for batch in queue do: never ends by itself.
  function Queue:__call()
    check.task("iterating an UnboundedQueue")
    return get_batch(self)
  end

  function Queue:qsize()
    check_self(self, "qsize")
    return #self._items
  end

  function Queue:empty()
    check_self(self, "empty")
    return #self._items == 0
  end

  function Queue:statistics()
    check_self(self, "statistics")
    return {qsize = #self._items, tasks_waiting = #self._lot}
  end

  function Queue:__len()
    return #self._items
  end

  function Queue:__tostring()
    return ("<trio.lowlevel.UnboundedQueue %p %d items, %d waiting>"):format(
      self, #self._items, #self._lot)
  end

  --- UnboundedQueue(): an empty queue. Usable outside of runs.
  function lowlevel.UnboundedQueue()
    return Queue:new({
      _items = {}, _promised = false, _lot = lowlevel.ParkingLot(),
    })
  end
end
