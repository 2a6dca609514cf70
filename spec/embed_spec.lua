-- SPDX-License-Identifier: MIT
-- embed_spec.lua: builds and runs the programs of examples/embed, and some of
-- spec/fixtures, against the static library: as the interpreter under test was
-- built (build/asan), and run as it is run (valgrind). What install_spec.lua
-- builds is what a user gets.
local embed = require "spec.support.embed"

local PROGRAMS = {
  ["spec/fixtures/guest_alone"] = "done: 0\nclosed: 0\n",
  ["spec/fixtures/due_timer"] = "status: 0\n",
  ["spec/fixtures/fork"] = [[
fresh 4
inside 3
outside 4
both 4
]],
  ["spec/fixtures/lost_lookup"] = "answered, then closed\nclosed: 0\n",
  ["spec/fixtures/host_api"] = [[
outside: 1
done
42 and more
code -4
false no answer
code -6
false ClosedResourceError: the resource was closed while waiting for it
code -5
false BrokenResourceError: the resource broke while waiting for it
code -1
false TooSlowError: the time limit has passed
after the run: 1
guest: 0, 2 results, argument it is
closed: 0
]],
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

-- Builds the program name.c for the current test; returns what to run.
local function build(name)
  local program = os.tmpname()
  finally(function() os.remove(program) end)
  local packages = "$(pkg-config --%s " .. packages_of(name) .. ")"
  embed.succeeds(table.concat({
    "${CC:-cc} -O2", sanitizers, "-Wall", "-Wextra", "-Werror", "-Iinclude",
    packages:format("cflags"), name .. ".c", library,
    packages:format("libs"), "$(pkg-config --libs libssl 2>/dev/null)",
    "-pthread", "-lm", "-o", program}, " "))
  return ("timeout 100 %s %s"):format(os.getenv("TRIO_WRAPPER") or "", program)
end

describe("the embedding program", function()
  for name, expected in pairs(PROGRAMS) do
    it(name .. ".c prints what it says (GUEST-04 GUEST-01)", function()
      local output = embed.succeeds(build(name)):gsub("\t", " ")
      assert.equal((expected:gsub("\t", " ")), output)
    end)
  end
end)

describe("a guest run of 1,000 tasks that never rest", function()
  -- Less than a millisecond of the host's time, as the processor counts it;
  -- with luck nothing else of the machine gets in there (caches), so that one
  -- of several attempts must do. Sanitizers and valgrind are too slow for it.
  local attempts = 5
  local slow = sanitizers ~= "" or (os.getenv("TRIO_WRAPPER") or "") ~= ""

  it("keeps the host for a batch, below a millisecond, and stops", function()
    local program = build("spec/fixtures/guest_ticking")
    local best = math.huge
    for _ = 1, attempts do
      local output = embed.succeeds(program)
      local runs, longest = 0, 0
      for line in output:gmatch("steps[^\n]*") do
        local steps, time = line:match(
          "^steps (%d+) handles 2 microseconds %d+ longest (%d+)$")
        assert.truthy(steps, line)
        assert.is_true(tonumber(steps) <= 1000, line)
        runs, longest = runs + 1, math.max(longest, tonumber(time))
      end
      assert.equal(3, runs)
      assert.truthy(output:find("\nended 3 ticked yes closed 0\n$"), output)
      best = math.min(best, longest)
      if slow or best < 1000 then return end
    end
    error(("the host was kept for %d microseconds"):format(best))
  end)
end)
