#!/bin/sh
# SPDX-License-Identifier: MIT
# Only trio_* and luaopen_trio* may be visible to those who link or load us.
cd "$(dirname "$0")/.." || exit 1
{
  nm -D --defined-only build/libtrio.so build/trio.so
  nm -g --defined-only build/libtrio.a
} | awk '
  NF == 3 && $3 !~ /^(trio_|luaopen_trio(_|$))/ {
    print "exported by mistake: " $3
    bad = 1
  }
  $3 == "luaopen_trio" { found++ }
  END {
    if (found != 3) { print "luaopen_trio is not exported everywhere"; bad = 1 }
    exit bad
  }'
