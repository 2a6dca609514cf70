-- SPDX-License-Identifier: MIT
-- Lua's own coroutine library, which the interpreter has replaced: opened once
-- more, from the program itself or the Lua library that it runs on.
--
--   local stock = require "spec.support.stock"
return assert(package.loadlib("", "luaopen_coroutine"))()
