# vlmd: `make` builds build/vlmd. `make help` lists the rest. Libraries are found with pkg-config; bin/setup installs them.
#
#   make SAN=address   everything with ASan + UBSan, in build/address
#   make SAN=thread    everything with TSan, in build/thread

CC ?= cc
AR ?= ar
PKG_CONFIG ?= pkg-config
SAN ?=

B := build$(if $(SAN),/$(SAN))

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
        -Wvla -Wpointer-arith -Wundef -Werror
STD := -std=gnu17 -D_GNU_SOURCE
OPT := -O2 -g -fno-math-errno -ffp-contract=off
ifeq ($(SAN),address)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -ffp-contract=off
else ifeq ($(SAN),thread)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -ffp-contract=off
else
STD += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
comma := ,
HARDEN := -fstack-protector-strong -fPIE
CFLAGS ?=
ALL_CFLAGS := $(STD) $(WARN) $(OPT) $(HARDEN) -Iinclude -Isrc $(CFLAGS)
ALL_LDFLAGS := $(filter -fsanitize%,$(OPT)) -pie $(if $(filter Linux,$(shell uname -s)),-Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now) $(LDFLAGS)

# ---- the folders of src/, and what each may be linked with (the include rules are in tools/layers.sh)
FOLDERS := base format tokenizer media fetch chat ipc ops backend/cpu model engine worker front cli
below_base :=
below_format := ops base
below_tokenizer := base
below_chat := base
below_ipc := base
below_media := ipc base
below_fetch := ipc base
below_ops := base
below_backend/cpu := ops base
below_model := backend/cpu ops format base
below_engine := model backend/cpu ops tokenizer format base
below_worker := engine $(below_engine) chat ipc
below_front := ipc base
below_cli := worker front fetch media $(below_worker)

# ---- libraries, by the folder that uses them
SYSTEM := $(shell uname -s)
ifeq ($(SYSTEM),Darwin)
# Homebrew keeps these two out of the folders that pkg-config searches, and giflib has no .pc file there.
BREW := $(shell brew --prefix)
export PKG_CONFIG_PATH := $(BREW)/opt/jpeg-turbo/lib/pkgconfig:$(BREW)/opt/openssl@3/lib/pkgconfig:$(PKG_CONFIG_PATH)
CFLAGS += -isystem $(BREW)/include
LDFLAGS += -L$(BREW)/lib
endif
# The first of the names that pkg-config knows; distributions do not agree on all of them.
first_package = $(firstword $(foreach p,$1,$(shell $(PKG_CONFIG) --exists $p 2>/dev/null && echo $p)))

packages_base := jansson libcrypto
packages_tokenizer := libpcre2-8 libutf8proc
packages_chat := libutf8proc
packages_media := libjpeg $(call first_package,spng libspng) libwebp libwebpdemux lcms2 zlib $(call first_package,libgif) $(if $(filter Linux,$(SYSTEM)),libseccomp)
packages_fetch := libcurl $(if $(filter Linux,$(SYSTEM)),libseccomp)
packages_front := libuv
libs_base := -lm
libs_media := $(if $(call first_package,libgif),,-lgif)
libs_backend/cpu := -lpthread
libs_engine := -lm
libs_front = $(LLHTTP_LIB)
cflags_front = $(LLHTTP_CFLAGS)

