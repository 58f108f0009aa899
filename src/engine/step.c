/* vlmd_step: many sessions' next tokens as one ragged batch through the model. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine_internal.h"

int step_arrays_open(vlmd_engine *e, struct vlmd_error *err)
{
    struct step_arrays *a = &e->step;
    size_t n = (size_t)e->info.batch_tokens;
    size_t logits_bytes = (size_t)HEAD_ROWS * (size_t)e->info.vocab_size * sizeof(float);
    a->tokens = malloc(n * sizeof *a->tokens);
    a->positions = malloc(n * sizeof *a->positions);
    a->output_rows = malloc(n * sizeof *a->output_rows);
    a->output_to = malloc(n * sizeof *a->output_to);
    a->output_also = malloc(n * sizeof *a->output_also);
    a->inserts = malloc(n * sizeof *a->inserts);
    a->row_start = malloc((n + 1) * sizeof *a->row_start);
    a->context = malloc(n * sizeof *a->context);
    a->blocks = malloc(n * sizeof *a->blocks);
    a->logits = (struct tensor){e->be->ops->alloc(e->be, logits_bytes), HEAD_ROWS,
                                e->info.vocab_size, e->info.vocab_size};
    if (a->tokens && a->positions && a->output_rows && a->output_to && a->output_also &&
        a->inserts && a->row_start && a->context && a->blocks && a->logits.data)
        return 0;
    return err_no_memory(err, logits_bytes);
}

void step_arrays_close(vlmd_engine *e)
{
    struct step_arrays *a = &e->step;
    free(a->tokens);
    free(a->positions);
    free(a->output_rows);
    free(a->output_to);
    free(a->output_also);
    free(a->inserts);
    free(a->row_start);
    free(a->context);
    free(a->blocks);
    if (a->logits.data)
        e->be->ops->free(e->be, a->logits.data);
    *a = (struct step_arrays){0};
}

static int check_items(const vlmd_engine *e, const struct vlmd_step_item *items, int32_t n_items,
                       struct vlmd_error *err)
{
    int64_t total = 0;
    for (int32_t i = 0; i < n_items; i++) {
        const vlmd_session *s = items[i].session;
        if (s->engine != e || items[i].n_tokens < 1 || items[i].n_tokens > vlmd_session_pending(s))
            return err_set(err, VLMD_INVALID, "n_tokens",
                           "a step must take between 1 and all pending tokens of a session");
        for (int32_t j = 0; j < i; j++)
            if (items[j].session == s)
                return err_set(err, VLMD_INVALID, "session", "a session stands twice in one step");
        total += items[i].n_tokens;
    }
    if (n_items < 1 || total > e->info.batch_tokens)
        return err_set(err, VLMD_TOO_LARGE, "n_tokens", "a step takes 1 to %d tokens",
                       e->info.batch_tokens);
    return 0;
}

/* The parts of a session's images that fall into its next n tokens, which begin at batch row `row`.
 */
static int32_t add_inserts(const vlmd_session *s, int32_t n, int32_t row,
                           struct model_insert *inserts)
{
    int32_t count = 0, end = s->stepped + n;
    for (int32_t i = 0; i < s->n_images; i++) {
        const struct placed_image *p = &s->images[i];
        int32_t first = p->at > s->stepped ? p->at : s->stepped;
        int32_t last = p->at + vlmd_image_tokens(p->image);
        if (last > end)
            last = end;
        if (first >= last)
            continue;
        inserts[count++] = (struct model_insert){
            .rows = tensor_rows(p->image->embeddings, first - p->at, last - first),
            .at = row + first - s->stepped,
        };
    }
    return count;
}

static void add_outputs(struct step_arrays *a, const struct vlmd_step_item *item, int32_t row,
                        int32_t vocab, int32_t *n_outputs)
{
    int32_t last = item->n_tokens - 1;
    for (int32_t i = item->logits_all ? 0 : last; i <= last; i++) {
        float *own = i == last ? item->logits : NULL;
        float *all = item->logits_all ? item->logits_all + (size_t)i * (size_t)vocab : NULL;
        if (!own && !all)
            continue;
        a->output_rows[*n_outputs] = row + i;
        a->output_to[*n_outputs] = own ? own : all;
        a->output_also[*n_outputs] = own ? all : NULL;
        (*n_outputs)++;
    }
}

/* Lays the items out one after another. */
static struct model_step assemble(vlmd_engine *e, const struct vlmd_step_item *items,
                                  int32_t n_items)
{
    struct step_arrays *a = &e->step;
    int32_t row = 0, n_inserts = 0, n_outputs = 0;
    for (int32_t i = 0; i < n_items; i++) {
        const vlmd_session *s = items[i].session;
        size_t n = (size_t)items[i].n_tokens;
        memcpy(a->tokens + row, s->tokens + s->stepped, n * sizeof *a->tokens);
        memcpy(a->positions + row, s->positions + s->stepped, n * sizeof *a->positions);
        a->row_start[i] = row;
        a->context[i] = s->stepped;
        a->blocks[i] = s->blocks;
        n_inserts += add_inserts(s, items[i].n_tokens, row, a->inserts + n_inserts);
        add_outputs(a, &items[i], row, e->info.vocab_size, &n_outputs);
        row += items[i].n_tokens;
    }
    a->row_start[n_items] = row;
    return (struct model_step){
        .n_tokens = row,
        .tokens = a->tokens,
        .positions = (const int32_t(*)[3])a->positions,
        .inserts = a->inserts,
        .n_inserts = n_inserts,
        .kv = {n_items, a->row_start, a->context, a->blocks},
        .kv_shape = &e->kv.shape,
        .kv_layers = e->kv.layers,
        .output_rows = a->output_rows,
        .n_outputs = n_outputs,
    };
}

/* Hidden states to logits to the callers' arrays, HEAD_ROWS at a time. */
static void compute_logits(vlmd_engine *e, const struct model_step *step, struct tensor hidden)
{
    struct step_arrays *a = &e->step;
    size_t row_bytes = (size_t)e->info.vocab_size * sizeof(float);
    for (int32_t first = 0; first < step->n_outputs; first += HEAD_ROWS) {
        int32_t n = step->n_outputs - first;
        if (n > HEAD_ROWS)
            n = HEAD_ROWS;
        struct tensor logits = tensor_rows(a->logits, 0, n);
        e->model->class->head(e->model, logits, tensor_rows(hidden, first, n));
        for (int32_t i = 0; i < n; i++) {
            e->be->ops->download(e->be, a->output_to[first + i], tensor_rows(logits, i, 1).data,
                                 row_bytes);
            if (a->output_also[first + i])
                memcpy(a->output_also[first + i], a->output_to[first + i], row_bytes);
        }
    }
}

int vlmd_step(vlmd_engine *e, const struct vlmd_step_item *items, int32_t n_items,
              vlmd_cancel_fn cancel, void *cancel_context, struct vlmd_error *err)
{
    if (check_items(e, items, n_items, err) < 0)
        return -1;
    for (int32_t i = 0; i < n_items; i++)
        if (vlmd_session_reserve(items[i].session, items[i].n_tokens, err) < 0)
            return -1;
    struct model_step step = assemble(e, items, n_items);
    step.cancel = cancel;
    step.cancel_context = cancel_context;
    struct tensor hidden;
    if (e->model->class->forward(e->model, &step, &hidden, err) < 0)
        return -1;
    compute_logits(e, &step, hidden);
    for (int32_t i = 0; i < n_items; i++)
        items[i].session->stepped += items[i].n_tokens;
    return 0;
}
