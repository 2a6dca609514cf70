-- SPDX-License-Identifier: MIT
-- Host names outside of ASCII, as a resolver sees them.
local H = require "spec.support.helper"
local trio = require "trio"

local function ascii(name)
  local seen
  trio.run(function()
    trio.socket.set_custom_hostname_resolver({getaddrinfo = function(_, host)
      seen = host
      return {}
    end})
    trio.socket.getaddrinfo(name, 80)
  end)
  return seen
end

describe("a host name", function()
  for name, expected in pairs {
    ["bücher.example"] = "xn--bcher-kva.example",
    ["faß.de"] = "xn--fa-hia.de",
    ["ελληνικά"] = "xn--hxargifdar",
    ["例え.テスト"] = "xn--r8jz45g.xn--zckzah",
    ["пример.испытание"] = "xn--e1afmkfd.xn--80akhbyknj4f",
    ["www.ПРИМЕР.org"] = "www.xn--e1afmkfd.org",
    ["ÉCOLE.fr"] = "xn--cole-9oa.fr",
    ["mañana.com"] = "xn--maana-pta.com",
    ["他们为什么不说中文"] = "xn--ihqwcrb4cv8a8dqg056pqjye",
    ["ليهمابتكلموشعربي؟"] = "xn--egbpdaj6bu4bxfgehfvwxn",
    ["例え。テスト"] = "xn--r8jz45g.xn--zckzah",
    ["ｅｘａｍｐｌｅ．ＣＯＭ"] = "example.com",
    ["ŽIŽEK.si"] = "xn--iek-b3ab.si",
  } do
    it(name .. " is " .. expected, function()
      assert.equal(expected, ascii(name))
    end)
  end

  it("in ASCII stays as it is", function()
    for _, name in ipairs {"Example.COM", "a_b.example.", "xn--x", "a..b"} do
      assert.equal(name, ascii(name))
    end
  end)

  it("that can't be encoded is refused", function()
    for _, name in ipairs {"\xc3", "a\xff", ("ü"):rep(60) .. ".de"} do
      local err = H.raises_class(trio.OSError, ascii, name)
      assert.equal("EAI_NONAME", err.code)
    end
  end)
end)
