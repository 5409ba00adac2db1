# Compiler flags: warnings, release hardening, sanitizers. SAN=address,undefined or SAN=thread gives
# an instrumented build; use a build folder of its own for it (make asan, make tsan).

WARN := -Wall -Wextra -Wpedantic $(WERROR) -Wshadow -Wconversion -Wsign-conversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wswitch-enum \
	-Wimplicit-fallthrough -Wcast-align -Wcast-qual -Wpointer-arith -Wwrite-strings -Wformat=2 \
	-Wundef -Wvla -Wnull-dereference -Wdouble-promotion
WARN_GCC := -Wduplicated-cond -Wduplicated-branches -Wlogical-op

CC_IS_CLANG := $(findstring clang,$(notdir $(CC)))
ifeq ($(CC_IS_CLANG),)
WARN += $(WARN_GCC)
else
# clang looks into the macros of generated headers, whose INITs cast the const of "" away; gcc, which
# does not, watches over our own casts.
WARN += -Wno-cast-qual
endif

OPT ?= -O2 -g
ifeq ($(SAN),)
HARDEN := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection
LDHARDEN := -Wl,-z,relro,-z,now
else
# -Wnull-dereference and friends see ghosts in instrumented code.
HARDEN := -fsanitize=$(SAN) -fno-sanitize-recover=all
# It knows no fences, and warns of each. The only ones are of a page whose other side is another
# process (gate/gate_page.h), which it would not see anyway.
ifeq ($(SAN),thread)
HARDEN += -Wno-tsan
endif
WARN += -Wno-null-dereference $(if $(findstring clang,$(CC)),,-Wno-restrict)
LDHARDEN := -fsanitize=$(SAN)
endif
ifeq ($(shell uname -m),aarch64)
HARDEN := $(filter-out -fcf-protection,$(HARDEN))
endif

# $(B)/config.mk (tools/make/configure.sh) says where the libraries are: PKG_CFLAGS, PKG_LIBS.
INDABA_CFLAGS = -std=gnu17 $(OPT) -fno-omit-frame-pointer $(HARDEN) -fPIE -D_GNU_SOURCE \
	-Isrc -I. -isystem $(B)/gen $(PKG_CFLAGS) -pthread
INDABA_LDFLAGS = -pie -pthread -rdynamic $(LDHARDEN) $(LDFLAGS)
COMPILE = $(CCACHE) $(CC) $(INDABA_CFLAGS) $(WARN) $(CFLAGS) -MMD -MP
# Generated code is not ours to polish.
COMPILE_GENERATED = $(CCACHE) $(CC) $(INDABA_CFLAGS) -w $(CFLAGS) -MMD -MP
CCACHE := $(shell command -v ccache)
