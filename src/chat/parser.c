#include "chat/parser.h"

#include <stdio.h>
#include <string.h>

#include "chat/parser_internal.h"

struct node *parser_node(struct parser *parser, enum node_kind kind, int line)
{
    struct node *node = workspace_alloc(parser->ws, sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    node->line = line;
    node->height = 1;
    return node;
}

static void raise_height(struct node *node, const struct node *child)
{
    if (child && child->height >= node->height)
        node->height = child->height + 1;
}

struct node *parser_finish(struct parser *parser, struct node *node)
{
    raise_height(node, node->a);
    raise_height(node, node->b);
    raise_height(node, node->c);
    for (size_t i = 0; i < node->items.n; i++)
        raise_height(node, node->items.at[i]);
    for (size_t i = 0; i < node->n_keywords; i++)
        raise_height(node, node->keywords[i].value);
    for (size_t i = 0; i < node->n_comparisons; i++)
        raise_height(node, node->comparisons[i].right);
    if (node->height <= PARSER_HEIGHT)
        return node;
    workspace_fail_as(parser->ws, VLMD_TOO_LARGE, "the expression has more than %d levels",
                      PARSER_HEIGHT);
    return NULL;
}

int parser_enter(struct parser *parser)
{
    if (parser->depth >= PARSER_DEPTH)
        return workspace_fail_as(parser->ws, VLMD_TOO_LARGE, "nested deeper than %d levels",
                                 PARSER_DEPTH);
    parser->depth++;
    return 0;
}

void parser_leave(struct parser *parser)
{
    parser->depth--;
}

int parser_append(struct parser *parser, struct node_list *list, struct node *node)
{
    if (!node)
        return -1;
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct node **at = workspace_alloc_array(parser->ws, cap, sizeof(*at));
        if (!at)
            return -1;
        if (list->n)
            memcpy(at, list->at, list->n * sizeof(*at));
        list->at = at;
        list->cap = cap;
    }
    list->at[list->n++] = node;
    return 0;
}

void parser_next(struct parser *parser)
{
    if (parser->token->kind != TOKEN_END)
        parser->token++;
    parser->ws->line = parser->token->line;
}

bool parser_is_op(const struct parser *parser, int op)
{
    return parser->token->kind == TOKEN_OPERATOR && parser->token->op == op;
}

bool parser_is_name(const struct parser *parser, const char *name)
{
    return parser->token->kind == TOKEN_NAME && text_is(parser->token->text, name);
}

bool parser_skip_op(struct parser *parser, int op)
{
    bool here = parser_is_op(parser, op);
    if (here)
        parser_next(parser);
    return here;
}

bool parser_skip_name(struct parser *parser, const char *name)
{
    bool here = parser_is_name(parser, name);
    if (here)
        parser_next(parser);
    return here;
}

static void describe(const struct token *token, char *out, size_t cap)
{
    static const char *const names[] = {
        [TOKEN_END] = "the end of the template",
        [TOKEN_DATA] = "text",
        [TOKEN_BLOCK_BEGIN] = "'{%'",
        [TOKEN_BLOCK_END] = "'%}'",
        [TOKEN_VARIABLE_BEGIN] = "'{{'",
        [TOKEN_VARIABLE_END] = "'}}'",
        [TOKEN_STRING] = "a string",
        [TOKEN_INTEGER] = "a number",
        [TOKEN_FLOAT] = "a number",
    };
    static const char *const doubles[] = {"==", "!=", "<=", ">=", "**", "//"};
    if (token->kind == TOKEN_NAME)
        snprintf(out, cap, "'%.*s'", (int)(token->text->len < 60 ? token->text->len : 60),
                 token->text->bytes);
    else if (token->kind != TOKEN_OPERATOR)
        snprintf(out, cap, "%s", names[token->kind]);
    else if (token->op >= OPERATOR_EQ)
        snprintf(out, cap, "'%s'", doubles[token->op - OPERATOR_EQ]);
    else
        snprintf(out, cap, "'%c'", (char)token->op);
}

int parser_unexpected(struct parser *parser, const char *wanted)
{
    char found[80];
    describe(parser->token, found, sizeof found);
    parser->ws->line = parser->token->line;
    return workspace_fail_as(parser->ws, VLMD_FORMAT, "expected %s, found %s", wanted, found);
}

int parser_unsupported(struct parser *parser, const char *what, const struct text *name)
{
    return workspace_fail_as(parser->ws, VLMD_UNSUPPORTED, "%s '%.*s' is not supported", what,
                             (int)(name->len < 60 ? name->len : 60), name->bytes);
}

int parser_expect_op(struct parser *parser, char op)
{
    if (parser_skip_op(parser, op))
        return 0;
    const char wanted[4] = {'\'', op, '\'', '\0'};
    return parser_unexpected(parser, wanted);
}

