/* What clients see of errors: the one table from vlmd_code to HTTP status and OpenAI's type and
 * code, and the body in OpenAI's shape. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* {"error":{"message","type","param","code"}} */
struct api_error {
    int status;
    const char *type;
    const char *code;
    const char *param;   /* "" or NULL: null */
    const char *message; /* borrowed */
};

/* The client's view of an error from below; borrows its texts. */
struct api_error errors_from(const struct vlmd_error *err);
/* For what HTTP itself refuses, which has a status but no vlmd_code. */
struct api_error errors_from_status(int status, const char *message);
void errors_append_json(struct buf *out, const struct api_error *error);
/* The header fields that go with the status ("Retry-After: 1\r\n"), or NULL. */
const char *errors_fields(int status);
