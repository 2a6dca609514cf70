-- SPDX-License-Identifier: MIT
-- nursery_lifetime_spec.lua: nurseries that somebody still points to although
-- no frame and no variable of the program does.

local trio = require "trio"
local H = require "spec.support.helper"
local stock = require "spec.support.stock"

local trio_it = H.trio_it
local lowlevel = trio.lowlevel

local function collect()
  for _ = 1, 3 do collectgarbage() end
end

-- A nursery that the calling task has opened in a coroutine and never leaves.
local function open_elsewhere()
  local nursery
  trio.coroutine.wrap(function()
    trio.open_nursery(function(n)
      nursery = n
      trio.coroutine.yield()
    end)
  end)()
  return nursery
end

describe("a nursery that its task has left open", function()
  local function start_meanwhile(last)
    local ended
    local holder = {}
    H.raises("", trio.open_nursery, function(outer)
      outer:start_soon(function()
        holder[1] = open_elsewhere()
        trio.CancelScope{shield = true}:run(function() trio.sleep(1) end)
      end)
      outer:start_soon(function()
        trio.CancelScope{shield = true}:run(function()
          trio.testing.wait_all_tasks_blocked()
          local nursery = table.remove(holder)
          pcall(nursery.start, nursery, function(task_status)
            trio.CancelScope{shield = true}:run(function()
              trio.sleep(2)
              last(task_status)
              task_status = nil  -- luacheck: ignore
              trio.sleep(2)
              ended = trio.current_time()
            end)
          end)
        end)
      end)
      trio.CancelScope{shield = true}:run(function()
        trio.sleep(3)
        collect()
        trio.sleep(2)
      end)
    end)
    assert.equal(4, ended)
  end

  trio_it("lives as long as a start into it that succeeds", function()
    start_meanwhile(function(task_status) task_status:started() end)
  end)

  trio_it("lives as long as a start into it that fails", function()
    start_meanwhile(collect)
  end)
end)

describe("a nursery that the name of a child closes", function()
  trio_it("does not take the child", function()
    trio.open_nursery(function(target)
      target:start(function(task_status)
        local hidden = lowlevel.current_task().parent_nursery
        local name = setmetatable({}, {__tostring = function()
          task_status:started()
          return "child"
        end})
        H.raises("closed to new arrivals", hidden.start_soon, hidden,
          {name = name}, trio.sleep_forever)
      end)
    end)
  end)
end)

describe("a nursery that a finalizer closes during a spawn", function()
  trio_it("does not take the child", function()
    local refused
    trio.open_nursery(function(target)
      target:start(function(task_status)
        local hidden = lowlevel.current_task().parent_nursery
        local closed = false
        setmetatable({}, {__gc = function()
          closed = true
          task_status:started()
        end})
        while not closed do
          refused = not pcall(hidden.start_soon, hidden, lowlevel.checkpoint)
        end
        assert.equal(0, #hidden.child_tasks)
      end)
    end)
    collect()
    assert.is_true(refused)
  end)
end)

describe("a start whose frame was lost", function()
  trio_it("lets the nursery close that it was for", function()
    trio.open_nursery(function(target)
      H.raises("", trio.open_nursery, function(nursery)
        local co
        nursery:start_soon(function()
          co = trio.coroutine.create(function()
            target:start(function() trio.sleep(5) end)
          end)
          trio.coroutine.resume(co)
        end)
        trio.testing.wait_all_tasks_blocked()
        local ok, why = stock.resume(co)
        assert.is_false(ok)
        assert.matches("resumed by somebody else", why)
      end)
    end)
    assert.equal(0, trio.current_time())
  end)
end)

describe("the nursery of system tasks", function()
  it("can be asked for to the very end of the run", function()
    local ok, why
    H.run(function()
      local token = lowlevel.current_trio_token()
      lowlevel.spawn_system_task(function()
        pcall(trio.sleep_forever)
        token:run_sync_soon(function()
          collect()
          ok, why = pcall(lowlevel.spawn_system_task, collect)
        end)
      end)
    end)
    assert.is_false(ok)
    assert.matches("closed to new arrivals", why)
  end)
end)
