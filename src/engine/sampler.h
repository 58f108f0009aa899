/* One request's choice of tokens: penalties, the cut of unlikely tokens, and a random stream.
 *
 * The order is that of transformers (with OpenAI's two penalties where vLLM has them):
 *   1. repetition_penalty   logits of tokens in prompt or answer: / p when positive, * p otherwise
 *   2. frequency_penalty    - f * (times in the answer);  presence_penalty  - p when in the answer
 *   3. temperature          logits / t; 0 takes the largest logit (the lowest id of equals)
 *   4. top_k                keeps logits not below the k-th largest, ties included
 *   5. top_p                of what is left, the most likely tokens until they sum to p; the lower
 *                           id first among equals; at least one
 *   6. min_p                keeps tokens at least min_p times as likely as the most likely one
 *   7. one draw
 *
 * The same seed, logits and history give the same token on every platform: the random numbers are
 * integers, and the exponential is made of + - * / on doubles here, not the C library's. */
#pragma once

#include "vlmd.h"

/* A sampler for logits of vocab_size floats; NULL with *err. Closed with vlmd_sampler_close. */
vlmd_sampler *sampler_create(int32_t vocab_size, const struct vlmd_sampling *s,
                             struct vlmd_error *err);

/* Steps 1 to 6: overwrites logits with the probability of each token, up to a common factor.
 * Returns the sum of these, 0 when no logit is a number above minus infinity (vlmd_sampler_next
 * then returns -1). With temperature 0
 * the one token has 1 and all others 0. Public here for tests against the reference. */
double sampler_weights(vlmd_sampler *sampler, float *logits);

/* e^x within 2 units in the last place for -700 <= x <= 0. */
double sampler_exp(double x);
