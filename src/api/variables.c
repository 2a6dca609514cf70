// SPDX-License-Identifier: MIT
// variables.c: ContextVar (a value per task, inherited at spawn) and RunVar (a
// value per run). A task's context is a table that parent and child share
// until one of them writes (Python: contextvars; Trio: lowlevel.RunVar).
#include "../bind/class.h"
#include "../bind/spawn.h"
#include "api.h"

typedef struct Var {
  ClassHead head;
  bool has_default;
} Var;

typedef struct VarToken {
  ClassHead head;
  bool used;
} VarToken;

enum { VAR_NAME = 1, VAR_DEFAULT, VAR_VALUES = 2 };
enum { TOKEN_VAR = 1, TOKEN_PREVIOUS, TOKEN_VALUES = 2 };

static const Class context_var_class, run_var_class, var_token_class;
static const char run_values_key = 0, nil_key = 0;

static Var *self(lua_State *L) {
  Var *v = class_test(L, 1, &run_var_class);
  return v != NULL ? v : class_check(L, 1, &context_var_class);
}

// Push the run's table of values, which ends with the run; raises outside of
// one.
static void push_run_values(lua_State *L) {
  runner_require(L);
  spawn_push_anchored(L, &run_values_key);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  spawn_anchor(L, &run_values_key, -1);
}

// Push the context of the current task, or of code outside of tasks; nil if it
// is empty and only read. For writing it is made the task's own first.
static void push_context(lua_State *L, bool write) {
  Task *t = task_maybe(L);
  if (t == NULL) {
    spawn_push_outer_context(L, write);
    return;
  }
  spawn_push_object(L, t);
  lua_getiuservalue(L, -1, TASK_CONTEXT);
  if (write && (!t->has_context || t->context_shared)) {
    if (lua_istable(L, -1)) {
      spawn_copy_table(L);
    } else {
      lua_pop(L, 1);
      lua_newtable(L);
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, TASK_CONTEXT);
    t->has_context = true;
    t->context_shared = false;
  }
  lua_remove(L, -2);
}

// Push the table that holds the value of the variable at index 1.
static void push_store(lua_State *L, bool write) {
  if (class_test(L, 1, &run_var_class) != NULL) {
    push_run_values(L);
  } else {
    push_context(L, write);
  }
}

// Push the raw stored value of the variable, nil if it has none.
static void push_stored(lua_State *L) {
  push_store(L, false);
  if (lua_isnil(L, -1)) return;
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

static int push_value(lua_State *L) {
  if (lua_islightuserdata(L, -1) &&
      lua_touserdata(L, -1) == (const void *)&nil_key) {
    lua_pushnil(L);
  }
  return 1;
}

// Store the value on top (a raw one). [-1]
static void store(lua_State *L) {
  push_store(L, true);
  lua_insert(L, -2);
  lua_pushvalue(L, 1);
  lua_insert(L, -2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

// var:get([default]) -> the value, else the argument, else the variable's
// default. Raises where there is none of these.
static int l_get(lua_State *L) {
  const Var *v = self(L);
  bool has_argument = lua_gettop(L) >= 2;
  lua_settop(L, 2);
  push_stored(L);
  if (!lua_isnil(L, -1)) return push_value(L);
  if (has_argument) return lua_pushvalue(L, 2), 1;
  lua_getiuservalue(L, 1, VAR_DEFAULT);
  if (v->has_default) return 1;
  lua_getiuservalue(L, 1, VAR_NAME);
  return luaL_error(L, "the variable '%s' has no value here",
                    lua_tostring(L, -1));
}

// var:set(value) -> a token for reset.
static int l_set(lua_State *L) {
  self(L);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  push_stored(L);
  class_new(L, &var_token_class, sizeof(VarToken), TOKEN_VALUES);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 4, TOKEN_VAR);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, 4, TOKEN_PREVIOUS);
  if (lua_isnil(L, 2)) {
    lua_pushlightuserdata(L, (void *)&nil_key);
  } else {
    lua_pushvalue(L, 2);
  }
  store(L);
  return 1;
}

// var:reset(token): back to what it was before the set that gave the token.
// Raises for a used token and for one of another variable.
static int l_reset(lua_State *L) {
  self(L);
  VarToken *token = class_check(L, 2, &var_token_class);
  lua_getiuservalue(L, 2, TOKEN_VAR);
  if (!lua_rawequal(L, -1, 1)) {
    return luaL_argerror(L, 2, "the token belongs to another variable");
  }
  if (token->used) return luaL_argerror(L, 2, "the token was already used");
  push_store(L, true);
  token->used = true;
  lua_getiuservalue(L, 2, TOKEN_PREVIOUS);
  lua_pop(L, 2);
  lua_getiuservalue(L, 2, TOKEN_PREVIOUS);
  store(L);
  return 0;
}

static int var_tostring(lua_State *L) {
  self(L);
  lua_getiuservalue(L, 1, VAR_NAME);
  bool is_run_var = class_test(L, 1, &run_var_class) != NULL;
  lua_pushfstring(L, "<trio.%s '%s' %p>",
                  is_run_var ? "lowlevel.RunVar" : "ContextVar",
                  lua_tostring(L, -1), lua_touserdata(L, 1));
  return 1;
}

static int new_var(lua_State *L, const Class *c) {
  luaL_checkstring(L, 1);
  bool has_default = lua_gettop(L) >= 2;
  lua_settop(L, 2);
  Var *v = class_new(L, c, sizeof(Var), VAR_VALUES);
  v->has_default = has_default;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, VAR_NAME);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, VAR_DEFAULT);
  return 1;
}

// trio.ContextVar(name [, default]): a variable whose value each task
// inherits from its spawner, as a copy.
static int l_context_var(lua_State *L) {
  return new_var(L, &context_var_class);
}

// trio.lowlevel.RunVar(name [, default]): a variable of the run.
static int l_run_var(lua_State *L) { return new_var(L, &run_var_class); }

static int get_previous_value(lua_State *L) {
  class_check(L, 1, &var_token_class);
  lua_getiuservalue(L, 1, TOKEN_PREVIOUS);
  return push_value(L);
}

static int get_redeemed(lua_State *L) {
  const VarToken *token = class_check(L, 1, &var_token_class);
  lua_pushboolean(L, token->used);
  return 1;
}

static const luaL_Reg var_methods[] = {
    {"get", l_get}, {"set", l_set}, {"reset", l_reset}, {NULL, NULL}};
static const luaL_Reg var_meta[] = {{"__tostring", var_tostring}, {NULL, NULL}};
static const Class context_var_class = {"trio.ContextVar", var_methods, NULL,
                                        var_meta};
static const Class run_var_class = {"trio.lowlevel.RunVar", var_methods, NULL,
                                    var_meta};
static const ClassField var_token_fields[] = {
    {"previous_value", get_previous_value, NULL},
    {"redeemed", get_redeemed, NULL},
    {NULL, NULL, NULL}};
static const Class var_token_class = {"trio.VarToken", NULL, var_token_fields,
                                      NULL};

void variables_open(lua_State *L) {
  class_register(L, &context_var_class);
  class_register(L, &run_var_class);
  class_register(L, &var_token_class);
  lua_pushcfunction(L, l_context_var);
  lua_setfield(L, -2, "ContextVar");
  lua_getfield(L, -1, "lowlevel");
  lua_pushcfunction(L, l_run_var);
  lua_setfield(L, -2, "RunVar");
  lua_pop(L, 1);
}
