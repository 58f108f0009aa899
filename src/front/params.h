/* What every kind of completion may be asked, whatever its prompt is: the model, how to sample,
 * when to stop, whether to stream. Pure: no sockets, no models. The parameters that a route knows
 * are its own list: each is used, listed as harmless, or refused by its name. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PARAMS_MAX_STOPS 16

struct params {
    char *model;
    char *stops[PARAMS_MAX_STOPS];
    size_t n_stops;
    float temperature, top_p, min_p;
    float repetition_penalty, presence_penalty, frequency_penalty;
    int32_t top_k;
    int32_t max_tokens; /* 0: not given */
    bool has_seed;
    uint64_t seed;
    bool stream;
    bool include_usage;
};

/* What is done with a parameter. */
enum params_use {
    PARAMS_USED,     /* read by somebody */
    PARAMS_HARMLESS, /* does not change the answer: accepted with any value */
    PARAMS_REFUSED,  /* would change the answer: not supported yet */
    PARAMS_IF_EMPTY, /* refused unless null, false, "" or empty: then it asks for nothing */
};

struct params_rule {
    const char *name;
    enum params_use use;
};

/* The body of a request: a JSON object, not nested too deeply. NULL with *err. */
json_t *params_body(const char *text, size_t len, struct vlmd_error *err);
/* -1 with *err for a parameter that no rule lists, or that one refuses. */
int params_check(const json_t *body, const struct params_rule *rules, size_t n,
                 struct vlmd_error *err);
/* Fills *out, which the caller releases with params_free in any case. Errors name the parameter as
 * their field. */
int params_parse(const json_t *body, struct params *out, struct vlmd_error *err);
void params_free(struct params *params);

/* response_format, where text is all that there is. */
int params_check_format(const json_t *body, struct vlmd_error *err);
/* Does no bracket of this JSON text open more than `depth` levels? */
bool params_depth_within(const char *text, size_t len, int depth);
