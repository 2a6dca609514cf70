-- SPDX-License-Identifier: MIT
-- serve_listeners, with listeners that are made up.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local cli = require "spec.support.cli"
local trio = require "trio"
local serve_listeners = trio.serve_listeners
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked

-- A listener whose connections are pairs of memory streams.
local MemoryListener = {}
MemoryListener.__index = MemoryListener

local function memory_listener()
  local send, receive = trio.open_memory_channel(1)
  return setmetatable({send = send, receive = receive, accepted = 0},
    MemoryListener)
end

function MemoryListener:connect()
  assert(not self.closed)
  local client, server = trio.testing.memory_stream_pair()
  self.send:send(server)
  return client
end

function MemoryListener:accept()
  trio.lowlevel.checkpoint()
  assert(not self.closed)
  if self.hook then self.hook() end
  local stream = self.receive:receive()
  self.accepted = self.accepted + 1
  return stream
end

function MemoryListener:aclose()
  self.closed = true
  trio.lowlevel.checkpoint()
end

-- What the program's `warn` gets while fn runs.
local function warnings_of(fn)
  local texts, original = {}, warn
  _G.warn = function(...) texts[#texts + 1] = table.concat({...}) end
  local guard <close> = setmetatable({}, {  -- luacheck: ignore
    __close = function() _G.warn = original end,
  })
  fn()
  return texts
end

describe("serve_listeners", function()
  H.trio_it("LISTEN-09 closes by force what a handler leaves open", function()
    local listeners = {memory_listener(), memory_listener()}
    local closed = 0

    local function on_close()
      assert.equal(-math.huge, trio.current_effective_deadline())
      closed = closed + 1
    end

    local function handler(stream)
      stream:send_all("123")
      assert.equal("456", stream:receive_some(10))
      stream.send_stream.close_hook = on_close
      stream.receive_stream.close_hook = on_close
    end

    local function client(listener)
      local stream = listener:connect()
      assert.equal("123", stream:receive_some(10))
      stream:send_all("456")
    end

    trio.open_nursery(function(nursery)
      local given = nursery:start(serve_listeners, handler, listeners)
      assert.equal(listeners, given)
      trio.open_nursery(function(clients)
        for _, listener in ipairs(listeners) do
          for _ = 1, 3 do clients:start_soon(client, listener) end
        end
      end)
      wait_all_tasks_blocked()
      assert.equal(12, closed)  -- six streams, both directions
      nursery.cancel_scope:cancel()
    end)
    for _, listener in ipairs(listeners) do
      assert.is_true(listener.closed)
      assert.equal(3, listener.accepted)
    end
  end)

  H.trio_it("LISTEN-09 closes it, too, when the handler fails", function()
    local listener, V = memory_listener(), trio.Error("V")
    local closed = false
    local err = H.raises_class(trio.ExceptionGroup, function()
      trio.open_nursery(function(nursery)
        nursery:start(serve_listeners, function(stream)
          stream.send_stream.close_hook = function() closed = true end
          error(V, 0)
        end, {listener})
        listener:connect()
      end)
    end)
    H.group_of(err.exceptions[1], V)
    assert.is_true(closed)
    assert.is_true(listener.closed)
  end)

  H.trio_it("LISTEN-10 closes its listeners when it is cancelled", function()
    local listener = memory_listener()
    trio.open_nursery(function(nursery)
      nursery:start(serve_listeners, function() end, {listener})
      wait_all_tasks_blocked()
      assert.is_nil(listener.closed)
      nursery.cancel_scope:cancel()
    end)
    assert.is_true(listener.closed)
  end)

  for code, errno in pairs {EMFILE = 24, ENFILE = 23, ENOMEM = 12,
    ENOBUFS = 105} do
    H.trio_it("LISTEN-11 tries again every 0.1 s after " .. code, function()
      for _, fields in ipairs {{code = code}, {errno = errno}} do
        local listener = memory_listener()
        local began, times = trio.current_time(), {}
        listener.hook = function()
          times[#times + 1] = trio.current_time() - began
          error(trio.OSError("no room", fields))
        end
        local scope
        local texts = warnings_of(function()
          scope = trio.move_on_after(0.95, function()
            serve_listeners(function() end, {listener})
          end)
        end)
        assert.is_true(scope.cancelled_caught)
        assert.equal(10, #texts)
        for i, text in ipairs(texts) do
          assert.truthy(text:find("no room", 1, true))
          assert.truthy(text:find("trying again", 1, true))
          assert.is_true(math.abs(times[i] - (i - 1) * 0.1) < 1e-9)
        end
        assert.is_true(listener.closed)
      end
    end)
  end

  H.trio_it("LISTEN-11 serves again when there is room", function()
    local listener, tries = memory_listener(), 0
    listener.hook = function()
      tries = tries + 1
      if tries == 2 then error(trio.OSError("no room", {code = "EMFILE"})) end
    end
    local texts = warnings_of(function()
      trio.open_nursery(function(nursery)
        nursery:start(serve_listeners, function(stream)
          stream:send_all("x")
        end, {listener})
        for _ = 1, 2 do
          local stream = listener:connect()
          assert.equal("x", stream:receive_some())
        end
        nursery.cancel_scope:cancel()
      end)
    end)
    assert.equal(1, #texts)
  end)

  H.trio_it("LISTEN-12 ends with any other error of accept", function()
    local K = trio.Error:subclass("K")
    for _, err in ipairs {
      K("K"), trio.OSError("aborted", {code = "ECONNABORTED", errno = 103}),
      "a string",
    } do
      local listener = memory_listener()
      listener.hook = function() error(err, 0) end
      local group = H.raises_class(trio.ExceptionGroup, serve_listeners,
        function() end, {listener})
      H.group_of(group, err)
      assert.is_true(listener.closed)
    end
  end)

  H.trio_it("LISTEN-13 starts handlers in another nursery", function()
    local listener = memory_listener()
    local Done = trio.Error("done")

    local function watcher(task_status)
      trio.open_nursery(function(nursery)
        task_status:started(nursery)
        wait_all_tasks_blocked()
        assert.equal(10, #nursery.child_tasks)
        error(Done, 0)
      end)
    end

    local err = H.raises_class(trio.ExceptionGroup, function()
      trio.open_nursery(function(nursery)
        local handlers = nursery:start(watcher)
        nursery:start(serve_listeners, function() trio.sleep(1) end,
          {listener}, {handler_nursery = handlers})
        for _ = 1, 10 do nursery:start_soon(listener.connect, listener) end
      end)
    end)
    H.group_of(H.group_of(err, err.exceptions[1]).exceptions[1], Done)
  end)

  H.trio_it("closes a stream that its nursery doesn't take", function()
    local listener, closed = memory_listener(), false
    local refusal = {start_soon = function() error("no more", 0) end}
    local err = H.raises_class(trio.ExceptionGroup, function()
      trio.open_nursery(function(nursery)
        nursery:start(serve_listeners, function() end, {listener},
          {handler_nursery = refusal})
        local client, server = trio.testing.memory_stream_pair()
        server.send_stream.close_hook = function() closed = true end
        listener.send:send(server)
        assert.is_nil(client:receive_some())
      end)
    end)
    H.group_of(err.exceptions[1], "no more")
    assert.is_true(closed)
  end)

  N.it("names its tasks by address and handler", function()
    trio.open_nursery(function(nursery)
      local listeners = nursery:start(trio.serve_tcp, function()
        trio.sleep_forever()
      end, 0, {host = "127.0.0.1"})
      local client <close> =
        trio.testing.open_stream_to_socket_listener(listeners[1])
      assert.truthy(client)
      wait_all_tasks_blocked()
      local tree = trio.lowlevel.task_tree()
      assert.matches("accept at 127.0.0.1:%d+", tree)
      assert.matches("task spec/lua/serve_spec.lua:%d+: waits in trio.sleep_fo",
        tree)
      nursery.cancel_scope:cancel()
    end)
  end)

  H.trio_it("serves without nursery:start", function()
    local listener = memory_listener()
    trio.open_nursery(function(nursery)
      nursery:start_soon(serve_listeners, trio.TASK_STATUS_IGNORED,
        function(stream) stream:send_all("x") end, {listener})
      assert.equal("x", listener:connect():receive_some())
      nursery.cancel_scope:cancel()
    end)
  end)

  it("checks its arguments", function()
    P.usage("bad argument #1 to 'serve_listeners' %(function expected",
      "(...)(nil, {1})", serve_listeners)
    P.usage("bad argument #2 to 'serve_listeners' %(an array of listeners",
      "(...)(print, {})", serve_listeners)
    P.usage("bad argument #2 to 'serve_listeners' %(an array of listeners",
      "(...)(print)", serve_listeners)
    P.usage("unknown option 'host'", "(...)(print, {1}, {host = 1})",
      serve_listeners)
    P.usage("option 'handler_nursery' must be a nursery",
      "(...)(print, {1}, {handler_nursery = 5})", serve_listeners)
    P.usage("trio.serve_listeners must be called from inside a task",
      "(...)(print, {1})", serve_listeners)
  end)

  N.it("LISTEN-11 survives real exhaustion of descriptors", function()
    local result = cli.run("PROG -W s.lua", {files = {["s.lua"] = [[
local trio = require "trio"
trio.run(function()
  trio.open_nursery(function(nursery)
    local served = 0
    local listener = nursery:start(trio.serve_tcp, function(stream)
      stream:send_all("hello")
      served = served + 1
      trio.sleep_forever()
    end, 0, {host = "127.0.0.1"})[1]
    local clients, reached = {}, 0
    trio.testing._limit_descriptors(60)
    while true do
      local ok, client = trio.pcall(
        trio.testing.open_stream_to_socket_listener, listener)
      if not ok then break end
      clients[#clients + 1] = client
    end
    print("clients", #clients > 10)
    -- Some clients wait in the queue. When there is room they are served.
    local before = served
    trio.testing._limit_descriptors(200)
    for _, client in ipairs(clients) do
      assert(client:receive_some() == "hello")
    end
    print("served", served == #clients, before < served)
    for _, client in ipairs(clients) do client:aclose() end
    nursery.cancel_scope:cancel()
  end)
end)]]}})
    assert.equal("clients\ttrue\nserved\ttrue\ttrue\n", result.out, result.err)
    assert.truthy(result.err:find(
      "Lua warning: accept failed (OSError: [EMFILE]", 1, true), result.err)
  end)
end)
