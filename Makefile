# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# make            the program, build/ecluse, and its translations
# make check      all tests: unit, model, mount, fault, sanitizers; ends with a count
# make engines    the sync engines only: rclone to S3, Azure, WebDAV, SFTP; Syncthing; Unison
# make bench      measurements against peers, into docs/benchmarks.md
# make soak       the random tests without an end: SOAK=seconds
# make fuzz       each parser for FUZZ=60 seconds
# make install    DESTDIR= PREFIX=/usr/local; mount(8) helpers go to SBINDIR, units to UNITDIR
# make deb        a package for Debian, into build/deb
# make check-deb  installs, upgrades, purges it in a new Debian 12, and runs its units there (scripts/setup --package)
# make pot        the texts to translate, from the sources into po/
#
# SAN=address,undefined|thread and FAULTS=1 build in folders of their own.
# V=1 shows the commands.

VERSION := 0.1.0
PREFIX  ?= /usr/local
SBINDIR ?= /usr/sbin
UNITDIR ?= $(PREFIX)/lib/systemd
CC      ?= gcc
MSGFMT  ?= msgfmt
FUZZ    ?= 60
SOAK    ?= 3600
LAYERS  := base crypto keys segment store index fs fuse daemon cli
PKGS    := fuse3 libsodium sqlite3 libcrypto libutf8proc libqrencode

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
LIBS   := $(shell pkg-config --libs $(PKGS)) -lzxcvbn -lpthread

