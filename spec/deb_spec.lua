-- SPDX-License-Identifier: MIT
-- deb_spec.lua: the Debian package: what is in it, and that it works from
-- where it is unpacked.
local embed = require "spec.support.embed"

local succeeds = embed.succeeds
local has_dpkg = os.execute("command -v dpkg-deb >/dev/null")
local on_debian = has_dpkg and it or pending

describe("the Debian package", function()
  local folder, file, triplet

  setup(function()
    if not has_dpkg then return end
    folder = succeeds("mktemp -d"):gsub("\n", "")
    file = succeeds("OUT=" .. folder .. " .dev/deb.sh"):gsub("\n", "")
    triplet = succeeds("${CC:-cc} -print-multiarch"):gsub("\n", "")
    succeeds(("dpkg -x %s %s/x"):format(file, folder))
  end)

  teardown(function()
    if folder then os.execute("rm -rf " .. folder) end
  end)

  on_debian("has everything, at Debian's places", function()
    local list = succeeds("dpkg-deb -c " .. file)
    for _, path in ipairs {
      "bin/trio-lua", "include/trio.h", "lib/TRIPLET/libtrio.so",
      "lib/TRIPLET/libtrio.so.0", "lib/TRIPLET/libtrio.a",
      "lib/TRIPLET/lua/5.4/trio.so", "lib/TRIPLET/pkgconfig/trio-lua.pc",
      "share/man/man1/trio-lua.1.gz", "share/trio-lua/library/trio.d.lua",
      "share/bash-completion/completions/trio-lua",
      "share/doc/trio-lua/copyright", "share/doc/trio-lua/docs/README.md",
      "share/doc/trio-lua/examples/embed/guest.c",
    } do
      local full = " ./usr/" .. path:gsub("TRIPLET", triplet)
      assert.truthy(list:find(full, 1, true), path)
    end
    for mode, owner in list:gmatch("\n(%S+) (%S+)") do
      assert.equal("root/root", owner)
      assert.truthy(mode:find("^[d-]rw.r%-.r%-") or mode:find("^l"), mode)
    end
  end)

  on_debian("says what it is and what it needs", function()
    local function field(name)
      return (succeeds(("dpkg-deb -f %s %s"):format(file, name)):gsub("\n", ""))
    end
    assert.equal("trio-lua", field("Package"))
    assert.truthy(file:find("/trio-lua_" .. field("Version") .. "_" ..
                            field("Architecture") .. ".deb", 1, true))
    local depends = ", " .. field("Depends")
    assert.truthy(depends:find(", libuv1", 1, true), depends)
    assert.truthy(depends:find(", libc6", 1, true), depends)
    assert.truthy(field("Installed-Size"):find("^%d+$"))
    succeeds(("cd %s/x && dpkg-deb -I ../*.deb md5sums | md5sum -c --quiet")
      :format(folder))
  end)

  on_debian("runs from where it is unpacked", function()
    local usr = folder .. "/x/usr/"
    local script = [['local trio = require "trio"
      print(trio.run(function() trio.sleep(0) return "slept" end))']]
    assert.equal("slept\n", succeeds(usr .. "bin/trio-lua -e " .. script))
    assert.equal("slept\n", succeeds(("LUA_CPATH='%slib/%s/lua/5.4/?.so' "):
      format(usr, triplet) .. "lua5.4 -e " .. script))
    local pc = succeeds(("cat %slib/%s/pkgconfig/trio-lua.pc"):format(
      usr, triplet))
    assert.truthy(pc:find("libdir=/usr/lib/" .. triplet .. "\n", 1, true), pc)
  end)
end)
