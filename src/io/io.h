// SPDX-License-Identifier: MIT
// io.h: the open function of every file of this layer; module.c calls them
// with the module table on top of the stack. [-0, +0, m]
#ifndef TRIO_IO_IO_H
#define TRIO_IO_IO_H

#include <lua.h>

void watch_open(lua_State *L);
void constants_open(lua_State *L);
void socket_open(lua_State *L);
void resolve_open(lua_State *L);
void file_open(lua_State *L);
void fs_open(lua_State *L);
void stream_open(lua_State *L);
void listener_open(lua_State *L);
void descriptors_open(lua_State *L);  // called by stream_open
void process_open(lua_State *L);
void signal_open(lua_State *L);
void thread_open(lua_State *L);

#endif
