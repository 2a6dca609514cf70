// SPDX-License-Identifier: MIT
// tsan.c: linked into the interpreter of `make tsan` only.
//
// A Lua library built with _FORTIFY_SOURCE raises errors by __longjmp_chk. The
// thread sanitizer does not know that function, so each error would leave the
// frames it skips on the sanitizer's own stack, until that overflows and the
// program crashes. This one goes through longjmp, which it does know.
#include <setjmp.h>

__attribute__((visibility("default"))) _Noreturn void __longjmp_chk(jmp_buf env,
                                                                    int value);

_Noreturn void __longjmp_chk(jmp_buf env, int value) { longjmp(env, value); }
