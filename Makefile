# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make            builds build/plimsoll
# make help       lists the rest

VERSION := 0.1.0
CC ?= cc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
prefix ?= /usr/local
DESTDIR ?=

BUILD := build
LIBRARIES := libbpf yaml-0.1 libevent jansson libmnl libcurl libsystemd
ARCH_INCLUDE := /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

# Expanded when a recipe runs, so that `make deps` works before pkg-config is there.
LIBRARY_CFLAGS = $(shell pkg-config --cflags $(LIBRARIES))
LIBRARY_LIBS = $(shell pkg-config --libs $(LIBRARIES)) -lm

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
INCLUDES := -Iwire -Ibpf -Isrc -I$(BUILD)/bpf
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(INCLUDES) -D_GNU_SOURCE -DPLIMSOLL_VERSION='"$(VERSION)"' \
	$(LIBRARY_CFLAGS) $(CFLAGS)
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter \
	-Iwire -Ibpf -isystem $(ARCH_INCLUDE)

BPF_PROGRAMS := balancer server
SKELETONS := $(BPF_PROGRAMS:%=$(BUILD)/bpf/%.skel.h)
SOURCES := $(wildcard src/*.c src/*/*.c)
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/src/%.o)
# What tests link against: everything but main().
TESTABLE := $(filter-out $(BUILD)/src/main.o,$(OBJECTS))

UNIT_TESTS := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/test_*.c))
PACKET_TESTS := $(patsubst test/packet/%.c,$(BUILD)/test/packet/%,$(wildcard test/packet/test_*.c))
PACKET_COMMON := $(patsubst test/packet/%.c,$(BUILD)/test/packet/%.o,\
	$(filter-out $(wildcard test/packet/test_*.c),$(wildcard test/packet/*.c)))

.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
V ?= 0
ifeq ($(V),0)
say = @printf '  %-7s %s\n' $(1) $(2);
endif

.PHONY: all
all: $(BUILD)/plimsoll ## build everything

$(BUILD)/plimsoll: $(OBJECTS)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBRARY_LIBS)

$(BUILD)/src/%.o: src/%.c | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

# The skeleton carries the object without its line table, which only the linker of BPF objects drops.
$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen object $(@:.skel.h=.linked.o) $< && \
		$(BPFTOOL) gen skeleton $(@:.skel.h=.linked.o) name $*_bpf > $@

$(BUILD)/test/unit/%: test/unit/%.c $(TESTABLE)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(TESTABLE) \
		$(LIBRARY_LIBS) -lcmocka

$(BUILD)/test/packet/%.o: test/packet/%.c | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/test/packet/%: test/packet/%.c $(PACKET_COMMON) $(TESTABLE)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(PACKET_COMMON) \
		$(TESTABLE) $(LIBRARY_LIBS) -lcmocka

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: deps
deps: ## install what is missing from Debian (asks for root only if something is)
	@packaging/deps build

.PHONY: deps-test
deps-test:
	@packaging/deps build test

.PHONY: demo
demo: ## the main job, on real traffic, in network namespaces
	@packaging/deps build demo
	@$(MAKE) --no-print-directory all
	@lab/demo

.PHONY: test
test: deps-test ## build and pass all tests
	@$(MAKE) --no-print-directory all tests
	@test/run

.PHONY: tests
tests: $(UNIT_TESTS) $(PACKET_TESTS)

# Both compilers' programs must pass the verifier.
.PHONY: test-verifier
test-verifier: ## load the BPF programs of every clang that is installed
	@test/verifier

C_FILES = $(shell git ls-files '*.c' '*.h')
SHELL_FILES = $(shell git grep -lE '^\#!/(usr/)?bin/(env )?(ba)?sh')

.PHONY: lint
lint: all ## clang-format, clang-tidy, shellcheck
	@packaging/deps lint
	@clang-format --dry-run --Werror $(C_FILES)
	@shellcheck -x $(SHELL_FILES)
	@clang-tidy --quiet $(SOURCES) -- $(ALL_CFLAGS) 2>/dev/null

.PHONY: format
format: ## put all C files into the house's format
	@clang-format -i $(C_FILES)

.PHONY: install
install: all ## install below $(DESTDIR)$(prefix)
	install -D -m 755 $(BUILD)/plimsoll $(DESTDIR)$(prefix)/sbin/plimsoll

.PHONY: uninstall
uninstall: ## and take it away again
	rm -f $(DESTDIR)$(prefix)/sbin/plimsoll

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
