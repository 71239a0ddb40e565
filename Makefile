# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make            builds build/plimsoll
# make help       lists the rest

VERSION := 0.1.0
CC ?= cc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
CLANG_TIDY ?= clang-tidy
CLANG_FORMAT ?= clang-format
prefix ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60

BUILD := build
LIBRARIES := libbpf yaml-0.1 libevent jansson libmnl libcurl libsystemd
ARCH_INCLUDE := /usr/include/$(or $(shell $(CC) -print-multiarch 2>/dev/null),$(shell uname -m)-linux-gnu)

# Expanded when a recipe runs, so that `make deps` works before pkg-config is there.
LIBRARY_CFLAGS = $(shell pkg-config --cflags $(LIBRARIES))
LIBRARY_LIBS = $(shell pkg-config --libs $(LIBRARIES)) -lm

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
# What bpftool writes is not ours to warn of. So it counts as a system header, and dependencies are
# written with -MD, which includes those: a changed BPF program must reach the binary.
INCLUDES := -Iwire -Ibpf -Isrc -isystem $(BUILD)/bpf
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CPPFLAGS) $(WARNINGS) $(INCLUDES) -D_GNU_SOURCE -DPLIMSOLL_VERSION='"$(VERSION)"' \
	$(LIBRARY_CFLAGS) $(CFLAGS)
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter \
	-Iwire -Ibpf -isystem $(ARCH_INCLUDE) -ffile-prefix-map=$(CURDIR)=.

BPF_PROGRAMS := balancer server
SKELETONS := $(BPF_PROGRAMS:%=$(BUILD)/bpf/%.skel.h)
SOURCES := $(wildcard src/*.c src/*/*.c)
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/src/%.o) $(BUILD)/web/files.o
# The status page: its own files, the library that draws its charts (Debian's), and what verdicts mean.
CHART := /usr/share/javascript/chart.js/chart.min.js
WEB_FILES := $(wildcard src/web/*) $(CHART) $(BUILD)/web/verdicts.js
# What tests link against: everything but main().
TESTABLE := $(filter-out $(BUILD)/src/main.o,$(OBJECTS))

UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard test/unit/test_*.c))
PACKET_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard test/packet/test_*.c))
PACKET_COMMON := $(patsubst %.c,$(BUILD)/%.o,\
	$(filter-out $(wildcard test/packet/test_*.c),$(wildcard test/packet/*.c)))
FUZZ_TARGETS := $(patsubst %.c,$(BUILD)/%,$(wildcard test/fuzz/fuzz_*.c))
# How a fuzz target gets its main(): one that runs seeds, or libFuzzer's.
FUZZ_MAIN ?= -DFUZZ_SEEDS

.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
V ?= 0
ifeq ($(V),0)
say = @printf '  %-7s %s\n' $(1) $(2);
endif

.PHONY: all
all: $(BUILD)/plimsoll $(BUILD)/man ## build everything

$(BUILD)/plimsoll: $(OBJECTS)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBRARY_LIBS)

$(BUILD)/man: $(BUILD)/plimsoll doc/man $(wildcard doc/man/*)
	$(call say,MAN,$@)doc/man/build $< $@

.PHONY: can-build
can-build:
	@mkdir -p $(BUILD)
	@pkg-config --exists $(LIBRARIES) 2>/dev/null && \
		command -v $(CC) >/dev/null && command -v $(CLANG) >/dev/null && command -v $(BPFTOOL) >/dev/null && \
		test -e $(CHART) || { \
		packaging/deps --check build; \
		echo 'make: the build lacks something; `make deps` installs it' >&2; \
		exit 1; \
	}

# Written anew only when it changes, and then everything is built anew.
$(BUILD)/flags: can-build
	$(file >$@.new,$(CC) $(ALL_CFLAGS) / $(CLANG) $(BPF_CFLAGS) / $(LDFLAGS) $(FUZZ_MAIN) / $(WEB_FILES))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/src/%.o: src/%.c $(BUILD)/flags | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MD -MP -c -o $@ $<

# The sentences of bpf/shared.h in JavaScript, by the C preprocessor, so that they stand in one place. C joins
# strings that follow each other, JavaScript does not.
$(BUILD)/web/verdicts.js: Makefile bpf/shared.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,WEB,$@)printf '%s\n' '#include "shared.h"' @@ 'export const verdicts = [' \
		'VERDICTS(VERDICT)' '];' | $(CC) -E -P -x c -Ibpf -DPASS=false -DSEND=false -DDROP=true \
		-D'VERDICT(symbol,name,action,sentence)={"name":name,"refusal":action,"sentence":sentence},' - | \
		sed '1,/^@@/d; s/" "//g' >$@

$(CHART):
	@packaging/deps --check build; exit 1

$(BUILD)/web/files.c: $(WEB_FILES) src/http/embed $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,EMBED,$@)src/http/embed $(WEB_FILES) >$@

$(BUILD)/web/files.o: $(BUILD)/web/files.c $(WEB_FILES)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MD -MP -MF $(@:.o=.d) -c -o $@ $<

# The skeleton carries the object without its line table, which only the linker of BPF objects drops.
skeleton = $(BPFTOOL) gen object $(@:.skel.h=.linked.o) $< && \
		echo '/* NOLINTBEGIN: written by bpftool */' >$@ && \
		$(BPFTOOL) gen skeleton $(@:.skel.h=.linked.o) name $(1)_bpf >>$@ && \
		echo '/* NOLINTEND */' >>$@

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)$(call skeleton,$*)

