-- SPDX-License-Identifier: MIT
-- The prompt on a terminal: a pseudo-terminal made by script(1). Every step
-- waits for what it must lead to, so nothing here depends on the time.

local trio = require "trio"
local cli = require "spec.support.cli"

local has_editor = os.execute("grep -qa rl_callback_read_char " .. cli.program)

-- Runs fn(terminal) with a session, which has these environment variables (and
-- otherwise ignores them, -E). terminal:enter(text) types, as a person
-- does; terminal:expect(text) waits until that is printed, and forgets it and
-- what came before; terminal:finish() returns the status.
local function session(fn, variables)
  local env = {TERM = "vt100", PATH = os.getenv("PATH"), LC_ALL = "C.UTF-8"}
  for name, value in pairs(variables or {}) do env[name] = value end
  trio.run(function()
    trio.fail_after(20, function()
      local process = trio.lowlevel.open_process(
        {"script", "-qec", cli.program .. (variables and "" or " -E"),
         "/dev/null"},
        {stdin = "pipe", stdout = "pipe", stderr = "pipe", env = env})
      local terminal, seen = {}, ""
      function terminal.enter(_, text) process.stdin:send_all(text) end
      function terminal.expect(_, text)
        while true do
          local _, last = seen:find(text, 1, true)
          if last then
            seen = seen:sub(last + 1)
            return
          end
          local data = process.stdout:receive_some()
          assert(data, "ended before " .. text .. " came: " .. seen)
          seen = seen .. data
        end
      end
      function terminal.finish()
        while process.stdout:receive_some() do end
        return process:wait()
      end
      local _ <close> = setmetatable({}, {
        __close = function() process:kill() end})
      terminal:expect("> ")
      fn(terminal)
    end)
  end)
end

-- Types a line and waits for its result and the next prompt.
local function try(terminal, text, result)
  terminal:enter(text .. "\n")
  terminal:expect(text)
  terminal:expect("\n" .. result .. "\r\n")
  terminal:expect("> ")
end

describe("the prompt on a terminal", function()
  it("REPL-01 runs statements that wait", function()
    session(function(t)
      try(t, "1 + 1", "2")
      try(t, "trio.sleep(0) return 'sl' .. 'ept'", "slept")
    end)
  end)

  it("REPL-04 drops the line at Ctrl+C", function()
    session(function(t)
      t:enter("not to be run")
      t:expect("not to be run")
      t:enter("\3")
      t:expect("KeyboardInterrupt\r\n> ")
      try(t, "3 + 4", "7")
    end)
  end)

  it("REPL-04 drops all lines of a statement at Ctrl+C", function()
    session(function(t)
      t:enter("x = {\n")
      t:expect(">> ")
      t:enter("\3")
      t:expect("KeyboardInterrupt\r\n> ")
      try(t, "x == nil", "true")
    end)
  end)

  it("REPL-04 cancels a statement that waits", function()
    session(function(t)
      t:enter("print('wa' .. 'its') trio.sleep_forever()\n")
      t:expect("waits")
      t:enter("\3")
      t:expect("KeyboardInterrupt: interrupted\r\n")
      t:expect("> ")
      try(t, "3 + 4", "7")
    end)
  end)

  it("REPL-04 cancels a busy statement", function()
    session(function(t)
      t:enter("print('bu' .. 'sy') while true do end\n")
      t:expect("busy")
      t:enter("\3")
      t:expect("KeyboardInterrupt: interrupted\r\n")
      t:expect("> ")
      try(t, "3 + 4", "7")
    end)
  end)

  it("REPL-05 ends at Ctrl+D", function()
    session(function(t)
      try(t, "1", "1")
      t:enter("\4")
      assert.equal(0, t:finish())
    end)
  end)

  it("lets background tasks go on while it waits", function()
    session(function(t)
      t:enter("nursery:start_soon(function() trio.sleep(0.3) " ..
              "print('from be' .. 'hind') end)\n")
      t:expect("> ")
      t:expect("from behind\r\n")
      try(t, "3 + 4", "7")
    end)
  end)

  local edit_it = has_editor and it or pending

  edit_it("edits lines and has a history", function()
    session(function(t)
      try(t, "5 + 6", "11")
      t:enter("\27[A\127" .. "7\n")         -- up, backspace: 5 + 7
      t:expect("\n12\r\n")
      t:expect("> ")
      t:enter("\16\16\1" .. "1\n")          -- up twice, to the start: 15 + 6
      t:expect("\n21\r\n")
    end)
  end)

  edit_it("completes globals, fields and methods", function()
    session(function(t)
      t:enter("trio.lowlevel.in_trio_r\t() and 'compl' .. 'ete'\n")
      t:expect("\ncomplete\r\n")
      t:expect("> ")
      t:enter("tostri\t(5) .. ('x'):rep(3)\n")
      t:expect("\n5xxx\r\n")
      t:expect("> ")
      t:enter("nursery:start_s\t(print, 'a' .. 'b')\n")
      t:expect("\nab\r\n")
    end)
  end)
end)

