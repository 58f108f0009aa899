#include "chat/split.h"

static int add_piece(struct workspace *ws, struct list *list, const struct text *text, size_t from,
                     size_t end)
{
    const struct text *piece = text_slice(ws, text, from, end - from);
    if (!piece || workspace_spend(ws, 0) < 0)
        return -1;
    return list_add(ws, list, value_text(piece));
}

static void reverse(struct list *list)
{
    for (size_t i = 0, k = list->n; i + 1 < k; i++) {
        struct value swapped = list->items[i];
        list->items[i] = list->items[--k];
        list->items[k] = swapped;
    }
}

static size_t skip(const struct text *text, size_t at, bool spaces)
{
    size_t len;
    while (at < text->len && text_is_space(text_char(text, at, &len)) == spaces)
        at += len;
    return at;
}

static int split_spaces(struct workspace *ws, struct list *list, const struct text *text,
                        int64_t limit)
{
    size_t at = skip(text, 0, true);
    for (; at < text->len && limit != 0; limit--) {
        size_t end = skip(text, at, false);
        if (add_piece(ws, list, text, at, end) < 0)
            return -1;
        at = skip(text, end, true);
    }
    if (at == text->len)
        return 0;
    return add_piece(ws, list, text, at, text->len);
}

/* The same from the right: the words are found from the left; those in excess are one piece, with
 * the whitespace in front of them. */
static int rsplit_spaces(struct workspace *ws, struct list *list, const struct text *text,
                         int64_t limit)
{
    struct list *words = list_new(ws, LIST_PLAIN);
    if (!words || split_spaces(ws, words, text, -1) < 0)
        return -1;
    size_t keep = limit < 0 || (uint64_t)limit >= words->n ? words->n : (size_t)limit;
    size_t joined = words->n - keep;
    if (joined) {
        const struct text *last = words->items[joined - 1].as.text;
        size_t end = (size_t)(last->bytes - text->bytes) + last->len;
        if (add_piece(ws, list, text, 0, end) < 0)
            return -1;
    }
    for (size_t i = joined; i < words->n; i++) {
        if (list_add(ws, list, words->items[i]) < 0)
            return -1;
    }
    return 0;
}

static int split_at(struct workspace *ws, struct list *list, const struct text *text,
                    const struct text *separator, int64_t limit)
{
    size_t at = 0;
    for (; limit != 0; limit--) {
        size_t hit = text_find(text, separator, at);
        if (hit == SIZE_MAX)
            break;
        if (add_piece(ws, list, text, at, hit) < 0)
            return -1;
        at = hit + separator->len;
    }
    return add_piece(ws, list, text, at, text->len);
}

static int rsplit_at(struct workspace *ws, struct list *list, const struct text *text,
                     const struct text *separator, int64_t limit)
{
    size_t end = text->len;
    for (; limit != 0; limit--) {
        struct text head = text_view(text->bytes, end, false);
        size_t hit = text_rfind(&head, separator);
        if (hit == SIZE_MAX)
            break;
        if (add_piece(ws, list, text, hit + separator->len, end) < 0)
            return -1;
        end = hit;
    }
    if (add_piece(ws, list, text, 0, end) < 0)
        return -1;
    reverse(list);
    return 0;
}

struct list *split_text(struct workspace *ws, const struct text *text, const struct text *separator,
                        int64_t limit, bool from_right)
{
    struct list *list = list_new(ws, LIST_PLAIN);
    int rc;
    size_t work = from_right && separator ? text->len * separator->len : text->len;
    if (!list || workspace_spend(ws, work) < 0)
        return NULL;
    if (separator && separator->len == 0) {
        workspace_fail(ws, "split: the separator is empty");
        return NULL;
    }
    if (!separator)
        rc =
            from_right ? rsplit_spaces(ws, list, text, limit) : split_spaces(ws, list, text, limit);
    else
        rc = from_right ? rsplit_at(ws, list, text, separator, limit)
                        : split_at(ws, list, text, separator, limit);
    return rc < 0 ? NULL : list;
}

/* Bytes of the line end at `at`; 0 when there is none. */
static size_t line_end(const struct text *text, size_t at)
{
    size_t len;
    uint32_t c = text_char(text, at, &len);
    if (c == '\r' && at + 1 < text->len && text->bytes[at + 1] == '\n')
        return 2;
    bool ends = (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
                c == 0x2029;
    return ends ? len : 0;
}

struct list *split_lines(struct workspace *ws, const struct text *text, bool keep_ends)
{
    struct list *list = list_new(ws, LIST_PLAIN);
    if (!list || workspace_spend(ws, text->len * 4) < 0)
        return NULL;
    size_t from = 0, len;
    for (size_t at = 0; at < text->len;) {
        size_t end = line_end(text, at);
        if (!end) {
            text_char(text, at, &len);
            at += len;
            continue;
        }
        if (add_piece(ws, list, text, from, keep_ends ? at + end : at) < 0)
            return NULL;
        at += end;
        from = at;
    }
    if (from < text->len && add_piece(ws, list, text, from, text->len) < 0)
        return NULL;
    return list;
}
