#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source file has a spec that mirrors its path: src/core/x.c
# spec/core/x.c, src/api/x.c spec/api/x_spec.lua, lua/trio/x.lua
# spec/lua/x_spec.lua. Parts are tested with the whole: group_text.c with
# group.c, and what spec/mirror.txt lists as "source spec".
cd "$(dirname "$0")/.." || exit 1
bad=0
listed() { awk -v source="$1" '$1 == source { print $2 }' spec/mirror.txt; }

for source in $(find src lua -name '*.c' -o -name '*.lua' | sort); do
  case $source in
    src/*/*) folder=${source#src/} folder=spec/${folder%/*} ;;
    lua/*) folder=spec/lua ;;
    *) continue ;; # module.c and main.c are tested by everything
  esac
  whole=${source%_*}
  [ "$whole" != "$source" ] && [ -f "$whole.${source##*.}" ] && continue
  name=$(basename "${source%.*}")
  case $folder in
    spec/base | spec/core) mirror=$folder/$name.c ;;
    *) mirror=$folder/${name}_spec.lua ;;
  esac
  named=$(listed "$source")
  if [ -z "$named" ] && [ ! -f "$mirror" ]; then
    echo "$source has no $mirror, and no line in spec/mirror.txt"
  elif [ -n "$named" ] && [ -f "$mirror" ]; then
    echo "$source has $mirror: its line in spec/mirror.txt is stale"
  elif [ -n "$named" ] && [ ! -f "$named" ]; then
    echo "spec/mirror.txt: $named for $source is not there"
  else
    continue
  fi
  bad=1
done
for source in $(awk '!/^#/ { print $1 }' spec/mirror.txt); do
  [ -f "$source" ] && continue
  echo "spec/mirror.txt: $source is not there"
  bad=1
done
exit $bad