describe("the history of the prompt", function()
  local history_it = has_editor and it or pending
  local home

  before_each(function()
    local pipe = io.popen("mktemp -d")
    home = pipe:read("l")
    pipe:close()
  end)
  after_each(function() os.execute("rm -rf " .. home) end)

  local function output_of(command)
    local pipe = io.popen("cd " .. home .. " && " .. command .. " 2>&1")
    local text = pipe:read("a")
    pipe:close()
    return text
  end

  -- A session in which one line is typed.
  local function type_line(line, result, variables)
    session(function(t)
      try(t, line, result)
      t:enter("\4")
      assert.equal(0, t:finish())
    end, variables)
  end

  history_it("lasts longer than a session", function()
    type_line("5 + 6", "11", {HOME = home})
    type_line("x = 8; print(x)", "8", {HOME = home})
    session(function(t)
      t:enter("\27[A\27[A\n")                -- up, up: 5 + 6
      t:expect("\n11\r\n")
      t:expect("> ")
      t:enter("\4")
      t:finish()
    end, {HOME = home})
    assert.equal("5 + 6\nx = 8; print(x)\n5 + 6\n",
                 output_of("cat .trio-lua_history"))
    assert.equal("600\n", output_of("stat -c %a .trio-lua_history"))
  end)

  history_it("can be another file, or none", function()
    type_line("1", "1", {HOME = home, TRIO_LUA_HISTORY = home .. "/other"})
    assert.equal("other\n", output_of("ls -A"))
    type_line("2", "2", {HOME = home, TRIO_LUA_HISTORY = ""})
    assert.equal("1\n", output_of("cat other"))
    assert.equal("other\n", output_of("ls -A"))
  end)

  history_it("is not used with -E", function()
    local command = "HOME=%s TERM=vt100 script -qec '%s -E' /dev/null"
    local pipe = io.popen((command .. " <<'END'\n7\nEND"):format(
      home, cli.program))
    assert.truthy(pipe:read("a"):find("\n7\r\n", 1, true))
    pipe:close()
    assert.equal("", output_of("ls -A"))
  end)

  history_it("keeps the latest thousand lines", function()
    output_of("seq 1500 >.trio-lua_history")
    type_line("'new'", "new", {HOME = home})
    local text = output_of("cat .trio-lua_history")
    assert.equal(1001, select(2, text:gsub("\n", "")))
    assert.truthy(text:find("^501\n502\n.*\n1500\n'new'\n$"))
    assert.equal(".trio-lua_history\n", output_of("ls -A"))
  end)

  history_it("is not cut where the disk is full", function()
    output_of("seq 1500 >.trio-lua_history")
    output_of("ln -s /dev/full .trio-lua_history.new")
    type_line("'new'", "new", {HOME = home})
    assert.equal("1501\n", output_of("head -c 9999 .trio-lua_history | wc -l"))
    assert.equal(".trio-lua_history\n", output_of("ls -A"))
  end)

  history_it("does without a file that can't be had", function()
    type_line("3", "3", {HOME = "/no/such/folder"})
    type_line("4", "4", {HOME = "/", TRIO_LUA_HISTORY = home})
    assert.equal("", output_of("ls -A"))
  end)
end)
