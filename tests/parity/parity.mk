# build/parity: the engine against transformers' numbers (tests/parity/engine, made by tools/fixtures/engine.py).
#   make parity                  every fixture, with plain C and with the machine's own kernels
#   make parity ISA="c avx2"     these instruction sets
# and build/vlmd's answers about samples/ (tests/parity/engine/samples.json, made by tools/fixtures/engine_samples.py).
PARITY_FIXTURES = $(sort $(dir $(wildcard tests/parity/engine/*/manifest.json)))
ISA ?= c auto

$(B)/parity: $(wildcard tests/parity/engine/*.c) $(call archives_of,engine)
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests $(call pkg_cflags,base) $(filter %.c,$^) -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,engine)) $(call libs_of,engine) -lm
$(B)/parity: $(wildcard tests/parity/engine/*.h) include/vlmd.h

.PHONY: parity
parity: $(B)/parity $(B)/vlmd
	@status=0; for isa in $(ISA); do $(B)/parity --isa $$isa $(PARITY_FIXTURES) || status=1; done; \
	python3 tests/parity/engine/samples.py --program $(B)/vlmd || status=1; exit $$status
