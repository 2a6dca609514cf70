-- SPDX-License-Identifier: MIT
-- Starts interpreters as children and collects what they print.
--
-- The binary under test is $TRIO_LUA, by default build/trio-lua. Every case
-- runs in a fresh directory that holds just the files it asks for.

local M = {}

local function read_all(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write_all(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a"):gsub("\n$", "")
  pipe:close()
  return text
end

M.program = output_of("realpath " .. (os.getenv("TRIO_LUA") or
                                      "build/trio-lua"))
M.reference = output_of("command -v lua5.4")

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

local function plain_gsub(text, what, by)
  return (text:gsub(what:gsub("%p", "%%%0"), (by:gsub("%%", "%%%%"))))
end

-- Runs `command`, a shell command line in which PROG stands for `program`,
-- which has half a minute to finish.
-- case.files: {name = text} to have in the working directory; case.stdin: text
-- of standard input (else it is empty).
-- Returns {out=, err=, status=}: status is 128 + signal for a killed child.
-- Program names read PROG and addresses ADDR in the texts.
function M.run(command, case, program)
  case = case or {}
  program = program or M.program
  local directory = output_of("mktemp -d")
  for name, text in pairs(case.files or {}) do
    write_all(directory .. "/" .. name, text)
  end
  write_all(directory .. "/.stdin", case.stdin or "")
  local line = ("cd %s && { %s; } <.stdin >.out 2>.err"):format(
    quote(directory),
    plain_gsub(command, "PROG", "timeout 30 " .. quote(program)))
  local _, kind, code = os.execute("env -u LUA_INIT -u LUA_INIT_5_4 sh -c " ..
                                   quote(line))
  local function text_of(name)
    local text = plain_gsub(read_all(directory .. name), program, "PROG")
    return (text:gsub("0x%x+", "ADDR"))
  end
  local result = {
    out = text_of("/.out"),
    err = text_of("/.err"),
    status = kind == "signal" and 128 + code or code,
  }
  os.execute("rm -rf " .. quote(directory))
  return result
end

-- The same for a script that stands in the file main.lua.
function M.script(text, options, arguments)
  return M.run(("PROG %s main.lua %s"):format(options or "", arguments or ""),
               {files = {["main.lua"] = text}})
end

return M
