// SPDX-License-Identifier: MIT
// resolve.c: host names to addresses and back, on libuv's thread pool. A
// cancelled look-up is abandoned: its request stays until libuv is done with
// it, and its answer is dropped. Custom resolvers are handled in Lua.
#include <netdb.h>
#include <string.h>
#include <uv.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "address.h"
#include "io.h"
#include "oserror.h"

// One look-up, in C memory, because libuv may need it longer than its task. It
// belongs to its box, or once that is gone and while it runs, to libuv.
typedef struct Lookup {
  union {
    uv_getaddrinfo_t address;
    uv_getnameinfo_t name;
  } req;
  Task *task;  // NULL once it is abandoned
  bool running;
  int status;
  struct addrinfo *found;
  char host[NI_MAXHOST], service[NI_MAXSERV];
  struct addrinfo hints;
  Address from;
  int flags;
} Lookup;

// On the stack of the function that needs it.
typedef struct LookupBox {
  ClassHead head;
  Lookup *lookup;  // NULL: given up
} LookupBox;

static void free_lookup(Lookup *l) {
  if (l->found != NULL) uv_freeaddrinfo(l->found);
  mem_free(l);
}

// Nobody wants its answer any more, or the answer was taken.
static void drop(LookupBox *box) {
  Lookup *l = box->lookup;
  box->lookup = NULL;
  if (l == NULL) return;
  if (!l->running) {
    free_lookup(l);
    return;
  }
  l->task = NULL;
  uv_cancel((uv_req_t *)&l->req);
}

// A run that was lost does not resume its tasks.
static int box_gc(lua_State *L) {
  drop(lua_touserdata(L, 1));
  return 0;
}

static const luaL_Reg box_meta[] = {{"__gc", box_gc}, {NULL, NULL}};
static const Class box_class = {"trio.lookup", NULL, NULL, box_meta};

static void on_answer(Lookup *l) {
  l->running = false;
  if (l->task != NULL) {
    task_wake(l->task, WAKE_OK);
  } else {
    free_lookup(l);
  }
}

static void on_addresses(uv_getaddrinfo_t *req, int status,
                         struct addrinfo *found) {
  Lookup *l = req->data;
  l->status = status;
  l->found = found;
  on_answer(l);
}

static void on_names(uv_getnameinfo_t *req, int status, const char *host,
                     const char *service) {
  Lookup *l = req->data;
  l->status = status;
  if (status == 0) {
    strncpy(l->host, host, sizeof l->host - 1);
    strncpy(l->service, service, sizeof l->service - 1);
  }
  on_answer(l);
}

static AbortResult abandon(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  drop(self);
  return ABORT_DONE;
}

// What getaddrinfo reports, as the system numbers it and as libuv does.
typedef struct Failure {
  const char *name;
  int number, status;
} Failure;

static const Failure failures[] = {
    {"EAI_AGAIN", EAI_AGAIN, UV_EAI_AGAIN},
    {"EAI_BADFLAGS", EAI_BADFLAGS, UV_EAI_BADFLAGS},
    {"EAI_FAIL", EAI_FAIL, UV_EAI_FAIL},
    {"EAI_FAMILY", EAI_FAMILY, UV_EAI_FAMILY},
    {"EAI_MEMORY", EAI_MEMORY, UV_EAI_MEMORY},
    {"EAI_NONAME", EAI_NONAME, UV_EAI_NONAME},
    {"EAI_OVERFLOW", EAI_OVERFLOW, UV_EAI_OVERFLOW},
    {"EAI_SERVICE", EAI_SERVICE, UV_EAI_SERVICE},
    {"EAI_SOCKTYPE", EAI_SOCKTYPE, UV_EAI_SOCKTYPE},
#ifdef EAI_ADDRFAMILY
    {"EAI_ADDRFAMILY", EAI_ADDRFAMILY, UV_EAI_ADDRFAMILY},
#endif
#ifdef EAI_NODATA
    {"EAI_NODATA", EAI_NODATA, UV_EAI_NODATA},
#endif
};

// Raise the OSError for a number of getaddrinfo. The name that was looked up
// stands at index 1, if it is a string.
static int raise_number(lua_State *L, int number, const char *what) {
  const char *name = "EAI_FAIL";
  for (int i = 0; i < COUNT_OF(failures); i++) {
    if (failures[i].number == number) name = failures[i].name;
  }
  bool named = lua_type(L, 1) == LUA_TSTRING;
  error_push(L, ERROR_OS, "[%s] %s: %s%s%s", name, what, gai_strerror(number),
             named ? ": " : "", named ? lua_tostring(L, 1) : "");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "code");
  lua_pushinteger(L, number);
  lua_setfield(L, -2, "errno");
  lua_pushstring(L, what);
  lua_setfield(L, -2, "syscall");
  return lua_error(L);
}

// The same for a status of libuv.
static int raise_failure(lua_State *L, int status, const char *what) {
  for (int i = 0; i < COUNT_OF(failures); i++) {
    if (failures[i].status == status) {
      return raise_number(L, failures[i].number, what);
    }
  }
  return oserror_raise(L, -status, what, NULL);
}

