#!/bin/sh
# SPDX-License-Identifier: MIT
# `make install`: copies what was built below $DESTDIR$PREFIX. Distributions
# may set BINDIR, LIBDIR, INCLUDEDIR, CMODDIR (Lua's C modules), MANDIR and
# DATADIR (for bash's completion and the definitions for editors).
set -eu
cd "$(dirname "$0")/.."
: "${PREFIX:=/usr/local}" "${DESTDIR:=}" "${LUA_PC:=lua5.4}"
: "${BINDIR:=$PREFIX/bin}" "${LIBDIR:=$PREFIX/lib}"
: "${INCLUDEDIR:=$PREFIX/include}" "${CMODDIR:=$LIBDIR/lua/5.4}"
: "${DATADIR:=$PREFIX/share}" "${MANDIR:=$DATADIR/man}"

# put MODE FOLDER FILE...
put() {
  mode=$1 folder=$DESTDIR$2
  shift 2
  install -d "$folder"
  install -m "$mode" "$@" "$folder"
}

put 755 "$BINDIR" build/trio-lua
put 755 "$CMODDIR" build/trio.so
put 644 "$INCLUDEDIR" include/trio.h
put 644 "$LIBDIR" build/libtrio.a
install -m 755 build/libtrio.so "$DESTDIR$LIBDIR/libtrio.so.0"
ln -sf libtrio.so.0 "$DESTDIR$LIBDIR/libtrio.so"
put 644 "$MANDIR/man1" docs/trio-lua.1
put 644 "$DATADIR/trio-lua/library" docs/luals/*.d.lua
install -d "$DESTDIR$DATADIR/bash-completion/completions"
install -m 644 docs/trio-lua.bash \
  "$DESTDIR$DATADIR/bash-completion/completions/trio-lua"

version=$(sed -n 's/^.define TRIO_VERSION "\(.*\)"/\1/p' src/module.c)
install -d "$DESTDIR$LIBDIR/pkgconfig"
cat >"$DESTDIR$LIBDIR/pkgconfig/trio-lua.pc" <<PC
libdir=$LIBDIR
includedir=$INCLUDEDIR
cmoddir=$CMODDIR

Name: trio-lua
Description: Structured concurrency for Lua, with the semantics of Trio
Version: $version
Requires: $LUA_PC libuv
Libs: -L\${libdir} -ltrio
Libs.private: -lm -ldl
Cflags: -I\${includedir}
PC
