-- SPDX-License-Identifier: MIT
-- install_spec.lua: `make install` into a folder of its own, and the use of
-- what is there: by a user, a program in Lua, one in C, and a rock.

local embed = require "spec.support.embed"

local succeeds = embed.succeeds

local root  -- DESTDIR
local prefix = "/opt/trio"

-- The file below the folder of the installation.
local function at(path) return root .. prefix .. "/" .. path end

describe("make install", function()
  setup(function()
    root = succeeds("mktemp -d"):gsub("\n", "")
    -- What was built is installed; nothing is built anew for it.
    succeeds(("PREFIX=%s DESTDIR=%s .dev/install.sh"):format(prefix, root))
  end)

  teardown(function() os.execute("rm -rf " .. root) end)

  it("puts nothing outside of its prefix", function()
    assert.equal("opt\n", succeeds("ls " .. root))
    assert.equal("trio\n", succeeds("ls " .. root .. "/opt"))
    assert.equal("bin\ninclude\nlib\nshare\n", succeeds("ls " .. at("")))
  end)

  it("has an interpreter", function()
    local output = succeeds(at("bin/trio-lua") .. " --await -e " ..
      "'local trio = require \"trio\" trio.sleep(0) print(trio.version)'")
    assert.truthy(output:find("^%d+%.%d+%.%d+\n$"), output)
  end)

  it("has an interpreter on which modules in C find all of Lua", function()
    local headers = succeeds("printf '#include <%s>\\n' lua.h lauxlib.h " ..
      "lualib.h | ${CC:-cc} -E -P $(pkg-config --cflags ${LUA_PC:-lua5.4}) -")
    local code = {}
    for name in headers:gmatch("%((luaL?[_%a]+)%)%s*%(") do
      code[#code + 1] = ("assert(package.loadlib('', '%s'))"):format(name)
    end
    assert.is_true(#code > 140)
    succeeds(at("bin/trio-lua") .. ' -e "' .. table.concat(code, " ") .. '"')
  end)

  it("has a module for stock Lua", function()
    local output = succeeds(("LUA_CPATH='%s/?.so' lua5.4 -e '%s'"):format(
      at("lib/lua/5.4"), [[
        local trio = require "trio"
        print(trio.run(function() trio.sleep(0) return "slept" end))]]))
    assert.equal("slept\n", output)
  end)

  it("has what a program in C needs, found by pkg-config", function()
    -- The file names the places where a package would put things.
    local pc = root .. "/pc"
    finally(function() os.execute("rm -rf " .. pc) end)
    succeeds(("mkdir %s; sed 's|=%s|=%s%s|' %s >%s/trio-lua.pc"):format(
      pc, prefix, root, prefix, at("lib/pkgconfig/trio-lua.pc"), pc))
    local pkg_config = "PKG_CONFIG_PATH=" .. pc .. " pkg-config"
    local flags = succeeds(pkg_config .. " --cflags --libs trio-lua")
    assert.truthy(flags:find("-ltrio", 1, true), flags)
    succeeds(("PKG_CONFIG_PATH=%s make -C examples/embed B=%s " ..
              "CFLAGS='-O2 -Wall -Wextra -Werror'"):format(pc, pc))
    for program, expected in pairs(embed.expected) do
      local path = pc .. "/" .. program
      assert.equal(expected, succeeds(("LD_LIBRARY_PATH=%s timeout 20 %s")
        :format(at("lib"), path)))
      assert.truthy(succeeds("ldd " .. path):find("libtrio.so.0", 1, true))
    end
  end)

  it("has a version that all parts agree on", function()
    local version = succeeds(at("bin/trio-lua") .. " --version")
      :match("^trio%-lua (%S+)")
    local pc = succeeds("cat " .. at("lib/pkgconfig/trio-lua.pc"))
    assert.truthy(pc:find("\nVersion: " .. version .. "\n", 1, true), pc)
  end)

  it("has a page of the manual, with every option", function()
    local page = succeeds("cat " .. at("share/man/man1/trio-lua.1"))
    local help = succeeds(at("bin/trio-lua") .. " --help")
    for option in help:gmatch("%-%-(%a[%a-]+)") do
      local written = "\\-\\-" .. option:gsub("%-", "\\-")
      assert.truthy(page:find(written, 1, true), option)
    end
    local warnings = succeeds("groff -man -Tutf8 -ww " ..
      at("share/man/man1/trio-lua.1") .. " 2>&1 >/dev/null")
    assert.equal("", warnings)
  end)

  it("has the completion for bash, with every option", function()
    local complete = "bash -c '. " ..
      at("share/bash-completion/completions/trio-lua") ..
      "; COMP_WORDS=(trio-lua %s); COMP_CWORD=%d; _trio_lua; " ..
      "echo ${COMPREPLY[@]}'"
    assert.equal("raise\n", succeeds(complete:format("--on-deadlock r", 2)))
    assert.equal("--slow-step\n", succeeds(complete:format("--sl", 1)))
    assert.equal("Makefile\n", succeeds(complete:format("x.lua Makef", 2)))
    local all = succeeds(complete:format("-", 1))
    local help = succeeds(at("bin/trio-lua") .. " --help")
    for option in help:gmatch("%-%-%a[%a-]+") do
      assert.truthy(all:find(option, 1, true), option)
    end
  end)

  it("has the definitions for editors", function()
    succeeds("diff -r docs/luals " .. at("share/trio-lua/library"))
  end)

  it("has a rockspec that luarocks takes", function()
    local env = {}
    assert(loadfile(".dev/trio-lua-scm-1.rockspec", "t", env))()
    assert.equal("trio-lua", env.package)
    local tree = root .. prefix .. "/rocks"
    finally(function() os.execute("rm -rf " .. tree) end)
    succeeds(("luarocks --lua-version 5.4 --tree %s make --deps-mode none " ..
              ".dev/trio-lua-scm-1.rockspec"):format(tree))
    assert.equal("slept\n", succeeds(
      ("LUA_CPATH='%s/lib/lua/5.4/?.so' lua5.4 -e '%s'"):format(tree, [[
        local trio = require "trio"
        print(trio.run(function() trio.sleep(0) return "slept" end))]])))
  end)
end)
