// SPDX-License-Identifier: MIT
// channel.c: memory channels (Trio: open_memory_channel, MemorySendChannel,
// MemoryReceiveChannel). A value goes straight to a waiting receiver's stack;
// a waiting sender's value stays on its own stack until somebody takes it. So
// nothing is lost when one of them is cancelled.
#include "channel.h"

#include <math.h>

#include "../bind/error.h"
#include "api.h"
#include "leftover.h"

// One end. User value 1 is the shared state.
typedef struct End {
  ClassHead head;
  Channel *ch;
  bool closed;
} End;

enum { SELF = 1, VALUE = 2 };
enum { WAKE_END = WAKE_FIRST_FREE };  // no sender is left

static const Class send_class, receive_class;

static End *send_end(lua_State *L) { return class_check(L, SELF, &send_class); }

static End *receive_end(lua_State *L) {
  return class_check(L, SELF, &receive_class);
}

static void check_closed(lua_State *L, const End *end) {
  if (end->closed) {
    error_raise(L, ERROR_CLOSED_RESOURCE,
                "this end of the channel was closed by its own side");
  }
}

// ---- sending

static int raise_no_receiver(lua_State *L) {
  return error_raise(L, ERROR_BROKEN_RESOURCE,
                     "every receiving end of the channel is closed");
}

// Give the value at VALUE, which is on top, to the longest waiting receiver.
static bool hand_over(lua_State *L, Channel *ch) {
  Task *t = lot_first(&ch->receivers);
  if (t == NULL) return false;
  lua_xmove(L, t->waiting, 1);
  t->values = 1;
  lot_unpark(&ch->receivers, WAKE_OK);
  return true;
}

static int try_send(lua_State *L, Task *t, void *object) {
  UNUSED(t);
  const End *end = object;
  Channel *ch = end->ch;
  check_closed(L, end);
  if (ch->open_receive == 0) return raise_no_receiver(L);
  if (hand_over(L, ch)) return 0;
  if (ch->used >= ch->limit) return WOULD_BLOCK;
  channel_append(L, ch);
  return 0;
}

static void queue_send(lua_State *L, Task *t, void *object) {
  UNUSED(L);
  lot_park(&((End *)object)->ch->senders, t);
}

static int finish_send(lua_State *L, Task *t, void *object, int code) {
  if (code == WAKE_BROKEN) return raise_no_receiver(L);
  if (code == WAKE_CLOSED) check_closed(L, object);
  if (code < 0) return await_raise(L, t, code);
  return 0;
}

static void check_value(lua_State *L) {
  luaL_argcheck(L, !lua_isnoneornil(L, VALUE), VALUE,
                "nil can't be sent through a channel");
  if (lua_gettop(L) != VALUE) lua_settop(L, VALUE);
}

// send:send(value): wait until there is room or a receiver. Raises
// ClosedResourceError, and BrokenResourceError where no receiver is left.
static int l_send(lua_State *L) {
  static const Op op = {.name = "MemorySendChannel:send",
                        .attempt = try_send,
                        .start = queue_send,
                        .finish = finish_send};
  End *end = send_end(L);
  check_value(L);
  return await(L, &op, end);
}

// send:send_nowait(value): the same at once, or WouldBlock.
static int l_send_nowait(lua_State *L) {
  End *end = send_end(L);
  check_value(L);
  if (try_send(L, NULL, end) == WOULD_BLOCK) {
    return error_raise(L, ERROR_WOULD_BLOCK, "the channel is full");
  }
  return 0;
}

// ---- receiving

static int end_of_channel(lua_State *L, const End *end) {
  UNUSED(end);
  return error_raise(L, ERROR_END_OF_CHANNEL,
                     "every sending end of the channel is closed");
}

// Push the next item last, if there is one; the longest waiting sender, whose
// value stands at VALUE of its frame, refills the buffer. It is woken last: an
// instrument may use the channel then.
static bool take(lua_State *L, Channel *ch) {
  const Task *sender = lot_first(&ch->senders);
  bool buffered = ch->used > 0;
  if (buffered) channel_take(L, ch);
  if (sender == NULL) return buffered;
  lua_pushvalue(sender->waiting, VALUE);
  lua_xmove(sender->waiting, L, 1);
  if (buffered) channel_refill(L, ch);
  lot_unpark(&ch->senders, WAKE_OK);
  return true;
}

static int try_receive(lua_State *L, Task *t, void *object) {
  UNUSED(t);
  const End *end = object;
  check_closed(L, end);
  if (take(L, end->ch)) return 1;
  if (end->ch->open_send == 0) return end_of_channel(L, end);
  return WOULD_BLOCK;
}

