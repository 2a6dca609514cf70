-- SPDX-License-Identifier: MIT
-- What a Cancelled tells of its origin: source, reason and source_task.
local H = require "spec.support.helper"
local trio = require "trio"
local lowlevel = trio.lowlevel
local checkpoint = lowlevel.checkpoint
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

local function cancelled(f, ...)
  return H.raises_class(trio.Cancelled, f or checkpoint, ...)
end

-- err was cancelled for this source and reason, by a task of this name (nil:
-- by no task).
local function check(err, source, reason, task_name)
  assert.equal(source, err.source)
  assert.equal(reason, err.reason)
  if task_name == nil then
    assert.is_nil(err.source_task)
  else
    assert.is_string(err.source_task)
    assert.is_truthy(err.source_task:find(task_name, 1, true))
  end
end

local function contains(text, part)
  assert.is_truthy(text:find(part, 1, true), text .. " lacks " .. part)
end

-- Runs fn(...) as a task of this name and waits for it.
local function run_as(name, fn, ...)
  local arguments = table.pack(...)
  trio.open_nursery(function(nursery)
    nursery:start_soon({name = name}, fn,
      table.unpack(arguments, 1, arguments.n))
  end)
end

describe("an explicit cancel", function()
  H.trio_it("CANCEL-56 gives its reason and the task that called it",
    function()
      local err
      run_as("canceller", function()
        trio.CancelScope():run(function(scope)
          scope:cancel("hello")
          err = cancelled()
        end)
      end)
      check(err, "explicit", "hello", "canceller")
      assert.equal("Cancelled: cancelled due to explicit with reason 'hello'" ..
        " from task " .. err.source_task, tostring(err))
    end)

  H.trio_it("CANCEL-56 names another task that cancels, not the victim",
    function()
      local err
      trio.open_nursery(function(nursery)
        local scope = trio.CancelScope()
        nursery:start_soon({name = "victim"}, function()
          scope:run(function() err = cancelled(trio.sleep_forever) end)
        end)
        wait_all_tasks_blocked()
        nursery:start_soon({name = "culprit"}, function()
          scope:cancel()
        end)
      end)
      check(err, "explicit", nil, "culprit")
      assert.is_nil(err.source_task:find("victim", 1, true))
      assert.equal("Cancelled: cancelled due to explicit from task " ..
        err.source_task, tostring(err))
    end)
end)

describe("an expired deadline", function()
  local function check_deadline(fn)
    local err = fn()
    check(err, "deadline", nil, nil)
    assert.equal("Cancelled: cancelled due to deadline", tostring(err))
  end

  H.trio_it("CANCEL-57 is the source, without a reason and a task",
    function()
      check_deadline(function()
        local err
        trio.move_on_after(1, function()
          err = cancelled(trio.sleep_forever)
        end)
        return err
      end)
    end)

  H.trio_it("CANCEL-57 also where it was past from the beginning", function()
    check_deadline(function()
      local err
      trio.CancelScope({deadline = -math.huge}):run(function()
        err = cancelled()
      end)
      return err
    end)
  end)

  H.trio_it("CANCEL-57 also where it was moved into the past", function()
    check_deadline(function()
      local err
      trio.CancelScope():run(function(scope)
        scope.deadline = -math.huge
        err = cancelled()
      end)
      return err
    end)
  end)
end)

