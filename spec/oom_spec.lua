-- SPDX-License-Identifier: MIT
-- The allocation-failure sweep (`make oom`): every scenario runs with a budget
-- of 0, 1, 2... allocations, once for those of Lua and once for our own, until
-- it succeeds. Each failure must be a clean "not enough memory", and leave the
-- runtime as it was. Needs the build with TRIO_TEST.
local trio = require "trio"
local C = require "spec.support.certificates"
local with_budget = trio.testing._with_budget
local lowlevel = trio.lowlevel

local scenarios = {
  {"an empty run", function() end},
  {"checkpoints and sleeps", function()
    lowlevel.checkpoint()
    trio.sleep(0.001)
    trio.sleep_until(trio.current_time() - 1)
  end},
  {"scopes", function()
    trio.move_on_after(0.001, function() trio.sleep(5) end)
    trio.CancelScope{deadline = math.huge}:run(function(scope)
      scope:cancel("reason")
      trio.CancelScope{shield = true}:run(lowlevel.checkpoint)
    end)
  end},
  {"too slow", function()
    local ok, err = pcall(trio.fail_after, 0.001, trio.sleep_forever)
    if not ok and not trio.isinstance(err, trio.TooSlowError) then
      error(err, 0)
    end
  end},
  {"children", function()
    trio.open_nursery(function(nursery)
      for _ = 1, 5 do
        nursery:start_soon(function() lowlevel.checkpoint() end)
      end
      nursery:start_soon({name = "named"}, trio.sleep, 0.001)
    end)
  end},
  {"failing children", function()
    local ok, err = pcall(trio.open_nursery, function(nursery)
      nursery:start_soon(trio.sleep_forever)
      nursery:start_soon(error, "planned")
      nursery:start_soon(function() trio.sleep(0.001) error({}) end)
      trio.sleep_forever()
    end)
    assert(not ok)
    if not tostring(err):find("planned", 1, true) then error(err, 0) end
  end},
  {"start", function()
    trio.open_nursery(function(nursery)
      local value = nursery:start(function(status, x)
        status:started(x)
        lowlevel.checkpoint()
      end, 7)
      assert(value == 7)
    end)
  end},
  {"coroutines", function()
    for _ in trio.coroutine.wrap(function()
      for i = 1, 3 do
        lowlevel.checkpoint()
        trio.coroutine.yield(i)
      end
    end) do lowlevel.checkpoint() end
  end},
  {"variables and tokens", function()
    local var = trio.ContextVar("v", 1)
    var:set(2)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() var:set(3) end)
    end)
    lowlevel.RunVar("r"):set(1)
    lowlevel.current_trio_token():run_sync_soon(function() end)
    lowlevel.checkpoint()
  end},
  {"signals", function()
    trio.open_signal_receiver({"SIGUSR1", "SIGCHLD"}, function(signals)
      trio.move_on_after(0.001, function() signals() end)
    end)
    lowlevel.enable_ki_protection(lowlevel.checkpoint)()
  end},
  {"primitives", function()
    local event, lock = trio.Event(), trio.Lock()
    local limiter, semaphore = trio.CapacityLimiter(1), trio.Semaphore(1)
    local condition = trio.Condition(trio.Lock())
    trio.open_nursery(function(nursery)
      nursery:start_soon(event.wait, event)
      for _ = 1, 2 do
        nursery:start_soon(lock.with, lock, lowlevel.checkpoint)
        nursery:start_soon(limiter.with, limiter, lowlevel.checkpoint)
        nursery:start_soon(semaphore.with, semaphore, lowlevel.checkpoint)
      end
      nursery:start_soon(function()
        condition:with(function() condition:wait() end)
      end)
      lowlevel.checkpoint()
      lowlevel.checkpoint()
      condition:with(function() condition:notify_all() end)
      event:set()
    end)
  end},
  {"channels", function()
    local send, receive = trio.open_memory_channel(2)
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for i = 1, 20 do send:send(i) end
        send:close()
      end)
      nursery:start_soon(function()
        local sum = 0
        for v in receive do sum = sum + v end
        assert(sum == 210)
      end)
    end)
  end},
  {"files and paths", function()
    local name = os.tmpname()
    local _ <close> = setmetatable({}, {__close = function()
      os.remove(name)
    end})
    local file <close> = trio.open_file(name, "w+")
    file:write("one\n", 2, "\n"):seek("set")
    for line in file:lines() do assert(line == "one" or line == "2") end
    file:seek("set")
    assert(file:read("L", "n", "a") == "one\n")
    file:aclose()
    local path = trio.Path(name)
    assert(path:stat().size == 6)
    assert(path:read_text() == "one\n2\n")
    assert(#trio.Path("lua/trio"):glob("*.lua") > 0)
  end},
  {"threads", function()
    local sum = trio.to_thread.run_sync(function(t)
      return t[1] + trio.from_thread.run_sync(function() return 1 end)
    end, {2})
    assert(sum == 3)
    local ok, err = pcall(trio.to_thread.run_sync, error, "planned")
    if not ok and err ~= "planned" then error(err, 0) end
  end},
  {"calls out of threads", function()
    local sum = trio.to_thread.run_sync(function(token)
      local function one()
        trio.lowlevel.checkpoint()
        return 1
      end
      return trio.from_thread.run(one) +
        trio.from_thread.run({trio_token = token}, one)
    end, lowlevel.current_trio_token())
    assert(sum == 2)
  end},
  {"processes", function()
    local result = trio.run_process({"cat"}, {input = "x",
      capture_stdout = true})
    assert(result.stdout == "x")
    assert(lowlevel.open_process({"true"}):wait() == 0)
  end},
  {"sockets", function()
    local listeners = trio.open_tcp_listeners(0, {host = "127.0.0.1"})
    local address = listeners[1].socket:getsockname()
    trio.open_nursery(function(nursery)
      nursery:start_soon(trio.serve_listeners, function(stream)
        for chunk in stream do stream:send_all(chunk) end
      end, listeners)
      local stream <close> = trio.open_tcp_stream(address[1], address[2])
      stream:send_all("echo")
      assert(stream:receive_some() == "echo")
      stream:send_eof()
      assert(stream:receive_some() == nil)
      nursery.cancel_scope:cancel()
    end)
  end},
  {"TLS", function()
    local context = C.client_context()
    local server_context = C.server_context()
    context:set_alpn_protocols({"x", "y"})
    server_context:set_alpn_protocols({"y"})
    server_context.sni_callback = function(stream, name)
      stream.context = name == C.host and server_context
    end
    local a, b = trio.testing.memory_stream_pair()
    local client, server = C.wrap(a, b,
      {client = context, server = server_context})
    trio.open_nursery(function(nursery)
      nursery:start_soon(function()
        for chunk in server do server:send_all(chunk) end
        server:aclose()
      end)
      client:send_all(("x"):rep(100000))
      local missing = 100000
      while missing > 0 do missing = missing - #client:receive_some() end
      assert(client:getpeercert().subject.commonName == C.host)
      assert(client:getpeercert{binary = true})
      assert(client:selected_alpn_protocol() == "y")
      assert(client:cipher() and client.session and client:version())
      client:aclose()
    end)
  end},
  {"datagrams and names", function()
    local _ <close> = trio.socket.socketpair()
    local udp <close> = trio.socket.socket(trio.socket.AF_INET,
      trio.socket.SOCK_DGRAM)
    udp:bind({"127.0.0.1", 0})
    udp:sendto("x", udp:getsockname())
    assert(udp:recvfrom(10) == "x")
    assert(#trio.socket.getaddrinfo("127.0.0.1", 80) > 0)
  end},
  {"refused TLS", function()
    local a, b = trio.testing.memory_stream_pair()
    local client, server = C.wrap(a, b,
      {client_opts = {server_hostname = "x.example.org"}})
    trio.open_nursery(function(nursery)
      for _, stream in ipairs {client, server} do
        nursery:start_soon(function()
          local ok, err = trio.pcall(stream.do_handshake, stream)
          assert(not ok)
          if not trio.isinstance(err, trio.BrokenResourceError)
            or not trio.isinstance(err.cause, trio.SSLError) then
            error(err, 0)
          end
          stream:aclose()
        end)
      end
    end)
  end},
  {"closing a coroutine in a body", function()
    local co = trio.coroutine.create(function()
      trio.open_nursery(function(nursery)
        nursery:start_soon(trio.sleep_forever)
        local _ <close> = trio.defer(lowlevel.checkpoint)
        trio.coroutine.yield()
      end)
    end)
    local ok, err = trio.coroutine.resume(co)
    if not ok then error(err, 0) end
    ok, err = trio.coroutine.close(co)
    if not ok then error(err, 0) end
  end},
  {"instruments and statistics", function()
    local seen = 0
    local instrument = {task_scheduled = function() seen = seen + 1 end}
    lowlevel.add_instrument(instrument)
    lowlevel.checkpoint()
    lowlevel.current_statistics()
    lowlevel.task_tree()
    lowlevel.remove_instrument(instrument)
  end},
}

-- Does the error say, anywhere in it, that memory ran out?
local function is_memory_error(err, depth)
  depth = depth or 0
  if depth > 20 then return false end
  if type(err) == "string" then
    return err:find("memory", 1, true) ~= nil or
      err:find("error in error handling", 1, true) ~= nil
  end
  if type(err) ~= "table" then return false end
  if trio.isinstance(err, trio.ExceptionGroup) then
    for leaf in err:leaves() do
      if is_memory_error(leaf, depth + 1) then return true end
    end
  end
  return is_memory_error(rawget(err, "cause"), depth + 1) or
    is_memory_error(rawget(err, "message"), depth + 1)
end

local function counters()
  collectgarbage() collectgarbage()
  return trio.testing._counters()
end

-- What is left after a run once the processes that it could not wait for have
-- ended: these die with their pipes.
local function leftovers(before)
  local deadline = os.time() + 10
  local after = counters()
  while after.blocks ~= before.blocks and os.time() < deadline do
    trio.run(trio.sleep, 0.01)
    after = counters()
  end
  return after
end

local function sweep(kind, fn)
  trio.run(fn) -- makes what is made once
  local before = counters()
  for budget = 0, 20000 do
    local ok, err = with_budget(kind, budget, trio.run, fn)
    if not ok and not is_memory_error(err) then
      error(("budget %d: %s"):format(budget, tostring(err)))
    end
    err = nil -- luacheck: ignore
    if budget % 10 == 0 or ok then
      assert.same(before, leftovers(before), "after budget " .. budget)
      assert.equal("fine", trio.run(function() return "fine" end))
    end
    if ok then return budget end
  end
  error("no budget was enough")
end

describe("when memory runs out in", function()
  for _, scenario in ipairs(scenarios) do
    for _, kind in ipairs {"lua", "c"} do
      it(scenario[1] .. ", allocations of " .. kind, function()
        assert.is_true(sweep(kind, scenario[2]) > 0)
      end)
    end
  end
end)
