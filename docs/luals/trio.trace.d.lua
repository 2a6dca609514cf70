---@meta trio.trace
-- SPDX-License-Identifier: MIT
-- Definition of trio.trace for the Lua language server.

---An instrument that writes a trace for Chrome and Perfetto to the file of that
---name.
---@param path string
---@return table instrument for the option `instruments` of `trio.run`
return function(path) end
