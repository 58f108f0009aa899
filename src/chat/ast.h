/* The syntax tree of a template. Nodes live in the workspace of the parse and never change. */
#pragma once

#include "chat/value.h"

enum node_kind {
    /* expressions: what they use of struct node */
    NODE_CONST,      /* constant */
    NODE_NAME,       /* name */
    NODE_LIST,       /* items */
    NODE_TUPLE,      /* items */
    NODE_DICT,       /* items: key, value, key, value ... */
    NODE_NOT,        /* a */
    NODE_NEGATE,     /* a */
    NODE_PLUS,       /* a */
    NODE_AND,        /* a, b */
    NODE_OR,         /* a, b */
    NODE_ARITHMETIC, /* a, b, op: '+', '-', '*', '/', '%', OPERATOR_FLOOR, OPERATOR_POWER */
    NODE_CONCAT,     /* items: a ~ b ~ c */
    NODE_COMPARE,    /* a, comparisons */
    NODE_CONDITION,  /* a if b else c (c may be NULL) */
    NODE_ATTRIBUTE,  /* a.name */
    NODE_ITEM,       /* a[b] */
    NODE_SLICE,      /* only as b of NODE_ITEM: a:b:c, each may be NULL */
    NODE_CALL,       /* a(items, keywords) */
    NODE_FILTER,     /* a | op(items, keywords); a is NULL in {% filter %} and {% set %} */
    NODE_TEST,       /* a is op(items) */
    /* statements */
    NODE_DATA,         /* name: text of the template */
    NODE_OUTPUT,       /* a */
    NODE_IF,           /* branches: each a, body; other */
    NODE_FOR,          /* a: target, b: what over, c: filter or NULL, body, other */
    NODE_SET,          /* a: target, b: value */
    NODE_SET_BLOCK,    /* a: target, b: filter or NULL, body */
    NODE_MACRO,        /* name, items: parameters (NODE_NAME; b: default or NULL), body */
    NODE_FILTER_BLOCK, /* b: filter, body */
    NODE_WITH,         /* items: target, value, target, value ...; body */
    NODE_SCOPE,        /* body: {% generation %} */
    NODE_BREAK,
    NODE_CONTINUE,
};

enum comparison_op {
    COMPARE_EQ,
    COMPARE_NE,
    COMPARE_LT,
    COMPARE_LE,
    COMPARE_GT,
    COMPARE_GE,
    COMPARE_IN,
    COMPARE_NOT_IN,
};

struct node_list {
    struct node **at;
    size_t n, cap;
};

struct keyword {
    const struct text *name;
    struct node *value;
};

struct comparison {
    enum comparison_op op;
    struct node *right;
};

struct node {
    enum node_kind kind;
    int line;
    int height; /* levels of expression below, this one included */
    int op;
    const struct text *name;
    struct value constant;
    struct node *a, *b, *c;
    struct node_list items, body, other, branches;
    struct keyword *keywords;
    size_t n_keywords, keywords_cap;
    struct comparison *comparisons;
    size_t n_comparisons, comparisons_cap;
};