$(BUILD)/test/unit/%: test/unit/%.c $(TESTABLE)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CFLAGS) -MD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(TESTABLE) \
		$(LIBRARY_LIBS) -lcmocka

$(BUILD)/test/packet/%.o: test/packet/%.c $(BUILD)/flags | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MD -MP -c -o $@ $<

$(BUILD)/test/packet/%: test/packet/%.c $(PACKET_COMMON) $(TESTABLE)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CFLAGS) -MD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(PACKET_COMMON) \
		$(TESTABLE) $(LIBRARY_LIBS) -lcmocka

$(BUILD)/test/verify: test/verify.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -lbpf

$(BUILD)/test/fuzz/%: test/fuzz/%.c $(TESTABLE)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)$(CC) $(ALL_CFLAGS) $(FUZZ_MAIN) -MD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
		$(TESTABLE) $(LIBRARY_LIBS)

# The balancer's program against a second implementation of what it should do.
DIFFER := $(BUILD)/test/differ/differ
DIFFER_COMMON := $(addprefix $(BUILD)/test/packet/,balancer_world.o harness.o packet.o)

$(DIFFER): $(wildcard test/differ/*.[ch]) $(DIFFER_COMMON) $(TESTABLE)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CFLAGS) -Itest -Itest/packet $(LDFLAGS) -o $@ $(filter %.c,$^) \
		$(DIFFER_COMMON) $(TESTABLE) $(LIBRARY_LIBS) -lcmocka

# The servers and the clients of the lab's measurements, and of its stories of nothing lost.
LAB_PROGRAMS := $(BUILD)/lab/worker $(BUILD)/lab/load $(BUILD)/lab/stream $(BUILD)/lab/flood \
	$(BUILD)/lab/sink.bpf.o
LAB_HEADERS := $(wildcard lab/*.h) bpf/shared.h bpf/choose.h wire/load_report.h

$(BUILD)/lab/worker: $(wildcard lab/worker*.c) $(LAB_HEADERS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) -Ilab $(LDFLAGS) -o $@ $(filter %.c,$^) -lbpf -lm

$(BUILD)/lab/load: $(wildcard lab/load*.c) $(LAB_HEADERS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) -Ilab $(LDFLAGS) -o $@ $(filter %.c,$^) -lm

$(BUILD)/lab/stream: $(wildcard lab/stream*.c) $(LAB_HEADERS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) -Ilab $(LDFLAGS) -o $@ $(filter %.c,$^) -lm

$(BUILD)/lab/%.bpf.o: lab/%.bpf.c lab/flood.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(BUILD)/lab/flood.skel.h: $(BUILD)/lab/flood.bpf.o
	$(call say,SKEL,$@)$(call skeleton,flood)

$(BUILD)/lab/flood: lab/flood.c $(BUILD)/lab/flood.skel.h $(LAB_HEADERS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) -Ilab -isystem $(BUILD)/lab $(LDFLAGS) -o $@ lab/flood.c -lbpf

# Test runs of the balancer's program, timed by the kernel.
PACKET_BENCH := $(BUILD)/bench/packet $(BUILD)/bench/packet_server

$(BUILD)/bench/%.bpf.o: bench/%.bpf.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MD -MP -MF $(@:.o=.d) -c -o $@ $<

$(BUILD)/bench/%.skel.h: $(BUILD)/bench/%.bpf.o
	$(call say,SKEL,$@)$(call skeleton,$*)

$(BUILD)/bench/filler: bench/filler.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $<

$(PACKET_BENCH): $(BUILD)/bench/packet%: bench/packet%.c bench/packet_rounds.c \
		$(BUILD)/bench/packet%.skel.h $(PACKET_COMMON) $(TESTABLE) $(wildcard bench/packet*.h)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) -Itest -isystem $(BUILD)/bench $(LDFLAGS) -o $@ \
		$(filter bench/%.c,$^) $(PACKET_COMMON) $(TESTABLE) $(LIBRARY_LIBS) -lcmocka

$(BUILD)/bench/packet: bench/packet_bed.c

-include $(wildcard $(BUILD)/bench/*.bpf.d)

# The simulator: as much of Plimsoll as decides something, and the world around it.
SIMULATOR := $(patsubst %.c,$(BUILD)/%.o,$(filter-out bench/simulate.c,$(wildcard bench/simulate*.c))) \
	$(BUILD)/src/ring.o $(BUILD)/src/schedule.o $(BUILD)/src/weighting.o

$(BUILD)/bench/%.o: bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -Ilab -MMD -MP -c -o $@ $<

$(BUILD)/test/unit/test_simulate: test/unit/test_simulate.c $(SIMULATOR)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CFLAGS) -Ibench -Ilab -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
		$(SIMULATOR) -lm -lcmocka

$(BUILD)/bench/simulate: $(BUILD)/bench/simulate.o $(SIMULATOR)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

-include $(SIMULATOR:.o=.d) $(BUILD)/bench/simulate.d

-include $(OBJECTS:.o=.d) $(BPF_PROGRAMS:%=$(BUILD)/bpf/%.bpf.d) $(PACKET_COMMON:.o=.d) \
	$(patsubst %,%.d,$(UNIT_TESTS) $(PACKET_TESTS) $(FUZZ_TARGETS))

.PHONY: deps
deps: ## install what the build lacks, from Debian
	@packaging/deps build

.PHONY: demo
demo: ## the main job, on real traffic, in network namespaces
	@packaging/deps build demo
	@$(MAKE) --no-print-directory all
	@lab/demo

.PHONY: bench-feedback
bench-feedback: ## in-band feedback against polling, an hour (BENCH_QUICK=1 makes each bench short)
	@packaging/deps build demo bench
	@$(MAKE) --no-print-directory all $(LAB_PROGRAMS)
	@bench/feedback
	@bench/report >/dev/null

.PHONY: bench-packet
bench-packet: ## what a packet costs in the kernel, in ns
	@packaging/deps build bench
	@$(MAKE) --no-print-directory $(PACKET_BENCH)
	@bench/packet_report

.PHONY: bench-server
bench-server: ## what the agent costs its server
	@packaging/deps build demo bench
	@$(MAKE) --no-print-directory all
	@bench/server $(if $(BENCH_QUICK),--repetitions 1 --seconds 1)

.PHONY: bench-throughput
bench-throughput: ## what a balancer in between costs: nftables, HAProxy, 20 minutes
	@packaging/deps build test demo bench
	@$(MAKE) --no-print-directory all $(BUILD)/bench/floor.bpf.o $(BUILD)/bench/filler
	@bench/throughput $(if $(BENCH_QUICK),--repetitions 1 --seconds 1)

.PHONY: bench-health
bench-health: ## how soon a dead server is spared, in ms; HEALTH_ROUNDS=20
	@packaging/deps build test demo
	@$(MAKE) --no-print-directory all
	@$(if $(BENCH_QUICK),HEALTH_ROUNDS=2) bench/health

.PHONY: bench-flood
bench-flood: ## what forged packets do to 1,000 live connections, 5 minutes
	@packaging/deps build test demo
	@$(MAKE) --no-print-directory all $(LAB_PROGRAMS)
	@bench/flood $(if $(BENCH_QUICK),--seconds 5)

.PHONY: bench-forged
bench-forged: ## what a flood of forged reports does to honest traffic, 1 minute
	@packaging/deps build test demo
	@$(MAKE) --no-print-directory all $(LAB_PROGRAMS)
	@bench/flood --reports --seconds $(if $(BENCH_QUICK),3,10)

.PHONY: bench-scale
bench-scale: ## what 4,096 services and 4,096 servers take: time and memory
	@packaging/deps build demo
	@$(MAKE) --no-print-directory all
	@bench/scale $(if $(BENCH_QUICK),--sizes small)

.PHONY: bench-loss
bench-loss: ## what lost reports and lost SYNs cost
	@packaging/deps build demo bench
	@$(MAKE) --no-print-directory all $(LAB_PROGRAMS)
	@bench/loss $(if $(BENCH_QUICK),--repetitions 1 --seconds 1)

.PHONY: bench-step
bench-step: ## how soon a server that becomes slow is spared
	@packaging/deps build demo bench
	@$(MAKE) --no-print-directory all $(LAB_PROGRAMS)
	@bench/feedback --only step

.PHONY: simulate
simulate: ## ask the simulator, two minutes (SIMULATE_QUICK=1: less)
	@packaging/deps build
	@$(MAKE) --no-print-directory $(BUILD)/bench/simulate
	@$(BUILD)/bench/simulate $(if $(SIMULATE_QUICK),--quick) --json $(BUILD)/bench/simulate.json

.PHONY: test
test: ## install what is missing, build, pass all tests
	@packaging/deps build test
	@$(MAKE) --no-print-directory all tests
	@test/page/fetch-axe $(BUILD)/page
	@test/run

.PHONY: test-families
test-families: ## real requests in every combination of families, on every way, and health in a flood
	@packaging/deps build test
	@$(MAKE) --no-print-directory all
	@EVERY_COMBINATION=yes bats test/net/families.bats test/net/paths.bats test/net/health.bats

.PHONY: test-page
test-page: ## the status page in a real browser
	@packaging/deps build test
	@$(MAKE) --no-print-directory all
	@test/page/fetch-axe $(BUILD)/page
	@test/run page

.PHONY: screenshots
screenshots: ## pictures of the status page, of the lab under load, into doc/images
	@packaging/deps build test screenshots
	@$(MAKE) --no-print-directory all
	@test/page/screenshots

.PHONY: tests
tests: $(UNIT_TESTS) $(PACKET_TESTS) $(FUZZ_TARGETS) $(DIFFER) $(BUILD)/test/verify $(LAB_PROGRAMS)

.PHONY: test-steady
test-steady: ## that nothing is lost: 2,000 connections through kills, restarts and changes
	@packaging/deps build test
	@$(MAKE) --no-print-directory all tests
	@rm -rf $(BUILD)/steady
	@test/run steady

.PHONY: test-faults
test-faults: ## starts, takeovers, reloads in which a system call fails or a signal comes, 5 minutes
	@packaging/deps build test faults
	@$(MAKE) --no-print-directory all
	@bats --tap --timing test/faults

.PHONY: soak
soak: ## an hour of faults under load: nothing breaks, nothing leaks; SOAK_SECONDS=60
	@packaging/deps build test demo
	@$(MAKE) --no-print-directory all $(LAB_PROGRAMS)
	@bench/soak

# Everything is several times slower then, and a daemon looks for leaks before it ends.
.PHONY: test-asan
test-asan: ## all tests with daemons, CLI and tests under ASan, UBSan and LSan; RINGS=net
	@packaging/deps build test
	@$(MAKE) --no-print-directory $(LAB_PROGRAMS)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan all tests \
		CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
	@test/page/fetch-axe $(BUILD)/asan/page
	@exec env BUILD=$(BUILD)/asan PLIMSOLL=$(CURDIR)/$(BUILD)/asan/plimsoll SANITIZED=yes FILE_SECONDS=900 \
		LAB_READY_SECONDS=30 test/run $(RINGS)

.PHONY: test-verifier
test-verifier: ## load the BPF programs of every clang that is installed
	@packaging/deps build test
	@test/run verifier

.PHONY: test-kernels
test-kernels: ## packets, verifier and a story on Debian's 6.1 and 6.12, in virtual machines
	@packaging/deps build test kernels
	@$(MAKE) --no-print-directory all tests
	@test/verifier --compile $(BUILD)/kernels/objects
	@exec env FILE_SECONDS=600 test/run kernels

.PHONY: fuzz
fuzz: ## let libFuzzer look for inputs that break, FUZZ_SECONDS for each target
	@packaging/deps build fuzz
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=$(CLANG) FUZZ_MAIN=-fsanitize=fuzzer \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
			-Wno-gnu-variable-sized-type-not-at-end' fuzz-run

.PHONY: fuzz-run
fuzz-run: $(FUZZ_TARGETS)
	@set -e; for target in $^; do \
		name=$${target##*/fuzz_}; \
		echo "== $$name, $(FUZZ_SECONDS) s"; \
		mkdir -p $(BUILD)/corpus/$$name; \
		$$target -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=$(BUILD)/$$name- $(BUILD)/corpus/$$name test/fuzz/seeds/$$name; \
	done

