# make bench: what this machine can do at most, and how much of it a decode step's linear layers reach.

BENCH_PROGRAMS := $(B)/bench/bandwidth $(B)/bench/decode_shapes
BENCH_FLAGS := $(if $(filter x86_64,$(MACHINE)),-mavx2 -mfma)

# The floors are measured with the widest instructions that the kernels use.
$(B)/bench/measure.o: bench/measure.c bench/measure.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -O3 $(BENCH_FLAGS) -ffp-contract=fast -Wno-psabi -c $< -o $@

$(BENCH_PROGRAMS): $(B)/bench/%: bench/%.c $(B)/bench/measure.o $(call archives_of,backend/cpu)
	$(CC) $(ALL_CFLAGS) -Ibench $< $(B)/bench/measure.o -o $@ $(ALL_LDFLAGS) -Wl,--start-group $(call archives_of,backend/cpu) -Wl,--end-group $(call libs_of,backend/cpu) -lm

.PHONY: bench
bench: $(BENCH_PROGRAMS)
	$(B)/bench/bandwidth
	$(B)/bench/decode_shapes 3b
	$(B)/kernels --bench
bench: $(B)/kernels
