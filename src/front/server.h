/* `vlmd serve`: the event loop with its listening sockets, children and signals. */
#pragma once

#include "front/config.h"
#include "front/models.h"

/* Serves until SIGINT or SIGTERM. SIGHUP reads `input` again and changes *config. Returns the exit
 * status of the process. */
int server_run(struct config *config, const struct config_input *input, const struct model *models,
               size_t n_models);