describe("a failing nursery", function()
  H.trio_it("CANCEL-58 tells its tasks which child failed, and how", function()
    local V = trio.Error("pigs flying")
    local sibling, body
    local ok, err = pcall(trio.open_nursery, function(nursery)
      nursery:start_soon({name = "sibling"}, function()
        sibling = cancelled(trio.sleep_forever)
      end)
      nursery:start_soon({name = "culprit"}, function()
        wait_all_tasks_blocked()
        error(V)
      end)
      body = cancelled(trio.sleep_forever)
    end)
    assert.is_false(ok)
    H.group_of(err, V)
    for _, seen in ipairs({sibling, body}) do
      check(seen, "nursery", seen.reason, "culprit")
      contains(seen.reason, "child task")
      contains(seen.reason, "pigs flying")
      contains(tostring(seen), "cancelled due to nursery with reason '")
    end
  end)

  H.trio_it("CANCEL-58 tells the same to tasks that were started later",
    function()
      local V = trio.Error("V")
      local late
      local ok, err = pcall(trio.open_nursery, function(nursery)
        nursery:start_soon({name = "culprit"}, error, V)
        cancelled(trio.sleep_forever)
        nursery:start_soon(function() late = cancelled() end)
      end)
      assert.is_false(ok)
      H.group_of(err, V)
      check(late, "nursery", late.reason, "culprit")
    end)

  H.trio_it("CANCEL-58 tells that its own body failed", function()
    local V = trio.Error("pigs flying")
    local child
    run_as("opener", function()
      local ok, err = pcall(trio.open_nursery, function(nursery)
        nursery:start_soon({name = "child"}, function()
          child = cancelled(trio.sleep_forever)
        end)
        wait_all_tasks_blocked()
        error(V)
      end)
      assert.is_false(ok)
      H.group_of(err, V)
    end)
    check(child, "nursery", child.reason, "opener")
    contains(child.reason, "pigs flying")
    assert.is_nil(child.reason:find("child task", 1, true))
  end)

  H.trio_it("CANCEL-58 also where the body failed because a start did",
    function()
      local V = trio.Error("pigs flying")
      local child
      run_as("opener", function()
        local ok, err = pcall(trio.open_nursery, function(nursery)
          nursery:start_soon({name = "child"}, function()
            child = cancelled(trio.sleep_forever)
          end)
          wait_all_tasks_blocked()
          nursery:start({name = "starting"}, function() error(V) end)
        end)
        assert.is_false(ok)
        H.group_of(err, V)
      end)
      check(child, "nursery", child.reason, "opener")
      contains(child.reason, "pigs flying")
      assert.is_nil(child.source_task:find("starting", 1, true))
    end)

  H.trio_it("CANCEL-58 quotes errors that are no strings or objects",
    function()
      local seen
      local ok = pcall(trio.open_nursery, function(nursery)
        nursery:start_soon(function() seen = cancelled(trio.sleep_forever) end)
        wait_all_tasks_blocked()
        error({})
      end)
      assert.is_false(ok)
      assert.equal("nursery", seen.source)
      assert.is_string(seen.reason)
    end)
end)

describe("the first reason", function()
  H.trio_it("CANCEL-59 stays: explicit after explicit", function()
    trio.CancelScope():run(function(scope)
      scope:cancel("first")
      scope:cancel("second")
      assert.equal("first", cancelled().reason)
    end)
  end)

  H.trio_it("CANCEL-59 stays: deadline after explicit", function()
    trio.CancelScope():run(function(scope)
      scope:cancel()
      check(cancelled(), "explicit", nil, "")
      scope.deadline = -math.huge
      check(cancelled(), "explicit", nil, "")
    end)
  end)

  H.trio_it("CANCEL-59 stays: explicit after deadline", function()
    trio.CancelScope():run(function(scope)
      scope.deadline = -math.huge
      check(cancelled(), "deadline", nil, nil)
      scope:cancel("too late")
      check(cancelled(), "deadline", nil, nil)
    end)
  end)

  H.trio_it("CANCEL-59 stays: a child's error after an explicit cancel",
    function()
      local seen
      local ok = pcall(trio.open_nursery, function(nursery)
        nursery.cancel_scope:cancel("stop")
        nursery:start_soon(error, "boom")
        trio.CancelScope({shield = true}):run(function()
          wait_all_tasks_blocked()
        end)
        seen = cancelled()
      end)
      assert.is_false(ok)
      assert.equal("stop", seen.reason)
    end)

  H.trio_it("CANCEL-60 is inherited from an outer scope, and stays too",
    function()
      trio.CancelScope():run(function(outer)
        trio.CancelScope():run(function(inner)
          outer:cancel("outer")
          inner:cancel("inner")
          assert.equal("outer", cancelled().reason)
          -- Cut off from the outer one it still gives the inherited reason.
          inner.shield = true
          assert.equal("outer", cancelled().reason)
        end)
      end)
    end)

  H.trio_it("CANCEL-61 of the inner scope is told though the outer catches",
    function()
      local outer, inner = trio.CancelScope(), trio.CancelScope()
      local seen
      outer:run(function()
        inner:run(function()
          inner:cancel("inner")
          outer:cancel("outer")
          local ok, err = pcall(checkpoint)
          assert.is_false(ok)
          seen = err
          error(err, 0)
        end)
        error("not reached")
      end)
      assert.equal("inner", seen.reason)
      assert.is_true(outer.cancelled_caught)
      assert.is_false(inner.cancelled_caught)
    end)

  H.trio_it("CANCEL-62 of the outer scope arrives where a shield goes down",
    function()
      local outer, inner = trio.CancelScope(), trio.CancelScope()
      local seen
      outer:run(function()
        inner.shield = true
        inner:run(function()
          outer:cancel("outer")
          checkpoint()
          inner.shield = false
          seen = cancelled()
        end)
      end)
      assert.equal("outer", seen.reason)
      assert.equal("explicit", seen.source)
    end)
end)

