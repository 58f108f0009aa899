# build/parity: the engine against transformers' numbers (tests/parity/engine, made by tools/fixtures/engine.py).
#   make parity                  everything with the machine's own kernels, and with plain C; of the shipped model, which
#                                plain C is slow on, each stage only once; and how far integer activations are from float32
#   make parity ISA="c avx2"     everything with these kernels
# and build/vlmd's answers about samples/ (tests/parity/engine/samples.json, made by tools/fixtures/engine_samples.py).
PARITY_FIXTURES := $(sort $(dir $(wildcard tests/parity/engine/*/manifest.json)))
PARITY_LARGE := tests/parity/engine/vlmd-tiny/

$(B)/parity: $(wildcard tests/parity/engine/*.c) $(call archives_of,engine)
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests $(call pkg_cflags,base) $(filter %.c,$^) -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,engine)) $(call libs_of,engine) -lm
$(B)/parity: $(wildcard tests/parity/engine/*.h) include/vlmd.h

# build/divergence: the default arithmetic against float32 (tests/parity/divergence).
$(B)/divergence: tests/parity/divergence/divergence.c tests/parity/engine/fixture.c tests/parity/engine/picture.c $(call archives_of,engine)
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests $(call pkg_cflags,base) $(filter %.c,$^) -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,engine)) $(call libs_of,engine) -lm
$(B)/divergence: $(wildcard tests/parity/engine/*.h) include/vlmd.h

.PHONY: parity
parity: $(B)/parity $(B)/divergence $(B)/vlmd
ifdef ISA
	@status=0; for isa in $(ISA); do $(B)/parity --isa $$isa $(PARITY_FIXTURES) || status=1; done; exit $$status
else
	$(B)/parity --isa c $(filter-out $(PARITY_LARGE),$(PARITY_FIXTURES))
	$(B)/parity --isa c --quick $(filter $(PARITY_LARGE),$(PARITY_FIXTURES))
	$(B)/parity --isa auto $(PARITY_FIXTURES)
	$(B)/parity --isa auto --activations int16 $(PARITY_FIXTURES)
	$(B)/divergence $(PARITY_FIXTURES)
	python3 tests/parity/engine/samples.py --program $(B)/vlmd
endif
