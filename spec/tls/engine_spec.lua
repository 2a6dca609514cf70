-- SPDX-License-Identifier: MIT
-- TLS between strings: the private engine under trio.SSLStream, without any
-- transport, and what a connection knows afterwards.
local H = require "spec.support.helper"
local C = require "spec.support.certificates"
local trio = require "trio"

local new_engine = trio.ssl._engine

-- Carry what one has put out to the other one; returns it.
local function carry(from, to)
  local output = from:take()
  if output then to:feed(output) end
  return output
end

-- Both engines after a handshake.
local function connected(client_context, server_context)
  local client = new_engine(client_context or C.client_context(), false, C.host)
  local server = new_engine(server_context or C.server_context(), true)
  local client_done, server_done
  for _ = 1, 10 do
    client_done = client:handshake()
    carry(client, server)
    server_done = server:handshake()
    carry(server, client)
    if client_done and server_done then return client, server end
  end
  error("the handshake has not ended")
end

describe("the engine", function()
  it("does a handshake between strings", function()
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
      local client, server = connected(
        C.client_context{maximum_version = version})
      assert.equal(version, client:version())
      assert.equal(version, server:version())
      assert.is_table(client:cipher())
    end
  end)

  it("reads as many records as the limit allows", function()
    local client, server = connected()
    local data = ("0123456789"):rep(10000)
    local from = 1
    while from <= #data do from = client:write(data, from) end
    carry(client, server)
    assert.equal(data:sub(1, 1000), server:read(1000))
    assert.equal(data:sub(1001, 66536), server:read(1 << 20))
    assert.equal(data:sub(66537), server:read(1 << 20))
    assert.is_false(server:read(1))
  end)

  it("takes input that is cut anywhere", function()
    local client, server = connected()
    client:write("hello")
    local output, result = client:take(), nil
    for i = 1, #output do
      server:feed(output:sub(i, i))
      result = server:read(100)
      assert.equal(i == #output, result ~= false)
    end
    assert.equal("hello", result)
  end)

  it("keeps input that a limit has left", function()
    local client, server = connected()
    client:write("one")
    carry(client, server)
    client:write("two")
    carry(client, server)
    client:write("three")
    carry(client, server)
    assert.equal("onetw", server:read(5))
    assert.equal("othree", server:read(50))
  end)

  it("says nil and why where it has failed", function()
    local stranger = C.new_root("stranger-of-engine")
    local client = new_engine(
      trio.ssl.create_default_context{cafile = stranger}, false, C.host)
    local server = new_engine(C.server_context(), true)
    assert.is_false(client:handshake())
    carry(client, server)
    assert.is_false(server:handshake())
    carry(server, client)
    local results = table.pack(client:handshake())
    assert.equal(2, results.n)
    assert.is_nil(results[1])
    assert.is_true(trio.isinstance(results[2], trio.SSLError))
    assert.matches("certificate verify failed", tostring(results[2]))
  end)

  it("tells a goodbye from an end", function()
    local client, server = connected()
    client:write("last")
    assert.is_false(client:shutdown())
    carry(client, server)
    assert.equal("last", server:read(10))
    assert.equal(1, select("#", server:read(10)))
    assert.is_nil(server:read(10))
    assert.is_true(server:shutdown())
    carry(server, client)
    assert.is_true(client:shutdown())

    client, server = connected()
    client:write("last")
    carry(client, server)
    server:feed(nil)
    assert.equal("last", server:read(10))
    local result, err = server:read(10)
    assert.is_nil(result)
    assert.is_true(trio.isinstance(err, trio.SSLError))
    assert.equal("unexpected eof while reading", err.reason)
  end)

  it("gives what came before a failure, then the failure", function()
    local client, server = connected()
    client:write("good")
    server:feed(client:take() .. ("garbage"):rep(100))
    assert.equal("good", server:read(1000))
    for _ = 1, 2 do
      local result, err = server:read(1000)
      assert.is_nil(result)
      assert.is_true(trio.isinstance(err, trio.SSLError))
      assert.equal("SSL routines", err.library)
    end
    assert.is_string(server:take())  -- an alert
  end)

  it("changes keys", function()
    local client, server = connected()
    carry(server, client)
    assert.is_false(client:read(1))
    client:key_update()
    client:write("new keys")
    carry(client, server)
    assert.equal("new keys", server:read(100))
    assert.is_nil(server:take())  -- the answer goes with what is sent next
    server:write("newer keys")
    carry(server, client)
    assert.equal("newer keys", client:read(100))
  end)

  it("returns input that came after the end", function()
    local client, server = connected()
    client:shutdown()
    server:feed(client:take() .. "plain text")
    assert.is_nil(server:read(100))
    assert.is_true(server:shutdown())
    assert.equal("plain text", server:trailing())
  end)

  it("refuses what makes no sense", function()
    local client = C.client_context()
    H.raises("check_hostname needs a server_hostname", new_engine, client)
    H.raises("not the name of a host", new_engine, client, false, "")
    H.raises("not the name of a host", new_engine, client, false, ".x")
    H.raises("not the name of a host", new_engine, client, false, "a\0b")
    H.raises("only a client", new_engine, C.server_context(), true, "x")
    H.raises("for servers", new_engine, C.server_context(), false, "x")
    local engine = new_engine(client, false, "x")
    H.raises("out of range", engine.write, engine, "", 1)
    H.raises("must be positive", engine.read, engine, 0)
  end)
end)