describe("the Cancelled of several tasks", function()
  H.trio_it("tell each its own reason, and none the fields of another",
    function()
      local seen = {}
      local function sleep_twice()
        local first = cancelled(trio.sleep_forever)
        local second = cancelled(checkpoint)
        table.move({first, second}, 1, 2, #seen + 1, seen)
      end
      local function both(scope)
        scope:run(function()
          trio.open_nursery(function(nursery)
            nursery:start_soon(sleep_twice)
            nursery:start_soon(sleep_twice)
          end)
        end)
      end
      local one, two = trio.CancelScope(), trio.CancelScope()
      run_as("canceller", function()
        trio.open_nursery(function(nursery)
          nursery:start_soon(both, one)
          nursery:start_soon(both, two)
          wait_all_tasks_blocked()
          one:cancel("one")
          two:cancel("two")
        end)
      end)
      assert.equal(8, #seen)
      local count = {one = 0, two = 0}
      for i, err in ipairs(seen) do
        check(err, "explicit", err.reason, "canceller")
        count[err.reason] = count[err.reason] + 1
        for k = 1, i - 1 do assert.is_false(rawequal(err, seen[k])) end
      end
      assert.same({one = 4, two = 4}, count)
      seen[1].reason = "changed"
      seen[1].more = true
      for i = 2, 8 do
        assert.not_equal("changed", seen[i].reason)
        assert.is_nil(seen[i].more)
      end
      assert.equal(trio.Cancelled, getmetatable(seen[2]))
      contains(tostring(seen[2]), "reason '" .. seen[2].reason .. "'")
    end)

  H.trio_it("stand where they arrived, between other errors", function()
    local seen, group = {}, nil
    local function cancelled_again()
      local _, err = pcall(trio.sleep_forever)
      seen[#seen + 1] = err
      error(err, 0)
    end
    local function failing(err)
      pcall(trio.sleep_forever)
      error(err, 0)
    end
    trio.move_on_after(1, function()
      group = H.raises_class(trio.ExceptionGroup, trio.open_nursery,
        function(nursery)
          nursery:start_soon(cancelled_again)
          nursery:start_soon(failing, "A")
          nursery:start_soon(cancelled_again)
          nursery:start_soon(cancelled_again)
          nursery:start_soon(failing, "B")
          failing("body")
        end)
    end)
    assert.equal(3, #seen)
    H.group_of(group, "body", seen[1], "A", seen[2], seen[3], "B")
    for i = 1, 3 do
      assert.is_true(trio.isinstance(seen[i], trio.Cancelled))
      for k = 1, i - 1 do assert.is_false(rawequal(seen[i], seen[k])) end
    end
  end)
end)

describe("the end of the run", function()
  it("CANCEL-63 cancels system tasks with a reason of its own", function()
    local seen
    local result = H.run(function()
      lowlevel.spawn_system_task(function()
        seen = cancelled(trio.sleep_forever)
      end)
      wait_all_tasks_blocked()
      return "main's"
    end)
    assert.equal("main's", result)
    assert.equal("shutdown", seen.source)
    assert.matches("[Mm]ain task", seen.reason)
  end)
end)
