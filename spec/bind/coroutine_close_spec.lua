-- SPDX-License-Identifier: MIT
-- How the <close> variables of a coroutine run when it is closed or has failed:
-- as Lua runs them, whatever the __close metamethod looks like, except that in
-- a task they may wait.
-- luacheck: ignore 211/_.+ 512
local H = require "spec.support.helper"
local trio = require "trio"
local stock = require "spec.support.stock"

local now = trio.current_time

-- Each case takes a library and a function to be called in closers, which waits
-- where that is possible, and returns plain values.
local cases = {
  {"metamethods of every arity", function(co, wait)
    local trace = {}
    local function log(...)
      wait()
      trace[#trace + 1] = table.pack(...)
    end
    local function value(name, close)
      return setmetatable({name = name}, {__close = close})
    end
    local c = co.create(function()
      local _a <close> = value("a", function() log("none") end)
      local _b <close> = value("b", function(v) log(v.name) end)
      local _c <close> = value("c", function(v, e) log(v.name, e) end)
      local _d <close> = value("d", function(v, e, x) log(v.name, e, x) end)
      local _e <close> = value("e", function(...)
        log(select("#", ...), (...).name, (select(2, ...)))
      end)
      local _f <close> = value("f", function(v, ...)
        log(select("#", ...), v.name, ...)
      end)
      co.yield()
    end)
    co.resume(c)
    return co.close(c), trace
  end},
  {"callable values as metamethods", function(co, wait)
    local trace = {}
    local function callable(call)
      return setmetatable({id = "callable"}, {__call = call})
    end
    local function value(name, close)
      return setmetatable({name = name}, {__close = close})
    end
    local c = co.create(function()
      local _a <close> = value("a", callable(function(self, v, e)
        wait()
        trace[#trace + 1] = {self.id, v.name, e}
      end))
      local _b <close> = value("b", callable(function(...)
        local n, self, v, e = select("#", ...), ...
        wait()
        trace[#trace + 1] = {n, self.id, v.name, e}
      end))
      error("boom", 0)
    end)
    return table.pack(co.resume(c)), table.pack(co.close(c)), trace
  end},
  {"C functions as metamethods", function(co, wait)
    local file = assert(io.open("/dev/null"))
    local after
    local c = co.create(function()
      local _a <close> = setmetatable({}, {__close = wait})
      local _b <close> = file
      local _c <close> = setmetatable({}, {
        __close = function() after = io.type(file) end,
      })
      co.yield()
    end)
    co.resume(c)
    local got = table.pack(co.close(c))
    return got, after, io.type(file)
  end},
  {"errors that replace each other", function(co, wait)
    local trace = {}
    local function closing(name, err)
      return setmetatable({}, {__close = function(_, e)
        wait()
        trace[#trace + 1] = name .. " saw " .. tostring(e)
        if err ~= nil then error(err, 0) end
      end})
    end
    local function body(last)
      return function()
        local _a <close> = closing("a")
        local _b <close> = closing("b", "from b")
        local _c <close> = closing("c")
        local _d <close> = closing("d", "from d")
        local _e <close> = closing("e")
        last()
      end
    end
    local closed = co.create(body(co.yield))
    co.resume(closed)
    local one = table.pack(co.close(closed))
    local failed = co.create(body(function() error("boom", 0) end))
    local two = table.pack(co.resume(failed))
    local three = table.pack(co.close(failed))
    local four = table.pack(pcall(co.wrap(body(function()
      error("wrapped", 0)
    end))))
    return one, two, three, four, trace
  end},
  {"variables of many frames, protected calls and loops", function(co, wait)
    local trace = {}
    local function closing(name)
      return setmetatable({}, {__close = function()
        wait()
        trace[#trace + 1] = name
      end})
    end
    local function inner()
      local _a <close> = closing("inner")
      for _ in next, {1, 2}, nil, closing("loop") do
        local _b <close> = closing("in loop")
        co.yield()
      end
    end
    local c = co.create(function()
      local _a <close> = closing("body")
      pcall(function()
        local _b <close> = closing("in pcall")
        inner()
        trace[#trace + 1] = "not reached"
      end)
      trace[#trace + 1] = "not reached"
    end)
    co.resume(c)
    return table.pack(co.close(c)), trace, co.status(c)
  end},
  {"closers see the values of other variables", function(co, wait)
    local seen = {}
    local c = co.create(function()
      local x = "before"
      local _a <close> = setmetatable({}, {__close = function()
        wait()
        seen[#seen + 1] = x
        x = "changed"
      end})
      local y <close> = setmetatable({}, {__close = function()
        seen[#seen + 1] = x
        x = "between"
      end})
      x = type(y)
      co.yield(function() return x end)
    end)
    local _, get = co.resume(c)
    co.close(c)
    return seen, get()
  end},
  {"a metamethod that went away", function(co)
    local mt = {__close = function() end}
    local c = co.create(function()
      local _a <close> = setmetatable({}, mt)
      co.yield()
    end)
    co.resume(c)
    mt.__close = nil
    local ok, message = co.close(c)
    return ok, (message:gsub("%s*%(.*", ""))
  end},
  {"a yield in a closer is an error", function(co, wait)
    local trace = {}
    local c = co.create(function()
      local _a <close> = setmetatable({}, {__close = function(_, e)
        wait()
        trace[#trace + 1] = e
      end})
      local _b <close> = setmetatable({}, {__close = function()
        co.yield("no")
        trace[#trace + 1] = "not reached"
      end})
      co.yield()
    end)
    co.resume(c)
    local ok, message = co.close(c)
    trace[1] = trace[1] == message
    return ok, (message:gsub("^%S+: ", "")), trace, co.status(c)
  end},
  {"coroutines inside of closers", function(co, wait)
    local trace = {}
    local c = co.create(function()
      local _a <close> = setmetatable({}, {__close = function()
        for i in co.wrap(function()
          for i = 1, 3 do
            wait()
            co.yield(i)
          end
        end) do
          trace[#trace + 1] = i
        end
      end})
      co.yield()
    end)
    co.resume(c)
    return co.close(c), trace
  end},
  {"who runs", function(co, wait)
    local seen
    local c
    c = co.create(function()
      local _a <close> = setmetatable({}, {__close = function()
        wait()
        seen = {co.running() == c, co.status(c)}
      end})
      co.yield()
    end)
    co.resume(c)
    return co.close(c), seen, co.status(c)
  end},
  {"closing, and closing again", function(co, wait)
    local count = 0
    local c = co.create(function()
      local _a <close> = setmetatable({}, {__close = function()
        wait()
        count = count + 1
        error("once", 0)
      end})
      co.yield()
    end)
    co.resume(c)
    return table.pack(co.close(c)), table.pack(co.close(c)),
      table.pack(co.resume(c)), count, co.status(c)
  end},
  {"three hundred of them", function(co, wait)
    local count = 0
    local function open(n)
      local _a <close> = setmetatable({}, {__close = function()
        if n % 50 == 0 then wait() end
        count = count + 1
      end})
      if n == 1 then co.yield() else open(n - 1) end
      return n
    end
    local c = co.create(open)
    co.resume(c, 300)
    return co.close(c), count
  end},
}

for _, case in ipairs(cases) do
  local name, program = case[1], case[2]
  local function outcome(library, wait)
    return table.pack(program(library, wait))
  end

  describe("closing a coroutine: " .. name, function()
    it("outside a task", function()
      local nothing = function() end
      assert.same(outcome(stock, nothing), outcome(trio.coroutine, nothing))
    end)

    for kind, wait in pairs({
      ["without a wait"] = function() end,
      ["with waits"] = function() trio.sleep(1) end,
    }) do
      H.trio_it("in a task, " .. kind, function()
        assert.same(outcome(stock, function() end),
          outcome(trio.coroutine, wait))
      end)

      H.trio_it("in a coroutine in a task, " .. kind, function()
        local got = trio.coroutine.wrap(outcome)(trio.coroutine, wait)
        assert.same(outcome(stock, function() end), got)
      end)
    end
  end)
end

describe("closing a coroutine", function()
  local co = trio.coroutine

  H.trio_it("in a cancelled scope gives its closers Cancelled", function()
    local c = co.create(function()
      local _a <close> = setmetatable({}, {__close = function()
        trio.sleep(1)
      end})
      co.yield()
    end)
    co.resume(c)
    local scope = trio.CancelScope()
    scope:run(function()
      scope:cancel()
      local ok, err = co.close(c)
      assert.is_false(ok)
      assert.is_true(H.is_cancelled(err))
      trio.lowlevel.checkpoint()
      error("not reached")
    end)
    assert.is_true(scope.cancelled_caught)
  end)

  H.trio_it("is interrupted by a cancellation, and closed afterwards",
    function()
      local trace, log = H.trace()
      local c = co.create(function()
        local _a <close> = setmetatable({}, {__close = function(_, e)
          log(H.is_cancelled(e))
        end})
        local _b <close> = setmetatable({}, {__close = function()
          trio.sleep_forever()
        end})
        co.yield()
      end)
      co.resume(c)
      trio.move_on_after(2, function()
        local ok, err = co.close(c)
        assert.is_false(ok)
        assert.is_true(H.is_cancelled(err))
      end)
      assert.same({true}, trace)
      assert.equal("dead", co.status(c))
      assert.equal(2, now())
    end)

  H.trio_it("keeps a hook that was set on it", function()
    local calls = 0
    local c = co.create(function() co.yield() end)
    co.resume(c)
    local function hook() calls = calls + 1 end
    debug.sethook(c, hook, "c")
    assert.is_true(co.close(c))
    local got, mask = debug.gethook(c)
    assert.equal(hook, got)
    assert.equal("c", mask)
  end)

  H.trio_it("in two tasks at the same time keeps them apart", function()
    local trace, log = H.trace()
    trio.open_nursery(function(nursery)
      for i = 1, 3 do
        nursery:start_soon(function()
          local c = co.create(function()
            local _a <close> = setmetatable({}, {__close = function()
              trio.sleep(i)
              log(i * 10)
            end})
            local _b <close> = setmetatable({}, {__close = function()
              trio.sleep(4 - i)
              log(i)
            end})
            co.yield()
          end)
          co.resume(c)
          assert.is_true(co.close(c))
        end)
      end
    end)
    assert.equal(6, #trace)
    assert.same({3, 2, 1}, {table.unpack(trace, 1, 3)})
    assert.equal(4, now())
  end)

  H.trio_it("where Lua can't suspend still closes, and says so", function()
    local c = co.create(function()
      local _a <close> = setmetatable({}, {__close = function()
        trio.sleep(1)
      end})
      co.yield()
    end)
    co.resume(c)
    local ok, message
    table.sort({2, 1}, function(a, b)
      if ok == nil then ok, message = co.close(c) end
      return a < b
    end)
    assert.is_false(ok)
    assert.matches("sleep can't wait here", message)
    assert.equal("dead", co.status(c))
  end)
end)
