# threadkeeper. `make help` lists the targets. Everything is built under build/<variant>/.

VERSION := 0.1.0
VARIANT ?= release
B       := build/$(VARIANT)

PREFIX  ?= /usr/local
DESTDIR ?=

VARIANTS      := release asan tsan valgrind cov fuzz clang
FLAGS_release  = -O2 -g -D_FORTIFY_SOURCE=2 -fPIE -fstack-protector-strong
FLAGS_clang    = $(FLAGS_release) -Wthread-safety
FLAGS_asan     = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan     = -O1 -g -fno-omit-frame-pointer -fsanitize=thread
FLAGS_valgrind = -O1 -g
FLAGS_cov      = -O0 -g --coverage
FLAGS_fuzz     = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LINK_release   = -pie -Wl,-z,relro,-z,now
LINK_clang     = $(LINK_release)

ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error unknown VARIANT '$(VARIANT)'; known: $(VARIANTS))
endif
ifneq ($(filter $(VARIANT),clang fuzz),)
CC := clang
else ifeq ($(origin CC),default)
CC := gcc
endif

WARNINGS := -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings
ALL_CPPFLAGS = -I. -D_GNU_SOURCE -DTK_VERSION='"$(VERSION)"' $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu11 -pthread $(WARNINGS) $(FLAGS_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS  = -pthread $(FLAGS_$(VARIANT)) $(LINK_$(VARIANT)) $(LDFLAGS)
LDLIBS       = -lwebsockets -lcurl -ljansson -lsqlite3 -lyaml -lunistring

SRC  := $(wildcard base/*.c config/*.c memory/*.c slack/*.c agent/*.c bot/*.c)
LIB  := $(patsubst %.c,$B/%.o,$(filter-out bot/main.c,$(SRC)))

LAB_SRC    := $(wildcard tests/slack_lab/*.c)
DOUBLE_SRC := $(wildcard tests/agent_double/*.c)
HARNESS_SRC := $(wildcard tests/scenario/harness*.c)
UNIT_TESTS := $(patsubst %.c,$B/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $B/threadkeeper ## build build/release/threadkeeper

$B/threadkeeper: $B/bot/main.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(UNIT_TESTS): $B/%: $B/%.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$B/tests/agent_double/cursor-agent: $(patsubst %.c,$B/%.o,$(DOUBLE_SRC)) $(filter $B/base/%,$(LIB))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $B -name '*.d' 2>/dev/null)
