/* The answers for people and programs that watch the server: health, readiness, Prometheus' page,
 * the admin's status and numbers. Changes nothing. Field names of the admin's answers are those of
 * the Python server (jameschildress65/mlx-inference-server), with more beside them. */
#pragma once

#include "front/api.h"

void monitor_health(void *context, struct http_conn *conn, struct http_request *request);
void monitor_ready(void *context, struct http_conn *conn, struct http_request *request);
void monitor_metrics(void *context, struct http_conn *conn, struct http_request *request);
void monitor_admin_health(void *context, struct http_conn *conn, struct http_request *request);
void monitor_admin_status(void *context, struct http_conn *conn, struct http_request *request);
void monitor_admin_metrics(void *context, struct http_conn *conn, struct http_request *request);
void monitor_admin_queue(void *context, struct http_conn *conn, struct http_request *request);
void monitor_admin_capabilities(void *context, struct http_conn *conn,
                                struct http_request *request);
