-- SPDX-License-Identifier: MIT
-- Commands: run many at once, three at a time, each with a time limit.

local trio = require "trio"

local limiter, total, finished = trio.CapacityLimiter(3), 8, 0

-- What a command did, in a word.
local function outcome_of(command)
  local word = "timed out"
  trio.move_on_after(0.5, function()
    local result = trio.run_process(command, {
      shell = true, capture_stdout = true, check = false,
    })
    word = result.returncode == 0 and result.stdout
      or "failed with status " .. result.returncode
  end)
  return word
end

local function run_all(commands)
  local results = {}
  trio.open_nursery(function(nursery)
    for i, command in ipairs(commands) do
      nursery:start_soon(function()
        limiter:with(function() results[i] = outcome_of(command) end)
        finished = finished + 1
        print(("%d of %d done"):format(finished, total))
      end)
    end
  end)
  return results
end

trio.run(function()
  local commands = {"sleep 60", "exit 3"}
  for i = 3, total do commands[i] = ("sleep 0.0%d; printf %d"):format(i, i) end
  for i, word in ipairs(run_all(commands)) do
    print(i, word)
  end
end)

--[[ expected output
1 of 8 done
2 of 8 done
3 of 8 done
4 of 8 done
5 of 8 done
6 of 8 done
7 of 8 done
8 of 8 done
1	timed out
2	failed with status 3
3	3
4	4
5	5
6	6
7	7
8	8
]]