# llhttp: the system's library where there is one, else the C sources that bin/setup unpacked.
LLHTTP_SOURCE := build/deps/llhttp
ifeq ($(shell $(PKG_CONFIG) --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell $(PKG_CONFIG) --cflags libllhttp)
LLHTTP_LIB := $(shell $(PKG_CONFIG) --libs libllhttp)
else
LLHTTP_CFLAGS := -isystem $(LLHTTP_SOURCE)/include -DLLHTTP_STRICT_MODE=1
LLHTTP_LIB := $(B)/lib/llhttp.a
LLHTTP_OBJECTS := $(patsubst $(LLHTTP_SOURCE)/src/%.c,$(B)/obj/llhttp/%.o,$(wildcard $(LLHTTP_SOURCE)/src/*.c))
endif

pkg_cflags = $(if $(packages_$1),$(shell $(PKG_CONFIG) --cflags $(packages_$1)))
pkg_libs = $(if $(packages_$1),$(shell $(PKG_CONFIG) --libs $(packages_$1))) $(libs_$1)
archive = $(B)/lib/$(subst /,_,$1).a
# Archives and libraries for code that stands on folder $1.
archives_of = $(foreach f,$1 $(below_$1),$(call archive,$(f)))
libs_of = $(sort $(foreach f,$1 $(below_$1),$(call pkg_libs,$(f))))

# Archives that need one another; Apple's linker goes through all of them again by itself.
link_group = $(if $(filter Darwin,$(SYSTEM)),$1,-Wl,--start-group $1 -Wl,--end-group)

# Kernels are compiled for the instruction set in their file's name, whatever this machine has; which one runs is chosen at run time.
MACHINE := $(shell $(CC) -dumpmachine | cut -d- -f1)
ISA_avx2 := $(if $(filter x86_64,$(MACHINE)),-mavx2 -mfma -mf16c -mbmi2)
ISA_avx512 := $(if $(ISA_avx2),$(ISA_avx2) -mavx512f -mavx512bw -mavx512vl -mavx512vnni)
# What not every compiler has.
if_it_compiles = $(shell $(CC) $1 -E -x c /dev/null > /dev/null 2>&1 && echo $1)
ISA_avxvnni := $(if $(ISA_avx2),$(ISA_avx2) $(call if_it_compiles,-mavxvnni))
ISA_dotprod := $(if $(filter aarch64 arm64,$(MACHINE)),$(call if_it_compiles,-march=armv8.2-a+dotprod))
ISA_i8mm := $(if $(filter aarch64 arm64,$(MACHINE)),$(call if_it_compiles,-march=armv8.2-a+i8mm))
ISA_amx := $(if $(ISA_avx512),$(ISA_avx512) $(call if_it_compiles,-mamx-tile -mamx-int8))
ISA_amxbf16 := $(if $(ISA_amx),$(ISA_amx) $(call if_it_compiles,-mamx-bf16))
isa_flags = $(ISA_$(firstword $(subst _, ,$(notdir $1))))

# Short lines instead of whole commands; make V=1 shows those.
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $1")

.PHONY: all
all: $(B)/vlmd

define folder_rules
sources_$1 := $$(sort $$(wildcard src/$1/*.c))
objects_$1 := $$(patsubst src/%.c,$(B)/obj/%.o,$$(sources_$1))
$$(objects_$1): extra_cflags = $$(call pkg_cflags,$1) $$(cflags_$1)
$(call archive,$1): $$(objects_$1)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

$(B)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(ALL_CFLAGS) $(call isa_flags,$<) $(extra_cflags) -MMD -MP -c $< -o $@

$(B)/vlmd: $(B)/obj/main.o $(call archives_of,cli) $(filter %.a,$(LLHTTP_LIB))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(call link_group,$(call archives_of,cli)) $(call libs_of,cli) -o $@

$(B)/lib/llhttp.a: $(LLHTTP_OBJECTS)
	@test -n "$^" || { echo "llhttp is missing: run bin/setup" >&2; exit 1; }
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(B)/obj/llhttp/%.o: $(LLHTTP_SOURCE)/src/%.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) -O2 -g -fPIE $(filter -fsanitize%,$(OPT)) $(LLHTTP_CFLAGS) -c $< -o $@

# ---- unit tests: tests/unit/<folder>/test_*.c, one program each
UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c))
UNIT_PROGRAMS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SOURCES))
CMOCKA_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)

# What a folder's tests need beside it: pixels are compared with the reference down to the model's patches.
unit_also_media := $(B)/obj/model/patches.o

define unit_rules
$$(filter $(B)/unit/$1/test_%,$$(UNIT_PROGRAMS)): $(B)/unit/$1/%: tests/unit/$1/%.c $(call archives_of,$1) $(unit_also_$1) $$(if $$(filter front,$1 $(below_$1)),$$(filter %.a,$$(LLHTTP_LIB)))
	@mkdir -p $$(@D)
	$$(call say,CC $$<)
	$$(Q)$$(CC) $$(ALL_CFLAGS) -Itests -MMD -MP $$(call pkg_cflags,$1) $$(cflags_$1) $$< $(unit_also_$1) -o $$@ $$(ALL_LDFLAGS) $$(call link_group,$$(call archives_of,$1)) $$(call libs_of,$1) $$(CMOCKA_LIBS) -lm
endef
$(foreach f,$(FOLDERS),$(eval $(call unit_rules,$(f))))

# UNIT: which of them, e.g. make unit UNIT='backend/cpu/% ipc/test_codec'
UNIT ?= %
.PHONY: unit
unit: $(filter $(addprefix $(B)/unit/,$(UNIT)),$(UNIT_PROGRAMS))
	@tools/run_unit_tests.sh $^

# ---- a worker without a model, for tests of the front
$(B)/fake_worker: tests/fake/fake_worker.c $(call archives_of,ipc)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP $< -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,ipc)) $(call libs_of,ipc)

# ---- the fetcher with a name server and "public" addresses on loopback, for tests: linked without allowance.o
TEST_FETCHER_OBJECTS := $(filter-out %/allowance.o,$(objects_fetch))
$(B)/test_fetcher: tests/fake/test_fetcher.c $(TEST_FETCHER_OBJECTS) $(call archives_of,ipc)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP $< $(TEST_FETCHER_OBJECTS) -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,ipc)) $(call libs_of,fetch) -lresolv

# ---- checks
.PHONY: layers format format-check lint
lint: layers format-check
	@tools/lint.sh
layers:
	@tools/layers.sh
C_FILES := $(shell find include src tests bench -name '*.[ch]' 2>/dev/null)
format:
	@clang-format -i $(C_FILES)
format-check:
	@clang-format --dry-run -Werror $(C_FILES)

# ---- make install PREFIX=/usr DESTDIR=/tmp/package; the program looks for models beside itself and in ../share/vlmd/models
PREFIX ?= /usr/local
INSTALL ?= install
bindir := $(DESTDIR)$(PREFIX)/bin
mandir := $(DESTDIR)$(PREFIX)/share/man/man1
modeldir := $(DESTDIR)$(PREFIX)/share/vlmd/models/vlmd-tiny
.PHONY: install uninstall
install: $(B)/vlmd man/vlmd.1
	$(INSTALL) -d $(bindir) $(mandir) $(modeldir)
	$(INSTALL) -m 755 $(B)/vlmd $(bindir)/vlmd
	$(INSTALL) -m 644 man/vlmd.1 $(mandir)/vlmd.1
	$(INSTALL) -m 644 models/vlmd-tiny/* $(modeldir)
uninstall:
	rm -f $(bindir)/vlmd $(mandir)/vlmd.1
	rm -rf $(modeldir)
	-rmdir $(DESTDIR)$(PREFIX)/share/vlmd/models $(DESTDIR)$(PREFIX)/share/vlmd

# ---- what documents take from the program (checked in; tests/e2e/test_settings.py sees to it that they are current)
.PHONY: docs docs-check
docs: $(B)/vlmd
	@tools/documents.sh $(B)/vlmd
docs-check: $(B)/vlmd
	@tools/documents.sh $(B)/vlmd --check

.PHONY: clean help
clean:
	@test ! -d build || find build -mindepth 1 -maxdepth 1 ! -name deps ! -name pypi -exec rm -rf {} +
help:
	@echo "make               build/vlmd"
	@echo "make unit          builds and runs the unit tests (SAN=address, SAN=thread: with sanitizers)"
	@echo "make fuzz          builds the fuzz targets and runs each for FUZZ_SECONDS (10)"
	@echo "make kernels       checks every kernel version against plain C (make kernels-neon: under qemu-user)"
	@echo "make parity        checks the engine against numbers from transformers (ISA=\"c avx2\": which kernels)"
	@echo "make bench-peers   vlmd beside llama.cpp, mlx-vlm and transformers on this machine (bench/peers/peers.mk; hours)"
	@echo "make bench-lab     one small program a kernel: checked against plain C, timed, beside the machine's ceilings"
	@echo "make load-tests    many and slow connections, cost of a token, JSONTestSuite, each at full count"
	@echo "make faults        kills workers, decoders, fetchers, fronts, clients by the thousand (the suite: a fiftieth of that)"
	@echo "make lint          layers (no upward or sideways include), format-check, file sizes, headers on their own"
	@echo "make format        clang-format"
	@echo "make docs          writes man/vlmd.1 and the tables of docs/CONFIGURATION.md anew (docs-check: are they current?)"
	@echo "make install       program, manual page and the shipped model under PREFIX (/usr/local); make uninstall"
	@echo "make clean         removes what was built (but not build/deps, which bin/setup fills)"

include $(wildcard tests/kernels/kernels.mk tests/fuzz/fuzz.mk tests/parity/parity.mk tests/images/images.mk tests/load/load.mk bench/bench.mk bench/peers/peers.mk)
-include $(shell find $(B) -name '*.d' 2>/dev/null)
