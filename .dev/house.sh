#!/bin/sh
# SPDX-License-Identifier: MIT
# House rules that a machine can check in the text: licence line, lengths of
# files and functions, and calls that belong to one place only.
cd "$(dirname "$0")/.." || exit 1
exec awk '
  function refuse(why) { printf "%s:%d: %s\n", FILENAME, FNR, why; bad = 1 }
  # `call` appears as a word followed by "(".
  function calls(call) { return code ~ ("(^|[^A-Za-z0-9_>.])(" call ") *\\(") }
  FNR == 1 { licensed = 0 }
  FNR <= 2 && /SPDX-License-Identifier: MIT$/ { licensed = 1 }
  FNR == 1 {
    ours = FILENAME ~ /^src\//
    is_c = FILENAME ~ /\.[ch]$/
    start = 0
  }
  # The second line of a script that starts with #!.
  FNR == 2 && !licensed { refuse("the file must start with SPDX, the licence") }
  FNR == 501 { refuse("more than 500 lines: split the file by noun") }
  /[ \t]$/ { refuse("trailing space") }
  # (Of C and Lua other tools know that.)
  length > 80 && FILENAME ~ /(Makefile|\.sh)$/ { refuse("over 80 columns") }
  # (The expected output of an example may hold tabs.)
  /\t/ && FILENAME !~ /^(Makefile$|examples)/ { refuse("tab") }
  /(TO[D]O|FIX[M]E|XX[X])/ { refuse("unfinished work is an issue") }
  !is_c { next }
  {
    code = $0
    sub(/\/\/.*/, "", code)
    gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
  }
  # A definition starts in the first column and ends with a brace there.
  /^[A-Za-z].*\(/ && !/;$/ && !start { start = FNR }
  /^[A-Za-z].*;$/ { start = 0 }
  /^}/ {
    if (start && FNR - start + 1 > 60)
      refuse("function of " FNR - start + 1 " lines, more than 60")
    start = 0
  }
  !ours { next }
  calls("malloc|calloc|realloc|free") && FILENAME !~ /base\/mem\.c|src\/cli/ {
    refuse("memory comes from base/mem.c")
  }
  calls("lua_yieldk|lua_yield|lua_resume") && FILENAME !~ /src\/bind\// {
    refuse("only src/bind suspends and resumes")
  }
  calls("luaL_ref") { refuse("no luaL_ref: keep values on the parked stack") }
  calls("exit|abort") && FILENAME !~ /base\/debug\.h|src\/cli|src\/main\.c/ {
    refuse("the library never ends the process")
  }
  END { exit bad }
' $(find .dev src include lua spec examples bench \
  -name '*.[ch]' -o -name '*.lua' -o -name '*.sh' | sort) Makefile