.PHONY: fuzz-packet
fuzz-packet: ## ten million packets, through the balancer and through an independent oracle
	@packaging/deps build test
	@$(MAKE) --no-print-directory $(DIFFER)
	@$(DIFFER) --packets $(or $(FUZZ_PACKETS),10000000)

# For test/verifier, which compiles with the very same flags.
.PHONY: print-bpf-cflags
print-bpf-cflags:
	@echo '$(BPF_CFLAGS)'

PLACES := $(wildcard .ci bench bpf doc lab packaging src test wire)
C_FILES = $(shell find $(PLACES) -name '*.[ch]')
BPF_FILES = $(filter %.bpf.c,$(C_FILES))
SHELL_FILES = $(shell grep -rlE '^.!/(usr/)?bin/(env )?(sh|bash|bats)$$' $(PLACES)) \
	$(shell find $(PLACES) -name "*.bash")
# What follows -- is quoted once more for the shell that xargs starts.
TIDY = xargs -P $$(nproc) -n 3 sh -c 'out=$$($(CLANG_TIDY) --quiet "$$@" -- $(1) 2>&1) || { \
	echo "$$out" | grep -vE "^[0-9]+ warnings generated"; exit 1; }' tidy

.PHONY: lint
lint: ## clang-format, clang-tidy, shellcheck
	@packaging/deps build lint
	@$(MAKE) -s $(SKELETONS) $(PACKET_BENCH:=.skel.h) $(BUILD)/lab/flood.skel.h
	@$(CLANG_FORMAT) --dry-run --Werror $(C_FILES)
	@shellcheck -x $(SHELL_FILES)
	@printf '%s\n' $(BPF_FILES) | $(call TIDY,$(BPF_CFLAGS))
	@printf '%s\n' $(filter-out $(BPF_FILES),$(filter %.c,$(C_FILES))) | \
		$(call TIDY,$(subst ','\'',$(ALL_CFLAGS)) -Ilab -Ibench -Itest -Itest/packet -isystem $(BUILD)/bench -isystem $(BUILD)/lab)

