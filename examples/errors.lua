-- SPDX-License-Identifier: MIT
-- Errors: a failing task cancels its siblings; the nursery raises a group.

local trio = require "trio"

local ParseError = trio.Error:subclass("ParseError")

local function patient()
  local _ <close> = trio.defer(function(err)
    print("patient was stopped:", trio.isinstance(err, trio.Cancelled))
  end)
  trio.sleep(60)
end

local function family()
  trio.open_nursery(function(nursery)
    nursery:start_soon(patient)
    nursery:start_soon(error, ParseError("bad header", {line = 7}))
    nursery:start_soon(function()
      trio.open_nursery(function(inner)
        inner:start_soon(error, "an error of any Lua type", 0)
      end)
    end)
  end)
end

trio.run(function()
  local ok, group = trio.pcall(family)
  print(ok, group)

  -- trio.catch picks errors out of a group; the rest goes on.
  print("-- catch")
  local rest
  ok, rest = trio.pcall(trio.catch, {
    {ParseError, function(matched)
      for err in matched:leaves() do
        print("handled:", err.message, "in line", err.line)
      end
    end},
  }, family)
  print(ok, rest)
end)

--[[ expected output
patient was stopped:	true
false	ExceptionGroup: Exceptions from Trio nursery (2 errors)
|- ParseError: bad header
'- ExceptionGroup: Exceptions from Trio nursery (1 error)
   '- an error of any Lua type
-- catch
patient was stopped:	true
handled:	bad header	in line	7
false	ExceptionGroup: Exceptions from Trio nursery (1 error)
'- ExceptionGroup: Exceptions from Trio nursery (1 error)
   '- an error of any Lua type
]]
