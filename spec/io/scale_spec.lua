-- SPDX-License-Identifier: MIT
-- Ten thousand idle connections in one server, and what is left of them.
local H = require "spec.support.helper"
local trio = require "trio"

local WANTED = 10000
local SPARE = 200  -- descriptors for everything else

-- Under a wrapper, such as valgrind, that many would take minutes.
local is_wrapped = (os.getenv("TRIO_WRAPPER") or "") ~= ""

-- The client is a process of its own: it connects that many times, says so,
-- waits for the end of its input, and closes.
local CLIENT = [[
local trio = require "trio"
local port, count = tonumber(arg[1]), tonumber(arg[2])
pcall(trio.testing._limit_descriptors, count + ]] .. SPARE .. [[)
trio.run(function()
  local streams = {}
  for i = 1, count do
    streams[i] = trio.open_tcp_stream("127.0.0.1", port)
  end
  streams[1]:send_all("all here")
  local input <close> = trio.lowlevel.FdStream(0)
  input:receive_some()
  for _, stream in ipairs(streams) do stream:aclose() end
end)]]

local function write_client()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(CLIENT)
  file:close()
  return path
end

-- How many connections the limits allow; the soft one is raised.
local function possible()
  local limit = trio.testing._limit_descriptors(64)
  for count = WANTED, 500, -500 do
    if pcall(trio.testing._limit_descriptors, count + SPARE) then
      return count, limit
    end
  end
  return 500, limit
end

describe("a server", function()
  it("has ten thousand idle connections, or as many as may be", function()
    local count, limit = possible()
    if is_wrapped then count = math.min(count, 500) end
    local path = write_client()
    local open, peak, closed = 0, 0, 0
    H.run(function() end)  -- makes the loop
    local before = trio.testing._open_descriptors()
    H.run(function()
      trio.open_nursery(function(nursery)
        local all_here = trio.Event()
        local listener = nursery:start(trio.serve_tcp, function(stream)
          open = open + 1
          peak = math.max(peak, open)
          if stream:receive_some() == "all here" then
            all_here:set()
            assert.is_nil(stream:receive_some())
          end
          open = open - 1
          closed = closed + 1
        end, 0, {host = "127.0.0.1"})[1]
        local client = assert(io.popen(("%s %s %d %d"):format(H.command, path,
          listener.socket:getsockname()[2], count), "w"))
        all_here:wait()
        while open < count do trio.sleep(0.01) end
        assert.is_true(trio.testing._open_descriptors() > count)
        client:close()  -- waits for the client to end
        while open > 0 do trio.sleep(0.01) end
        nursery.cancel_scope:cancel()
      end)
    end, {real_clock = true})
    os.remove(path)
    trio.testing._limit_descriptors(limit)
    assert.equal(count, peak)
    assert.equal(count, closed)
    assert.equal(before, trio.testing._open_descriptors())
    if count < WANTED and not is_wrapped then
      print(("(the limits allow %d connections only)"):format(count))
    end
  end)
end)
