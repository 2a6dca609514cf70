-- SPDX-License-Identifier: MIT
-- docs_spec.lua: runs every Lua block of README.md and of the manual.
--
-- A block is a complete program. It is run as main.lua in an empty folder; with
-- --await, unless it calls trio.run itself. One that requires trio.busted is a
-- spec and is run by busted -o TAP. It has to end with status 0, unless a test
-- was announced to fail, and must print nothing to standard error. What it
-- prints is compared
--   * with the ```text block that follows it directly, to the letter, or else
--   * with its comments that begin with "-->", line by line, where any run of
--     blanks counts as one.

local cli = require "spec.support.cli"
local docs = require "spec.support.docs"

local function calls_run(program)
  return program:find("trio%.run[%({,]") ~= nil or
    program:find("start_guest_run", 1, true) ~= nil
end

-- Lines without blanks at their ends and with single ones inside.
local function plain_lines(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
  end
  return table.concat(lines, "\n")
end

local function announced(program)
  local lines = {}
  for line in program:gmatch("%-%->([^\n]*)") do lines[#lines + 1] = line end
  return #lines > 0 and table.concat(lines, "\n") or nil
end

local function is_spec(program)
  return program:find('require[ (]+"trio%.busted"') ~= nil
end

local function run(program)
  if not is_spec(program) then
    return cli.script(program, calls_run(program) and "" or "--await")
  end
  local command = "busted --lua='%s' -o TAP main.lua"
  return cli.run(command:format(cli.program),
                 {files = {["main.lua"] = program}})
end

-- What is wrong with a program, or nil. `output` is the text block, if any.
local function problem_of(program, output)
  local result = run(program)
  if result.err ~= "" then return "on standard error:\n" .. result.err end
  local may_fail = is_spec(program) and output and output:find("not ok")
  if result.status ~= 0 and not may_fail then
    return "status " .. result.status
  end
  local expected, got = output, result.out
  if not output then
    expected = announced(program)
    if not expected then return nil end
    expected, got = plain_lines(expected), plain_lines(got)
  end
  if got == expected then return nil end
  return ("expected:\n%s\ngot:\n%s"):format(expected, got)
end

local function is_empty(part)
  return part.kind == "prose" and not part.text:find("%S")
end

-- The text block that directly follows part i, or nil.
local function output_after(parts, i)
  if not parts[i + 1] or not is_empty(parts[i + 1]) then return nil end
  local block = parts[i + 2]
  return block and block.kind == "text" and block.text or nil
end

for _, path in ipairs(docs.pages()) do
  describe(path, function()
    local parts = docs.parts(docs.read(path))
    for i, part in ipairs(parts) do
      if part.kind == "lua" then
        it("line " .. part.line .. " runs and prints what it says", function()
          local problem = problem_of(part.text, output_after(parts, i))
          if problem then
            error(("%s:%d: %s"):format(path, part.line, problem), 0)
          end
        end)
      end
    end

    it("has no Lua block that is not run", function()
      for _, part in ipairs(parts) do
        local is_odd = part.kind:find("^%s*[Ll]ua") and part.kind ~= "lua"
        assert.falsy(is_odd, "line " .. part.line .. ": " .. part.kind)
      end
    end)

    it("has links that lead somewhere", function()
      local folder = path:match("^(.*/)") or ""
      for target in docs.prose(docs.read(path)):gmatch("%]%(([^)]*)%)") do
        if not target:find("^%a+:") then
          local file = io.open(folder .. target:gsub("#.*", ""))
          assert.truthy(file, "a link to " .. target)
          file:close()
        end
      end
    end)
  end)
end

describe("docs/architecture.md and docs/lifetimes.md", function()
  -- Files may be named without the folder src/.
  local function exists(path)
    local file = io.open(path) or io.open("src/" .. path)
    if file then file:close() end
    return file ~= nil
  end

  local sources = io.popen("cat src/*/*.[ch] spec/support/*"):read("a")

  -- The names of files and of functions or fields in the text that are wrong.
  local function unknown_names(text)
    local unknown = {}
    for quoted in text:gmatch("`([%w_/.]+)`") do
      local is_path = quoted:find("%.[ch]$") or quoted:find("%.lua$")
      local is_name = quoted:find("^%l+_[%l_]+$")
      if is_path and not quoted:find("/x[._]") and not exists(quoted)
        or is_name and not sources:find("%f[%w_]" .. quoted .. "%f[^%w_]") then
        unknown[#unknown + 1] = quoted
      end
    end
    return unknown
  end

  it("name what is there", function()
    for _, path in ipairs {"docs/architecture.md", "docs/lifetimes.md"} do
      assert.same({}, unknown_names(docs.prose(docs.read(path))))
    end
  end)

  it("would not name what is not there", function()
    assert.same({"bind/no.c", "no_such_name"},
                unknown_names("`bind/no.c`, `no_such_name`, `bind/await.c`"))
  end)
end)

describe("README.md", function()
  local text = docs.read("README.md")

  it("fits on one screen", function()
    local _, lines = text:gsub("\n", "")
    assert.is_true(lines <= 50, "it has " .. lines .. " lines")
  end)

  it("names the two commands", function()
    assert.truthy(text:find("\n    make demo ", 1, true))
    assert.truthy(text:find("\n    make test ", 1, true))
  end)
end)

describe("the check of a block", function()
  it("compares comments", function()
    assert.is_nil(problem_of('print("a", 1)  --> a 1\n'))
    assert.truthy(problem_of('print("a", 1)  --> a 2\n'))
    assert.truthy(problem_of('print("a") --> a\nprint("b")\n'))
  end)

  it("compares a text block to the letter", function()
    assert.is_nil(problem_of('print("a", 1)\n', "a\t1\n"))
    assert.truthy(problem_of('print("a", 1)\n', "a 1\n"))
  end)

  it("refuses errors", function()
    assert.truthy(problem_of('print("a")  --> a\nerror("b")\n'))
    assert.truthy(problem_of("os.exit(3)\n"))
    assert.truthy(problem_of("io.stderr:write('x')\n"))
  end)

  it("runs a block as a task unless it starts a run", function()
    assert.is_nil(problem_of('require("trio").sleep(0)\n'))
    assert.is_nil(problem_of('local trio = require "trio"\n' ..
                             "trio.run(trio.sleep, 0)\n"))
  end)
end)