static int expect_kind(struct parser *parser, enum token_kind kind, const char *wanted)
{
    if (parser->token->kind != kind)
        return parser_unexpected(parser, wanted);
    parser_next(parser);
    return 0;
}

static int expect_name(struct parser *parser, const char *name)
{
    if (parser_skip_name(parser, name))
        return 0;
    return parser_unexpected(parser, name);
}

static int parse_until(struct parser *parser, struct node_list *body, const char *const *ends,
                       const char **found);

/* The statements behind the current tag up to {% end %} (or {% other %}), which is read up to and
 * without its %}. */
static int parse_body(struct parser *parser, struct node_list *body, const char *end,
                      const char *other, const char *another, const char **found)
{
    const char *const ends[] = {end, other, another, NULL};
    parser_skip_op(parser, ':');
    if (expect_kind(parser, TOKEN_BLOCK_END, "'%}'") < 0)
        return -1;
    return parse_until(parser, body, ends, found);
}

static int parse_if(struct parser *parser, struct node *node)
{
    const char *found = "elif";
    while (strcmp(found, "elif") == 0) {
        struct node *branch = parser_node(parser, NODE_IF, parser->token->line);
        if (parser_append(parser, &node->branches, branch) < 0)
            return -1;
        branch->a = parser_tuple(parser, false, false);
        if (!branch->a || parse_body(parser, &branch->body, "endif", "else", "elif", &found) < 0)
            return -1;
    }
    if (strcmp(found, "else") != 0)
        return 0;
    return parse_body(parser, &node->other, "endif", NULL, NULL, &found);
}

static int parse_for(struct parser *parser, struct node *node)
{
    node->a = parser_target(parser, false);
    if (!node->a || expect_name(parser, "in") < 0)
        return -1;
    node->b = parser_tuple(parser, false, false);
    if (!node->b)
        return -1;
    if (parser_skip_name(parser, "if") && !(node->c = parser_expression(parser)))
        return -1;
    if (parser_is_name(parser, "recursive"))
        return parser_unsupported(parser, "the loop modifier", parser->token->text);
    const char *found;
    parser->loops++;
    int rc = parse_body(parser, &node->body, "endfor", "else", NULL, &found);
    parser->loops--;
    if (rc < 0 || strcmp(found, "else") != 0)
        return rc;
    return parse_body(parser, &node->other, "endfor", NULL, NULL, &found);
}

static int parse_set(struct parser *parser, struct node *node)
{
    node->a = parser_target(parser, true);
    if (!node->a)
        return -1;
    if (parser_skip_op(parser, '=')) {
        node->b = parser_tuple(parser, true, false);
        return node->b ? 0 : -1;
    }
    node->kind = NODE_SET_BLOCK;
    if (parser_is_op(parser, '|') && !(node->b = parser_filters(parser, NULL, false)))
        return -1;
    const char *found;
    return parse_body(parser, &node->body, "endset", NULL, NULL, &found);
}

static int parse_parameters(struct parser *parser, struct node *macro)
{
    bool defaults = false;
    if (parser_expect_op(parser, '(') < 0)
        return -1;
    while (!parser_is_op(parser, ')')) {
        if (macro->items.n && parser_expect_op(parser, ',') < 0)
            return -1;
        if (parser->token->kind != TOKEN_NAME)
            return parser_unexpected(parser, "the name of a parameter");
        struct node *parameter = parser_node(parser, NODE_NAME, parser->token->line);
        if (parser_append(parser, &macro->items, parameter) < 0)
            return -1;
        parameter->name = parser->token->text;
        parser_next(parser);
        if (parser_skip_op(parser, '=')) {
            defaults = true;
            if (!(parameter->b = parser_expression(parser)))
                return -1;
        } else if (defaults) {
            return parser_unexpected(parser, "a default value");
        }
    }
    return parser_expect_op(parser, ')');
}

static int parse_macro(struct parser *parser, struct node *node)
{
    if (parser->token->kind != TOKEN_NAME)
        return parser_unexpected(parser, "the name of a macro");
    node->name = parser->token->text;
    parser_next(parser);
    if (parse_parameters(parser, node) < 0)
        return -1;
    int loops = parser->loops;
    bool in_macro = parser->in_macro;
    parser->loops = 0;
    parser->in_macro = true;
    const char *found;
    int rc = parse_body(parser, &node->body, "endmacro", NULL, NULL, &found);
    parser->loops = loops;
    parser->in_macro = in_macro;
    return rc;
}

static int parse_filter_block(struct parser *parser, struct node *node)
{
    const char *found;
    node->b = parser_filters(parser, NULL, true);
    if (!node->b)
        return -1;
    return parse_body(parser, &node->body, "endfilter", NULL, NULL, &found);
}