SRC  := $(foreach l,$(LAYERS),$(sort $(wildcard src/$(l)/*.c)))
OBJ  := $(SRC:src/%.c=$(BUILD)/%.o)
CORE := $(filter-out $(BUILD)/cli/main.o,$(OBJ))
UNIT := $(sort $(wildcard tests/unit/test_*.c))
TOOL := $(sort $(wildcard tests/model/*.c tests/tools/*.c))
CRASH := $(BUILD)/tests/crash/states $(BUILD)/tests/crash/nth
FUZZERS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
TESTBIN := $(UNIT:tests/unit/%.c=$(BUILD)/tests/%) $(TOOL:tests/%.c=$(BUILD)/tests/%) $(CRASH)
FUZZBIN := $(FUZZERS:tests/fuzz/%.c=$(BUILD)/fuzz/%)
MO   := $(patsubst po/%.po,build/locale/%/LC_MESSAGES/ecluse.mo,$(wildcard po/*.po))

DESK := ecluse.desktop:applications/ecluse.desktop ecluse.svg:icons/hicolor/scalable/apps/ecluse.svg \
  ecluse-mime.xml:mime/packages/ecluse.xml ecluse-servicemenu.desktop:kio/servicemenus/ecluse.desktop \
  ecluse-action.desktop:file-manager/actions/ecluse.desktop ecluse.nemo_action:nemo/actions/ecluse.nemo_action

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

# Every call to the system and for memory goes through tests/crash/disk.c first.
WRAPPED := open64 __open64_2 openat64 __openat64_2 pread64 __pread64_chk read pwrite64 ftruncate64 fallocate64 \
  posix_fallocate64 fsync fdatasync renameat2 renameat linkat unlinkat rmdir mkdirat mkdir fchmod futimens fstat64 \
  lstat64 fstatat64 fstatvfs64 statx faccessat opendir fdopendir readdir64 malloc calloc realloc strdup strndup \
  sodium_malloc pthread_create
comma := ,
$(CRASH): $(BUILD)/tests/crash/%: tests/crash/%.c tests/crash/disk.c tests/crash/image.c tests/crash/world.c \
  $(wildcard tests/crash/*.h) $(BUILD)/libecluse.a
	$(Q)mkdir -p $(@D); echo "  TEST  $@"; $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Isrc -o $@ $(filter %.c %.a,$^) \
	  $(WRAPPED:%=-Wl$(comma)--wrap=%) $(LIBS)

# Built by `make fuzz` with clang, libFuzzer and both sanitizers, layers included.
$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/libecluse.a
	$(Q)mkdir -p $(@D); echo "  FUZZ  $@"; $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -MMD -MP \
	  -Isrc -o $@ $< $(BUILD)/libecluse.a $(LIBS)

build/locale/%/LC_MESSAGES/ecluse.mo: po/%.po
	$(Q)mkdir -p $(@D); $(MSGFMT) --check -o $@ $<

tests: all $(TESTBIN)
fuzzers: $(FUZZBIN)

check:
	$(Q)tests/check

soak: tests
	$(Q)tests/soak $(SOAK)

engines: tests
	$(Q)tests/run tests/engines/[0-9]*.sh

bench: all
	$(Q)scripts/bench/run

fuzz:
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=address,undefined CFLAGS=-fsanitize=fuzzer-no-link \
	  BUILD=build/fuzzing fuzzers
	$(Q)tests/fuzz/run build/fuzzing/fuzz $(FUZZ)

pot:
	$(Q)xgettext --keyword=_ --keyword=N_ --from-code=UTF-8 --package-name=ecluse --add-comments=TRANSLATORS \
	  --sort-by-file -o po/ecluse.pot $(filter src/cli/%,$(SRC))
	$(Q)xgettext --language=Shell --keyword=say --from-code=UTF-8 --package-name=ecluse --join-existing --sort-by-file -o po/ecluse.pot \
	  src/desk/ecluse-open
	$(Q)for po in po/*.po; do msgmerge --quiet --update --backup=none "$$po" po/ecluse.pot; done

install: all
	install -D -m 755 $(BUILD)/ecluse $(DESTDIR)$(PREFIX)/bin/ecluse
	install -d $(DESTDIR)$(SBINDIR)
	for h in mount.ecluse mount.fuse.ecluse umount.ecluse umount.fuse.ecluse; do \
	  ln -sf $(PREFIX)/bin/ecluse $(DESTDIR)$(SBINDIR)/$$h; done
	for l in $(MO:build/locale/%=%); do install -D -m 644 build/locale/$$l $(DESTDIR)$(PREFIX)/share/locale/$$l; done
	install -D -m 755 src/desk/ecluse-open $(DESTDIR)$(PREFIX)/bin/ecluse-open
	install -D -m 755 src/desk/bookmark $(DESTDIR)$(PREFIX)/libexec/ecluse/bookmark
	for d in $(DESK); do install -D -m 644 src/desk/$${d%%:*} $(DESTDIR)$(PREFIX)/share/$${d#*:}; done
	install -D -m 644 docs/examples/policy.conf $(DESTDIR)$(PREFIX)/share/doc/ecluse/policy.conf
	cd docs/man && for m in *.[158] */*.[158]; do \
	  install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/$$(dirname $$m)/man$${m##*.}/$${m##*/}; done
	for h in mount.fuse umount umount.fuse; do for l in . fr; do \
	  echo '.so man8/mount.ecluse.8' >$(DESTDIR)$(PREFIX)/share/man/$$l/man8/$$h.ecluse.8; done; done
	install -D -m 755 src/share/libexec/lock-watch $(DESTDIR)$(PREFIX)/libexec/ecluse/lock-watch
	cd src/share/completions && \
	  install -D -m 644 ecluse.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ecluse && \
	  install -D -m 644 _ecluse $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_ecluse && \
	  install -D -m 644 ecluse.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ecluse.fish
	cd src/share/systemd && for u in */*.service; do install -d $(DESTDIR)$(UNITDIR)/$${u%/*} && \
	  sed 's|/usr/\(bin\|libexec\)/|$(PREFIX)/\1/|' $$u >$(DESTDIR)$(UNITDIR)/$$u; done

deb:
	$(Q)scripts/deb/build

check-deb: deb
	$(Q)tests/run --limit 1800 tests/package/system.sh

clean:
	$(Q)rm -rf build

.PHONY: all tests fuzzers check engines soak bench fuzz pot install deb check-deb clean
.DELETE_ON_ERROR:
-include $(OBJ:.o=.d) $(TESTBIN:=.d) $(FUZZBIN:=.d)
