#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a command under valgrind; any error or leak makes the status 99. What is
# still reachable at exit (libuv's thread pool, loaded C modules) is no leak.
kinds=definite,indirect,possible
exec valgrind -q --fair-sched=try --error-exitcode=99 --leak-check=full \
  --num-callers=25 --show-leak-kinds=$kinds \
  --errors-for-leak-kinds=$kinds "$@"
