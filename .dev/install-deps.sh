#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing to build and test, or says what is missing.
#   .dev/install-deps.sh [build] [test] [check]    (default: build test)
# build: compiling; test: the test suite; check: lint, gdb.
# Where everything is there it does nothing and prints nothing.
set -u

# One line per need: group, Debian package, and a command that succeeds when
# the need is met, however it was installed. libedit is no need: it only comes
# along where that asks nobody for anything.
needs() {
  cat <<'LIST'
build|gcc|command -v "${CC:-cc}"
build|make|command -v make
build|libc6-dev|echo '#include <stdio.h>' | "${CC:-cc}" -E -
build|pkg-config|command -v pkg-config
build|liblua5.4-dev|pkg-config lua5.4 || pkg-config lua-5.4 || \
  pkg-config lua54 || \
  pkg-config lua '--atleast-version=5.4' '--max-version=5.4.99'
build|libuv1-dev|pkg-config libuv
build|libssl-dev|pkg-config openssl '--atleast-version=3.0'
build|libedit-dev|pkg-config libedit || ! command -v apt-get || \
  [ "$(id -u)" -ne 0 ]
test|lua5.4|command -v lua5.4
test|lua-busted|lua5.4 -e 'require "busted.core"'
test|lua-check|command -v luacheck
test|netbase|test -r /etc/services
test|socat|command -v socat
test|ncat|command -v ncat
test|lua-luv-dev|pkg-config lua5.4-luv
test|luarocks|command -v luarocks
test|groff-base|command -v groff
test|redis-tools|command -v redis-cli
test|openssl|command -v openssl
test|gnutls-bin|command -v gnutls-cli
test|valgrind|command -v valgrind
check|clang-format|command -v clang-format
check|clang-tidy|command -v clang-tidy
check|gdb|command -v gdb
LIST
}

# The packages of the chosen groups whose need is not met.
missing() {
  # shellcheck disable=SC2162  # lines that end in a backslash go on
  needs | while IFS='|' read group package test; do
    case " $groups " in *" $group "*) ;; *) continue ;; esac
    sh -c "$test" >/dev/null 2>&1 </dev/null || echo "$package"
  done | tr '\n' ' '
}

has_candidate() {
  LC_ALL=C apt-cache policy "$1" 2>/dev/null |
    grep 'Candidate:' | grep -qv '(none)'
}

advise() {
  cat >&2 <<TEXT
Missing (by Debian's names): $wanted
This script installs packages on Debian and its relatives only. Elsewhere:
  Fedora        gcc make pkgconf lua-devel libuv-devel openssl-devel; luarocks
  Arch          gcc make pkgconf lua54 libuv openssl; luarocks
  Alpine        build-base pkgconf lua5.4-dev libuv-dev openssl-dev
                luarocks5.4
  Homebrew      pkgconf lua@5.4 libuv openssl@3 luarocks
and then, for the tests, "luarocks --lua-version 5.4 install busted" and
"... install luacheck". Lua must be 5.4 and be found by pkg-config as lua5.4,
lua-5.4, lua54 or lua; its interpreter must be found as lua5.4.
TEXT
  exit 1
}

groups=${*:-build test}
wanted=$(missing)
[ -n "$wanted" ] || exit 0
command -v apt-get >/dev/null 2>&1 || advise

root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1 || [ ! -t 0 ]; then
    echo "Missing packages: $wanted" >&2
    echo "Run this as root, then try again:" >&2
    echo "  apt-get update && apt-get install $wanted" >&2
    exit 1
  fi
  printf 'Missing packages: %s\n' "$wanted"
  printf 'Install them with sudo apt-get? [y/N] '
  read -r answer
  case $answer in [yY]*) ;; *) exit 1 ;; esac
  root=sudo
fi

echo "Installing: $wanted"
install() {
  # shellcheck disable=SC2086  # a list of words
  $root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends $wanted
}
fresh=no
for package in $wanted; do
  has_candidate "$package" && continue
  $root apt-get update -q
  fresh=yes
  break
done
# Package lists that are too old name files that are gone: once more then.
install || { [ $fresh = no ] && $root apt-get update -q && install; }

wanted=$(missing)
[ -z "$wanted" ] && exit 0
echo "Still missing: $wanted" >&2
exit 1
