# build/kernels checks every kernel against plain C (make kernels; KERNELS_ARGS="--bench" times them).
# make kernels-neon does the same for AArch64 under qemu-user.

KERNELS_SOURCES := $(sort $(wildcard tests/kernels/*.c))

# Whether there is AVX-VNNI or AMX, and its bf16, is asked of tests/kernels/emulate.c, by GNU ld's means.
ifeq ($(MACHINE)-$(SYSTEM),x86_64-Linux)
KERNELS_LDFLAGS := -Wl,--wrap=cpuid_has_avxvnni,--wrap=cpuid_has_amx,--wrap=cpuid_has_amx_bf16
endif

$(B)/kernels: $(KERNELS_SOURCES) $(wildcard tests/kernels/*.h) $(call archives_of,backend/cpu)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests $(KERNELS_SOURCES) -o $@ $(ALL_LDFLAGS) $(KERNELS_LDFLAGS) -Wl,--start-group $(call archives_of,backend/cpu) -Wl,--end-group $(call libs_of,backend/cpu) -lm

.PHONY: kernels kernels-neon
kernels: $(B)/kernels $(B)/resize_kernels
	$(B)/kernels $(KERNELS_ARGS)
	$(B)/resize_kernels

NEON_CC ?= aarch64-linux-gnu-gcc
NEON_RUN ?= qemu-aarch64
NEON_MORE := dotprod i8mm
NEON_MORE_SOURCES := $(NEON_MORE:%=src/backend/cpu/%_kernels.c)
NEON_SOURCES := $(KERNELS_SOURCES) $(filter-out $(NEON_MORE_SOURCES),$(wildcard src/backend/cpu/*.c)) \
    $(addprefix src/base/,control_group.c err.c file.c processors.c utf8.c)
NEON_CFLAGS = $(STD) $(WARN) -O2 -g -fno-math-errno -ffp-contract=off -Iinclude -Isrc -Itests

$(B)/kernels-neon: $(NEON_SOURCES) $(NEON_MORE:%=$(B)/kernels-%.o) $(wildcard src/backend/cpu/*.h) $(wildcard tests/kernels/*.h)
	@mkdir -p $(@D)
	$(NEON_CC) $(NEON_CFLAGS) -static $(NEON_SOURCES) $(NEON_MORE:%=$(B)/kernels-%.o) -o $@ -lpthread -lm

$(B)/kernels-%.o: src/backend/cpu/%_kernels.c $(wildcard src/backend/cpu/*.h)
	@mkdir -p $(@D)
	$(NEON_CC) $(NEON_CFLAGS) -march=armv8.2-a+$* -c $< -o $@

kernels-neon:
	@if command -v $(NEON_CC) >/dev/null && command -v $(NEON_RUN) >/dev/null; then \
	    $(MAKE) $(B)/kernels-neon $(B)/resize_kernels-neon && $(NEON_RUN) $(B)/kernels-neon $(KERNELS_ARGS) && \
	    $(NEON_RUN) $(B)/resize_kernels-neon; \
	else \
	    echo "SKIPPED kernels-neon: $(NEON_CC) or $(NEON_RUN) is missing (Debian: gcc-aarch64-linux-gnu qemu-user)"; \
	fi
