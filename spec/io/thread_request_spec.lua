-- SPDX-License-Identifier: MIT
-- trio.from_thread, tokens in other threads, and start_thread_soon.

local trio = require "trio"
local H = require "spec.support.helper"
local trio_it, raises, raises_class = H.trio_it, H.raises, H.raises_class

local run_sync = trio.to_thread.run_sync
local current_task = trio.lowlevel.current_task
local current_token = trio.lowlevel.current_trio_token

-- Functions that workers send home find the main state's things in _G.
after_each(function() _G.box = nil end)

describe("trio.from_thread", function()
  trio_it("THR-09 calls in the task that waits for the thread", function()
    local me = current_task()
    _G.box = {}
    local a, b = run_sync(function()
      local from = trio.from_thread
      from.run_sync(function() _G.box[1] = trio.lowlevel.current_task() end)
      return from.run(function(x)
        _G.box[2] = trio.lowlevel.current_task()
        trio.sleep(0)
        return x, nil
      end, "x")
    end)
    assert.equal("x", a)
    assert.is_nil(b)
    assert.equal(me, _G.box[1])
    assert.equal(me, _G.box[2])
  end)

  trio_it("THR-09 calls in a system task with a token, or when the thread may"
    .. " be abandoned", function()
      local me, token = current_task(), current_token()
      _G.box = {}
      local function note()
        table.insert(_G.box, trio.lowlevel.current_task())
      end
      run_sync({abandon_on_cancel = true}, function()
        trio.from_thread.run_sync(note)
        trio.from_thread.run(note)
      end)
      run_sync(function()
        trio.from_thread.run_sync({trio_token = token}, note)
        trio.from_thread.run({trio_token = token}, note)
      end)
      assert.equal(4, #_G.box)
      for _, task in ipairs(_G.box) do assert.are_not.equal(me, task) end
    end)

  trio_it("brings errors back into the thread", function()
    local ok, class, field, text = run_sync(function()
      local ok, err = pcall(trio.from_thread.run_sync, function()
        error(trio.Error("text", {field = 1}))
      end)
      local text_ok, text = pcall(trio.from_thread.run, error, "plain", 0)
      return ok or text_ok, trio.isinstance(err, trio.Error), err.field, text
    end)
    assert.is_false(ok)
    assert.is_true(class)
    assert.equal(1, field)
    assert.equal("plain", text)
    local err = raises_class(trio.WouldBlock, run_sync, function()
      trio.from_thread.run(function() error(trio.WouldBlock("out")) end)
    end)
    assert.equal("out", err.message)
  end)

  trio_it("names what can't be sent either way", function()
    local here, back = run_sync(function()
      local file = io.stdout
      return select(2, pcall(trio.from_thread.run, function()
        return file
      end)), select(2, pcall(trio.from_thread.run, function()
        return io.stdout
      end))
    end)
    assert.equal("upvalue 'file' of the function: userdata can't be sent to a"
      .. " thread (FILE*)", here)
    assert.equal("result 1: userdata can't be sent to a thread (FILE*)", back)
  end)

  trio_it("THR-10 run_sync goes on working in a cancelled task", function()
    _G.box = trio.CancelScope()
    local got
    _G.box:run(function()
      got = run_sync(function()
        trio.from_thread.run_sync(function() _G.box:cancel() end)
        return trio.from_thread.run_sync(function() return "fine" end)
      end)
    end)
    assert.equal("fine", got)
    assert.is_false(_G.box.cancelled_caught)
  end)

  trio_it("THR-11 run raises Cancelled in the thread, which may let it out",
    function()
      _G.box = trio.CancelScope()
      _G.box:run(function()
        run_sync(function()
          trio.from_thread.run_sync(function() _G.box:cancel() end)
          trio.from_thread.run(trio.sleep, 5)
        end)
        error("not reached")
      end)
      assert.is_true(_G.box.cancelled_caught)
    end)

  trio_it("THR-11 or keep it, and the task returns normally", function()
    _G.box = trio.CancelScope()
    local got, source, reason
    _G.box:run(function()
      got, source, reason = run_sync(function()
        trio.from_thread.run_sync(function() _G.box:cancel("why") end)
        local _, err = pcall(trio.from_thread.run, trio.sleep, 5)
        return trio.isinstance(err, trio.Cancelled), err.source, err.reason
      end)
    end)
    assert.is_true(got)
    assert.equal("explicit", source)
    assert.equal("why", reason)
    assert.is_false(_G.box.cancelled_caught)
  end)

  trio_it("THR-12 check_cancelled is silent until the task is cancelled",
    function()
      _G.box = trio.CancelScope()
      local source, reason
      _G.box:run(function()
        source, reason = run_sync(function()
          trio.from_thread.check_cancelled()
          trio.from_thread.run_sync(function() _G.box:cancel("the reason") end)
          while true do
            local ok, err = pcall(trio.from_thread.check_cancelled)
            if not ok then
              local again = select(2, pcall(trio.from_thread.check_cancelled))
              assert(trio.isinstance(again, trio.Cancelled))
              return err.source, err.reason
            end
          end
        end)
      end)
      assert.equal("explicit", source)
      assert.equal("the reason", reason)
    end)

  trio_it("THR-12 check_cancelled stays so under a shield that comes later",
    function()
      _G.box = trio.CancelScope()
      _G.box:run(function()
        assert.is_false(run_sync(function()
          trio.from_thread.run_sync(function() _G.box:cancel() end)
          while pcall(trio.from_thread.check_cancelled) do end
          trio.from_thread.run_sync(function() _G.box.shield = true end)
          return (pcall(trio.from_thread.check_cancelled))
        end))
      end)
    end)

  trio_it("THR-12 check_cancelled tells an abandoned thread", function()
    local token = current_token()
    _G.box = {event = trio.Event()}
    trio.move_on_after(0.001, function()
      run_sync({abandon_on_cancel = true}, function()
        while pcall(trio.from_thread.check_cancelled) do end
        local _, err = pcall(trio.from_thread.check_cancelled)
        trio.from_thread.run_sync({trio_token = token}, function(source)
          _G.box.source = source
          _G.box.event:set()
        end, err.source)
      end)
    end)
    _G.box.event:wait()
    assert.equal("deadline", _G.box.source)
  end, {real_clock = true})

  trio_it("THR-13 refuses the thread of the run, and tokens that are none",
    function()
      local token = current_token()
      for _, name in ipairs {"run", "run_sync"} do
        local call = trio.from_thread[name]
        raises("wasn't created by trio.to_thread", call, print)
        raises("call it from a worker thread", call, {trio_token = token},
          print)
        raises("option 'trio_token' must be a TrioToken, got string", call,
          {trio_token = "x"}, print)
        raises("unknown option 'token'", call, {token = token}, print)
        raises("bad argument #1 to '" .. name, call)
      end
      raises("wasn't created by trio.to_thread",
        trio.from_thread.check_cancelled)
      -- In a run inside of a worker.
      raises("call it from a worker thread", run_sync, function()
        trio.run(function() trio.from_thread.run_sync(print) end)
      end)
    end)

  trio_it("THR-13 refuses a foreign thread without a token", function()
    local token = current_token()
    _G.box = {event = trio.Event()}
    trio.lowlevel.start_thread_soon(function()
      local _, first = pcall(trio.from_thread.run_sync, print)
      local _, second = pcall(trio.from_thread.check_cancelled)
      return first, second, trio.from_thread.run({trio_token = token},
        function() return "with token" end)
    end, function(...)
      _G.box.results = table.pack(...)
      _G.box.event:set()
    end)
    _G.box.event:wait()
    local results = _G.box.results
    assert.is_true(results[1])
    assert.truthy(results[2]:find("wasn't created by trio.to_thread", 1, true))
    assert.truthy(results[3]:find("wasn't created by trio.to_thread", 1, true))
    assert.equal("with token", results[4])
  end)

  it("THR-14 raises RunFinishedError once the run is over", function()
    local old
    H.run(function() old = current_token() end)
    H.run(function()
      local run, sync, soon = run_sync(function()
        local function class_of(f, ...)
          local _, err = pcall(f, ...)
          return trio.isinstance(err, trio.RunFinishedError)
        end
        return class_of(trio.from_thread.run, {trio_token = old}, print),
          class_of(trio.from_thread.run_sync, {trio_token = old}, print),
          class_of(function() old:run_sync_soon(print) end)
      end)
      assert.is_true(run and sync and soon)
    end)
  end)

  it("THR-14 during shutdown waits for the host task only", function()
    _G.box = {}
    H.run(function()
      local token = current_token()
      trio.lowlevel.spawn_system_task(function()
        local ok, err = pcall(trio.sleep_forever)
        assert(not ok and trio.isinstance(err, trio.Cancelled))
        trio.CancelScope({shield = true}):run(function()
          _G.box.with_token, _G.box.without = run_sync(function()
            local _, e = pcall(trio.from_thread.run, {trio_token = token},
              trio.sleep, 1)
            return trio.isinstance(e, trio.Cancelled),
              trio.from_thread.run(function()
                trio.sleep(0)
                return "reached"
              end)
          end)
        end)
      end)
      trio.lowlevel.checkpoint()
    end)
    assert.equal("reached", _G.box.without)
    assert.is_true(_G.box.with_token)
  end)

  it("THR-15 raises Cancelled where main ends first", function()
    _G.box = {}
    H.run(function()
      local token = current_token()
      _G.box.started = trio.Event()
      trio.lowlevel.start_thread_soon(function()
        local _, err = pcall(trio.from_thread.run, {trio_token = token},
          function()
            _G.box.started:set()
            trio.sleep_forever()
          end)
        trio.from_thread.run_sync({trio_token = token}, function(ok)
          _G.box.cancelled = ok
        end, trio.isinstance(err, trio.Cancelled))
      end, function() end)
      _G.box.started:wait()
      -- Keep the run alive until the thread has told.
      trio.lowlevel.spawn_system_task(function()
        trio.CancelScope({shield = true}):run(function()
          while _G.box.cancelled == nil do trio.sleep(0.001) end
        end)
      end)
      trio.lowlevel.checkpoint()
    end, {real_clock = true})
    assert.is_true(_G.box.cancelled)
  end)

  trio_it("THR-16 run takes a function that does not wait, run_sync refuses"
    .. " one that does", function()
      assert.equal(3, run_sync(function()
        return trio.from_thread.run(math.max, 1, 3)
      end))
      raises("trio.sleep", run_sync, function()
        trio.from_thread.run_sync(trio.sleep, 1)
      end)
    end)

  trio_it("THR-17 may go on into another thread", function()
    local outer, inner = run_sync(function()
      local function id() return io.open("/proc/thread-self/stat"):read("n") end
      return id(), trio.from_thread.run(trio.to_thread.run_sync, id)
    end)
    assert.are_not.equal(outer, inner)
  end)

  trio_it("THR-18 many tasks may re-enter from threads", function()
    local total = 0
    trio.open_nursery(function(nursery)
      for _ = 1, 4 do
        nursery:start_soon(function()
          for _ = 1, 40 do
            local one = run_sync(function()
              return trio.from_thread.run(function()
                return trio.to_thread.run_sync(function()
                  return trio.from_thread.run_sync(function() return 1 end)
                end)
              end)
            end)
            total = total + one
          end
        end)
      end
    end)
    assert.equal(160, total)
  end)

  trio_it("THR-22 shows the task's variables, and keeps changes from it",
    function()
      local var = trio.ContextVar("v")
      var:set("host")
      _G.box = var
      local seen, after = run_sync(function()
        return trio.from_thread.run_sync(function()
          local seen = _G.box:get()
          _G.box:set("changed")
          return seen
        end), trio.from_thread.run(function() return _G.box:get() end)
      end)
      assert.equal("host", seen)
      assert.equal("host", after)
      assert.equal("host", var:get())
    end)
end)

describe("trio.lowlevel.start_thread_soon", function()
  local function start(fn, name)
    local event, outcome = trio.Event(), nil
    trio.lowlevel.start_thread_soon(fn, function(...)
      outcome = table.pack(...)
      event:set()
    end, name)
    event:wait()
    return table.unpack(outcome, 1, outcome.n)
  end

  trio_it("THR-19 delivers what the function returns or raises", function()
    assert.same({true, 1, nil, 3, n = 4}, table.pack(start(function()
      return 1, nil, 3
    end)))
    assert.same({false, "no", n = 2}, table.pack(start(function()
      error("no", 0)
    end)))
    local _, name = start(function()
      return io.open("/proc/thread-self/comm"):read("l")
    end, "named")
    assert.equal("named", name)
  end)

  trio_it("THR-19 uses the thread again, also from deliver", function()
    local function id() return io.open("/proc/thread-self/stat"):read("n") end
    local _, first = start(id)
    local second
    local event = trio.Event()
    trio.lowlevel.start_thread_soon(id, function()
      trio.lowlevel.start_thread_soon(id, function(_, value)
        second = value
        event:set()
      end)
    end)
    event:wait()
    assert.equal(first, second)
  end)

  trio_it("THR-19 reports an error of deliver and goes on", function()
    local event = trio.Event()
    trio.lowlevel.start_thread_soon(function() end, function()
      event:set()
      error("in deliver")
    end)
    event:wait()
    assert.same({true, 1}, {start(function() return 1 end)})
  end)

  trio_it("checks its arguments", function()
    local start_soon = trio.lowlevel.start_thread_soon
    raises("bad argument #1 to 'start_thread_soon'", start_soon)
    raises("bad argument #2 to 'start_thread_soon'", start_soon, print)
    raises("bad argument #3 to 'start_thread_soon'", start_soon, print, print,
      1)
  end)

  it("needs a run", function()
    raises("must be called from inside trio.run",
      trio.lowlevel.start_thread_soon, print, print)
  end)
end)

describe("a token in another thread", function()
  trio_it("SYS-09 queues calls, in order", function()
    local token = current_token()
    _G.box = {}
    run_sync(function()
      for i = 1, 1000 do
        token:run_sync_soon(function(n) table.insert(_G.box, n) end, i)
      end
    end)
    while #_G.box < 1000 do trio.lowlevel.checkpoint() end
    for i = 1, 1000 do assert.equal(i, _G.box[i]) end
  end)

  it("SYS-09 may be hammered until the run has finished", function()
    _G.box = 0
    for _ = 1, 5 do
      local accepted
      local token_of_keeper
      H.run(function()
        local token = current_token()
        token_of_keeper = token
        trio.lowlevel.start_thread_soon(function()
          local count = 0
          while true do
            local ok, err = pcall(token.run_sync_soon, token, function()
              _G.box = _G.box + 1
            end)
            if not ok then
              return trio.isinstance(err, trio.RunFinishedError), count
            end
            count = count + 1
            -- Or a slow run would have to work off calls without end.
            if count % 100 == 0 then trio.run(trio.sleep, 0.001) end
          end
        end, function() accepted = "the run was over" end)
        while _G.box < 100 do trio.sleep(0.001) end
      end, {real_clock = true})
      assert.is_true(_G.box >= 100)
      assert.is_nil(accepted)
      raises_class(trio.RunFinishedError, token_of_keeper.run_sync_soon,
        token_of_keeper, print)
      _G.box = 0
    end
  end)

  trio_it("does not queue the same idempotent call twice", function()
    local token = current_token()
    _G.box = {same = 0, other = 0}
    trio.CancelScope({shield = true}):run(function()
      run_sync(function()
        local opts = {idempotent = true}
        trio.from_thread.run_sync(function(t)
          -- The run's thread is busy here, so all of these wait together.
          return t
        end, token)
        local function same(n) _G.box.same = _G.box.same + n end
        for _ = 1, 50 do token:run_sync_soon(opts, same, 1) end
        token:run_sync_soon(function() _G.box.last = true end)
      end)
    end)
    while not _G.box.last do trio.lowlevel.checkpoint() end
    assert.is_true(_G.box.same >= 1 and _G.box.same <= 50)
  end)

  it("RUN-22 two threads run trio at the same time", function()
    local results = trio.run(function()
      local results = {}
      trio.open_nursery(function(nursery)
        for i = 1, 2 do
          nursery:start_soon(function()
            results[i] = run_sync(function(n)
              return trio.run(function()
                local sum = 0
                local send, receive = trio.open_memory_channel(0)
                trio.open_nursery(function(inner)
                  inner:start_soon(function()
                    for k = 1, 500 do send:send(k * n) end
                    send:close()
                  end)
                  for value in receive do sum = sum + value end
                end)
                return sum
              end)
            end, i)
          end)
        end
      end)
      return results
    end)
    assert.same({125250, 250500}, results)
  end)
end)
