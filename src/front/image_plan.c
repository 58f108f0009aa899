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

uint64_t image_plan_token_area(const struct worker_info *info)
{
    return (uint64_t)info->image_factor * (uint64_t)info->image_factor;
}

int32_t image_plan_room(const struct worker_info *info)
{
    int32_t all = info->kv_tokens < info->context_length ? info->kv_tokens : info->context_length;
    int32_t room = all - all / TEXT_SHARE;
    return room > 0 ? room : 1;
}

/* What one image may have at most when there is no other. */
static uint64_t affordable(const struct worker_info *info)
{
    uint64_t by_kv = (uint64_t)image_plan_room(info) * image_plan_token_area(info);
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
    lower(plan, affordable(info), IMAGE_BOUND_MEMORY);
    return 0;
}

int32_t image_plan_share(const int32_t *wanted, size_t n, int32_t room)
{
    int32_t part = room / (int32_t)n;
    part = part > 0 ? part : 1;
    for (;;) {
        int64_t left = room, others = 0;
        for (size_t i = 0; i < n; i++) {
            left -= wanted[i] <= part ? wanted[i] : 0;
            others += wanted[i] > part;
        }
        if (others == 0 || left / others <= part)
            return part;
        part = (int32_t)(left / others);
    }
}

void image_plan_limit_tokens(struct image_plan *plan, int32_t tokens, int32_t factor)
{
    lower(plan, (uint64_t)tokens * (uint64_t)factor * (uint64_t)factor, IMAGE_BOUND_MEMORY);
}

bool image_plan_reduces(const struct image_plan *plan, int32_t width, int32_t height,
                        enum image_bound *bound)
{
    uint64_t within = (uint64_t)smart_resize_area_within(width, height, plan->max_side);
    *bound = within < plan->max_pixels ? IMAGE_BOUND_SERVER : plan->bound;
    return (uint64_t)width * (uint64_t)height > smaller(within, plan->max_pixels);
}
