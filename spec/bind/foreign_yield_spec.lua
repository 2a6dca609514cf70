-- SPDX-License-Identifier: MIT
-- Coroutines that trio does not know, and yields that reach it by mistake: both
-- give an error at the place of the mistake, and nothing is left registered.
local H = require "spec.support.helper"
local trio = require "trio"
local co = trio.coroutine
local stock = require "spec.support.stock"
local checkpoint = trio.lowlevel.checkpoint

describe("awaiting in a stock coroutine", function()
  local function check(message)
    assert.is_string(message)
    assert.matches("trio%.coroutine", message)
    assert.matches("trio%.install", message)
  end

  H.trio_it("raises an error which says what to do", function()
    check(H.raises("sleep", stock.wrap(function() trio.sleep(1) end)))
    check(H.raises("checkpoint", stock.wrap(function() checkpoint() end)))
    check(H.raises("open_nursery", stock.wrap(function()
      trio.open_nursery(function() end)
    end)))
    assert.equal(0, trio.current_time())
  end)

  H.trio_it("can be caught there, and the coroutine lives on", function()
    local f = stock.wrap(function()
      local ok, message = pcall(trio.sleep, 1)
      stock.yield(ok, message)
      return "alive"
    end)
    local ok, message = f()
    assert.is_false(ok)
    check(message)
    trio.sleep(1)
    assert.equal("alive", f())
  end)

  H.trio_it("raises also below and above a coroutine of ours", function()
    check(H.raises("sleep", co.wrap(function()
      stock.wrap(function() trio.sleep(1) end)()
    end)))
    check(H.raises("sleep", stock.wrap(function()
      co.wrap(function() trio.sleep(1) end)()
    end)))
  end)

  H.trio_it("leaves the scopes of the task as they were", function()
    trio.CancelScope({deadline = 5}):run(function()
      local f = stock.wrap(function()
        trio.CancelScope({deadline = 3}):run(function() trio.sleep(1) end)
      end)
      check(H.raises("sleep", f))
      assert.equal(5, trio.current_effective_deadline())
    end)
  end)

  H.trio_it("is no trouble for generators that do not wait", function()
    local sum = 0
    for v in stock.wrap(function()
      for i = 1, 4 do stock.yield(i) end
    end) do
      trio.sleep(v)
      sum = sum + v
    end
    assert.equal(10, sum)
    assert.equal(10, trio.current_time())
  end)

  it("works under the stock interpreter once install was called", function()
    local script = [[
      package.cpath = 'build/?.so;' .. package.cpath
      local before = coroutine.wrap
      local trio = require 'trio'
      assert(coroutine.wrap == before, 'require changed a global')
      local clock = trio.testing.MockClock({autojump_threshold = 0})
      local function main()
        return pcall(coroutine.wrap(function()
          trio.sleep(1)
          return 'waited'
        end))
      end
      print((trio.run({clock = clock}, main)))
      trio.install()
      clock = trio.testing.MockClock({autojump_threshold = 0})
      print(trio.run({clock = clock}, main))]]
    local pipe <close> = assert(io.popen('lua5.4 -e "' .. script ..
      '" 2>&1'))
    assert.equal("false", pipe:read("l"))
    assert.equal("true\twaited", pipe:read("l"))
  end)
end)

describe("a raw yield in a task", function()
  local yields = {
    ["the installed coroutine.yield"] = coroutine.yield,
    ["trio.coroutine.yield"] = co.yield,
    ["the stock coroutine.yield"] = stock.yield,
  }

  for name, yield in pairs(yields) do
    H.trio_it("RUN-19 by " .. name .. " raises there, catchable", function()
      local reached = false
      local message = H.raises("yield", function()
        yield("some", "values")
        reached = true
      end)
      assert.is_string(message)
      assert.is_false(reached)
      -- The task goes on as if nothing had happened.
      trio.sleep(1)
      assert.equal(1, trio.current_time())
    end)

    H.trio_it("RUN-19 by " .. name .. " many times in a row", function()
      for _ = 1, 100 do
        H.raises("yield", function() yield() end)
      end
      checkpoint()
    end)

    H.trio_it("RUN-19 by " .. name .. " leaves siblings alone", function()
      local woke
      trio.open_nursery(function(nursery)
        nursery:start_soon(function()
          trio.sleep(2)
          woke = trio.current_time()
        end)
        nursery:start_soon(function()
          trio.sleep(1)
          H.raises("yield", function() yield(1) end)
          trio.sleep(5)
        end)
      end)
      assert.equal(2, woke)
      assert.equal(6, trio.current_time())
    end)

    H.trio_it("RUN-19 by " .. name .. " uncaught ends its task", function()
      local cut
      local ok, group = pcall(trio.open_nursery, function(nursery)
        nursery:start_soon(function()
          H.raises_class(trio.Cancelled, trio.sleep_forever)
          cut = true
        end)
        nursery:start_soon(function()
          trio.sleep(1)
          yield("oops")
        end)
      end)
      assert.is_false(ok)
      assert.is_true(cut)
      assert.is_true(trio.isinstance(group, trio.ExceptionGroup))
      assert.equal(1, #group.exceptions)
      assert.matches("yield", group.exceptions[1])
    end)

    it("RUN-19 by " .. name .. " uncaught in main comes out of run",
      function()
        local err = H.raises("yield", H.run, function()
          yield("oops")
        end)
        assert.is_false(trio.isinstance(err, trio.TrioInternalError))
        assert.equal(1, H.run(function() return 1 end))
      end)

    H.trio_it("RUN-19 by " .. name .. " in a body leaves its scope",
      function()
        trio.CancelScope({deadline = 9}):run(function()
          H.raises("yield", function()
            trio.CancelScope({deadline = 5}):run(function()
              yield("oops")
            end)
          end)
          assert.equal(9, trio.current_effective_deadline())
        end)
      end)
  end

  for _, name in ipairs({"installed", "trio.coroutine"}) do
    local yield = name == "installed" and coroutine.yield or co.yield
    H.trio_it("RUN-19 is raised by the call itself: " .. name, function()
      local ok, message = pcall(yield, 1, 2)
      assert.is_false(ok)
      assert.matches("yield", message)
      checkpoint()
    end)
  end
end)
