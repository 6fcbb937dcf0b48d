# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# make            the program, build/ecluse
# make check      all tests (unit, model, mount, sanitizers); see also scripts/check
# make bench      measurements against peers, into docs/benchmarks.md
# make install    DESTDIR= PREFIX=/usr/local
#
# SAN=address|thread|undefined and FAULTS=1 build in folders of their own.
# V=1 shows the commands.

VERSION := 0.1.0
PREFIX  ?= /usr/local
CC      ?= gcc
MSGFMT  ?= msgfmt
LAYERS  := base crypto keys segment store index fs fuse daemon cli
PKGS    := fuse3 libsodium sqlite3 libcrypto libutf8proc

BUILD := build$(if $(SAN),/$(SAN))$(if $(FAULTS),/faults)
Q     := $(if $(V),,@)

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
          -Wwrite-strings -Wundef -Wvla -Werror
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection \
          $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
OPT    := $(if $(SAN),-O1 -fno-omit-frame-pointer,-O2) -g
override CFLAGS  += -std=c17 $(OPT) $(WARN) $(HARDEN) $(if $(SAN),-fsanitize=$(SAN))
override CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -Iinclude \
          -DECLUSE_VERSION='"$(VERSION)"' -DECLUSE_PREFIX='"$(PREFIX)"' \
          $(if $(FAULTS),-DECLUSE_FAULTS) $(shell pkg-config --cflags $(PKGS))
override LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack $(if $(SAN),-fsanitize=$(SAN))
LIBS   := $(shell pkg-config --libs $(PKGS)) -lpthread

SRC  := $(foreach l,$(LAYERS),$(sort $(wildcard src/$(l)/*.c)))
OBJ  := $(SRC:src/%.c=$(BUILD)/%.o)
CORE := $(filter-out $(BUILD)/cli/main.o,$(OBJ))
UNIT := $(sort $(wildcard tests/unit/test_*.c))
TOOL := $(sort $(wildcard tests/model/*.c tests/tools/*.c))
TESTBIN := $(UNIT:tests/unit/%.c=$(BUILD)/tests/%) $(TOOL:tests/%.c=$(BUILD)/tests/%)
MO   := $(patsubst po/%.po,build/locale/%/LC_MESSAGES/ecluse.mo,$(wildcard po/*.po))

all: $(BUILD)/ecluse $(MO)

$(BUILD)/ecluse: $(OBJ)
	$(Q)echo "  LD    $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/libecluse.a: $(CORE)
	$(Q)rm -f $@; $(AR) rcs $@ $^

$(BUILD)/%.o: src/%.c
	$(Q)mkdir -p $(@D); echo "  CC    $<"; $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libecluse.a
	$(Q)mkdir -p $(@D); echo "  TEST  $@"; $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -Isrc -o $@ $< \
	  $(BUILD)/libecluse.a $(shell pkg-config --cflags --libs check) $(LIBS)

$(BUILD)/tests/%: tests/%.c $(BUILD)/libecluse.a
	$(Q)mkdir -p $(@D); echo "  TEST  $@"; $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -Isrc -o $@ $< \
	  $(BUILD)/libecluse.a $(LIBS)

build/locale/%/LC_MESSAGES/ecluse.mo: po/%.po
	$(Q)mkdir -p $(@D); $(MSGFMT) --check -o $@ $<

tests: all $(TESTBIN)

clean:
	$(Q)rm -rf build

.PHONY: all tests clean
.DELETE_ON_ERROR:
-include $(OBJ:.o=.d) $(TESTBIN:=.d)
