/* Added tokens: strings that stand for one id and are looked for before anything else. Finds them
 * in text; which set is looked for in which text is tokenizer.c's matter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct added_flags {
    bool single_word; /* no match next to a word character */
    bool lstrip;      /* a match takes the white space before it */
    bool rstrip;      /* and behind it */
};

struct added_token {
    int32_t id;
    struct added_flags flags;
};

/* A trie over bytes. Node 0 is the root. */
struct added_node {
    int32_t child, sibling; /* 0: none */
    int32_t token;          /* index in tokens, -1: no token ends here */
    uint8_t byte;
};

struct added {
    struct added_token *tokens;
    struct added_node *nodes;
    size_t n_tokens, cap_tokens;
    size_t n_nodes, cap_nodes;
    int32_t first[256]; /* the root's children by byte */
};

struct added_match {
    size_t start, end; /* with the white space that the token takes */
    int32_t id;
};

void added_free(struct added *a);
/* A text given twice keeps its last id. */
int added_add(struct added *a, const char *text, size_t len, int32_t id, struct added_flags flags,
              struct vlmd_error *err);

/* The next match whose own text begins at or after *from: the leftmost, of these the longest.
 * `taken` is the end of the match before, which white space is not taken from. Moves *from on. */
bool added_find(const struct added *a, const char *text, size_t len, size_t taken, size_t *from,
                struct added_match *match);
