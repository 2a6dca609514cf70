# SPDX-License-Identifier: MIT
# `make help` lists the targets. V=1 shows whole commands; WERROR=1 (or CI=true)
# makes warnings errors; VARIANT=asan, tsan, gcstress or oom builds
# into build/VARIANT.
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
LUA_PC := $(shell for p in lua5.4 lua-5.4 lua54 'lua >= 5.4 lua < 5.5'; do \
  $(PKG_CONFIG) --exists "$$p" && echo "$${p%% *}" && break; done 2>/dev/null)
PC_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LUA_PC) libuv 2>/dev/null)
LUA_LIBS := $(shell $(PKG_CONFIG) --libs $(LUA_PC) 2>/dev/null)
LUA_DIR := $(shell $(PKG_CONFIG) --variable=libdir $(LUA_PC) 2>/dev/null)
LUA_ARCHIVE := $(wildcard $(patsubst -l%,$(LUA_DIR)/lib%.a, \
  $(filter -llua%,$(LUA_LIBS))))
LUA_INSIDE := $(or $(LUA_ARCHIVE),$(LUA_LIBS))
UV_LIBS := $(shell $(PKG_CONFIG) --libs libuv 2>/dev/null)
LIBS := $(UV_LIBS) -lm -ldl  # OpenSSL is loaded when it is needed
EDIT_LIBS := $(shell $(PKG_CONFIG) --libs libedit 2>/dev/null)  # may be absent
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wswitch-enum $(if $(WERROR)$(filter true,$(CI)),-Werror)
FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer
FLAGS_tsan := -fsanitize=thread -fno-omit-frame-pointer
FLAGS_gcstress := -DTRIO_GC_STRESS
FLAGS_oom := -DTRIO_TEST
BASICS := -std=c11 -D_POSIX_C_SOURCE=200809L -Iinclude -Isrc $(PC_CFLAGS)
COMPILE = $(NEED) mkdir -p $(@D) && $(CC) $(BASICS) -fPIC -fvisibility=hidden \
  -MMD -MP $(WARNINGS) $(CPPFLAGS) $(CFLAGS) $(FLAGS_$(VARIANT)) -c
LINK = mkdir -p $(@D) && $(CC) $(CFLAGS) $(FLAGS_$(VARIANT)) $(LDFLAGS)
NEED = $(if $(and $(LUA_LIBS),$(UV_LIBS)),, \
  $(error Lua 5.4 or libuv is missing: run .dev/install-deps.sh))

B := build$(VARIANT:%=/%)
CORE := $(wildcard src/base/*.c src/core/*.c)
LIBRARY := $(CORE) $(wildcard src/bind/*.c src/api/*.c src/io/*.c \
  src/tls/*.c src/module.c src/lazy.c)
PROGRAM := $(wildcard src/main.c src/cli/*.c)
SUPPORT_tsan := spec/support/tsan.c
UNITS := $(wildcard spec/base/*.c spec/core/*.c)
BENCHES := $(patsubst bench/%.c,build/bench/%,$(wildcard bench/*.c)) \
  $(if $(shell command -v go),build/bench/peer_go)
LUA_FILES := $(sort $(shell find lua -name '*.lua'))
C_FILES := $(wildcard src/*.[ch] src/*/*.[ch] include/*.h spec/*/*.[ch] \
  bench/*.[ch] examples/*/*.c)
object = $(patsubst %.c,$(B)/obj/%.o,$1)
OBJECTS := $(call object,$(LIBRARY) build/embedded.c)
PRODUCTS := $(if $(wildcard src/main.c),$(B)/trio-lua) $(if \
  $(wildcard src/module.c),$(B)/trio.so $(B)/libtrio.a $(B)/libtrio.so)
Q := $(if $(V),,@)
say = $(Q)$(if $(V),,printf '  %-5s %s\n' $1 $2 &&)
SUBMAKE = +@$(MAKE) $(if $(V),,-s) \
  $(if $(filter --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))
RUN = @spec/run.sh -j $(JOBS) $(if $F,-f "$$F")
export F PREFIX DESTDIR LUA_PC  # for the scripts
.PHONY: all demo test check spec unit units asan tsan valgrind gcstress oom \
  stress bench guard guard-update lint luacheck house layers mirror symbols \
  fmt coverage luals reference gdb install deb clean help
.DELETE_ON_ERROR .SECONDARY:

all: $(PRODUCTS)  ## build the interpreter, the module and the libraries
demo:  ## install what is missing, build, run the demonstration
	@.dev/install-deps.sh build
	$(SUBMAKE) all
	@build/trio-lua examples/demo.lua
test:  ## install what is missing, build, run every test
	@.dev/install-deps.sh build test
	$(SUBMAKE) all units
	$(RUN) -u -c "luacheck house layers mirror symbols guard"
check: all units  ## the tests and every rule; installs nothing
	$(RUN) -u -c "lint layers mirror symbols guard"
spec: all  ## run specs; T=api/lock: one file or folder, F='text': by name
	$(RUN) $(T)
unit: units  ## run the plain C tests of src/base and src/core
	$(RUN) $(or $(T),base core)
units:  # always under the sanitizers
	$(SUBMAKE) VARIANT=asan $(UNITS:spec/%.c=build/asan/unit/%)
asan: all units  ## the suite under the address and undefined sanitizers
	$(SUBMAKE) VARIANT=asan build/asan/trio-lua build/asan/libtrio.a
	$(RUN) -u -i build/asan/trio-lua -t 300 $(T)
tsan: all  ## what threads have a part in, under the thread sanitizer
	$(SUBMAKE) VARIANT=tsan build/tsan/trio-lua
	$(RUN) -i build/tsan/trio-lua -t 300 $(or $(T),io api/token lua/path \
	  lua/process lua/wrap_file)
