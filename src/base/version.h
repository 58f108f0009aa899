/* The version of this program, once. */
#pragma once

#define VLMD_VERSION "0.1.0"
