-- SPDX-License-Identifier: MIT
-- embed_spec.lua: builds and runs the programs of examples/embed, and one of
-- spec/fixtures, against the static library, with nothing but pkg-config.
local EXPECTED = {
  ["spec/fixtures/guest_alone"] = "done: 0\nclosed: 0\n",
  ["examples/embed/guest"] = [[
task 1 has slept
task 2 has slept
task 3 has slept
the run returned: all done
the host's timer went on: yes
]],
  ["examples/embed/async_function"] =
    "too early:\ttrue\nthe other thread has written\n",
}

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read("a")
  local ok = pipe:close()
  return ok, output
end

describe("the embedding program", function()
  for name, expected in pairs(EXPECTED) do
    it(name .. ".c prints what it says (GUEST-04 GUEST-01)", function()
      local program = os.tmpname()
      finally(function() os.remove(program) end)
      local packages = "$(pkg-config --%s lua5.4 libuv)"
      local ok, output = run(table.concat({
        "${CC:-cc}", "-D_GNU_SOURCE", "-Wall", "-Wextra",
        "-Werror", "-Iinclude",
        packages:format("cflags"),
        name .. ".c", "build/libtrio.a",
        packages:format("libs"), "$(pkg-config --libs libssl 2>/dev/null)",
        "-pthread", "-lm", "-o", program}, " "))
      assert.is_true(ok, output)
      ok, output = run("timeout 20 " .. program)
      assert.equal(expected, output)
      assert.is_true(ok)
    end)
  end
end)
