/* The command line of `vlmd run`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "ipc/codec.h"

/* Texts are borrowed from argv. */
struct run_options {
    const char *model;
    const char *images[IPC_MAX_IMAGES];
    size_t n_images;
    const char *prompt; /* "-": standard input */
    float temperature, top_p;
    int32_t max_tokens; /* 0: as the context allows */
    uint64_t seed;
    int threads;
    const char *cpus; /* "": all that this process may use */
    int32_t kv_tokens;
    const char *isa;
    const char *activations;
    bool no_sandbox;
    bool json;
    const char *fetch_ports;
    const char *fetcher_program; /* NULL: this one */
};

/* 0: parsed. 1: --help was asked for and shown. -1 with *err. */
int run_options_parse(struct run_options *out, int argc, char **argv, struct vlmd_error *err);
