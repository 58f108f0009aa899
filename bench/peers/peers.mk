# make bench-peers: vlmd beside llama.cpp, mlx-vlm and transformers on this machine, at real shapes. It needs a network for
# PyPI, 10 GB of disk for 3B and 20 GB for 7B, and hours for everything; PEERS="--only decode --peers llama" does a part.
#
#   PEERS_VENV    the virtual environment, made when it is not there
#   PEERS_SETUP   e.g. --reuse OTHER_VENV (bench/peers/setup.py)
#   PEERS_MODELS  where the checkpoints with random weights are written

PEERS ?= --models 3b
PEERS_VENV ?= build/peers/venv
PEERS_MODELS ?= build/peers/models
PEERS_SETUP ?=

# An object of its own: a compiler that is given two files at a time notes the headers of one.
$(B)/bench/ops_time.o: bench/ops_time.c
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Ibench -MMD -MP -c $< -o $@

OURS_OBJECTS := $(B)/bench/measure.o $(B)/bench/ops_time.o
$(B)/bench/peers_ours: bench/peers/ours.c $(OURS_OBJECTS) $(call archives_of,engine)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Ibench -MMD -MP $(call pkg_cflags,base) $< $(OURS_OBJECTS) -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,engine)) $(call libs_of,engine) -lm

.PHONY: bench-peers bench-peers-table
bench-peers: $(B)/bench/peers_ours
	python3 bench/peers/setup.py $(PEERS_VENV) $(PEERS_SETUP)
	$(PEERS_VENV)/bin/python bench/peers/peers.py --ours $< --work $(PEERS_MODELS) $(PEERS)
	$(MAKE) bench-peers-table
bench-peers-table:
	python3 bench/peers/table.py bench/results docs/SPEED.md
