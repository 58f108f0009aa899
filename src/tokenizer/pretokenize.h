/* The pre-tokenizer: cuts normalized text into the pieces that BPE works on. A list of stages, each
 * applied to every piece of the stage before it. The change of bytes into printable characters that
 * ByteLevel does in the reference is left out: BPE here works on the bytes themselves. */
#pragma once

#include <jansson.h>

#include "tokenizer/regex.h"

#define PRETOKENIZE_MAX_STAGES 16

struct pretokenize_stage {
    struct regex *regex; /* NULL: this stage puts a space before text that begins with none */
    enum regex_pieces which;
};

struct pretokenize {
    struct pretokenize_stage stages[PRETOKENIZE_MAX_STAGES];
    int n_stages;
};

/* Reads the "pre_tokenizer" value: ByteLevel, Split and Sequence of these, ByteLevel last. Errors
 * have their field below "pre_tokenizer". pretokenize_free is due after failure, too. */
int pretokenize_load(struct pretokenize *p, const json_t *value, struct vlmd_error *err);
void pretokenize_free(struct pretokenize *p);

/* Hands the non-empty pieces of `text` (valid UTF-8) to `piece`, in order. */
int pretokenize_run(const struct pretokenize *p, const char *text, size_t len, regex_piece_fn piece,
                    void *context, struct vlmd_error *err);
