#!/bin/sh
# SPDX-License-Identifier: MIT
# Fails on an #include that goes against the layers:
#   base <- core <- bind <- api, io <- tls <- module.c, lazy.c
#   cli, main.c use trio.h only
# Inside api and io a file uses the headers of its neighbours only where they
# are listed here, because they are the ground of the others.
cd "$(dirname "$0")/.." || exit 1
exec awk '
  BEGIN {
    rank["base"] = 0; rank["core"] = 1; rank["bind"] = 2
    rank["api"] = 3; rank["io"] = 3; rank["tls"] = 4; rank["cli"] = 5
    rank["top"] = 6
    n = split( \
      "api/api api/run api/token_c api/clock api/scope api/nursery " \
      "api/reschedule api/guard api/lock api/channel api/token io/io " \
      "io/oserror io/signal_names io/process io/process_hide io/watch " \
      "io/address io/socket io/stream io/parcel " \
      "io/parcel_wire io/worker api/leftover io/job io/bytes io/path " \
      "io/file io/fs", words, " ")
    for (i = 1; i <= n; i++) shared[words[i]] = 1
    gathers["api/run"] = gathers["api/lowlevel"] = 1  # put parts together
    uv = "^(bind/poll|io/.*)$"
  }
  function layer(path) {
    return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : "top"
  }
  function stem(path) { sub(/\.[ch]$/, "", path); return path }
  # What a quoted include names, relative to src; "" outside of src.
  function target(from, name) {
    if (name ~ /(^|\/)trio\.h$/) return ""
    if (sub(/^\.\.\//, "", name)) return name
    if (from ~ /\// && name !~ /\//) return layer(from) "/" name
    return name
  }
  # Parts of one thing: token.c and token_c.c.
  function same_noun(a, b) {
    return index(a "_", b "_") == 1 || index(b "_", a "_") == 1
  }
  function refuse(why) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, $0, why
    bad = 1
  }
  /^#[ ]*include/ {
    from = FILENAME
    sub(/^src\//, "", from)
    mine = layer(from)
    name = $0
    gsub(/^#[ ]*include[ ]*[<"]|[>"].*$/, "", name)
    if ($0 ~ /</) {
      if (name ~ /^(lua|lauxlib|lualib)\.h$/ && rank[mine] < 2)
        refuse("no Lua below src/bind")
      if (name == "uv.h" && stem(from) !~ uv)
        refuse("libuv belongs to src/bind/poll.c and src/io")
      if (name ~ /^openssl\// && from != "tls/openssl.h")
        refuse("OpenSSL is seen through src/tls/openssl.h only")
      next
    }
    to = target(from, name)
    if (to == "") {
      if (rank[mine] < 2) refuse("the public header is above this layer")
      next
    }
    theirs = layer(to)
    if (!(theirs in rank)) refuse("which layer is this?")
    else if (mine == "cli" && theirs != "cli")
      refuse("the interpreter uses the public header only")
    else if (from == "main.c" && theirs != "cli")
      refuse("the interpreter uses the public header only")
    else if (rank[theirs] > rank[mine]) refuse("an upper layer")
    else if (from == "io/guest.c" && theirs == "api") next  # as api/run.c
    else if (mine == "io" && to == "api/token_c.h") next  # from threads
    else if (mine != theirs && rank[theirs] == rank[mine])
      refuse("a layer of the same height")
    else if (rank[mine] == 3 && theirs == mine \
        && !same_noun(stem(to), stem(from)) \
        && !(stem(to) in shared) && !(stem(from) in gathers))
      refuse("a neighbour that .dev/layers.sh does not list as shared ground")
  }
  END { exit bad }
' $(find src -name '*.[ch]' | sort)
