-- SPDX-License-Identifier: MIT
-- Streams and listeners over Unix sockets.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local P = require "spec.support.primitives"
local trio = require "trio"

-- A path that is free, and stays so afterwards.
local function free_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function exists(path)
  return os.rename(path, path) ~= nil
end

describe("open_unix_socket", function()
  N.it("connects to a listener", function()
    local path = free_path()
    local listener, client
    P.is_checkpoint(function() listener = trio.open_unix_listener(path) end)
    P.is_checkpoint(function() client = trio.open_unix_socket(path) end)
    local server = listener:accept()
    client:send_all("x")
    assert.equal("x", server:receive_some())
    assert.equal(path, listener.socket:getsockname())
    N.close(client.socket, server.socket, listener)
    os.remove(path)
  end)

  N.it("knows abstract names", function()
    local name = "\0trio-lua unix " .. tostring({})
    local listener = trio.open_unix_listener(name)
    local client = trio.open_unix_socket(name)
    local server = listener:accept()
    N.close(client.socket, server.socket, listener)
  end)

  N.it("raises OSError, and leaves nothing open", function()
    local path = free_path()
    local err = H.raises_class(trio.OSError, trio.open_unix_socket, path)
    assert.equal("ENOENT", err.code)
    assert.truthy(err.message:find(path, 1, true))
    err = H.raises_class(trio.OSError, trio.open_unix_socket, "README.md")
    assert.equal("ECONNREFUSED", err.code)
  end)

  N.it("closes its socket when it is cancelled", function()
    local name = "\0trio-lua cancelled " .. tostring({})
    local listener = trio.open_unix_listener(name)
    N.is_cancelled(trio.open_unix_socket, name)
    listener:close()
  end)

  it("checks its arguments", function()
    P.usage("bad argument #1 to 'open_unix_socket' %(string expected, got nil",
      "(...)()", trio.open_unix_socket)
    P.usage("trio.open_unix_socket must be called from inside a task",
      "(...)('x')", trio.open_unix_socket)
    P.usage("bad argument #1 to 'open_unix_socket' %(the path is too long",
      "(...)(('x'):rep(200))", trio.open_unix_socket)
  end)
end)

describe("open_unix_listener", function()
  N.it("replaces a file that an earlier server has left", function()
    local path = free_path()
    trio.open_unix_listener(path):aclose()
    assert.is_true(exists(path))
    local listener = trio.open_unix_listener(path)
    local client = trio.open_unix_socket(path)
    N.close(client.socket, listener)
    os.remove(path)
  end)

  N.it("doesn't replace a server that runs, or any other file", function()
    local path = free_path()
    local listener = trio.open_unix_listener(path)
    local err = H.raises_class(trio.OSError, trio.open_unix_listener, path)
    assert.equal("EADDRINUSE", err.code)
    listener:close()
    os.remove(path)
    local file = io.open(path, "w")
    file:write("precious")
    file:close()
    err = H.raises_class(trio.OSError, trio.open_unix_listener, path)
    assert.equal("EADDRINUSE", err.code)
    local same <close> = io.open(path)
    assert.equal("precious", same:read("a"))
    same:close()
    os.remove(path)
  end)

  N.it("serves", function()
    local path = free_path()
    trio.open_nursery(function(nursery)
      local listener = trio.open_unix_listener(path, {backlog = 10})
      nursery:start(trio.serve_listeners, function(stream)
        for chunk in stream do stream:send_all(chunk:upper()) end
      end, {listener})
      local client <close> = trio.open_unix_socket(path)
      client:send_all("hello")
      assert.equal("HELLO", client:receive_some())
      nursery.cancel_scope:cancel()
    end)
    os.remove(path)
  end)

  N.it("leaves nothing open when it fails", function()
    local err = H.raises_class(trio.OSError, trio.open_unix_listener,
      "/no/such/folder/socket")
    assert.equal("ENOENT", err.code)
  end)

  it("checks its arguments", function()
    P.usage("bad argument #1 to 'open_unix_listener' %(string expected, got nu",
      "(...)(1)", trio.open_unix_listener)
    P.usage("option 'backlog' must be an integer",
      "(...)('x', {backlog = 1.5})", trio.open_unix_listener)
    P.usage("unknown option 'mode'", "(...)('x', {mode = 1})",
      trio.open_unix_listener)
  end)
end)
