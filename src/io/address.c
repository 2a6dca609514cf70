// SPDX-License-Identifier: MIT
// address.c: see address.h. Names are resolved elsewhere (lua/trio/socket.lua);
// here hosts and ports are numeric.
#include "address.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

const char address_needs_lookup[] = "the host and port must be numeric";

// The field is an integer up to max, or absent where that is allowed.
static bool read_number(lua_State *L, int idx, int n, lua_Integer max,
                        uint32_t *out) {
  int type = lua_rawgeti(L, idx, n);
  int ok;
  lua_Integer value = lua_tointegerx(L, -1, &ok);
  lua_pop(L, 1);
  *out = 0;
  if (type == LUA_TNIL && n > 2) return true;
  if (type != LUA_TNUMBER || !ok || value < 0 || value > max) return false;
  *out = (uint32_t)value;
  return true;
}

static const char *read_unix(lua_State *L, int idx, Address *out) {
  struct sockaddr_un *un = (struct sockaddr_un *)&out->storage;
  if (lua_type(L, idx) != LUA_TSTRING) return "a path expected";
  size_t length;
  const char *path = lua_tolstring(L, idx, &length);
  if (length == 0) return "the path is empty";
  // An abstract name begins with a zero byte and is not terminated.
  size_t end = path[0] == '\0' ? 0 : 1;
  if (length + end > sizeof un->sun_path) return "the path is too long";
  if (end == 1 && memchr(path, '\0', length) != NULL) {
    return "the path has a zero byte in it";
  }
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, length);
  out->length =
      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + end);
  return NULL;
}

static const char *read_inet(const char *host, uint32_t port, Address *out) {
  struct sockaddr_in *in = (struct sockaddr_in *)&out->storage;
  if (inet_pton(AF_INET, host, &in->sin_addr) != 1) {
    return address_needs_lookup;
  }
  in->sin_family = AF_INET;
  in->sin_port = htons((uint16_t)port);
  out->length = sizeof *in;
  return NULL;
}

static const char *read_inet6(lua_State *L, int idx, const char *host,
                              uint32_t port, Address *out) {
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
  uint32_t flow, scope;
  if (!read_number(L, idx, 3, 0xfffff, &flow)) {
    return "the flow of the address must be an integer below 2^20";
  }
  if (!read_number(L, idx, 4, UINT32_MAX, &scope)) {
    return "the scope of the address must be an integer";
  }
  char plain[INET6_ADDRSTRLEN];
  const char *zone = strchr(host, '%');
  size_t length = zone == NULL ? strlen(host) : (size_t)(zone - host);
  if (length >= sizeof plain) return address_needs_lookup;
  memcpy(plain, host, length);
  plain[length] = '\0';
  if (inet_pton(AF_INET6, plain, &in6->sin6_addr) != 1) {
    return address_needs_lookup;
  }
  if (zone != NULL) scope = if_nametoindex(zone + 1);
  if (zone != NULL && scope == 0) return address_needs_lookup;
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons((uint16_t)port);
  in6->sin6_flowinfo = htonl(flow);
  in6->sin6_scope_id = scope;
  out->length = sizeof *in6;
  return NULL;
}

// How many fields the array has, gaps included.
static int count_fields(lua_State *L, int idx) {
  for (int n = 5; n > 0; n--) {
    int type = lua_rawgeti(L, idx, n);
    lua_pop(L, 1);
    if (type != LUA_TNIL) return n;
  }
  return 0;
}

const char *address_read(lua_State *L, int idx, int family, Address *out) {
  memset(out, 0, sizeof *out);
  if (family == AF_UNIX) return read_unix(L, idx, out);
  if (family != AF_INET && family != AF_INET6) {
    return "addresses of this family are not supported";
  }
  int count = lua_type(L, idx) == LUA_TTABLE ? count_fields(L, idx) : 0;
  if (family == AF_INET && count != 2) return "an address is {host, port}";
  if (family == AF_INET6 && (count < 2 || count > 4)) {
    return "an address is {host, port [, flow [, scope]]}";
  }
  int host_type = lua_rawgeti(L, idx, 1);
  int port_type = lua_rawgeti(L, idx, 2);
  const char *problem = NULL;
  uint32_t port = 0;
  if (host_type != LUA_TSTRING && host_type != LUA_TNIL) {
    problem = "the host of the address must be a string";
  } else if (host_type == LUA_TNIL || port_type == LUA_TSTRING) {
    problem = address_needs_lookup;
  } else if (!read_number(L, idx, 2, 65535, &port)) {
    problem = "the port of the address must be an integer from 0 to 65535";
  } else if (family == AF_INET) {
    problem = read_inet(lua_tostring(L, -2), port, out);
  } else {
    problem = read_inet6(L, idx, lua_tostring(L, -2), port, out);
  }
  lua_pop(L, 2);
  return problem;
}

void address_check(lua_State *L, int idx, int family, Address *out) {
  const char *problem = address_read(L, idx, family, out);
  if (problem != NULL) luaL_argerror(L, idx, problem);
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
