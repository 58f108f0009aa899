/* Names of models and the folders they stand for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define MODELS_SHIPPED "vlmd-tiny"

struct model {
    char *id;   /* what clients call it */
    char *path; /* its checkpoint folder */
};

/* Finds what a user names: an existing folder; models/<name> under the current folder or beside the
 * program, one level up, or in ../share/vlmd/models where it was installed; org/name, optionally
 * with @revision, in the Hugging Face cache
 * ($HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub). VLMD_NOT_FOUND says where it looked.
 * The result is released with model_free. */
int models_resolve(const char *name, struct model *out, struct vlmd_error *err);
void model_free(struct model *model);
/* Finds what a client asks for: an id in those places, never a path. False when there is none. */
bool models_find(const char *id, struct model *out);

/* All checkpoints in those places. Returns their number and *out (released with models_free), or -1
 * with *err. */
int models_list(struct model **out, struct vlmd_error *err);
void models_free(struct model *models, size_t n);