static void queue_receive(lua_State *L, Task *t, void *object) {
  UNUSED(L);
  lot_park(&((End *)object)->ch->receivers, t);
}

static int finish_receive(lua_State *L, Task *t, void *object, int code) {
  if (code == WAKE_END) return end_of_channel(L, object);
  if (code == WAKE_CLOSED) check_closed(L, object);
  if (code < 0) return await_raise(L, t, code);
  return t->values;
}

// receive:receive() -> the next value, waiting for one. Raises EndOfChannel
// where nothing is left and no sender is open, ClosedResourceError.
static int l_receive(lua_State *L) {
  static const Op op = {.name = "MemoryReceiveChannel:receive",
                        .attempt = try_receive,
                        .start = queue_receive,
                        .finish = finish_receive};
  return await(L, &op, receive_end(L));
}

// receive:receive_nowait() -> the same at once, or WouldBlock.
static int l_receive_nowait(lua_State *L) {
  if (try_receive(L, NULL, receive_end(L)) == WOULD_BLOCK) {
    return error_raise(L, ERROR_WOULD_BLOCK, "the channel is empty");
  }
  return 1;
}

static int try_next(lua_State *L, Task *t, void *object) {
  UNUSED(t);
  const End *end = object;
  check_closed(L, end);
  if (take(L, end->ch)) return 1;
  if (end->ch->open_send > 0) return WOULD_BLOCK;
  lua_pushnil(L);
  return 1;
}

static int finish_next(lua_State *L, Task *t, void *object, int code) {
  if (code != WAKE_END) return finish_receive(L, t, object, code);
  lua_pushnil(L);
  return 1;
}

// for value in receive do: ends where receive raises EndOfChannel.
static int receive_call(lua_State *L) {
  static const Op op = {.name = "iterating a MemoryReceiveChannel",
                        .attempt = try_next,
                        .start = queue_receive,
                        .finish = finish_next};
  return await(L, &op, receive_end(L));
}

// ---- ends

static End *push_end(lua_State *L, const Class *c, int state, Channel *ch) {
  End *end = class_new(L, c, sizeof(End), 1);
  lua_pushvalue(L, state);
  lua_setiuservalue(L, -2, 1);
  end->ch = ch;
  leftover_opened(L);
  return end;
}

static int clone(lua_State *L, const End *end, const Class *c) {
  check_closed(L, end);
  lua_getiuservalue(L, SELF, 1);
  push_end(L, c, lua_gettop(L), end->ch);
  return 1;
}

// send:clone() -> another end of the same channel.
static int l_send_clone(lua_State *L) {
  const End *end = send_end(L);
  clone(L, end, &send_class);
  end->ch->open_send++;
  return 1;
}

// receive:clone() -> another end of the same channel.
static int l_receive_clone(lua_State *L) {
  const End *end = receive_end(L);
  clone(L, end, &receive_class);
  end->ch->open_receive++;
  return 1;
}

// Wake the tasks that wait through this very end. They are set apart first: an
// instrument that sees one of them woken may change who waits.
static void wake_own(Lot *lot, const End *end) {
  List own;
  list_init(&own);
  Link *link = list_first(&lot->parked);
  while (link != NULL) {
    Link *next = list_next(&lot->parked, link);
    if (CONTAINER_OF(link, Task, wait_link)->self == end) {
      list_remove(link);
      list_push(&own, link);
    }
    link = next;
  }
  while ((link = list_first(&own)) != NULL) {
    Task *t = CONTAINER_OF(link, Task, wait_link);
    lot_remove(t);
    task_wake(t, WAKE_CLOSED);
  }
}

// The end stands at SELF.
static void close_send(lua_State *L, End *end) {
  if (end->closed) return;
  Channel *ch = end->ch;
  end->closed = true;
  leftover_closed(L, SELF);
  bool is_last = --ch->open_send == 0;
  wake_own(&ch->senders, end);
  if (!is_last) return;
  while (lot_unpark(&ch->receivers, WAKE_END) != NULL) continue;
}

static void close_receive(lua_State *L, End *end) {
  if (end->closed) return;
  Channel *ch = end->ch;
  end->closed = true;
  leftover_closed(L, SELF);
  bool is_last = --ch->open_receive == 0;
  wake_own(&ch->receivers, end);
  if (!is_last) return;
  while (lot_unpark(&ch->senders, WAKE_BROKEN) != NULL) continue;
  channel_drop(L, ch);
}

