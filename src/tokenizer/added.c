#include "tokenizer/added.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "tokenizer/unicode.h"

#define MAX_NODES ((size_t)1 << 24)

void added_free(struct added *a)
{
    free(a->tokens);
    free(a->nodes);
    *a = (struct added){0};
}

/* ---- building */

static int add_node(struct added *a, uint8_t byte, int32_t *index, struct vlmd_error *err)
{
    if (a->n_nodes == a->cap_nodes) {
        size_t cap = a->cap_nodes ? a->cap_nodes * 2 : 256;
        if (cap > MAX_NODES)
            return err_set(err, VLMD_TOO_LARGE, "content", "the added tokens are too long");
        struct added_node *nodes = realloc(a->nodes, cap * sizeof *nodes);
        if (!nodes)
            return err_no_memory(err, cap * sizeof *nodes);
        a->nodes = nodes;
        a->cap_nodes = cap;
    }
    *index = (int32_t)a->n_nodes;
    a->nodes[a->n_nodes++] = (struct added_node){.token = -1, .byte = byte};
    return 0;
}

static int32_t child_of(const struct added *a, int32_t node, uint8_t byte)
{
    if (node == 0)
        return a->first[byte];
    int32_t child = a->nodes[node].child;
    while (child && a->nodes[child].byte != byte)
        child = a->nodes[child].sibling;
    return child;
}

static int child_for(struct added *a, int32_t node, uint8_t byte, int32_t *child,
                     struct vlmd_error *err)
{
    *child = child_of(a, node, byte);
    if (*child)
        return 0;
    if (add_node(a, byte, child, err) < 0)
        return -1;
    if (node == 0) {
        a->first[byte] = *child;
    } else {
        a->nodes[*child].sibling = a->nodes[node].child;
        a->nodes[node].child = *child;
    }
    return 0;
}

static int add_token(struct added *a, struct added_token token, struct vlmd_error *err)
{
    if (a->n_tokens == a->cap_tokens) {
        size_t cap = a->cap_tokens ? a->cap_tokens * 2 : 32; /* no more tokens than nodes */
        struct added_token *tokens = realloc(a->tokens, cap * sizeof *tokens);
        if (!tokens)
            return err_no_memory(err, cap * sizeof *tokens);
        a->tokens = tokens;
        a->cap_tokens = cap;
    }
    a->tokens[a->n_tokens++] = token;
    return 0;
}

int added_add(struct added *a, const char *text, size_t len, int32_t id, struct added_flags flags,
              struct vlmd_error *err)
{
    int32_t node = 0;
    if (a->n_nodes == 0 && add_node(a, 0, &node, err) < 0)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (child_for(a, node, (uint8_t)text[i], &node, err) < 0)
            return -1;
    }
    struct added_token token = {.id = id, .flags = flags};
    if (a->nodes[node].token >= 0) {
        a->tokens[a->nodes[node].token] = token;
        return 0;
    }
    if (add_token(a, token, err) < 0)
        return -1;
    a->nodes[node].token = (int32_t)a->n_tokens - 1;
    return 0;
}

/* ---- finding */

/* The longest token that begins at `at`: its index and *end, or -1. */
static int32_t longest_at(const struct added *a, const char *text, size_t len, size_t at,
                          size_t *end)
{
    int32_t found = -1;
    int32_t node = 0;
    for (size_t i = at; i < len; i++) {
        node = child_of(a, node, (uint8_t)text[i]);
        if (!node)
            break;
        if (a->nodes[node].token >= 0) {
            found = a->nodes[node].token;
            *end = i + 1;
        }
    }
    return found;
}

/* The character that ends at `at` (> 0), and where it begins. */
static uint32_t character_before(const char *text, size_t at, size_t *begin)
{
    size_t i = at - 1;
    while (i > 0 && ((unsigned char)text[i] & 0xC0) == 0x80)
        i--;
    uint32_t point = 0;
    utf8_decode(text + i, at - i, &point);
    *begin = i;
    return point;
}

static bool stands_alone(const char *text, size_t len, size_t start, size_t end)
{
    uint32_t point = 0;
    size_t begin;
    if (start > 0 && unicode_is_word(character_before(text, start, &begin)))
        return false;
    return end == len || utf8_decode(text + end, len - end, &point) <= 0 || !unicode_is_word(point);
}

static size_t strip_left(const char *text, size_t start, size_t taken)
{
    size_t begin;
    while (start > taken && unicode_is_space(character_before(text, start, &begin)))
        start = begin;
    return start;
}

static size_t strip_right(const char *text, size_t len, size_t end)
{
    uint32_t point;
    while (end < len) {
        int n = utf8_decode(text + end, len - end, &point);
        if (n <= 0 || !unicode_is_space(point))
            break;
        end += (size_t)n;
    }
    return end;
}

bool added_find(const struct added *a, const char *text, size_t len, size_t taken, size_t *from,
                struct added_match *match)
{
    while (*from < len) {
        size_t start = *from, end = 0;
        int32_t found = a->first[(uint8_t)text[start]] ? longest_at(a, text, len, start, &end) : -1;
        if (found < 0) {
            (*from)++;
            continue;
        }
        *from = end; /* a match that does not stand alone is passed over whole */
        const struct added_token *token = &a->tokens[found];
        if (token->flags.single_word && !stands_alone(text, len, start, end))
            continue;
        if (token->flags.lstrip)
            start = strip_left(text, start, taken);
        if (token->flags.rstrip)
            end = strip_right(text, len, end);
        *match = (struct added_match){.start = start, .end = end, .id = token->id};
        return true;
    }
    return false;
}
