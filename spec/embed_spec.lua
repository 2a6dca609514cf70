-- SPDX-License-Identifier: MIT
-- embed_spec.lua: builds and runs the programs of examples/embed, and some of
-- spec/fixtures, against the static library: as the interpreter under test was
-- built (build/asan), and run as it is run (valgrind). What install_spec.lua
-- builds is what a user gets.
local embed = require "spec.support.embed"

local PROGRAMS = {
  ["spec/fixtures/guest_alone"] = "done: 0\nclosed: 0\n",
  ["spec/fixtures/due_timer"] = "status: 0\n",
}
for name, output in pairs(embed.expected) do
  PROGRAMS["examples/embed/" .. name] = output
end

local library, sanitizers = "build/libtrio.a", ""
if (os.getenv("TRIO_LUA") or ""):find("build/asan/", 1, true) then
  library = "build/asan/libtrio.a"
  sanitizers = "-fsanitize=address,undefined"
end

-- The packages that a program needs, for pkg-config.
local function packages_of(name)
  return "lua5.4 libuv" .. (name:find("luv$") and " lua5.4-luv" or "")
end

describe("the embedding program", function()
  for name, expected in pairs(PROGRAMS) do
    it(name .. ".c prints what it says (GUEST-04 GUEST-01)", function()
      local program = os.tmpname()
      finally(function() os.remove(program) end)
      local packages = "$(pkg-config --%s " .. packages_of(name) .. ")"
      embed.succeeds(table.concat({
        "${CC:-cc}", sanitizers, "-Wall", "-Wextra", "-Werror", "-Iinclude",
        packages:format("cflags"), name .. ".c", library,
        packages:format("libs"), "$(pkg-config --libs libssl 2>/dev/null)",
        "-pthread", "-lm", "-o", program}, " "))
      local output = embed.succeeds(("timeout 60 %s %s"):format(
        os.getenv("TRIO_WRAPPER") or "", program))
      assert.equal(expected, output)
    end)
  end
end)
