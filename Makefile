# threadkeeper. `make help` lists the targets. Everything is built under build/<variant>/.

VERSION := 0.1.0
VARIANT ?= release
B       := build/$(VARIANT)

PREFIX  ?= /usr/local
DESTDIR ?=

# The caller may add to each of these; WERROR=1 makes warnings errors (as CI does).
CPPFLAGS     ?=
CFLAGS       ?=
LDFLAGS      ?=
WERROR       ?=
FUZZ_SECONDS ?= 60

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

# V=1 shows the commands.
V   ?=
Q   := $(if $(V),,@)
SAY := @$(if $(V),:,echo " ")

WARNINGS := -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings $(if $(WERROR),-Werror)
ALL_CPPFLAGS = -I. -D_GNU_SOURCE -DTK_VERSION='"$(VERSION)"' $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu11 -pthread $(WARNINGS) $(FLAGS_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS  = -pthread $(FLAGS_$(VARIANT)) $(LINK_$(VARIANT)) -Wl,--as-needed $(LDFLAGS)
LDLIBS       = -lwebsockets -lcurl -ljansson -lsqlite3 -lyaml -lunistring -lstemmer -lsodium -lseccomp -lm

SRC  := $(wildcard base/*.c config/*.c memory/*.c slack/*.c agent/*.c bot/*.c)
MAIN := bot/main.c agent/launch_main.c
OBJ  := $(patsubst %.c,$B/%.o,$(filter-out $(MAIN),$(SRC)))
LIB  := $B/libthreadkeeper.a # an archive: each program takes only what it uses

LAB_OBJ     := $(patsubst %.c,$B/%.o,$(wildcard tests/slack_lab/*.c))
DOUBLE_OBJ  := $(patsubst %.c,$B/%.o,$(wildcard tests/agent_double/*.c))
HARNESS_OBJ := $(patsubst %.c,$B/%.o,$(wildcard tests/scenario/harness*.c))
UNIT_TESTS     := $(patsubst %.c,$B/%,$(wildcard tests/unit/test_*.c))
UNIT_SCRIPTS   := $(wildcard tests/unit/test_*.sh)
DEMO           := $B/tests/scenario/demo
SCENARIOS      := $(wildcard tests/scenario/test_*.c)
# A daemon behind valgrind starts fifty times slower: this passes through every part of it, and
# the address sanitizer sees the others. What clang builds behaves as what gcc builds, so there the
# warnings matter and all is built, but few are run. SCENARIOS='...' chooses anew.
ALL_SCENARIOS  := $(patsubst %.c,$B/%,$(SCENARIOS))
ifneq ($(filter $(VARIANT),valgrind clang),)
SCENARIOS      := tests/scenario/test_restart.c
endif
ifeq ($(VARIANT),valgrind) # it knows neither Landlock nor seccomp, and the others take minutes there
UNIT_TESTS     := $(filter-out %/test_store_files %/test_storm %/test_fence %/test_foreign %/test_health %/test_upkeep,$(UNIT_TESTS))
endif
SCENARIO_TESTS := $(patsubst %.c,$B/%,$(SCENARIOS))
BENCHES        := $(patsubst %.c,$B/%,$(wildcard tests/bench/bench_*.c))
BENCH_MEMORY   := $B/tests/bench/bench_memory
BENCH_OBJ      := $(patsubst %.c,$B/%.o,$(filter-out tests/bench/bench_%,$(wildcard tests/bench/*.c)))
FUZZERS        := $(patsubst %.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

TK_BIN    := $(CURDIR)/$B/threadkeeper
TK_LAB    := $(CURDIR)/$B/tests/slack_lab/slack_lab
TK_DOUBLE := $(CURDIR)/$B/tests/agent_double/cursor-agent
PROGRAMS  := $B/threadkeeper $B/tests/slack_lab/slack_lab $B/tests/agent_double/cursor-agent
export VARIANT TK_BIN TK_LAB TK_DOUBLE

# A target that anyone may call first installs what is missing; only then may make look at the
# rest, hence the second make. It uses every processor unless -j was given.
AGAIN = --no-print-directory $(if $V,,-s) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: all
all: ## build build/release/threadkeeper
	@scripts/install-deps
	@$(MAKE) $(AGAIN) $B/threadkeeper

# What stays beside each agent; --as-needed leaves out the libraries that it does not use.
$B/threadkeeper-launch: $B/agent/launch_main.o $(LIB)
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$B/threadkeeper: $B/bot/main.o $(LIB) | $B/threadkeeper-launch
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$B/tests/slack_lab/slack_lab: $(LAB_OBJ) $(LIB)
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$B/tests/slack_lab/page.o: tests/slack_lab/page.html # which it embeds

# The double is another agent by another name.
DOUBLE_NAMES := claude codex gemini opencode

$B/tests/agent_double/cursor-agent: $(DOUBLE_OBJ) $(LIB)
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)
	$(Q)for name in $(DOUBLE_NAMES); do ln -sf cursor-agent $(@D)/$$name; done

$(UNIT_TESTS): $B/%: $B/%.o $(LIB)
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# A scenario starts the three programs, so they are built first; it does not link them.
$(sort $(ALL_SCENARIOS) $(SCENARIO_TESTS)) $(DEMO): $B/%: $B/%.o $(HARNESS_OBJ) $(LIB) | $(PROGRAMS)
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(BENCHES): $B/%: $B/%.o $(BENCH_OBJ) $(HARNESS_OBJ) $(LIB) | $(PROGRAMS)
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

ifeq ($(VARIANT),fuzz)
$(FUZZERS): $B/%: $B/%.o $(LIB)
	$(SAY) link $@
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
endif

$(LIB): $(OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(SAY) cc $@
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

.PHONY: check tests asan tsan valgrind coverage
check: ## run every test; ends with "N passed, N failed"
	@scripts/install-deps
	@$(MAKE) $(AGAIN) tests

# What runs long begins early, so that nothing is waited for at the end.
SLOW = %/test_web_faults %/test_links %/test_double %/test_dialects %/test_busy %/test_live %/test_events \
	%/test_place %/test_turn_files %/test_store_sqlite %/test_store_files %/test_reply
slowest_first = $(filter $(SLOW),$1) $(filter-out $(SLOW),$1)

tests: $(UNIT_TESTS) $(SCENARIO_TESTS) $(if $(filter clang,$(VARIANT)),$(ALL_SCENARIOS) $(BENCHES))
	@scripts/run-tests $(call slowest_first,$(SCENARIO_TESTS) $(UNIT_TESTS)) $(UNIT_SCRIPTS)

asan: ## check under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory VARIANT=asan check

tsan: ## check under the thread sanitizer
	@$(MAKE) --no-print-directory VARIANT=tsan check

valgrind: ## check under valgrind, the daemon included
	@scripts/install-deps --dev
	@$(MAKE) --no-print-directory VARIANT=valgrind check

coverage: ## check, then the share of lines that ran, per file
	@find build/cov -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory VARIANT=cov check
	@scripts/coverage build/cov

.PHONY: fuzz fuzzers
fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	@scripts/install-deps --dev
	@$(MAKE) $(AGAIN) VARIANT=fuzz fuzzers
	@scripts/run-fuzz $(FUZZ_SECONDS) $(FUZZERS)

fuzzers: $(FUZZERS)

.PHONY: demo bench bench-recall bench-tokens storm soak clients programs
demo: ## watch a conversation: a Slack on loopback, the daemon, an agent
	@scripts/install-deps
	@$(MAKE) $(AGAIN) programs $(DEMO)
	@scripts/demo

bench: ## measure, beside the floor of this machine
	@scripts/install-deps
	@$(MAKE) $(AGAIN) benches

storm: ## kill a process that commits turns 200 times, and look for every one of them
	@scripts/install-deps
	@$(MAKE) $(AGAIN) $B/tests/unit/test_storm
	@STORM_ROUNDS=$${STORM_ROUNDS:-200} $B/tests/unit/test_storm

soak: ## kill the daemon and its agents at random in SOAK_RUNS (500) runs, and look for each answer
	@scripts/install-deps
	@$(MAKE) $(AGAIN) programs $B/tests/scenario/test_soak
	@SOAK_RUNS=$${SOAK_RUNS:-500} $B/tests/scenario/test_soak

bench-recall: ## measure what contexts recall: DATA=FILE, see tests/bench/README.md
	@scripts/install-deps
	@$(MAKE) $(AGAIN) $B/tests/bench/bench_recall $B/threadkeeper
	@$B/tests/bench/bench_recall $(DATA)

bench-tokens: ## measure what contexts save; fails when they lose what is needed
	@scripts/install-deps
	@$(MAKE) $(AGAIN) $B/tests/bench/bench_tokens
	@$B/tests/bench/bench_tokens

clients: ## drive the Slack stand-in with Slack's own Node clients
	@scripts/install-deps --dev
	@$(MAKE) $(AGAIN) programs
	@tests/clients/run

programs: $(PROGRAMS)

.PHONY: benches bench-memory
benches: $(BENCHES)
	@echo "$$(nproc) processors, load $$(cut -d' ' -f1-3 /proc/loadavg)"
	@set -e; for bench in $(filter-out $(BENCH_MEMORY),$(BENCHES)); do $$bench; done

bench-memory: ## measure what is remembered, beside plain SQLite, uthash and the raw bytes
	@scripts/install-deps
	@$(MAKE) $(AGAIN) $(BENCH_MEMORY)
	@echo "$$(nproc) processors, load $$(cut -d' ' -f1-3 /proc/loadavg)"
	@$(BENCH_MEMORY)

.PHONY: lint format
lint: ## format, clang-tidy, cppcheck, shellcheck, layers, banned calls, options against docs
	@scripts/install-deps --dev
	@scripts/lint

format: ## rewrite the sources as .clang-format says
	@clang-format -i $(wildcard */*.[ch] tests/*/*.[ch])

.PHONY: example
example: $B/threadkeeper ## write config/threadkeeper.example.yaml anew from the option table
	@$B/threadkeeper config --example >$B/example.yaml
	@cp $B/example.yaml config/threadkeeper.example.yaml

UNIT_DIR := $(DESTDIR)$(PREFIX)/lib/systemd/system
DOC_DIR  := $(DESTDIR)$(PREFIX)/share/doc/threadkeeper
ETC_FILE := /etc/threadkeeper/threadkeeper.yaml

.PHONY: install uninstall clean help
install: all ## install under DESTDIR and PREFIX (/usr/local)
	install -D -m 0755 $B/threadkeeper $(DESTDIR)$(PREFIX)/bin/threadkeeper
	install -m 0755 $B/threadkeeper-launch $(DESTDIR)$(PREFIX)/bin/threadkeeper-launch
	install -D -m 0644 config/threadkeeper.example.yaml $(DOC_DIR)/threadkeeper.example.yaml
	install -d $(UNIT_DIR)
	sed -e 's|/usr/local/bin/|$(PREFIX)/bin/|' -e 's|/usr/local/share/|$(PREFIX)/share/|' systemd/threadkeeper.service >$(UNIT_DIR)/threadkeeper.service
	chmod 0644 $(UNIT_DIR)/threadkeeper.service
ifeq ($(DESTDIR),)
	scripts/create-user
	test -e $(ETC_FILE) || install -m 0640 -g threadkeeper config/threadkeeper.example.yaml $(ETC_FILE)
	test ! -d /run/systemd/system || systemctl daemon-reload
	@echo 'Next: the tokens, as $(PREFIX)/lib/systemd/system/threadkeeper.service says at its top;'
	@echo 'then threadkeeper check, then systemctl enable --now threadkeeper'
endif

uninstall: ## remove what install put there, not the configuration and the memory
ifeq ($(DESTDIR),)
	test ! -d /run/systemd/system || systemctl disable --now threadkeeper || true
endif
	rm -f $(DESTDIR)$(PREFIX)/bin/threadkeeper $(DESTDIR)$(PREFIX)/bin/threadkeeper-launch
	rm -f $(UNIT_DIR)/threadkeeper.service
	rm -rf $(DOC_DIR)
ifeq ($(DESTDIR),)
	test ! -d /run/systemd/system || systemctl daemon-reload
endif

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 14

-include $(shell find $B -name '*.d' 2>/dev/null)