valgrind: all  ## the suite under valgrind: no error, no leak
	$(RUN) -w .dev/valgrind.sh -t 900 $(T)
gcstress: all  ## the suite with a full collection at (almost) every step
	$(SUBMAKE) VARIANT=gcstress build/gcstress/trio-lua
	$(RUN) -i build/gcstress/trio-lua -t 600 $(T)
oom:  ## the sweep in which every allocation fails once
	$(SUBMAKE) VARIANT=oom build/oom/trio-lua
	$(RUN) -i build/oom/trio-lua -t 600 $(or $(T),oom)
stress: export TRIO_STRESS = 10000000
stress: all  ## the long runs: ten million messages through a channel
	$(RUN) -t 3600 semantics/channel_stress tls/fuzz
bench: all $(BENCHES)  ## compare with C and others: QUICK=1, GROWTH=1, T=echo64
	@build/trio-lua bench/$(if $(GROWTH),growth,run).lua $(T)
guard: export BENCH_CFLAGS = $(CFLAGS)
guard: all  ## instructions per operation, against bench/instructions.txt
	@build/trio-lua bench/guard.lua $(if $(filter update,$(GUARD)),update)
guard-update:  ## write that file anew, and say why in the commit
	$(SUBMAKE) guard GUARD=update
lint: luacheck house  ## formatting, clang-tidy, luacheck, rules about text
	@clang-format --dry-run --Werror $(C_FILES)
	@printf '%s\n' $(LIBRARY) $(PROGRAM) | xargs -P $(JOBS) -I FILE \
	  clang-tidy --quiet FILE -- $(BASICS) 2>/dev/null
luacheck house layers mirror symbols:  ## Lua, text, includes, specs, exports
	@.dev/$@.sh
fmt:  ## format the C files
	@clang-format -i $(C_FILES)
coverage:  ## which behaviours have a spec
	@lua5.4 spec/coverage.lua
luals: all  ## write the definitions for the Lua language server
	@build/trio-lua .dev/luals.lua >build/trio.d.lua
	@mv build/trio.d.lua docs/luals/trio.d.lua
reference: all  ## write the reference, build/reference.html
	@build/trio-lua .dev/reference.lua >build/reference.html.tmp
	@mv build/reference.html.tmp build/reference.html
gdb: all units  ## one spec or unit test under gdb: T=api/lock
	@gdb --args $(or $(wildcard build/asan/unit/$(T)),build/trio-lua \
	  spec/support/busted.lua spec/$(T)_spec.lua)
install: all  ## install below PREFIX (and DESTDIR)
	@.dev/install.sh
deb: all  ## pack a Debian package, build/trio-lua_*.deb
	@.dev/deb.sh
clean:  ## remove build/
	@rm -rf build
help:  ## this list
	@awk -F':.*## ' '/^[a-z -]+:.*## /{ printf "%-12s %s\n", $$1, $$2 }' Makefile

# Lua is inside, where it comes as an archive, and exported like lua5.4's: the
# C modules that a program loads find it there, and calls into it are direct.
$(B)/trio-lua: $(call object,$(PROGRAM) $(SUPPORT_$(VARIANT))) $(OBJECTS)
	$(call say,LINK,$@) $(LINK) -Wl,-E -o $@ $^ $(LUA_INSIDE) $(EDIT_LIBS) $(LIBS)
# Not linked with liblua: the host's is used. Never unloaded: libuv has threads.
$(B)/trio.so: $(OBJECTS)
	$(call say,LINK,$@) $(LINK) -shared -Wl,-z,nodelete -o $@ $^ $(LIBS)
$(B)/libtrio.so: $(OBJECTS)
	$(call say,LINK,$@) $(LINK) -shared -Wl,-soname,libtrio.so.0 \
	  -Wl,--no-undefined -o $@ $^ $(LUA_LIBS) $(LIBS) && \
	  ln -sf libtrio.so $@.0
# One object in which the host's linker sees the public names only.
$(B)/libtrio.a: $(OBJECTS)
	$(call say,AR,$@) $(CC) -r -nostdlib -o $(B)/libtrio.o $^ && \
	  objcopy --localize-hidden $(B)/libtrio.o && $(AR) rcs $@ $(B)/libtrio.o
$(B)/obj/src/cli/editor.o: override CPPFLAGS += \
  $(if $(EDIT_LIBS),-DTRIO_LIBEDIT)
$(B)/unit/%: $(B)/obj/spec/%.o $(call object,$(CORE))
	$(call say,LINK,$@) $(LINK) -o $@ $^ -lm
build/bench/floor_tls build/bench/tls_load: BENCH_LIBS := -lssl -lcrypto
build/bench/%: build/obj/bench/%.o
	$(call say,LINK,$@) $(LINK) -o $@ $^ $(LUA_INSIDE) $(BENCH_LIBS) $(LIBS)
build/bench/peer_go: bench/peers/go/main.go
	$(call say,GO,$@) mkdir -p $(@D) && GO111MODULE=off go build -o $@ $<
$(B)/obj/%.o: %.c Makefile
	$(call say,CC,$<) $(COMPILE) -o $@ $<
# The folders are prerequisites because files come and go in them.
build/embedded.c: .dev/embed.sh $(LUA_FILES) $(shell find lua -type d)
	$(Q)mkdir -p build && .dev/embed.sh $(LUA_FILES) >$@.tmp && mv $@.tmp $@
-include $(patsubst %.o,%.d,$(OBJECTS) $(call object,$(PROGRAM) $(UNITS)))
