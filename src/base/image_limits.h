/* What an encoded picture may be at most where nobody says otherwise: the server, the terminal and
 * the decoder mean the same. */
#pragma once

#define IMAGE_MAX_BYTES  10000000   /* as it arrives */
#define IMAGE_MAX_SIDE   32768      /* pixels */
#define IMAGE_MAX_PIXELS (64 << 20) /* width * height */
