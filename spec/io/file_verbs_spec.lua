-- SPDX-License-Identifier: MIT
-- file_verbs_spec.lua: the verbs of files do what those of Lua's own files do.

local H = require "spec.support.helper"
local files = require "spec.support.files"

local long = ("0123456789abcdef"):rep(65536)  -- 1 MiB

local contents = {
  "", "\n", "\n\n", "one", "one\n", "one\ntwo", "one\ntwo\n", "\r\n", "a\r\nb",
  "\0", "a\0b\nc\0\n", "\xff\xfe\n\x80", (" "):rep(300) .. "7\n", "x" .. long,
  long .. "\n" .. long .. "\nend\n", ("line\n"):rep(20000),
}

local numbers = {
  "1", " 1", "-1 2", "+3", "0x10", "0xA.8p1", "1e5", "1e", "1e+", "0x", "0xg",
  ".5", "5.", ".", "-", "- 1", "--1", "1.5.2", "nan", "inf", "0x1p4", "1e5e5",
  "9223372036854775807", "9223372036854775808", "-9223372036854775808",
  "0xffffffffffffffff", "\n\t 12\n13", "12abc", "abc", "1,5", "1 2 3 4",
  "00012", ("1"):rep(199), ("1"):rep(200), ("1"):rep(201), ("1"):rep(400),
  "0x" .. ("f"):rep(300), (" "):rep(70000) .. "8", ("\n"):rep(300), "1\0002",
  "1e400",
}

local formats = {
  {}, {"l"}, {"L"}, {"a"}, {"n"}, {0}, {1}, {5}, {100000}, {"*l"}, {"*a"},
  {"l", "L", 3, "a"}, {"n", "l"}, {"n", "n", "a"}, {0, "l", 0, "L", 0},
  {"a", "a", "l"}, {2, "n", 2}, {"L", "n", 1, "l"},
}

local function read_actions(list)
  local actions = {}
  for i = 1, 5 do actions[i] = {"read", table.unpack(list)} end
  actions[6] = {"seek"}
  actions[7] = {"read", "a"}
  return actions
end

describe("reading, beside Lua's own,", function()
  H.trio_it("gives the same for every format of any text", function()
    local folder <close> = files.folder()
    for _, content in ipairs(contents) do
      for _, list in ipairs(formats) do
        files.compare(folder, content, "r", read_actions(list))
      end
    end
  end)

  H.trio_it("gives the same numbers, and leaves the same rest", function()
    local folder <close> = files.folder()
    for _, content in ipairs(numbers) do
      files.compare(folder, content, "rb", read_actions {"n"})
      files.compare(folder, content .. "\n77 x", "rb", read_actions {"n", 1})
    end
  end)

  H.trio_it("gives the same for numerals at the edge of what is read ahead",
    function()
      local folder <close> = files.folder()
      for shift = -6, 2 do
        local content = (" "):rep(16384 + shift) .. "12345.5e2 0x7f\nrest"
        files.compare(folder, content, "r", read_actions {"n"})
        local line = ("x"):rep(16384 + shift) .. "\n"
        files.compare(folder, line:rep(3), "r", read_actions {"l"})
        files.compare(folder, line:rep(3), "r", read_actions {16384, "L"})
      end
    end)
end)

describe("writing, beside Lua's own,", function()
  H.trio_it("leaves the same in the file", function()
    local folder <close> = files.folder()
    for _, mode in ipairs {"w", "wb", "a", "r+", "w+", "a+", "r+b"} do
      files.compare(folder, "old text\nof the file\n", mode, {
        {"write", "x", 1, 2.5, -0.0, 1e15, 1e100, math.mininteger, "\0\n", ""},
        {"write"}, {"flush"}, {"write", long}, {"seek"}, {"write", long, "y"},
      })
    end
  end)

  H.trio_it("refuses what the mode does not allow with the same errno",
    function()
      local folder <close> = files.folder()
      for _, mode in ipairs {"w", "a"} do
        files.compare(folder, "old", mode, {{"read", "a"}, {"read", 1}})
      end
      files.compare(folder, "old", "r", {
        {"seek", "set", -1}, {"seek", "cur", -10}, {"seek", "end", -10},
        {"seek", "end", 10}, {"read"}, {"seek", "set", 1}, {"read", "a"},
      })
      files.compare(folder, "old", "r", {{"setvbuf", "no"}, {"write", "x"}})
    end)

  for _, mode in ipairs {"no", "line", "full"} do
    H.trio_it("is the same with setvbuf " .. mode, function()
      local folder <close> = files.folder()
      files.compare(folder, "", "w", {
        {"setvbuf", mode, 100}, {"write", "short"}, {"write", "line\n", "x"},
        {"write", ("y"):rep(1000)}, {"seek"}, {"seek", "set", 2},
        {"write", "!!"}, {"seek", "end"},
      })
    end)
  end
end)

describe("random work on a file, beside Lua's own,", function()
  local function random_action(reads)
    local kind = math.random(4)
    if kind == 1 then
      return {"seek", ({"set", "cur", "end"})[math.random(3)],
              math.random(-20, 40000)}
    elseif reads then
      return {"read", table.unpack(formats[math.random(#formats)])}
    end
    local text = ("w%d\n"):format(math.random(99)):rep(math.random(0, 4000))
    return {"write", text, math.random(1000)}
  end

  -- Lua wants a seek between reading and writing.
  local function random_actions()
    local actions, reads = {}, true
    for i = 1, 30 do
      actions[i] = random_action(reads)
      if math.random(4) == 1 then
        reads = not reads
        actions[i] = {"seek", "cur"}
      end
    end
    return actions
  end

  for _, mode in ipairs {"r+", "w+", "a+"} do
    H.trio_it("gives the same in mode " .. mode, function()
      local folder <close> = files.folder()
      math.randomseed(7)
      for _ = 1, 100 do
        local content = ("%d text\n"):format(math.random(99))
          :rep(math.random(0, 6000))
        files.compare(folder, content, mode, random_actions())
      end
    end)
  end
end)
