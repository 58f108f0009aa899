/* The body of POST /v1/completions as a validated value: prompts that the model reads as they are,
 * without a chat template. Pure: no sockets, no models. */
#pragma once

#include "front/params.h"

#define COMPLETION_MAX_CHOICES 128

struct completion_request {
    struct params params;
    char **prompts; /* JSON, each a string or an array of token ids; see messages.def, GENERATE */
    size_t n_prompts;
    bool several; /* they came in a list */
    int32_t n;    /* answers to each; prompts times n are at most COMPLETION_MAX_CHOICES */
    bool echo;    /* an answer begins with its prompt */
};

/* Fills *out, which the caller releases with completion_request_free in any case. Errors name the
 * parameter as their field. */
int completion_request_parse(const char *body, size_t len, struct completion_request *out,
                             struct vlmd_error *err);
void completion_request_free(struct completion_request *request);
