#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs tests, one process per file, several at a time, each with a time limit,
# and closes with the line "N passed, N failed". Failures are printed last.
#
#   spec/run.sh [options] [what...]
#
# `what` is a spec or a folder below spec/: api/lock, base/heap, semantics, or
# a path. Without it everything runs, except what needs a build of its own
# (oom_spec.lua: `make oom`).
#   -i PROGRAM  the interpreter under test (default: build/trio-lua)
#   -u FOLDER   where the unit test programs were built; without it they and
#               the folders of their sources are left out
#   -c TARGETS  make targets to run as well, each counted as one test, or as
#               those that it reports (in TAP)
#   -f NAME     only tests whose name contains this text
#   -w COMMAND  run the interpreter under this command, such as valgrind
#   -t SECONDS  time limit of one file (default: 120)
#   -j N        processes at a time (default: one per processor)
set -u
cd "$(dirname "$0")/.." || exit 1

# The TAP in a job's log, as its report.
read_tap() {
  sed -n -e 's/^not ok [0-9]* - /fail /p' \
    -e 's/^ok [0-9]* - .* # SKIP /skip /p' -e 's/^ok [0-9]* - /ok /p' \
    -e 's/^1\.\.[0-9]*$/done/p' "$out.log" >"$out.report"
}

# One job: run it, leave its log, its counts and what went wrong in $WORK.
# Runs in a process of its own: `run.sh --job KIND NAME`.
if [ "${1-}" = --job ]; then
  kind=$2 name=$3
  out=$WORK/$(echo "$kind-$name" | tr / -)
  passed=0 failed=0 skipped=0 trouble=
  : >"$out.report"
  began=$(date +%s)
  case $kind in
    spec)
      # shellcheck disable=SC2086  # the wrapper and the limit are words
      SPEC_REPORT=$out.report $LIMIT $TRIO_WRAPPER "$TRIO_LUA" \
        spec/support/busted.lua -o spec/support/report.lua \
        ${FILTER:+"--filter=$FILTER"} "$name" >"$out.log" 2>&1 </dev/null
      status=$?
      finished='^done'
      ;;
    unit)
      # shellcheck disable=SC2086
      $LIMIT "build/asan/unit/$name" >"$out.log" 2>&1 </dev/null
      status=$?
      read_tap
      finished='^done'
      ;;
    check)
      $MAKE_COMMAND "$name" >"$out.log" 2>&1 </dev/null
      status=$?
      if grep -q '^1\.\.[0-9]' "$out.log"; then
        read_tap
      elif [ $status -eq 0 ]; then
        echo "ok $name" >"$out.report"
      else
        echo "fail $name" >"$out.report"
      fi
      finished='^'
      ;;
  esac
  passed=$(grep -c '^ok ' "$out.report")
  failed=$(grep -c '^fail ' "$out.report")
  skipped=$(grep -c '^skip ' "$out.report")
  if ! grep -q "$finished" "$out.report"; then
    last=$(sed -n 's/^start //p' "$out.report" | tail -n 1)
    case $status in
      124) trouble="timed out" ;;
      *) trouble="ended early with status $status" ;;
    esac
    trouble="$trouble${last:+, in: $last}"
  elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    trouble="ended with status $status although no test failed"
  elif [ $((passed + failed + skipped)) -eq 0 ] && [ -z "$FILTER" ]; then
    trouble="has no tests"
  fi
  if [ -n "$trouble" ]; then
    failed=$((failed + 1))
    printf '\nFAIL %s %s\n' "$name" "$trouble" >>"$out.log"
  fi
  echo "$passed $failed $skipped" >"$out.count"
  sed -n "s|^skip |$name: |p" "$out.report" >"$out.skips"
  [ $((passed + failed + skipped)) -eq 0 ] && exit 0
  took=$(($(date +%s) - began))
  [ $took -ge 2 ] && name="$name ($took s)"
  if [ "$failed" -gt 0 ]; then
    { printf '\n---- %s\n' "$name"; cat "$out.log"; } >"$out.failed"
    echo "  FAIL  $name: $passed passed, $failed failed"
  else
    echo "  ok    $name: $passed passed"
  fi
  exit 0
fi

TRIO_LUA=build/trio-lua TRIO_WRAPPER='' FILTER='' units=no checks='' seconds=120
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
while getopts i:uc:f:w:t:j: option; do
  case $option in
    i) TRIO_LUA=$OPTARG ;;
    u) units=yes ;;
    c) checks=$OPTARG ;;
    # A Lua pattern that matches the text itself.
    f) FILTER=$(printf %s "$OPTARG" | LC_ALL=C sed 's/[^[:alnum:] ]/%&/g') ;;
    w) TRIO_WRAPPER=$OPTARG ;;
    t) seconds=$OPTARG ;;
    j) jobs=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))

LIMIT=
command -v timeout >/dev/null 2>&1 && LIMIT="timeout -k 5 $seconds"
MAKE_COMMAND="${MAKE:-make} -s --no-print-directory"
unset MAKEFLAGS MFLAGS  # the checks are makes of their own
WORK=$(mktemp -d) || exit 1
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
export TRIO_LUA TRIO_WRAPPER FILTER WORK LIMIT MAKE_COMMAND

list_specs() { find "$1" -name '*_spec.lua' ! -name oom_spec.lua | sort |
  sed 's/^/spec /'; }
# The unit programs below a folder of spec/, named as their sources are.
list_units() { find "$1" -name '*.c' ! -path '*/support/*' \
  ! -path '*/fixtures/*' 2>/dev/null | sort |
  sed -e 's|^spec/|unit |' -e 's/\.c$//'; }

{
  for check in $checks; do echo "check $check"; done
  if [ $# -eq 0 ]; then
    [ "$units$FILTER" = yes ] && list_units spec
    list_specs spec
  fi
  for what; do
    what=${what#spec/}
    if [ -f "spec/$what" ] && [ "${what%.lua}" != "$what" ]; then
      echo "spec spec/$what"
    elif [ -f "spec/${what}_spec.lua" ]; then
      echo "spec spec/${what}_spec.lua"
    elif [ -f "spec/${what%.c}.c" ]; then
      echo "unit ${what%.c}"
    elif [ -d "spec/$what" ]; then
      list_units "spec/$what"
      list_specs "spec/$what"
    else
      echo "spec/run.sh: there is no test file for '$what'" >&2
      exit 2
    fi
  done
} >"$WORK/jobs"

awk '!seen[$0]++' "$WORK/jobs" | xargs -P "$jobs" -L 1 "$0" --job

for log in "$WORK"/*.failed; do
  [ -f "$log" ] && cat "$log"
done
echo
cat "$WORK"/*.skips 2>/dev/null | sed 's/^/pending: /'
cat "$WORK"/*.count 2>/dev/null | awk '
  { passed += $1; failed += $2; skipped += $3 }
  END {
    if (skipped > 0) print skipped " pending"
    if (passed + failed == 0) print "no test ran"
    print passed + 0 " passed, " failed + 0 " failed"
    exit failed > 0 || passed == 0
  }'
