-- SPDX-License-Identifier: MIT
-- Waiting until a descriptor is readable or writable.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"
local socket = trio.socket
local wait_readable = trio.lowlevel.wait_readable
local wait_writable = trio.lowlevel.wait_writable
local notify_closing = trio.lowlevel.notify_closing
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked
local raw_pipe, raw_close = trio.testing._pipe, trio.testing._close

-- Each way of naming a descriptor.
local ways = {
  {"a number", function(sock) return sock:fileno() end},
  {"a socket", function(sock) return sock end},
}

for _, way in ipairs(ways) do
  local name, of = way[1], way[2]

  describe("waiting for the descriptor of " .. name, function()
    N.it("SOCK-01 returns at once where it is ready", function()
      local a, b = N.pair()
      P.is_checkpoint(wait_writable, of(a))
      b:send("x")
      P.is_checkpoint(wait_readable, of(a))
      N.close(a, b)
    end)

    N.it("SOCK-01 wait_readable blocks until data arrives", function()
      local a, b = N.pair()
      trio.open_nursery(function(nursery)
        local reader = N.start(nursery, wait_readable, of(a))
        assert.is_false(reader.done)
        b:send("x")
        wait_all_tasks_blocked()
        assert.is_true(reader.done)
        assert.is_nil(reader.err)
      end)
      assert.equal("x", a:recv(10))
      N.close(a, b)
    end)

    N.it("SOCK-01 wait_writable blocks until there is room", function()
      local a, b = N.pair()
      local sent = N.fill(a)
      trio.open_nursery(function(nursery)
        local writer = N.start(nursery, wait_writable, of(a))
        assert.is_false(writer.done)
        assert.equal(sent, N.drain(b))
        wait_all_tasks_blocked()
        assert.is_true(writer.done)
      end)
      N.close(a, b)
    end)

    N.it("SOCK-01 both can be cancelled, and used again", function()
      local a, b = N.pair()
      N.fill(a)
      for _, wait in ipairs {wait_readable, wait_writable} do
        trio.open_nursery(function(nursery)
          local waiter = N.start(nursery, wait, of(a))
          nursery.cancel_scope:cancel()
          wait_all_tasks_blocked()
          assert.is_false(waiter.done)
        end)
        N.is_cancelled(wait, of(a))
      end
      b:send("x")
      wait_readable(of(a))
      N.drain(b)
      wait_writable(of(a))
      N.close(a, b)
    end)

    N.it("SOCK-02 has room for one reader and one writer", function()
      local a, b = N.pair()
      N.fill(a)
      trio.open_nursery(function(nursery)
        local reader = N.start(nursery, wait_readable, of(a))
        local writer = N.start(nursery, wait_writable, of(a))
        H.raises_class(trio.BusyResourceError, wait_readable, of(a))
        H.raises_class(trio.BusyResourceError, wait_writable, of(a))
        b:send("x")
        wait_all_tasks_blocked()
        assert.same({true, false}, {reader.done, writer.done})
        N.drain(b)
        wait_all_tasks_blocked()
        assert.same({true, true}, {reader.done, writer.done})
      end)
      N.close(a, b)
    end)

    N.it("SOCK-03 ends with ClosedResourceError on notify_closing", function()
      local a, b = N.pair()
      N.fill(a)
      trio.open_nursery(function(nursery)
        local reader = N.start(nursery, wait_readable, of(a))
        local writer = N.start(nursery, wait_writable, of(a))
        P.is_no_checkpoint(notify_closing, of(a))
        wait_all_tasks_blocked()
        assert.is_true(trio.isinstance(reader.err, trio.ClosedResourceError))
        assert.is_true(trio.isinstance(writer.err, trio.ClosedResourceError))
      end)
      assert.is_true(a:fileno() >= 0)  -- it closes nothing
      N.close(a, b)
    end)
  end)
end

