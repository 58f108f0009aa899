/* Who may ask what: Hosts, origins of web pages (CORS), API keys, rates. Judges a request by its
 * head, before its body is read; it answers nothing itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "front/auth.h"
#include "front/config.h"
#include "front/http_reader.h"
#include "front/rate_limit.h"

struct access;

/* Which door the request came through. */
struct access_port {
    bool admin;
    bool loopback; /* it is reachable from this machine only */
};

struct access_verdict {
    int status; /* 0: go on; 200: answer with nothing but the fields (a preflight) */
    const char *type;
    const char *code;
    const char *text;
    /* For the answer, whatever it will be: each ended by CRLF. */
    char fields[1024];
};

/* Reads keys and limits out of the settings. NULL with *err. */
struct access *access_open(const struct config *config, struct vlmd_error *err);
/* Anew; the counts of rates go on where a key's limit is the same. On failure all stays. */
int access_configure(struct access *a, const struct config *config, struct vlmd_error *err);
void access_close(struct access *a);

/* Host, preflight, key. The fields say what the browser may do. */
void access_judge(const struct access *a, const struct access_port *port,
                  const struct http_request *q, struct access_verdict *out);
/* Counts a request that is otherwise in order, and adds fields that say what is left. now_ms: of
 * any clock that does not go back. */
void access_count(struct access *a, const struct http_request *q, uint64_t now_ms,
                  struct access_verdict *out);

/* The key that the request shows; NULL when it has none or none are wanted. */
const struct auth_key *access_key(const struct access *a, const struct http_request *q);
/* A number for the key, from 1 on; 0 for NULL. */
unsigned access_owner(const struct access *a, const struct auth_key *key);
/* What the request may have: what it asks for by X-Priority, no higher than its key's. */
enum priority access_priority(const struct auth_key *key, const struct http_request *q);
