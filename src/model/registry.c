#include "model/model.h"

#include <string.h>

static const struct model_class *const classes[] = {
    &model_qwen2,
    &model_qwen2_5_vl,
};

const struct model_class *model_registry_find(const char *model_type, struct vlmd_error *err)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i]->model_type, model_type) == 0)
            return classes[i];
    err_set(err, VLMD_UNSUPPORTED, "model_type",
            "model_type \"%s\" is not supported (supported: qwen2, qwen2_5_vl)", model_type);
    return NULL;
}
