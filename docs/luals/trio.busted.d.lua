---@meta trio.busted
-- SPDX-License-Identifier: MIT
-- Definitions of trio.busted for the Lua language server. They go with those
-- of busted and luassert, which the server offers to download.

---@class trio.busted
local busted = {}

---@class trio.busted.Options
---@field autojump_clock? boolean|number a `MockClock` that jumps for every test
---@field clock? any the run's clock, or a function that makes one
---@field timeout? number the limit of each body, in seconds of real time
---@field check_leaks? boolean whether a test that leaves something open fails
---@field enabled? boolean whether tests are tasks at all
---@field on_deadlock? "raise"|"wait"
---@field seed? integer
---@field instruments? table[]
---@field strict_exception_groups? boolean
---@field restrict_keyboard_interrupt_to_checkpoints? boolean

---Sets options for all tests of the file or `describe` that calls it, of those
---in blocks inside, and, called by a helper, of all specs.
---@param opts trio.busted.Options
function busted.configure(opts) end

---Options for one test.
---@param opts trio.busted.Options
---@param body async fun(nursery: trio.Nursery, clock: any)
---@return function
---@overload fun(body: async fun(nursery: trio.Nursery, clock: any)): function
function busted.test(opts, body) end

---@class luassert
local luassert = {}

---Checks that `fn` raises a group with exactly the expected errors. Their order
---doesn't matter.
---@param expected table
---@param fn async fun()
---@param message? string
---@return trio.ExceptionGroup
function luassert.raises_group(expected, fn, message) end

return busted
