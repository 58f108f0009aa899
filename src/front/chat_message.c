#include "front/chat_message.h"

#include <fcntl.h>
#include <unistd.h>

#include "front/random_id.h"

struct ipc_generate chat_message_sampling(const struct params *p)
{
    struct ipc_generate g = {
        .messages = ipc_string(""),
        .tools = ipc_string(""),
        .prompt = ipc_string(""),
        .temperature = p->temperature,
        .top_p = p->top_p,
        .top_k = p->top_k,
        .min_p = p->min_p,
        .repetition_penalty = p->repetition_penalty,
        .presence_penalty = p->presence_penalty,
        .frequency_penalty = p->frequency_penalty,
        .seed = p->has_seed ? p->seed : random_u64(),
        .max_tokens = p->max_tokens,
        .n_stops = (uint32_t)p->n_stops,
    };
    for (size_t i = 0; i < p->n_stops; i++)
        g.stops[i] = ipc_string(p->stops[i]);
    return g;
}

struct ipc_message chat_message_generate(const struct chat_request *q)
{
    struct ipc_message m = {.type = IPC_GENERATE, .generate = chat_message_sampling(&q->params)};
    m.generate.messages = ipc_string(q->messages);
    m.generate.n_images = (uint32_t)q->n_images;
    return m;
}

int chat_message_add_images(struct ipc_generate *g, const struct ipc_image *images,
                            struct vlmd_error *err)
{
    for (size_t i = 0; i < g->n_images; i++) {
        g->images[i] = images[i];
        g->images[i].rgb = fcntl(images[i].rgb, F_DUPFD_CLOEXEC, 0);
        if (g->images[i].rgb >= 0)
            continue;
        while (i-- > 0)
            close(g->images[i].rgb);
        return err_set(err, VLMD_NO_MEMORY, NULL, "no descriptor is left for an image");
    }
    return 0;
}

struct ipc_message chat_message_estimate(const struct chat_request *q,
                                         const struct receipts *receipts)
{
    struct ipc_message m = {.type = IPC_ESTIMATE};
    m.estimate.messages = ipc_string(q->messages);
    m.estimate.tools = ipc_string("");
    m.estimate.max_tokens = q->params.max_tokens;
    m.estimate.n_widths = m.estimate.n_heights = (uint32_t)receipts->n;
    for (size_t i = 0; i < receipts->n; i++) {
        m.estimate.widths[i] = receipts->items[i].width;
        m.estimate.heights[i] = receipts->items[i].height;
    }
    return m;
}