// send:close(): no checkpoint. Who waits through this end gets
// ClosedResourceError; after the last end, receivers get EndOfChannel.
static int l_send_close(lua_State *L) {
  close_send(L, send_end(L));
  return 0;
}

// receive:close(): no checkpoint. After the last end the buffer is dropped and
// senders get BrokenResourceError.
static int l_receive_close(lua_State *L) {
  close_receive(L, receive_end(L));
  return 0;
}

// send:aclose(), receive:aclose(): close, then a checkpoint.
static int l_send_aclose(lua_State *L) {
  End *end = send_end(L);
  await_check(L, "MemorySendChannel:aclose");
  close_send(L, end);
  return await_checkpoint(L, "MemorySendChannel:aclose");
}

static int l_receive_aclose(lua_State *L) {
  End *end = receive_end(L);
  await_check(L, "MemoryReceiveChannel:aclose");
  lua_settop(L, SELF);
  close_receive(L, end);
  return await_checkpoint(L, "MemoryReceiveChannel:aclose");
}

static int l_send_statistics(lua_State *L) {
  channel_push_statistics(L, send_end(L)->ch);
  return 1;
}

static int l_receive_statistics(lua_State *L) {
  channel_push_statistics(L, receive_end(L)->ch);
  return 1;
}

static int end_text(lua_State *L, const End *end, const char *name) {
  lua_pushfstring(L, "<trio.%s %p %s, %d buffered>", name, (const void *)end,
                  end->closed ? "closed" : "open", end->ch->used);
  return 1;
}

static int send_tostring(lua_State *L) {
  return end_text(L, send_end(L), "MemorySendChannel");
}

static int receive_tostring(lua_State *L) {
  return end_text(L, receive_end(L), "MemoryReceiveChannel");
}

static const luaL_Reg send_methods[] = {{"send", l_send},
                                        {"send_nowait", l_send_nowait},
                                        {"clone", l_send_clone},
                                        {"close", l_send_close},
                                        {"aclose", l_send_aclose},
                                        {"statistics", l_send_statistics},
                                        {NULL, NULL}};
static const luaL_Reg send_meta[] = {
    {"__close", l_send_close}, {"__tostring", send_tostring}, {NULL, NULL}};
static const Class send_class = {"trio.MemorySendChannel", send_methods, NULL,
                                 send_meta};

static const luaL_Reg receive_methods[] = {{"receive", l_receive},
                                           {"receive_nowait", l_receive_nowait},
                                           {"clone", l_receive_clone},
                                           {"close", l_receive_close},
                                           {"aclose", l_receive_aclose},
                                           {"statistics", l_receive_statistics},
                                           {NULL, NULL}};
static const luaL_Reg receive_meta[] = {{"__call", receive_call},
                                        {"__close", l_receive_close},
                                        {"__tostring", receive_tostring},
                                        {NULL, NULL}};
static const Class receive_class = {"trio.MemoryReceiveChannel",
                                    receive_methods, NULL, receive_meta};

// The size of the buffer at index 1.
static double check_limit(lua_State *L) {
  if (lua_isinteger(L, 1)) {
    lua_Integer limit = lua_tointeger(L, 1);
    luaL_argcheck(L, limit >= 0, 1, "must not be negative");
    return (double)limit;
  }
  static const char expected[] = "integer or math.huge";
  if (lua_type(L, 1) != LUA_TNUMBER) luaL_typeerror(L, 1, expected);
  double limit = lua_tonumber(L, 1);
  if (limit != INFINITY) {
    const char *text = luaL_tolstring(L, 1, NULL);
    luaL_argerror(L, 1,
                  lua_pushfstring(L, "%s expected, got %s", expected, text));
  }
  return limit;
}

// trio.open_memory_channel(max_buffer_size) -> send end, receive end. A whole
// number >= 0 (0: rendezvous) or math.huge. Usable outside of runs.
static int l_open_memory_channel(lua_State *L) {
  double limit = check_limit(L);
  Channel *ch = channel_push(L, limit);
  int state = lua_gettop(L);
  push_end(L, &send_class, state, ch);
  push_end(L, &receive_class, state, ch);
  ch->open_send = ch->open_receive = 1;
  return 2;
}

void channel_open(lua_State *L) {
  class_register(L, &channel_class);
  class_register(L, &send_class);
  class_register(L, &receive_class);
  lua_pushcfunction(L, l_open_memory_channel);
  lua_setfield(L, -2, "open_memory_channel");
}
