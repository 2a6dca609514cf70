-- SPDX-License-Identifier: MIT
-- Errors of the operating system.
local H = require "spec.support.helper"
local N = require "spec.support.net"
local trio = require "trio"

describe("an OSError of the library", function()
  N.it("has code, errno and syscall, and says them", function()
    local sock <close> = trio.socket.socket()
    local err = H.raises_class(trio.OSError, sock.getpeername, sock)
    assert.equal("ENOTCONN", err.code)
    assert.equal("integer", math.type(err.errno))
    assert.equal("getpeername", err.syscall)
    assert.matches("^OSError: %[ENOTCONN%] getpeername: ", tostring(err))
  end)

  it("has names for numbers", function()
    local name = trio.socket._errno_name
    assert.equal("EPERM", name(1))
    assert.equal("EMFILE", name(24))
    assert.equal("string", type(name(12345)))
  end)
end)

describe("an error of a stream", function()
  N.it("carries that of the system as its cause", function()
    local a, b = N.stream_pair()
    b:aclose()
    local err = H.raises_class(trio.BrokenResourceError, a.send_all, a, "x")
    assert.is_true(trio.isinstance(err.cause, trio.OSError))
    assert.equal("EPIPE", err.cause.code)
    a:aclose()
  end)
end)