describe("a descriptor closed without notify_closing", function()
  -- Waits, whatever comes of it: nothing, a return or an error that says so.
  local function tolerant(nursery, wait, fd)
    nursery:start_soon(function()
      local ok, err = trio.pcall(wait, fd)
      assert(ok or trio.isinstance(err, trio.OSError)
        or trio.isinstance(err, trio.ClosedResourceError), err)
    end)
  end

  N.it("SOCK-04 leaves a wait that can be cancelled", function()
    local r, w = raw_pipe()
    trio.open_nursery(function(nursery)
      tolerant(nursery, wait_readable, r)
      wait_all_tasks_blocked()
      raw_close(r)
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    raw_close(w)
  end)

  N.it("SOCK-04 before the wait has reached the system", function()
    local r, w = raw_pipe()
    trio.open_nursery(function(nursery)
      tolerant(nursery, wait_readable, r)
      nursery:start_soon(function() raw_close(r) end)
      wait_all_tasks_blocked()
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    raw_close(w)
  end)

  N.it("SOCK-04 with a duplicate that keeps it alive", function()
    local a, b = N.pair()
    local copy = a:dup()
    local fd = a:detach()
    trio.open_nursery(function(nursery)
      tolerant(nursery, wait_readable, fd)
      wait_all_tasks_blocked()
      raw_close(fd)
      b:send("x")
      wait_readable(copy)
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    N.close(copy, b)
  end)

  N.it("SOCK-04 with a reader and a writer that are then cancelled", function()
    local a, b = N.pair()
    N.fill(a)
    local fd = a:detach()
    trio.open_nursery(function(nursery)
      tolerant(nursery, wait_readable, fd)
      tolerant(nursery, wait_writable, fd)
      wait_all_tasks_blocked()
      raw_close(fd)
      b:send("x")
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    N.close(b)
  end)

  N.it("SOCK-04 whose number is used again for another file", function()
    local r, w = raw_pipe()
    trio.open_nursery(function(nursery)
      tolerant(nursery, wait_readable, r)
      wait_all_tasks_blocked()
      raw_close(r)
      local again, w2 = raw_pipe()
      assert.equal(r, again)  -- the lowest free number
      -- The wait for the old file is over, the one for the new file counts.
      tolerant(nursery, wait_readable, again)
      wait_all_tasks_blocked()
      H.raises_class(trio.BusyResourceError, wait_readable, again)
      wait_all_tasks_blocked()
      raw_close(again)
      raw_close(w2)
      nursery.cancel_scope:cancel()
    end)
    raw_close(w)
  end)

  N.it("SOCK-04 a regular file in its place doesn't matter", function()
    local r, w = raw_pipe()
    trio.open_nursery(function(nursery)
      tolerant(nursery, wait_readable, r)
      local file
      nursery:start_soon(function()
        raw_close(r)
        file = io.open("README.md")
      end)
      wait_all_tasks_blocked()
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
      file:close()
    end)
    raw_close(w)
  end)
end)

describe("wait_readable and wait_writable", function()
  N.it("SOCK-05 refuse a descriptor that is closed", function()
    local r, w = raw_pipe()
    raw_close(r)
    raw_close(w)
    for _, wait in ipairs {wait_readable, wait_writable} do
      local err = H.raises_class(trio.OSError, wait, r)
      assert.equal("EBADF", err.code)
      H.raises_class(trio.OSError, wait, -1)
      H.raises_class(trio.OSError, wait, 1 << 40)
    end
    notify_closing(-1)
    notify_closing(r)
  end)

  N.it("say ClosedResourceError for a closed socket", function()
    local sock = socket.socket()
    sock:close()
    H.raises_class(trio.ClosedResourceError, wait_readable, sock)
  end)

  N.it("refuse what is no descriptor", function()
    local pattern = "bad argument #1 to 'wait' %(file descriptor expected, got "
    for _, wait in ipairs {wait_readable, wait_writable, notify_closing} do
      for _, wrong in ipairs {"3", {}, 1.5, true, io.stdout} do
        P.usage(pattern, "local wait, x = ... wait(x)", wait, wrong)
      end
    end
  end)

  N.it("take any object with a method fileno", function()
    local a, b = N.pair()
    local object = setmetatable({}, {__index = {
      fileno = function() return a:fileno() end,
    }})
    wait_writable(object)
    N.close(a, b)
  end)

  N.it("refuse a file, which is always ready", function()
    local fd = trio.testing._open("README.md")
    local err = H.raises_class(trio.OSError, wait_readable, fd)
    assert.equal("EPERM", err.code)
    raw_close(fd)
  end)

  N.it("leave the descriptor as it was: blocking", function()
    local r, w = raw_pipe()
    assert.equal(0, trio.testing._flags(r))
    N.is_cancelled(wait_readable, r)
    assert.equal(0, trio.testing._flags(r))
    wait_writable(w)
    assert.equal(0, trio.testing._flags(w))
    raw_close(r)
    raw_close(w)
  end)

  it("must be called from a task", function()
    assert.has_error(function() wait_readable(0) end)
    assert.has_error(function() notify_closing(0) end)
  end)

  N.it("wake when the other end of a pipe goes away", function()
    local r, w = raw_pipe()
    trio.open_nursery(function(nursery)
      local reader = N.start(nursery, wait_readable, r)
      raw_close(w)
      wait_all_tasks_blocked()
      assert.is_true(reader.done)
      assert.is_nil(reader.err)
    end)
    raw_close(r)
  end)
end)

describe("many sockets", function()
  N.it("SOCK-16 can be waited for and cancelled together", function()
    local socks = {}
    for _ = 1, 500 do
      local a, b = N.pair()
      socks[#socks + 1], socks[#socks + 2] = a, b
    end
    trio.open_nursery(function(nursery)
      for _, sock in ipairs(socks) do
        nursery:start_soon(wait_readable, sock)
      end
      wait_all_tasks_blocked()
      nursery.cancel_scope:cancel()
    end)
    for _, sock in ipairs(socks) do sock:close() end
  end)
end)

describe("the number of a socket that was waited for and closed", function()
  -- A pair that was waited for and closed; the first one's number.
  local function used_number()
    local a, b = N.pair()
    trio.move_on_after(0.01, function() wait_readable(a) end)
    local number = a:fileno()
    N.close(a, b)
    return number
  end

  local function handles()
    trio.sleep(0)
    return trio.lowlevel.current_statistics().io_statistics.handles_open
  end

  N.it("SOCK-04 can be another socket's, which nothing has happened to",
    function()
      local a, b = N.pair()
      local number = a:fileno()
      trio.open_nursery(function(nursery)
        local reader = N.start(nursery, wait_readable, a)
        b:send("x")
        wait_all_tasks_blocked()
        assert.is_true(reader.done)
        b:send("y")  -- noted for the next one who waits
        wait_all_tasks_blocked()
      end)
      N.close(a, b)
      local c, d = N.pair()
      assert.equal(number, c:fileno())
      trio.open_nursery(function(nursery)
        local reader = N.start(nursery, wait_readable, c)
        assert.is_false(reader.done)
        d:send("x")
        wait_all_tasks_blocked()
        assert.is_true(reader.done)
      end)
      N.close(c, d)
    end)

  N.it("SOCK-04 can be a regular file's, which is refused", function()
    local number = used_number()
    local fd = trio.testing._open("README.md")
    assert.equal(number, fd)
    local err = H.raises_class(trio.OSError, wait_readable, fd)
    assert.equal("EPERM", err.code)
    raw_close(fd)
  end)

  N.it("SOCK-04 can be a stream's on a regular file", function()
    local number = used_number()
    local stream = trio.lowlevel.FdStream(trio.testing._open("README.md"))
    assert.equal(number, stream:fileno())
    assert.equal("#", stream:receive_some(1))
    local err = H.raises_class(trio.OSError,
      stream.wait_send_all_might_not_block, stream)
    assert.equal("EPERM", err.code)
    stream:close()
  end)

  N.it("SOCK-04 can be a pipe's", function()
    local number = used_number()
    local r, w = raw_pipe()
    assert.equal(number, r)
    wait_writable(w)
    trio.open_nursery(function(nursery)
      local reader = N.start(nursery, wait_readable, r)
      assert.is_false(reader.done)
      raw_close(w)
    end)
    raw_close(r)
  end)

  N.it("SOCK-24 counts for nothing in the statistics", function()
    local before = handles()
    used_number()
    assert.equal(before, handles())
    used_number()
    assert.equal(before, handles())
  end)

  N.it("SOCK-24 nor do those of many", function()
    local before = handles()
    local limit = trio.testing._limit_descriptors(2000)
    local socks = {}
    for i = 1, 600 do
      socks[2 * i - 1], socks[2 * i] = N.pair()
    end
    trio.open_nursery(function(nursery)
      for _, sock in ipairs(socks) do
        nursery:start_soon(wait_readable, sock)
      end
      wait_all_tasks_blocked()
      assert.equal(before + #socks, handles())
      nursery.cancel_scope:cancel()
    end)
    N.close(table.unpack(socks))
    trio.testing._limit_descriptors(limit)
    assert.equal(before, handles())
  end)
end)

describe("the statistics of a run", function()
  N.it("SOCK-24 count who waits for descriptors", function()
    local function waiting()
      local io = trio.lowlevel.current_statistics().io_statistics
      return {io.tasks_waiting_read, io.tasks_waiting_write}
    end
    local socks = {}
    for i = 1, 3 do socks[2 * i - 1], socks[2 * i] = N.pair() end
    local a1, _, a2, b2, a3 = table.unpack(socks)
    N.fill(a1)
    N.fill(a3)
    assert.same({1, 0}, waiting())  -- the run's own wake-up is read always
    trio.open_nursery(function(nursery)
      nursery:start_soon(wait_writable, a1)
      nursery:start_soon(wait_readable, a2)
      nursery:start_soon(wait_readable, b2)
      nursery:start_soon(wait_writable, a3)
      nursery:start_soon(wait_readable, a3)
      wait_all_tasks_blocked()
      assert.same({4, 2}, waiting())
      nursery.cancel_scope:cancel()
    end)
    assert.same({1, 0}, waiting())
    N.close(table.unpack(socks))
  end)
end)

describe("readiness alone", function()
  N.it("SOCK-25 moves a megabyte each way", function()
    local a, b = N.pair()
    a:setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10000)
    local TOTAL = 1000000
    local results = {}

    -- (MSG_DONTWAIT: after the wait, nothing but the call itself.)
    local function sender(sock, name)
      local sent = 0
      while sent < TOTAL do
        wait_writable(sock)
        sent = sent + sock:send(("x"):rep(1 + sent % 65536),
          socket.MSG_DONTWAIT)
      end
      sock:shutdown(socket.SHUT_WR)
      results["sent " .. name] = sent
    end

    local function receiver(sock, name)
      local received = 0
      while true do
        wait_readable(sock)
        local data = sock:recv(65536, socket.MSG_DONTWAIT)
        if not data then break end
        received = received + #data
      end
      results["received " .. name] = received
    end

    trio.open_nursery(function(nursery)
      nursery:start_soon(sender, a, "ab")
      nursery:start_soon(sender, b, "ba")
      nursery:start_soon(receiver, a, "ba")
      nursery:start_soon(receiver, b, "ab")
    end)
    assert.equal(results["sent ab"], results["received ab"])
    assert.equal(results["sent ba"], results["received ba"])
    assert.is_true(results["sent ab"] >= TOTAL)
    N.close(a, b)
  end)
end)