.PHONY: format
format: ## put all C files into the house's format
	@$(CLANG_FORMAT) -i $(C_FILES)

BASH_COMPLETION = $(prefix)/share/bash-completion/completions/plimsoll
ZSH_COMPLETION = $(prefix)/share/zsh/site-functions/_plimsoll
MANUAL = $(prefix)/share/man
SHARE = $(prefix)/share/plimsoll
UNITS = $(prefix)/lib/systemd/system
LAB = $(prefix)/lib/plimsoll/lab
LAB_SCRIPTS := lab/lab lab/pass.bpf.c lab/wrk.lua \
	$(addprefix lab/,common.sh network.sh servers.sh plimsoll.sh load.sh wire.sh play.sh)

.PHONY: install
install: all ## install below $(DESTDIR)$(prefix)
	install -D -m 755 $(BUILD)/plimsoll $(DESTDIR)$(prefix)/sbin/plimsoll
	install -D -m 755 packaging/systemd/prepare $(DESTDIR)$(prefix)/sbin/plimsoll-prepare
	install -D -m 644 -t $(DESTDIR)$(UNITS) packaging/systemd/*.service
	sed -i 's|/usr/sbin|$(prefix)/sbin|' $(DESTDIR)$(UNITS)/plimsoll-*.service
	install -D -m 644 packaging/completion/plimsoll.bash $(DESTDIR)$(BASH_COMPLETION)
	install -D -m 644 packaging/completion/_plimsoll $(DESTDIR)$(ZSH_COMPLETION)
	install -D -m 644 packaging/wireshark/plimsoll.lua $(DESTDIR)$(SHARE)/plimsoll.lua
	install -D -m 644 -t $(DESTDIR)$(SHARE)/prometheus packaging/prometheus/*
	install -D -m 644 -t $(DESTDIR)$(SHARE)/grafana packaging/grafana/*
	install -D -m 644 -t $(DESTDIR)$(LAB) $(LAB_SCRIPTS)
	chmod 755 $(DESTDIR)$(LAB)/lab
	ln -sf ../lib/plimsoll/lab/lab $(DESTDIR)$(prefix)/sbin/plimsoll-lab
	install -D -m 644 -t $(DESTDIR)$(MANUAL)/man5 $(BUILD)/man/man5/*
	install -D -m 644 -t $(DESTDIR)$(MANUAL)/man8 $(BUILD)/man/man8/* packaging/man/*.8

.PHONY: uninstall
uninstall: ## and take it away again
	rm -f $(DESTDIR)$(prefix)/sbin/plimsoll $(DESTDIR)$(BASH_COMPLETION) $(DESTDIR)$(ZSH_COMPLETION) \
		$(DESTDIR)$(SHARE)/plimsoll.lua $(DESTDIR)$(prefix)/sbin/plimsoll-lab \
		$(DESTDIR)$(prefix)/sbin/plimsoll-prepare $(DESTDIR)$(UNITS)/plimsoll-*.service \
		$(patsubst packaging/%,$(DESTDIR)$(SHARE)/%,$(wildcard packaging/prometheus/* packaging/grafana/*)) \
		$(addprefix $(DESTDIR)$(LAB)/,$(notdir $(LAB_SCRIPTS))) \
		$(DESTDIR)$(MANUAL)/man[58]/plimsoll.8 $(DESTDIR)$(MANUAL)/man[58]/plimsoll-*.[58]

.PHONY: deb
deb: ## the Debian package, into build/deb
	@packaging/deps build deb
	@packaging/build-deb $(BUILD)/deb

.PHONY: test-deb
test-deb: ## build it twice, install it in a fresh Debian, run it there, remove it
	@packaging/deps build deb test
	@$(MAKE) --no-print-directory all
	@test/deb

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
