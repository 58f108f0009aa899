# Fuzz targets: tests/fuzz/fuzz_<folder>.c or fuzz_<folder>_<name>.c, each with LLVMFuzzerTestOneInput, linked with the archives that
# <folder> may stand on, all of it built by clang with the fuzzer's and the sanitizers' instrumentation into build/fuzz.
#
#   make fuzz FUZZ_SECONDS=10        builds all and runs each over tests/fuzz/corpus/<name> and tests/fuzz/regression/<name>,
#                                    <name> being the target's without fuzz_
#   make fuzz-build                  only builds
#   make build/fuzz/fuzz_tokenizer   builds one
#
# What a run finds is written to build/fuzz/found; once mended, the input goes to tests/fuzz/regression/<name>.

FUZZ_SECONDS ?= 10
FUZZ_CC ?= clang
FUZZ_OUT := build/fuzz
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_CFLAGS := $(STD) $(filter-out -Werror,$(WARN)) -O1 -g -fno-omit-frame-pointer -ffp-contract=off -Iinclude -Isrc

# The longest folder whose name begins the target's: fuzz_backend_cpu_x -> backend/cpu.
fuzz_folder = $(lastword $(foreach f,$(FOLDERS),$(if $(filter $(subst /,_,$f) $(subst /,_,$f)_%,$(patsubst fuzz_%,%,$1)),$f)))
fuzz_archive = $(FUZZ_OUT)/lib/$(subst /,_,$1).a
fuzz_archives_of = $(foreach f,$1 $(below_$1),$(call fuzz_archive,$f))
fuzz_llhttp = $(if $(filter front,$1 $(below_$1)),$(if $(filter %.a,$(LLHTTP_LIB)),$(FUZZ_OUT)/lib/llhttp.a))

define fuzz_folder_rules
$(call fuzz_archive,$1): $$(patsubst src/%.c,$(FUZZ_OUT)/obj/%.o,$$(sources_$1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
$$(patsubst src/%.c,$(FUZZ_OUT)/obj/%.o,$$(sources_$1)): extra_cflags = $$(call pkg_cflags,$1) $$(cflags_$1)
endef
$(foreach f,$(FOLDERS),$(eval $(call fuzz_folder_rules,$f)))

$(FUZZ_OUT)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(FUZZ_SAN) $(call isa_flags,$<) $(extra_cflags) -MMD -MP -c $< -o $@

$(FUZZ_OUT)/lib/llhttp.a: $(wildcard $(LLHTTP_SOURCE)/src/*.c)
	@mkdir -p $(@D) $(FUZZ_OUT)/obj/llhttp
	for f in $^; do $(FUZZ_CC) -O1 -g -fsanitize=fuzzer-no-link $(FUZZ_SAN) $(LLHTTP_CFLAGS) -c $$f -o $(FUZZ_OUT)/obj/llhttp/$$(basename $$f .c).o || exit 1; done
	$(AR) rcs $@ $(FUZZ_OUT)/obj/llhttp/*.o

define fuzz_target_rules
$(FUZZ_OUT)/$1: tests/fuzz/$1.c $(call fuzz_archives_of,$2) $(call fuzz_llhttp,$2)
	@mkdir -p $$(@D)
	$$(FUZZ_CC) $$(FUZZ_CFLAGS) -fsanitize=fuzzer $$(FUZZ_SAN) $$(call pkg_cflags,$2) $$(cflags_$2) -MMD -MP $$< -o $$@ \
	    -Wl,--start-group $(call fuzz_archives_of,$2) -Wl,--end-group $(patsubst $(B)/lib/llhttp.a,$(call fuzz_llhttp,$2),$(call libs_of,$2)) -lm
endef
$(foreach t,$(FUZZ_TARGETS),$(if $(call fuzz_folder,$t),,$(error tests/fuzz/$t.c: no folder of src/ has this name)))
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_target_rules,$t,$(call fuzz_folder,$t))))

.PHONY: fuzz fuzz-build
fuzz-build: $(addprefix $(FUZZ_OUT)/,$(FUZZ_TARGETS))
# New inputs go to build/fuzz/corpus; the repository's own are only read.
fuzz: fuzz-build
	@status=0; for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(FUZZ_OUT)/corpus/$$target $(FUZZ_OUT)/found; \
	    seeds=; for folder in tests/fuzz/corpus/$${target#fuzz_} tests/fuzz/regression/$${target#fuzz_}; do test -d $$folder && seeds="$$seeds $$folder"; done; \
	    dictionary=; test -f tests/fuzz/$$target.dict && dictionary=-dict=tests/fuzz/$$target.dict; \
	    echo "fuzz: $$target, $(FUZZ_SECONDS) s"; \
	    log=$(FUZZ_OUT)/$$target.log; \
	    if $(FUZZ_OUT)/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	        -artifact_prefix=$(FUZZ_OUT)/found/$$target- $$dictionary $(FUZZ_OUT)/corpus/$$target $$seeds >$$log 2>&1; \
	    then grep number_of_executed_units $$log; else status=1; tail -60 $$log; fi; \
	done; exit $$status
