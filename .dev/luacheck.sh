#!/bin/sh
# SPDX-License-Identifier: MIT
# luacheck over every Lua file, with the settings of .luacheckrc.
cd "$(dirname "$0")/.." || exit 1
exec luacheck -q --no-color .
