/* Shared by filters.c (the table, filters of text and numbers) and filters_list.c. */
#pragma once

#include "chat/filters.h"

/* `slots` holds the arguments of the table's parameters, NULL where none was given. Filters marked
 * `open` in the table get the arguments as they came. */
typedef int (*filter_fn)(struct workspace *ws, const struct value *input,
                         struct value *const *slots, struct value *out);
typedef int (*open_filter_fn)(struct workspace *ws, const struct value *input,
                              const struct arguments *arguments, struct value *out);

int filter_dictsort(struct workspace *ws, const struct value *input, struct value *const *slots,
                    struct value *out);
int filter_first(struct workspace *ws, const struct value *input, struct value *const *slots,
                 struct value *out);
int filter_last(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out);
int filter_join(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out);
int filter_items(struct workspace *ws, const struct value *input, struct value *const *slots,
                 struct value *out);
int filter_list(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out);
int filter_max(struct workspace *ws, const struct value *input, struct value *const *slots,
               struct value *out);
int filter_min(struct workspace *ws, const struct value *input, struct value *const *slots,
               struct value *out);
int filter_reverse(struct workspace *ws, const struct value *input, struct value *const *slots,
                   struct value *out);
int filter_sort(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out);
int filter_sum(struct workspace *ws, const struct value *input, struct value *const *slots,
               struct value *out);
int filter_unique(struct workspace *ws, const struct value *input, struct value *const *slots,
                  struct value *out);

int filter_map(struct workspace *ws, const struct value *input, const struct arguments *arguments,
               struct value *out);
int filter_select(struct workspace *ws, const struct value *input,
                  const struct arguments *arguments, struct value *out);
int filter_reject(struct workspace *ws, const struct value *input,
                  const struct arguments *arguments, struct value *out);
int filter_selectattr(struct workspace *ws, const struct value *input,
                      const struct arguments *arguments, struct value *out);
int filter_rejectattr(struct workspace *ws, const struct value *input,
                      const struct arguments *arguments, struct value *out);
