/* The server's settings: one table declares each with name, type, range, default and help; the
 * parser and --help come from it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CONFIG_MAX_MODELS 16

struct config {
    const char *models[CONFIG_MAX_MODELS]; /* borrowed from argv */
    size_t n_models;
    const char *host;
    int64_t port;
    int64_t admin_port;
    int64_t threads;
    int64_t kv_tokens;
    const char *isa;
    int64_t max_requests;
    int64_t max_images;
    int64_t decoders;
    int64_t decode_seconds;
    int64_t drain_seconds;
    bool no_sandbox;
    bool verbose;
    const char *worker_program;
    bool help;
};

void config_defaults(struct config *config);
/* Reads argv[0..argc), all of it options. Errors name the option as their field. */
int config_parse(struct config *config, int argc, char *const *argv, struct vlmd_error *err);
/* Appends the options as --help shows them. */
void config_help(struct buf *out);
