/* The routes about models: the list that clients see, and the operator's words to load and unload
 * one. What happens then is workers.c. */
#pragma once

#include "front/api.h"

void model_routes_list(void *context, struct http_conn *conn, struct http_request *request);
void model_routes_one(void *context, struct http_conn *conn, struct http_request *request);
/* POST /admin/load?model_path=: answers when the model is ready, or cannot be. */
void model_routes_load(void *context, struct http_conn *conn, struct http_request *request);
/* POST /admin/unload[?model_path=]: that one, or all that nobody uses. */
void model_routes_unload(void *context, struct http_conn *conn, struct http_request *request);