static int parse_with(struct parser *parser, struct node *node)
{
    const char *found;
    while (parser->token->kind != TOKEN_BLOCK_END) {
        if (node->items.n && parser_expect_op(parser, ',') < 0)
            return -1;
        if (parser_append(parser, &node->items, parser_target(parser, false)) < 0 ||
            parser_expect_op(parser, '=') < 0 ||
            parser_append(parser, &node->items, parser_expression(parser)) < 0)
            return -1;
    }
    return parse_body(parser, &node->body, "endwith", NULL, NULL, &found);
}

/* transformers' own tag around what the assistant said; it changes nothing in the text. */
static int parse_generation(struct parser *parser, struct node *node)
{
    const char *found;
    int loops = parser->loops;
    parser->loops = 0;
    int rc = parse_body(parser, &node->body, "endgeneration", NULL, NULL, &found);
    parser->loops = loops;
    return rc;
}

static int parse_jump(struct parser *parser, struct node *node)
{
    if (parser->loops > 0)
        return 0;
    return workspace_fail_as(parser->ws, VLMD_FORMAT, "'%s' stands outside a loop",
                             node->kind == NODE_BREAK ? "break" : "continue");
}

static const struct {
    const char *name;
    enum node_kind kind;
    int (*parse)(struct parser *parser, struct node *node);
} statements[] = {
    {"if", NODE_IF, parse_if},
    {"for", NODE_FOR, parse_for},
    {"set", NODE_SET, parse_set},
    {"macro", NODE_MACRO, parse_macro},
    {"filter", NODE_FILTER_BLOCK, parse_filter_block},
    {"with", NODE_WITH, parse_with},
    {"generation", NODE_SCOPE, parse_generation},
    {"break", NODE_BREAK, parse_jump},
    {"continue", NODE_CONTINUE, parse_jump},
};

static struct node *parse_statement(struct parser *parser)
{
    const struct token *tag = parser->token;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!text_is(tag->text, statements[i].name))
            continue;
        struct node *node = parser_node(parser, statements[i].kind, tag->line);
        parser_next(parser);
        if (!node || parser_enter(parser) < 0)
            return NULL;
        int rc = statements[i].parse(parser, node);
        parser_leave(parser);
        return rc < 0 ? NULL : node;
    }
    parser_unsupported(parser, "the tag", tag->text);
    return NULL;
}

static struct node *parse_output(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_OUTPUT, parser->token->line);
    parser_next(parser);
    if (!node || !(node->a = parser_tuple(parser, true, false)) ||
        expect_kind(parser, TOKEN_VARIABLE_END, "'}}'") < 0)
        return NULL;
    return node;
}

static struct node *parse_data(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_DATA, parser->token->line);
    if (node)
        node->name = parser->token->text;
    parser_next(parser);
    return node;
}

static const char *end_tag_here(const struct parser *parser, const char *const *ends)
{
    for (; ends && *ends; ends++) {
        if (parser_is_name(parser, *ends))
            return *ends;
    }
    return NULL;
}

/* One statement, or *found when it is one of the tags that end the body. NULL with *found NULL:
 * the error is set. */
static struct node *parse_piece(struct parser *parser, const char *const *ends, const char **found)
{
    if (parser->token->kind == TOKEN_DATA)
        return parse_data(parser);
    if (parser->token->kind == TOKEN_VARIABLE_BEGIN)
        return parse_output(parser);
    parser_next(parser);
    if (parser->token->kind != TOKEN_NAME) {
        parser_unexpected(parser, "the name of a tag");
        return NULL;
    }
    *found = end_tag_here(parser, ends);
    if (*found) {
        parser_next(parser);
        return NULL;
    }
    struct node *node = parse_statement(parser);
    if (!node || expect_kind(parser, TOKEN_BLOCK_END, "'%}'") < 0)
        return NULL;
    return node;
}

static int parse_until(struct parser *parser, struct node_list *body, const char *const *ends,
                       const char **found)
{
    *found = NULL;
    while (parser->token->kind != TOKEN_END) {
        struct node *node = parse_piece(parser, ends, found);
        if (!node)
            return *found ? 0 : -1;
        if (parser_append(parser, body, node) < 0)
            return -1;
    }
    if (!ends)
        return 0;
    return workspace_fail_as(parser->ws, VLMD_FORMAT, "the template ends without {%% %s %%}",
                             ends[0]);
}

int parser_run(struct workspace *ws, const char *source, size_t len, struct node_list *body)
{
    struct parser parser = {.ws = ws};
    parser.token = lexer_run(ws, source, len);
    if (!parser.token)
        return -1;
    const char *found;
    ws->line = 1;
    return parse_until(&parser, body, NULL, &found);
}
