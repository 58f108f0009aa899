# make bench: what this machine can do at most, and how much of it a decode step's linear layers reach.

BENCH_PROGRAMS := $(B)/bench/bandwidth $(B)/bench/decode_shapes
BENCH_FLAGS := $(if $(filter x86_64,$(MACHINE)),-mavx2 -mfma)

# The floors are measured with the widest instructions that the kernels use.
$(B)/bench/measure.o: bench/measure.c bench/measure.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -O3 $(BENCH_FLAGS) -ffp-contract=fast -Wno-psabi -c $< -o $@
$(B)/bench/measure_integers.o: bench/measure_integers.c bench/measure.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@
MEASURE := $(B)/bench/measure.o $(B)/bench/measure_integers.o

$(BENCH_PROGRAMS): $(B)/bench/%: bench/%.c $(MEASURE) $(call archives_of,backend/cpu)
	$(CC) $(ALL_CFLAGS) -Ibench $< $(MEASURE) -o $@ $(ALL_LDFLAGS) -Wl,--start-group $(call archives_of,backend/cpu) -Wl,--end-group $(call libs_of,backend/cpu) -lm

# make build/bench/image_decode: a picture's way through the decoder; tools/image_peer.py times Pillow on the same (docs/IMAGES.md).
$(B)/bench/image_decode: bench/image_decode.c $(call archives_of,media)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(call pkg_cflags,media) $< -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,media)) $(call libs_of,media) -lm

# make bench-lab: one small program a kernel, each checks against plain C, then times and compares with the ceilings.
LAB_PROGRAMS := $(patsubst bench/lab/%.c,$(B)/lab/%,$(sort $(wildcard bench/lab/*.c)))
$(LAB_PROGRAMS): $(B)/lab/%: bench/lab/%.c $(MEASURE) $(call archives_of,backend/cpu)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Ibench $< $(MEASURE) -o $@ $(ALL_LDFLAGS) -Wl,--start-group $(call archives_of,backend/cpu) -Wl,--end-group $(call libs_of,backend/cpu) -lm

.PHONY: bench-lab
bench-lab: $(LAB_PROGRAMS)
	@for program in $(LAB_PROGRAMS); do echo "$$program"; $$program $(LAB_ARGS) || exit; done

.PHONY: bench
bench: $(BENCH_PROGRAMS)
	$(B)/bench/bandwidth
	$(B)/bench/decode_shapes 3b
	$(B)/kernels --bench
bench: $(B)/kernels
