/* Text in parts of different trust to token ids. */
#include "base/buf.h"
#include "engine/engine_internal.h"

struct writer {
    const struct tokenizer *tokenizer;
    struct buf plain; /* ordinary text since the last special token */
    int32_t *out;
    size_t cap;
    size_t count; /* ids so far, also those beyond cap */
};

static int append_plain(struct writer *w, const char *text, size_t len, struct vlmd_error *err)
{
    return buf_append(&w->plain, text, len) < 0 ? err_no_memory(err, len) : 0;
}

static int flush_plain(struct writer *w, struct vlmd_error *err)
{
    size_t used = w->count < w->cap ? w->count : w->cap;
    int64_t n = tokenizer_encode(w->tokenizer, w->plain.data, w->plain.len, false,
                                 w->cap ? w->out + used : NULL, w->cap - used, err);
    if (n < 0)
        return -1;
    w->count += (size_t)n;
    buf_reset(&w->plain);
    return 0;
}

static int add_special_part(struct writer *w, const struct vlmd_text_part *part,
                            struct vlmd_error *err)
{
    size_t from = 0, done = 0, start, end;
    int32_t id;
    while (tokenizer_find_added(w->tokenizer, part->text, part->len, &from, &start, &end, &id)) {
        if (append_plain(w, part->text + done, start - done, err) < 0 || flush_plain(w, err) < 0)
            return -1;
        if (w->count < w->cap)
            w->out[w->count] = id;
        w->count++;
        done = end;
    }
    return append_plain(w, part->text + done, part->len - done, err);
}

int64_t vlmd_tokenize(const vlmd_engine *e, const struct vlmd_text_part *parts, size_t n_parts,
                      int32_t *out, size_t cap, struct vlmd_error *err)
{
    struct writer w = {.tokenizer = e->tokenizer, .out = out, .cap = cap};
    int status = 0;
    for (size_t i = 0; i < n_parts && status == 0; i++)
        status = parts[i].special ? add_special_part(&w, &parts[i], err)
                                  : append_plain(&w, parts[i].text, parts[i].len, err);
    if (status == 0)
        status = flush_plain(&w, err);
    buf_free(&w.plain);
    return status < 0 ? -1 : (int64_t)w.count;
}
