# Images in large numbers; what is small enough runs in the suite (tests/unit/media, tests/e2e/test_images.py, test_bombs.py).
#
#   make image-mutants MUTANTS=1000000   damaged copies of the valid pictures of tests/parity/pixels, under ASan and UBSan
#   make image-bundle                    the same as a folder, build/portable, for a machine with more cores: run.sh JOBS COUNT
#   make image-corpora                   public collections of malformed images, fetched into build/corpora, under the same
#                                        (CORPORA=FOLDER: git directories that are there already, named owner+repository)

#   make image-variants PYTHON=/path/to/venv/bin/python   some hundreds of valid pictures against Pillow

PYTHON ?= python3
MUTANTS ?= 1000000
CORPORA ?=

$(B)/image_files: tests/images/image_files.c $(call archives_of,media)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP $< -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,media)) $(call libs_of,media)

# The inner loops of resizing against plain C: part of make kernels and make kernels-neon.
RESIZE_SOURCES := tests/images/resize_kernels.c $(wildcard src/media/*resize.c) src/base/err.c src/base/utf8.c
$(B)/resize_kernels: tests/images/resize_kernels.c $(call archives_of,media)
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP $< -o $@ $(ALL_LDFLAGS) $(call link_group,$(call archives_of,media)) $(call libs_of,media)
$(B)/resize_kernels-neon: $(RESIZE_SOURCES) src/media/resize_kernels.h
	@mkdir -p $(@D)
	$(NEON_CC) $(STD) $(WARN) -O2 -g -ffp-contract=off -static -Iinclude -Isrc $(RESIZE_SOURCES) -o $@ -lm

.PHONY: image-mutants image-bundle image-corpora image-variants
image-variants: $(B)/image_files
	$(PYTHON) tests/images/variants.py $(B)/image_files
image-mutants:
	@$(MAKE) --no-print-directory SAN=address build/address/image_files
	build/address/image_files -m $(MUTANTS) $(filter-out %.json %.csv,$(wildcard tests/parity/pixels/*.*))
image-bundle:
	@$(MAKE) --no-print-directory SAN=address build/address/image_files
	tests/images/bundle.sh build/address/image_files build/portable
image-corpora:
	@$(MAKE) --no-print-directory SAN=address build/address/image_files
	python3 tests/images/corpora.py build/address/image_files build/corpora $(if $(CORPORA),--mirrors $(CORPORA))
