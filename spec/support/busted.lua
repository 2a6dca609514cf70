-- SPDX-License-Identifier: MIT
-- busted.lua: runs busted inside the interpreter that runs this script, so
-- that specs see our Lua state and not the one of the system's busted.
--   build/trio-lua spec/support/busted.lua spec/api/lock_spec.lua

-- Under a host that does not preload the module, and for spec.support.helper.
package.path = "./?.lua;" .. package.path
package.cpath = "./build/?.so;" .. package.cpath

table.insert(arg, 1, "--ignore-lua")
require "busted.runner"({standalone = false})
