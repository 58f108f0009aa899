/* Jinja's filters, as far as chat templates use them, and transformers' tojson. */
#pragma once

#include "chat/arguments.h"

struct node;

/* The number of a filter, -1 when there is none of that name. */
int filter_find(const struct text *name);
/* Filters like map and selectattr take the name of another filter or test. Checks it while parsing
 * where it is a constant: -1 with the error set when it is not known. */
int filter_check_names(struct workspace *ws, const struct node *filter);
int filter_apply(struct workspace *ws, int id, struct value input,
                 const struct arguments *arguments, struct value *out);
