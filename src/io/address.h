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

// What address_read says of an address with a name in it.
extern const char address_needs_lookup[];

// Read the address at idx for a socket of that family. Returns NULL, or what
// is wrong with it. [-0, +0, -]
const char *address_read(lua_State *L, int idx, int family, Address *out);

// The same, but raises an argument error. [-0, +0, v]
void address_check(lua_State *L, int idx, int family, Address *out);

// Push the address in Lua's form; nil for one of another family. An unnamed
// Unix socket has the address "".
// [-0, +1, m]
void address_push(lua_State *L, const Address *address);

// Push "127.0.0.1:80", "[::1]:80" or the path, for messages. [-0, +1, m]
void address_push_text(lua_State *L, const Address *address);

#endif
