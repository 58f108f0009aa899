#include "front/image_plan.h"

#include "base/smart_resize.h"

#define LOW_DETAIL 262144u /* pixels: 512 x 512, as OpenAI's "low" */
#define TEXT_SHARE 4       /* one part in so many of the context is kept for text */

const char *image_bound_name(enum image_bound bound)
{
    static const char *const names[] = {"model", "request", "detail", "server", "memory"};
    return names[bound];
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What one of n images may have at most. A function of their number alone, so that an image does
 * not change with the text around it. */
static uint64_t affordable(const struct worker_info *info, size_t n)
{
    uint64_t area = (uint64_t)info->image_factor * (uint64_t)info->image_factor;
    uint64_t room =
        (uint64_t)(info->kv_tokens < info->context_length ? info->kv_tokens : info->context_length);
    uint64_t tokens = (room - room / TEXT_SHARE) / n;
    uint64_t by_kv = (tokens ? tokens : 1) * area;
    return info->affordable_pixels ? smaller(by_kv, info->affordable_pixels) : by_kv;
}

static void lower(struct image_plan *plan, uint64_t max_pixels, enum image_bound bound)
{
    if (max_pixels >= plan->max_pixels)
        return;
    plan->max_pixels = max_pixels;
    plan->min_pixels = smaller(plan->min_pixels, max_pixels);
    plan->bound = bound;
}

int image_plan_make(const struct chat_request *request, size_t index,
                    const struct worker_info *info, int32_t max_side, struct image_plan *plan,
                    struct vlmd_error *err)
{
    const struct chat_image *image = &request->images[index];
    int64_t least = image->bounds.min ? image->bounds.min : request->bounds.min;
    int64_t most = image->bounds.max ? image->bounds.max : request->bounds.max;
    *plan = (struct image_plan){
        .min_pixels = least ? (uint64_t)least : info->min_pixels,
        .max_pixels = most ? (uint64_t)most : info->max_pixels,
        .max_side = max_side,
        .bound = most ? IMAGE_BOUND_REQUEST : IMAGE_BOUND_MODEL,
    };
    if (least && plan->min_pixels > plan->max_pixels)
        return err_set(err, VLMD_INVALID, image->field,
                       "min_pixels of %llu is above max_pixels of %llu",
                       (unsigned long long)plan->min_pixels, (unsigned long long)plan->max_pixels);
    plan->min_pixels = smaller(plan->min_pixels, plan->max_pixels);
    if (image->low_detail)
        lower(plan, LOW_DETAIL, IMAGE_BOUND_DETAIL);
    lower(plan, affordable(info, request->n_images), IMAGE_BOUND_MEMORY);
    return 0;
}

bool image_plan_reduces(const struct image_plan *plan, int32_t width, int32_t height,
                        enum image_bound *bound)
{
    uint64_t within = (uint64_t)smart_resize_area_within(width, height, plan->max_side);
    *bound = within < plan->max_pixels ? IMAGE_BOUND_SERVER : plan->bound;
    return (uint64_t)width * (uint64_t)height > smaller(within, plan->max_pixels);
}
