/* `vlmd serve`: the event loop with its listening sockets, children and signals. */
#pragma once

#include "front/config.h"
#include "front/models.h"

/* Serves until SIGINT or SIGTERM. Returns the exit status of the process. */
int server_run(const struct config *config, const struct model *models, size_t n_models);
