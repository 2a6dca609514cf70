-- SPDX-License-Identifier: MIT
-- Looking inside: the tree of tasks, and an instrument that counts steps.

local trio = require "trio"

-- An instrument is a table with any of nine methods; the run calls them.
local Counter = {steps = {}, spawned = 0}

function Counter:task_spawned(_)
  self.spawned = self.spawned + 1
end

function Counter:before_task_step(task)
  self.steps[task.name] = (self.steps[task.name] or 0) + 1
end

local function worker(rounds)
  for _ = 1, rounds do trio.lowlevel.checkpoint() end
  trio.sleep(1)
end

local function main()
  trio.open_nursery(function(nursery)
    nursery:start_soon({name = "red"}, worker, 2)
    nursery:start_soon({name = "blue"}, worker, 5)
    trio.testing.wait_all_tasks_blocked()
    -- The same tree is printed on SIGUSR1 by `trio-lua --monitor`.
    local me = trio.lowlevel.current_task()
    local tree = trio.lowlevel.task_tree(me)
    print((tree:gsub(" 0x%x+", ""):gsub("[^ ]*/", "")))
  end)
end

local clock = trio.testing.MockClock({autojump_threshold = 0})
trio.run({clock = clock, instruments = {Counter}}, main)
print("red took", Counter.steps.red, "steps")
print("blue took", Counter.steps.blue, "steps")
print("tasks, with those of the runtime:", Counter.spawned)

--[[ expected output
task monitor.lua:22: is running
  nursery
    task red: waits in trio.sleep at monitor.lua:19
    task blue: waits in trio.sleep at monitor.lua:19

red took	4	steps
blue took	7	steps
tasks, with those of the runtime:	5
]]
