#!/bin/sh
# SPDX-License-Identifier: MIT
# `make deb`: packs what was built, with the manual and the examples, into one
# Debian package below build/ (or below $OUT), and prints its name.
set -eu
cd "$(dirname "$0")/.."
: "${OUT:=build}"
root=$OUT/deb/trio-lua
rm -rf "$OUT/deb"
mkdir -p "$root/DEBIAN" "$OUT/deb/debian"

arch=$(dpkg --print-architecture)
triplet=$(${CC:-cc} -print-multiarch)
PREFIX=/usr DESTDIR=$root LIBDIR=/usr/lib/$triplet .dev/install.sh
gzip -9n "$root"/usr/share/man/man1/*
doc=$root/usr/share/doc/trio-lua
install -d "$doc"
cp README.md "$doc"
cp -R docs examples "$doc"
rm -r "$doc/docs/luals" "$doc"/docs/trio-lua.*  # they have their own places
cp LICENSE "$doc/copyright"
chmod -R u=rwX,go=rX "$root"

lib=$root/usr/lib/$triplet
version=$(sed -n 's/^Version: //p' "$lib/pkgconfig/trio-lua.pc")
libraries="$root/usr/bin/trio-lua $lib/libtrio.so.0 $lib/lua/5.4/trio.so"
# shellcheck disable=SC2086
strip --strip-unneeded $libraries
strip --strip-debug "$lib/libtrio.a"
# The packages of the shared libraries that they need: with versions where
# there is the tool for that (dpkg-dev).
if command -v dpkg-shlibdeps >/dev/null; then
  printf 'Source: trio-lua\n\nPackage: trio-lua\nArchitecture: any\n' \
    >"$OUT/deb/debian/control"
  # shellcheck disable=SC2046,SC2086  # lists of words
  depends=$(cd "$OUT/deb" && dpkg-shlibdeps -O \
    $(printf '%s\n' $libraries | sed "s|.*/deb/||") 2>/dev/null)
  depends=${depends#shlibs:Depends=}
else
  # shellcheck disable=SC2086
  depends=$(objdump -p $libraries | sed -n 's/^ *NEEDED *//p' | sort -u |
    while read -r name; do dpkg-query -S "*/$triplet/$name"; done |
    sed 's/:.*//' | sort -u | paste -sd, | sed 's/,/, /g')
fi

cat >"$root/DEBIAN/control" <<CONTROL
Package: trio-lua
Version: $version
Architecture: $arch
Maintainer: the developers of trio-lua <trio-lua@localhost>
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: $depends
Recommends: libssl3t64 | libssl3
Suggests: lua5.4, liblua5.4-dev, libuv1-dev, pkg-config
Section: interpreters
Priority: optional
Description: structured concurrency for Lua, with the semantics of Trio
 An interpreter for Lua 5.4 with tasks in nurseries, cancel scopes and
 asynchronous input and output; the same as a module for lua5.4, and as a
 library for programs in C.
CONTROL
echo 'activate-noawait ldconfig' >"$root/DEBIAN/triggers"
(cd "$root" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
dpkg-deb --root-owner-group --build "$root" "$OUT" >/dev/null
rm -rf "$OUT/deb"
echo "$OUT/trio-lua_${version}_$arch.deb"
