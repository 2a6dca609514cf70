-- SPDX-License-Identifier: MIT
-- Worker threads that fail, hang and outlive their run; what becomes of them at
-- the end of the program.

local trio = require "trio"
local cli = require "spec.support.cli"
local H = require "spec.support.helper"
local trio_it, raises_class = H.trio_it, H.raises_class

local run_sync = trio.to_thread.run_sync
local worker_count = trio.testing._worker_count

-- The run must crash, and the threads must be told.
local function check_crash(main)
  raises_class(trio.TrioInternalError, trio.run, main)
  collectgarbage()
  collectgarbage()
  -- Counting waits for the threads: they have ended, or this takes a second.
  local start = os.time()
  trio.testing._counters()
  assert.is_true(os.time() - start <= 1)
end

describe("workers", function()
  trio_it("are used again, the last one first", function()
    local function id() return io.open("/proc/thread-self/stat"):read("n") end
    local before = worker_count()
    local first = run_sync(id)
    for _ = 1, 100 do assert.equal(first, run_sync(id)) end
    assert.is_true(worker_count() <= before + 1)
  end)

  trio_it("keep their Lua state", function()
    run_sync(function() _G.kept = "kept" end)
    assert.equal("kept", run_sync(function() return _G.kept end))
    run_sync(function() _G.kept = nil end)
    assert.is_nil(_G.kept)
  end)

  trio_it("have the search paths of the calling state", function()
    local path, cpath = package.path, package.cpath
    package.path, package.cpath = "./?.nothing", "./?.none"
    local theirs = {run_sync(function()
      return package.path, package.cpath
    end)}
    package.path, package.cpath = path, cpath
    assert.same({"./?.nothing", "./?.none"}, theirs)
    assert.equal(path, run_sync(function() return package.path end))
  end)

  trio_it("survive everything that a function can raise", function()
    local values = {"text", 7, true, {code = 1}, trio.Error("x")}
    for _ = 1, 20 do
      for _, value in ipairs(values) do
        assert.is_false((pcall(run_sync, error, value)))
      end
      assert.is_false((pcall(run_sync, function()
        return coroutine.create(print)
      end)))
      assert.is_false((pcall(run_sync, function()
        return ("xx"):rep(math.maxinteger)
      end)))
    end
    H.raises("stack overflow", run_sync, function()
      local function deeper(n) return 1 + deeper(n + 1) end
      return deeper(1)
    end)
    assert.equal(1, run_sync(function() return 1 end))
  end)

  trio_it("of many tasks at once all end", function()
    local sum = 0
    trio.open_nursery(function(nursery)
      for i = 1, 300 do
        nursery:start_soon(function()
          local n = run_sync(function(n) return n end, i)
          sum = sum + n
        end)
      end
    end)
    assert.equal(300 * 301 // 2, sum)
    assert.is_true(worker_count() <= 60)
  end)

  it("are told when the run crashes while they wait for it", function()
    check_crash(function()
      trio.open_nursery(function(nursery)
        for _ = 1, 3 do
          nursery:start_soon(run_sync, function()
            pcall(trio.from_thread.run, trio.sleep_forever)
          end)
        end
        trio.sleep(0.01)
        trio.lowlevel.spawn_system_task(error, "crash")
        trio.sleep_forever()
      end)
    end)
  end)

  it("are told when the loop stops in the middle of it", function()
    check_crash(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(run_sync, function()
          pcall(trio.from_thread.run, trio.sleep_forever)
        end)
        nursery:start_soon(run_sync, function()
          trio.run(trio.sleep, 0.03)
          pcall(trio.from_thread.run, trio.sleep_forever)
        end)
        nursery:start_soon(function()
          trio.lowlevel.wait_task_rescheduled(function() return "wrong" end)
        end)
        trio.sleep(0.01)
        nursery.cancel_scope:cancel()
      end)
    end)
  end)

  it("end after ten seconds without work #slow", function()
    trio.run(run_sync, function() end)
    assert.is_true(worker_count() > 0)
    trio.run(trio.sleep, 11)
    assert.equal(0, worker_count())
    assert.equal(1, trio.run(run_sync, function() return 1 end))
  end)
end)

describe("warnings", function()
  local script = [[
    local trio = require "trio"
    trio.run(trio.to_thread.run_sync, warn, "from the thread")
  ]]

  it("are on in threads where the command line has -W", function()
    assert.equal("Lua warning: from the thread\n",
      cli.script(script, "-W").err)
    assert.equal("", cli.script(script).err)
  end)
end)

describe("the end of the program", function()
  local function check_end(source)
    local result = cli.script(source)
    assert.equal("", result.err)
    assert.equal("done\n", result.out)
    assert.equal(0, result.status)
  end

  it("does not wait for threads that hang", function()
    check_end([[
      local trio = require "trio"
      trio.run(function()
        local opts = {abandon_on_cancel = true}
        trio.move_on_after(0.02, function()
          trio.to_thread.run_sync(opts, function() while true do end end)
        end)
        trio.move_on_after(0.02, function()
          trio.to_thread.run_sync(opts, trio.run, trio.sleep, 1000)
        end)
      end)
      print("done")
    ]])
  end)

  it("ends idle threads with their states", function()
    check_end([[
      local trio = require "trio"
      trio.run(function()
        trio.open_nursery(function(nursery)
          for _ = 1, 5 do
            nursery:start_soon(trio.to_thread.run_sync, trio.run, trio.sleep,
              0.01)
          end
        end)
      end)
      print("done")
    ]])
  end)

  it("in a thread that still calls home is silent", function()
    check_end([[
      local trio = require "trio"
      trio.run(function()
        local opts = {abandon_on_cancel = true}
        trio.move_on_after(0.02, function()
          trio.to_thread.run_sync(opts, function()
            while true do pcall(trio.from_thread.run_sync, type) end
          end)
        end)
      end)
      print("done")
    ]])
  end)
end)
