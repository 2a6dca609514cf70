-- SPDX-License-Identifier: MIT
-- The module for `require "trio"` as a rock, built by the Makefile. From the
-- top of the sources: luarocks make .dev/trio-lua-scm-1.rockspec
rockspec_format = "3.0"
package = "trio-lua"
version = "scm-1"
source = {url = "git+file://."}
description = {
  summary = "Structured concurrency for Lua, with the semantics of Trio",
  license = "MIT",
  labels = {"async", "concurrency", "networking"},
}
dependencies = {"lua >= 5.4, < 5.5"}
external_dependencies = {
  LIBUV = {header = "uv.h"}, OPENSSL = {header = "openssl/ssl.h"},
}
build = {
  type = "make",
  build_target = "build/trio.so",
  build_variables = {CFLAGS = "$(CFLAGS)"},
  install_pass = false,
  install = {lib = {trio = "build/trio.so"}},
}
