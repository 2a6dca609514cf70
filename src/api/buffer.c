// SPDX-License-Identifier: MIT
// buffer.c: the shared state of a memory channel: its ring of items. The end
// whose method runs stands at index 1; its user value 1 is the state, whose
// user value 1 is the ring.
#include <limits.h>
#include <math.h>

#include "channel.h"

enum { FIRST_SIZE = 8, LARGE = 1024 };

const Class channel_class = {"trio.MemoryChannel", NULL, NULL, NULL};

Channel *channel_push(lua_State *L, double limit) {
  Channel *ch = class_new(L, &channel_class, sizeof(Channel), 1);
  lot_init(&ch->senders);
  lot_init(&ch->receivers);
  ch->limit = limit;
  return ch;
}

static void push_ring(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  lua_getiuservalue(L, -1, 1);
}

// 1-based index in the ring of the item after `n` others.
static lua_Integer slot(const Channel *ch, int n) {
  return ((ch->first + n) & (ch->size - 1)) + 1;
}

// Make room: a ring twice as large, with the items in order from slot 0.
static void grow(lua_State *L, Channel *ch) {
  if (ch->size > INT_MAX / 2) {
    luaL_error(L, "the channel's buffer is too large");
  }
  int size = ch->size == 0 ? FIRST_SIZE : ch->size * 2;
  push_ring(L);
  lua_createtable(L, size, 0);
  for (int i = 0; i < ch->used; i++) {
    lua_rawgeti(L, -2, slot(ch, i));
    lua_rawseti(L, -2, i + 1);
  }
  lua_setiuservalue(L, -3, 1);
  lua_pop(L, 2);
  ch->first = 0;
  ch->size = size;
}

void channel_append(lua_State *L, Channel *ch) {
  if (ch->used == ch->size) grow(L, ch);
  push_ring(L);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, slot(ch, ch->used++));
  if (ch->used > ch->peak) ch->peak = ch->used;
}

// The ring of a burst that is over is not kept. (A ring that is needed again
// and again grows in a time proportional to what it carries.)
static void forget_ring(lua_State *L, Channel *ch) {
  lua_pushnil(L);
  lua_setiuservalue(L, -4, 1);
  ch->first = ch->size = 0;
}

void channel_take(lua_State *L, Channel *ch) {
  push_ring(L);
  lua_rawgeti(L, -1, ch->first + 1);
  lua_pushnil(L);
  lua_rawseti(L, -3, ch->first + 1);
  ch->first = (ch->first + 1) & (ch->size - 1);
  if (--ch->used == 0 && ch->size > LARGE) forget_ring(L, ch);
}

void channel_refill(lua_State *L, Channel *ch) {
  lua_rawseti(L, -3, slot(ch, ch->used++));
}

void channel_drop(lua_State *L, Channel *ch) {
  lua_getiuservalue(L, 1, 1);
  lua_pushnil(L);
  lua_setiuservalue(L, -2, 1);
  lua_pop(L, 1);
  ch->first = ch->used = ch->size = 0;
}

static void set(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

void channel_push_statistics(lua_State *L, const Channel *ch) {
  lua_createtable(L, 0, 7);
  set(L, "current_buffer_used", ch->used);
  set(L, "open_send_channels", ch->open_send);
  set(L, "open_receive_channels", ch->open_receive);
  set(L, "tasks_waiting_send", ch->senders.count);
  set(L, "tasks_waiting_receive", ch->receivers.count);
  set(L, "peak_buffer_used", ch->peak);
  if (ch->limit == INFINITY) {
    lua_pushnumber(L, ch->limit);
    lua_setfield(L, -2, "max_buffer_size");
  } else {
    set(L, "max_buffer_size", (lua_Integer)ch->limit);
  }
}
