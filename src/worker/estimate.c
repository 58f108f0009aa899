#include "worker/estimate.h"

#include <unistd.h>

#include "worker/request.h"

#define LEAST_PIXELS (512 * 512)
/* What of the machine's memory the model and its work may take where nobody has set a budget: the
 * rest is for the system, the other processes and the cache of files. */
#define SHARE(memory) ((memory) / 4 * 3)

static uint64_t physical_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static bool affordable(const vlmd_engine *engine, int32_t tokens, uint64_t bytes)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(engine);
    int32_t factor = info->patch_size * info->merge_size;
    return vlmd_image_bytes(engine, factor, factor * tokens) <= bytes;
}

uint64_t estimate_affordable_pixels(const vlmd_engine *engine, uint64_t budget, uint64_t held)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(engine);
    if (!info->has_vision)
        return 0;
    int32_t factor = info->patch_size * info->merge_size;
    uint64_t area = (uint64_t)factor * (uint64_t)factor;
    uint64_t all = budget > 0 ? budget : SHARE(physical_memory());
    uint64_t left = all > held ? all - held : 0;
    int32_t least = (int32_t)((LEAST_PIXELS + area - 1) / area);
    int32_t most = (int32_t)(INT32_MAX / 4 / area); /* what vlmd_image_encode takes */
    while (least < most) {
        int32_t middle = least + (most - least + 1) / 2;
        if (affordable(engine, middle, left))
            least = middle;
        else
            most = middle - 1;
    }
    return (uint64_t)least * area;
}

/* Tokens of each image, and the memory that the largest one needs. */
static int count_images(const vlmd_engine *engine, const struct ipc_estimate *request,
                        int32_t *tokens, uint64_t *bytes, struct vlmd_error *err)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(engine);
    int32_t factor = info->patch_size * info->merge_size;
    *bytes = 0;
    for (uint32_t i = 0; i < request->n_widths; i++) {
        int32_t width = request->widths[i], height = request->heights[i];
        if (!info->has_vision)
            return err_set(err, VLMD_UNSUPPORTED, "image_url", "this model reads text only");
        if (width < factor || height < factor || width % factor || height % factor)
            return err_set(err, VLMD_INTERNAL, "image_url", "an image has no planned size");
        tokens[i] = (width / factor) * (height / factor);
        uint64_t needed = vlmd_image_bytes(engine, width, height);
        *bytes = needed > *bytes ? needed : *bytes;
    }
    return 0;
}

int estimate_request(const vlmd_engine *engine, const struct prompt_maker *prompts,
                     const struct ipc_estimate *request, struct ipc_estimated *out,
                     struct vlmd_error *err)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(engine);
    int32_t tokens[IPC_MAX_IMAGES];
    struct prompt prompt;
    if (request->n_widths != request->n_heights)
        return err_set(err, VLMD_INTERNAL, NULL, "widths and heights differ in number");
    if (count_images(engine, request, tokens, &out->vision_bytes, err) < 0 ||
        prompt_make(prompts, request->messages.data, request->messages.len, request->tools.data,
                    request->tools.len, tokens, (int32_t)request->n_widths, &prompt, err) < 0)
        return -1;
    out->prompt_tokens = prompt.n_tokens;
    out->room = request_room(engine);
    out->weight_bytes = info->weight_bytes;
    out->kv_bytes = info->kv_bytes;
    int32_t reserved = request_reserve(engine, prompt.n_tokens, request->max_tokens);
    out->kv_request_bytes =
        (uint64_t)((double)info->kv_bytes / (double)info->kv_tokens * (double)reserved);
    prompt_free(&prompt);
    return 0;
}
