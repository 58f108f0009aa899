#include "chat/arguments.h"

static size_t parameter_of(const struct text *name, const char *const *names, size_t n_names)
{
    size_t i = 0;
    while (i < n_names && !text_is(name, names[i]))
        i++;
    return i;
}

int arguments_bind(struct workspace *ws, const char *who, const struct arguments *arguments,
                   const char *const *names, size_t n_names, size_t required, struct value **slots)
{
    if (arguments->n > n_names)
        return workspace_fail(ws, "%s takes at most %zu arguments", who, n_names);
    for (size_t i = 0; i < n_names; i++)
        slots[i] = i < arguments->n ? &arguments->positional[i] : NULL;
    for (size_t i = 0; i < arguments->n_keywords; i++) {
        const struct text *name = arguments->keywords[i].name;
        size_t at = parameter_of(name, names, n_names);
        if (at == n_names || slots[at])
            return workspace_fail(ws, "%s does not take the argument %.*s", who,
                                  (int)(name->len < 60 ? name->len : 60), name->bytes);
        slots[at] = &arguments->keywords[i].value;
    }
    for (size_t i = 0; i < required; i++) {
        if (!slots[i])
            return workspace_fail(ws, "%s lacks the argument %s", who, names[i]);
    }
    return 0;
}

int argument_text(struct workspace *ws, const char *who, const struct value *argument,
                  const struct text **out)
{
    if (!argument)
        return 0;
    if (argument->kind != VALUE_STRING)
        return workspace_fail(ws, "%s wants a string, not %s", who, value_kind_name(argument));
    *out = argument->as.text;
    return 0;
}

int argument_int(struct workspace *ws, const char *who, const struct value *argument, int64_t *out)
{
    if (!argument)
        return 0;
    if (!value_as_int(argument, out))
        return workspace_fail(ws, "%s wants an integer, not %s", who, value_kind_name(argument));
    return 0;
}
