// SPDX-License-Identifier: MIT
// address.c: see address.h. Names are resolved elsewhere; hosts are numeric
// here ("" is the wildcard, "<broadcast>" 255.255.255.255).
#include "address.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

static lua_Integer integer_at(lua_State *L, int idx, int n, lua_Integer max,
                              const char *what) {
  int type = lua_rawgeti(L, idx, n);
  if (type == LUA_TNIL && n > 2) {
    lua_pop(L, 1);
    return 0;
  }
  int ok;
  lua_Integer value = lua_tointegerx(L, -1, &ok);
  if (type != LUA_TNUMBER || !ok || value < 0 || value > max) {
    lua_pushfstring(L, "%s of the address must be a whole number", what);
    luaL_argerror(L, idx, lua_tostring(L, -1));
  }
  lua_pop(L, 1);
  return value;
}

static void read_unix(lua_State *L, int idx, Address *out) {
  struct sockaddr_un *un = (struct sockaddr_un *)&out->storage;
  size_t length;
  if (lua_type(L, idx) != LUA_TSTRING) luaL_typeerror(L, idx, "path");
  const char *path = lua_tolstring(L, idx, &length);
  if (length == 0 || length >= sizeof un->sun_path) {
    luaL_argerror(L, idx, "the path of a Unix socket is empty or too long");
  }
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, length);
  // An abstract name begins with a zero byte and is not terminated.
  size_t end = path[0] == '\0' ? 0 : 1;
  out->length =
      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + end);
}

static void read_inet(lua_State *L, int idx, const char *host, Address *out) {
  struct sockaddr_in *in = (struct sockaddr_in *)&out->storage;
  if (lua_rawlen(L, idx) != 2) {
    luaL_argerror(L, idx, "an IPv4 address is {host, port}");
  }
  in->sin_family = AF_INET;
  in->sin_port = htons((uint16_t)integer_at(L, idx, 2, 65535, "the port"));
  if (*host == '\0') host = "0.0.0.0";
  if (strcmp(host, "<broadcast>") == 0) host = "255.255.255.255";
  if (inet_pton(AF_INET, host, &in->sin_addr) != 1) {
    luaL_argerror(L, idx, "the host is no numeric IPv4 address");
  }
  out->length = sizeof *in;
}

static void read_inet6(lua_State *L, int idx, const char *host, Address *out) {
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
  size_t count = lua_rawlen(L, idx);
  if (count < 2 || count > 4) {
    luaL_argerror(L, idx, "an IPv6 address is {host, port, flowinfo, scope}");
  }
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons((uint16_t)integer_at(L, idx, 2, 65535, "the port"));
  in6->sin6_flowinfo =
      htonl((uint32_t)integer_at(L, idx, 3, 0xfffff, "flowinfo"));
  in6->sin6_scope_id = (uint32_t)integer_at(L, idx, 4, UINT32_MAX, "the scope");
  char plain[INET6_ADDRSTRLEN];
  const char *zone = strchr(host, '%');
  size_t length = zone == NULL ? strlen(host) : (size_t)(zone - host);
  if (length >= sizeof plain) length = sizeof plain - 1;
  memcpy(plain, host, length);
  plain[length] = '\0';
  if (zone != NULL) in6->sin6_scope_id = if_nametoindex(zone + 1);
  if (*host == '\0') strcpy(plain, "::");
  if (inet_pton(AF_INET6, plain, &in6->sin6_addr) != 1) {
    luaL_argerror(L, idx, "the host is no numeric IPv6 address");
  }
  out->length = sizeof *in6;
}

void address_check(lua_State *L, int idx, int family, Address *out) {
  memset(out, 0, sizeof *out);
  if (family == AF_UNIX) {
    read_unix(L, idx, out);
    return;
  }
  if (family != AF_INET && family != AF_INET6) {
    luaL_argerror(L, idx, "addresses of this family are not supported");
  }
  if (lua_type(L, idx) != LUA_TTABLE) {
    luaL_typeerror(L, idx, "address {host, port}");
  }
  if (lua_rawgeti(L, idx, 1) != LUA_TSTRING) {
    luaL_argerror(L, idx, "the host of the address must be a string");
  }
  const char *host = lua_tostring(L, -1);
  if (family == AF_INET) {
    read_inet(L, idx, host, out);
  } else {
    read_inet6(L, idx, host, out);
  }
  lua_pop(L, 1);
}

static void push_inet(lua_State *L, const char *host, unsigned port) {
  lua_createtable(L, 4, 0);
  lua_pushstring(L, host);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, port);
  lua_rawseti(L, -2, 2);
}

void address_push(lua_State *L, const Address *address) {
  char host[INET6_ADDRSTRLEN];
  switch (address->storage.ss_family) {
    case AF_INET: {
      const struct sockaddr_in *in =
          (const struct sockaddr_in *)&address->storage;
      inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
      push_inet(L, host, ntohs(in->sin_port));
      return;
    }
    case AF_INET6: {
      const struct sockaddr_in6 *in6 =
          (const struct sockaddr_in6 *)&address->storage;
      inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
      push_inet(L, host, ntohs(in6->sin6_port));
      lua_pushinteger(L, ntohl(in6->sin6_flowinfo));
      lua_rawseti(L, -2, 3);
      lua_pushinteger(L, in6->sin6_scope_id);
      lua_rawseti(L, -2, 4);
      return;
    }
    case AF_UNIX: {
      const struct sockaddr_un *un =
          (const struct sockaddr_un *)&address->storage;
      size_t start = offsetof(struct sockaddr_un, sun_path);
      size_t length = address->length > start ? address->length - start : 0;
      if (length > 0 && un->sun_path[0] != '\0') {
        length = strnlen(un->sun_path, length);
      }
      lua_pushlstring(L, un->sun_path, length);
      return;
    }
    default:
      lua_pushnil(L);
  }
}

void address_push_text(lua_State *L, const Address *address) {
  address_push(L, address);
  if (!lua_istable(L, -1)) return;
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  const char *form =
      address->storage.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d";
  lua_pushfstring(L, form, lua_tostring(L, -2), (int)lua_tointeger(L, -1));
  lua_replace(L, -4);
  lua_pop(L, 2);
}