static void set_integer(lua_State *L, const char *name, int value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

// Push the array of what was found.
static void push_results(lua_State *L, const Lookup *l) {
  lua_newtable(L);
  lua_Integer n = 0;
  for (const struct addrinfo *a = l->found; a != NULL; a = a->ai_next) {
    lua_createtable(L, 0, 5);
    set_integer(L, "family", a->ai_family);
    set_integer(L, "type", a->ai_socktype);
    set_integer(L, "proto", a->ai_protocol);
    lua_pushstring(L, a->ai_canonname == NULL ? "" : a->ai_canonname);
    lua_setfield(L, -2, "canonname");
    Address address;
    memset(&address, 0, sizeof address);
    address.length = a->ai_addrlen;
    memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
    address_push(L, &address);
    lua_setfield(L, -2, "address");
    lua_rawseti(L, -2, ++n);
  }
}

static int finish_addresses(lua_State *L, Task *t, void *self, int code) {
  if (code < 0) return await_raise(L, t, code);
  const Lookup *l = ((LookupBox *)self)->lookup;
  if (l->status != 0) return raise_failure(L, l->status, "getaddrinfo");
  push_results(L, l);
  drop(self);
  return 1;
}

static uv_loop_t *loop_of(const Task *t) {
  return poll_loop(runner_of_task(t)->state->poll);
}

static void start_addresses(lua_State *L, Task *t, void *self) {
  Lookup *l = ((LookupBox *)self)->lookup;
  l->task = t;
  l->req.address.data = l;
  int status =
      uv_getaddrinfo(loop_of(t), &l->req.address, on_addresses,
                     lua_tostring(L, 1), lua_tostring(L, 2), &l->hints);
  l->running = status == 0;
  if (status == 0) return;
  raise_failure(L, status, "getaddrinfo");
}

// Push a box with a new look-up.
static LookupBox *new_lookup(lua_State *L) {
  LookupBox *box = class_new(L, &box_class, sizeof(LookupBox), 0);
  box->lookup = mem_alloc(sizeof(Lookup));
  if (box->lookup == NULL) luaL_error(L, "not enough memory");
  return box;
}

static int option(lua_State *L, const char *name) {
  return (int)opts_number(L, 3, name, 0);
}

static int numeric_result(lua_State *L, const struct addrinfo *hints) {
  struct addrinfo numeric = *hints;
  numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  LookupBox *box = new_lookup(L);
  int number = getaddrinfo(lua_tostring(L, 1), lua_tostring(L, 2), &numeric,
                           &box->lookup->found);
  if (number == 0) push_results(L, box->lookup);
  drop(box);
  if (number == 0) return 1;
  if (number == EAI_NONAME) return 0;
  return raise_number(L, number, "getaddrinfo");
}

static void read_hints(lua_State *L, struct addrinfo *hints) {
  memset(hints, 0, sizeof *hints);
  hints->ai_family = option(L, "family");
  hints->ai_socktype = option(L, "type");
  hints->ai_protocol = option(L, "proto");
  hints->ai_flags = option(L, "flags");
}

static void check_lookup_arguments(lua_State *L) {
  static const char *const known[] = {"family", "type", "proto", "flags", NULL};
  luaL_optstring(L, 1, NULL);
  luaL_optstring(L, 2, NULL);
  opts_check(L, 3, known);
  lua_settop(L, 3);
}

// trio.socket._numeric(host or nil, port or nil [, opts]) -> the results if
// no name has to be looked up, else nil. Never waits. Raises OSError.
static int l_numeric(lua_State *L) {
  check_lookup_arguments(L);
  struct addrinfo hints;
  read_hints(L, &hints);
  return numeric_result(L, &hints);
}

// trio.socket._getaddrinfo(host or nil, port or nil [, opts]) -> array of
// {family, type, proto, canonname, address}. Raises OSError.
static int l_getaddrinfo(lua_State *L) {
  static const Op op = {.name = "trio.socket.getaddrinfo",
                        .start = start_addresses,
                        .abort = abandon,
                        .finish = finish_addresses};
  check_lookup_arguments(L);
  await_check(L, op.name);
  LookupBox *box = new_lookup(L);
  read_hints(L, &box->lookup->hints);
  return await(L, &op, box);
}

static int finish_names(lua_State *L, Task *t, void *self, int code) {
  if (code < 0) return await_raise(L, t, code);
  const Lookup *l = ((LookupBox *)self)->lookup;
  if (l->status != 0) return raise_failure(L, l->status, "getnameinfo");
  lua_pushstring(L, l->host);
  lua_pushstring(L, l->service);
  drop(self);
  return 2;
}

static void start_names(lua_State *L, Task *t, void *self) {
  Lookup *l = ((LookupBox *)self)->lookup;
  l->task = t;
  l->req.name.data = l;
  int status =
      uv_getnameinfo(loop_of(t), &l->req.name, on_names,
                     (const struct sockaddr *)&l->from.storage, l->flags);
  l->running = status == 0;
  if (status == 0) return;
  raise_failure(L, status, "getnameinfo");
}

// trio.socket._getnameinfo(address, flags) -> host, service. Raises OSError.
static int l_getnameinfo(lua_State *L) {
  static const Op op = {.name = "trio.socket.getnameinfo",
                        .start = start_names,
                        .abort = abandon,
                        .finish = finish_names};
  luaL_checktype(L, 1, LUA_TTABLE);
  int flags = (int)luaL_optinteger(L, 2, 0);
  Address from;
  lua_rawgeti(L, 1, 1);
  const char *host = lua_tostring(L, -1);
  bool is_v6 = host != NULL && strchr(host, ':') != NULL;
  address_check(L, 1, is_v6 ? AF_INET6 : AF_INET, &from);
  lua_settop(L, 2);
  await_check(L, op.name);
  LookupBox *box = new_lookup(L);
  box->lookup->from = from;
  box->lookup->flags = flags;
  return await(L, &op, box);
}

void resolve_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"_numeric", l_numeric},
                                       {"_getaddrinfo", l_getaddrinfo},
                                       {"_getnameinfo", l_getnameinfo},
                                       {NULL, NULL}};
  class_register(L, &box_class);
  lua_getfield(L, -1, "socket");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
