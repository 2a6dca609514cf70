-- SPDX-License-Identifier: MIT
-- Sequencer: blocks of several tasks in one order.
local H = require "spec.support.helper"
local trio = require "trio"
local Sequencer = trio.testing.Sequencer
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

describe("a sequencer", function()
  H.trio_it("TEST-06 runs blocks in the order of their numbers", function()
    local seq = Sequencer()
    local seen, log = H.trace()
    trio.open_nursery(function(nursery)
      for _, n in ipairs {3, 1, 2, 0} do
        nursery:start_soon(function()
          seq(n, function()
            trio.sleep(1)
            log(n)
          end)
        end)
      end
    end)
    assert.same({0, 1, 2, 3}, seen)
    assert.equal(4, trio.current_time())
  end)

  H.trio_it("TEST-06 lets one task have several blocks", function()
    local seq = Sequencer()
    local seen, log = H.trace()
    local function worker(...)
      for _, n in ipairs({...}) do seq(n, function() log(n) end) end
    end
    trio.open_nursery(function(nursery)
      nursery:start_soon(worker, 0, 4)
      nursery:start_soon(worker, 2, 5)
      nursery:start_soon(worker, 1, 3)
    end)
    assert.same({0, 1, 2, 3, 4, 5}, seen)
  end)

  H.trio_it("TEST-06 refuses to use a number again", function()
    local seq = Sequencer()
    seq(0, function() end)
    H.raises("^[^:]*sequencer_spec%.lua:%d+: block 0 of the sequence is used "
      .. "twice$", function() seq(0, function() end) end)
    seq(1, function() end)
    H.raises("block 1 .* twice", seq, 1, function() end)
  end)

  H.trio_it("TEST-06 refuses a number in use while its block waits", function()
    local seq = Sequencer()
    trio.open_nursery(function(nursery)
      nursery:start_soon(seq, 1, function() end)
      wait_all_tasks_blocked()
      H.raises("block 1 .* twice", seq, 1, function() end)
      seq(0, function() end)
    end)
  end)

  H.trio_it("goes on where a block raises", function()
    local seq = Sequencer()
    local value = {}
    local reached = false
    trio.open_nursery(function(nursery)
      nursery:start_soon(seq, 1, function() reached = true end)
      local err = H.raises("^table", seq, 0, function() error(value) end)
      assert.is_true(rawequal(value, err))
    end)
    assert.is_true(reached)
  end)

  H.trio_it("goes on where a block is cancelled, and isn't broken", function()
    local seq = Sequencer()
    local reached = false
    trio.open_nursery(function(nursery)
      nursery:start_soon(seq, 1, function() reached = true end)
      local scope = trio.move_on_after(1, function()
        seq(0, trio.sleep_forever)
      end)
      assert.is_true(scope.cancelled_caught)
    end)
    assert.is_true(reached)
  end)

  H.trio_it("returns the results of the body", function()
    local seq = Sequencer()
    local results = table.pack(seq(0, function(...)
      return select("#", ...), nil, "x", nil
    end))
    assert.same({0, nil, "x", nil, n = 4}, results)
  end)
end)

describe("a broken sequence", function()
  -- Tasks 1 and 2 wait; the wait of 1 is cancelled.
  local function break_at_1(seq, nursery)
    local errors = {}
    local scope = trio.CancelScope()
    for _, n in ipairs {1, 2} do
      nursery:start_soon(function()
        local run = n == 1 and function(body) scope:run(body) end
          or function(body) body() end
        errors[n] = H.raises("^[^:]*sequencer_spec%.lua:%d+: the sequence is "
          .. "broken: ", run, function() seq(n, trio.sleep_forever) end)
      end)
    end
    wait_all_tasks_blocked()
    scope:cancel()
    wait_all_tasks_blocked()
    return errors, scope
  end

  H.trio_it("TEST-07 raises an ordinary error in every waiter", function()
    local seq = Sequencer()
    trio.open_nursery(function(nursery)
      local errors, scope = break_at_1(seq, nursery)
      assert.matches("the wait for block 1 was cancelled$", errors[1])
      assert.matches("block 1 was cancelled$", errors[2])
      assert.is_false(scope.cancelled_caught)
    end)
  end)

  H.trio_it("TEST-07 raises one in every later block, too", function()
    local seq = Sequencer()
    trio.open_nursery(function(nursery)
      break_at_1(seq, nursery)
      for _, n in ipairs {0, 3} do
        H.raises("^[^:]*sequencer_spec%.lua:%d+: the sequence is broken: "
          .. "block 1 was cancelled$", function()
            seq(n, function() error("reached", 0) end)
          end)
      end
    end)
    assert.matches(" broken>$", tostring(seq))
  end)

  H.trio_it("TEST-07 runs no block whose turn comes later", function()
    local seq = Sequencer()
    local reached = false
    local err = H.raises("broken", trio.open_nursery, function(nursery)
      nursery:start_soon(function()
        trio.move_on_after(5, function() seq(2, trio.sleep_forever) end)
      end)
      nursery:start_soon(seq, 1, function() reached = true end)
      seq(0, function() trio.sleep(10) end)
    end)
    assert.is_false(reached)
    assert.is_true(trio.isinstance(err, trio.ExceptionGroup))
    assert.equal(2, #err.exceptions)
  end)
end)

describe("a sequencer's wrong use", function()
  H.trio_it("names the argument", function()
    local seq = Sequencer()
    local function refused(text, ...)
      local arguments = table.pack(...)
      H.raises("^[^:]*sequencer_spec%.lua:%d+: bad argument #%d to "
        .. "'Sequencer' %(" .. text, function()
          seq(table.unpack(arguments, 1, arguments.n))
        end)
    end
    refused("number expected, got nil")
    refused("number expected, got string", "1", print)
    refused("number has no integer representation", 1.5, print)
    refused("number has no integer representation", 0 / 0, print)
    refused("must be at least 0", -1, print)
    refused("function expected, got nil", 0)
    refused("function expected, got number", 0, 1)
    assert.equal("fine", seq(0.0, function() return "fine" end))
  end)

  H.trio_it("of its fields is refused", function()
    local seq = Sequencer()
    H.raises("trio%.testing%.Sequencer has no field 'x'", function()
      seq.x = 1
    end)
    assert.is_nil(seq.x)
    assert.matches("^<trio%.testing%.Sequencer .*>$", tostring(seq))
  end)

  it("is refused outside of a task", function()
    local seq = Sequencer()
    H.raises("^trio%.testing%.Sequencer must be called from inside a task",
      seq, 0, function() end)
  end)
end)
