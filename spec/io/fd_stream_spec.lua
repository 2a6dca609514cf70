-- SPDX-License-Identifier: MIT
-- trio.lowlevel.FdStream: streams over descriptors that are no sockets.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local cli = require "spec.support.cli"
local trio = require "trio"
local FdStream = trio.lowlevel.FdStream
local wait_all_tasks_blocked = trio.testing.wait_all_tasks_blocked
local raw_pipe, raw_close = trio.testing._pipe, trio.testing._close

local function clogged_pipe_pair()
  local s, r = N.pipe_pair()
  N.clog(s)
  return s, r
end

describe("an FdStream", function()
  N.it("PIPE-01 keeps the rules of one-way streams", function()
    trio.testing.check_one_way_stream(N.pipe_pair, clogged_pipe_pair)
  end)

  N.it("PIPE-01 sends and receives", function()
    local s, r = N.pipe_pair()
    P.is_checkpoint(s.send_all, s, "123")
    P.is_checkpoint(function() assert.equal("123", r:receive_some()) end)
    s:aclose()
    assert.is_nil(r:receive_some())
    r:aclose()
  end)

  N.it("PIPE-01 carries a megabyte to a slow reader", function()
    local s, r = N.pipe_pair()
    local data = ("0123456789abcdef"):rep(65536)
    local received = {}
    trio.open_nursery(function(nursery)
      local sender = N.start(nursery, s.send_all, s, data)
      assert.is_false(sender.done)
      while not sender.done do
        trio.sleep(0.01)
        received[#received + 1] = r:receive_some(10000)
      end
      s:aclose()
    end)
    received[#received + 1] = N.read_all(r)
    assert.is_true(table.concat(received) == data)
    r:aclose()
  end)

  N.it("PIPE-01 works both ways over a pair of sockets", function()
    local a, b = N.pair()
    local one, two = FdStream(a:detach()), FdStream(b:detach())
    trio.open_nursery(function(nursery)
      nursery:start_soon(function() one:send_all("there") end)
      nursery:start_soon(function() two:send_all("back") end)
    end)
    assert.equal("there", two:receive_some())
    assert.equal("back", one:receive_some())
    N.close(one, two)
  end)

  N.it("PIPE-02 closed again doesn't disturb who has its number", function()
    local s, old = N.pipe_pair()
    local fd = old:fileno()
    old:close()
    local r2, w2 = raw_pipe()
    assert.equal(fd, r2)
    local new = FdStream(r2)
    trio.open_nursery(function(nursery)
      local reader = N.start(nursery, new.receive_some, new)
      old:aclose()
      old:close()
      wait_all_tasks_blocked()
      assert.is_false(reader.done)
      local sender = FdStream(w2)
      sender:send_all("x")
      wait_all_tasks_blocked()
      assert.equal("x", reader.value)
      sender:aclose()
    end)
    N.close(s, new)
  end)

  N.it("PIPE-03 closed between wake-up and read says so", function()
    local s, r = N.pipe_pair()
    trio.open_nursery(function(nursery)
      local reader = N.start(nursery, r.receive_some, r)
      s:send_all("x")
      r:close()
      wait_all_tasks_blocked()
      assert.is_true(trio.isinstance(reader.err, trio.ClosedResourceError))
    end)
    s:aclose()
  end)

  N.it("PIPE-03 closed between wake-up and write says so", function()
    local s, r = clogged_pipe_pair()
    trio.open_nursery(function(nursery)
      local sender = N.start(nursery, s.send_all, s, "x")
      r:receive_some()
      s:close()
      wait_all_tasks_blocked()
      assert.is_true(trio.isinstance(sender.err, trio.ClosedResourceError))
    end)
    r:aclose()
  end)

  N.it("PIPE-04 raises BrokenResourceError for an odd error", function()
    local folder = FdStream(trio.testing._open("/"))
    local err = H.raises_class(trio.BrokenResourceError, folder.receive_some,
      folder)
    assert.is_true(trio.isinstance(err.cause, trio.OSError))
    assert.equal("EISDIR", err.cause.code)
    folder:close()
  end)

  N.it("PIPE-04 checks its arguments", function()
    for _, wrong in ipairs {"0", 1.5, {}, true} do
      P.usage("bad argument #1 to 'FdStream' %(integer expected, got ",
        "local lowlevel, x = ... lowlevel.FdStream(x)", trio.lowlevel, wrong)
    end
    local err = H.raises_class(trio.OSError, FdStream, -1)
    assert.equal("EBADF", err.code)
    local s, r = N.pipe_pair()
    P.usage("bad argument #1 to 'receive_some' %(must be positive%)",
      "(...):receive_some(0)", r)
    assert.is_true(r:fileno() >= 0)
    N.close(s, r)
    assert.equal(-1, r:fileno())
  end)

  N.it("a pipe without a reader raises, and no signal kills", function()
    local s, r = N.pipe_pair()
    r:aclose()
    local err = H.raises_class(trio.BrokenResourceError, s.send_all, s, "x")
    assert.equal("EPIPE", err.cause.code)
    s:aclose()
    assert.matches("^BrokenResourceError", cli.run("PROG s.lua", {files = {
      ["s.lua"] = [[
local trio = require "trio"
trio.run(function()
  local r, w = trio.testing._pipe()
  trio.testing._close(r)
  print(select(2, pcall(function() trio.lowlevel.FdStream(w):send_all "x" end)))
end)]],
    }}).out)
  end)

  N.it("gives the descriptor back as it was", function()
    local r, w = raw_pipe()
    local keep = trio.socket.socketpair and r
    local other = trio.testing._open("/proc/self/fd/" .. keep)
    assert.equal(0, trio.testing._flags(r))
    local stream = FdStream(r)
    assert.is_true(trio.testing._flags(r) ~= 0)
    stream:close()
    raw_close(w)
    raw_close(other)
  end)

  N.it("has a text and a number", function()
    local s, r = N.pipe_pair()
    assert.matches("^<trio.lowlevel.FdStream 0x%x+ fd " .. s:fileno() .. ">$",
      tostring(s))
    assert.is_true(trio.abc.implements(s, "Stream"))
    N.close(s, r)
    assert.matches("closed>$", tostring(s))
  end)

  N.it("reads files and devices, which never make it wait", function()
    local file = FdStream(trio.testing._open("README.md"))
    local same <close> = io.open("README.md")
    assert.equal(same:read("a"), N.read_all(file))
    same:close()
    file:close()
    local null = FdStream(trio.testing._open("/dev/null"))
    assert.is_nil(null:receive_some())
    null:close()
  end)

  it("that nobody closes is reported", function()
    local result = cli.run("PROG -W s.lua", {files = {["s.lua"] = [[
local trio = require "trio"
trio.run(function()
  r, w = trio.testing._pipe()
  s = trio.lowlevel.FdStream(w)
end)]]}})
    assert.matches("s.lua:4: an FdStream was never closed", result.err)
  end)

  it("that a task of the library made is reported with who started that",
     function()
    local result = cli.run("PROG -W s.lua", {files = {["s.lua"] = [[
local trio = require "trio"
trio.run(function()
  trio.open_nursery(function(nursery)
    local process =
      nursery:start(trio.run_process, {"true"}, {stdin = "pipe"})
    nursery:start_soon(
      trio.lowlevel.open_process, {"true"}, {stdin = "pipe"})
    kept = process
  end)
end)]]}})
    assert.matches("s.lua:5: an FdStream was never closed", result.err)
    assert.matches("s.lua:3: an FdStream was never closed", result.err)
  end)
end)

describe("standard input and output", function()
  it("are streams", function()
    local script = [[
local trio = require "trio"
trio.run(function()
  local input <close> = trio.lowlevel.FdStream(0)
  local output <close> = trio.lowlevel.FdStream(1)
  for chunk in input do output:send_all(chunk:upper()) end
end)]]
    for _, command in ipairs {
      "printf 'one two' | PROG s.lua", "PROG s.lua <in.txt",
      "PROG s.lua <in.txt | cat", "printf 'one two' | PROG s.lua >out; cat out",
    } do
      local result = cli.run(command, {
        files = {["s.lua"] = script, ["in.txt"] = "one two"},
      })
      assert.equal("ONE TWO", result.out, command .. result.err)
    end
  end)
end)
