// SPDX-License-Identifier: MIT
// address.h: socket addresses between Lua and C. In Lua: {host, port} (IPv6:
// {host, port, flowinfo, scope}) or, for Unix sockets, a path string.
#ifndef TRIO_IO_ADDRESS_H
#define TRIO_IO_ADDRESS_H

#include <lua.h>
#include <sys/socket.h>

typedef struct Address {
  struct sockaddr_storage storage;
  socklen_t length;
} Address;

// Read the numeric address at idx for a socket of that family; raises an
// argument error for another shape. [-0, +0, v]
void address_check(lua_State *L, int idx, int family, Address *out);

// Push the address in Lua's form; nil for an unknown or unnamed one.
// [-0, +1, m]
void address_push(lua_State *L, const Address *address);

// Push "127.0.0.1:80", "[::1]:80" or the path, for messages. [-0, +1, m]
void address_push_text(lua_State *L, const Address *address);

#endif
