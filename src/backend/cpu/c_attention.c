/* Attention in plain C with double inside: the oracle. Softmax is taken as it is defined, in two
 * passes over the keys, so that nothing is shared with the online form of the faster kernels. */
#include <math.h>

#include "backend/cpu/c_kernels.h"

enum {
    SLICE = 128
}; /* elements of out summed in one pass over the keys */

static double score(const struct attention_task *task, int32_t query, int32_t token)
{
    const float *q = task->q[query];
    const float *k = attention_key(&task->kv, token);
    double sum = 0;
    for (int32_t i = 0; i < task->head_dim; i++)
        sum += (double)q[i] * (double)k[i];
    return sum / sqrt((double)task->head_dim);
}

static double greatest_score(const struct attention_task *task, int32_t query)
{
    double greatest = score(task, query, 0);
    for (int32_t t = 1; t < task->visible[query]; t++)
        greatest = fmax(greatest, score(task, query, t));
    return greatest;
}

/* Elements [first, first + n) of one query's output. */
static void attend(const struct attention_task *task, int32_t query, double greatest, int32_t first,
                   int32_t n)
{
    double sums[SLICE] = {0}, total = 0;
    for (int32_t t = 0; t < task->visible[query]; t++) {
        double p = exp(score(task, query, t) - greatest);
        const float *v = attention_value(&task->kv, t) + first;
        for (int32_t i = 0; i < n; i++)
            sums[i] += p * (double)v[i];
        total += p;
    }
    for (int32_t i = 0; i < n; i++)
        task->out[query][first + i] = (float)(sums[i] / total);
}

void c_attention(const struct attention_task *task, float *scratch)
{
    (void)scratch;
    for (int32_t query = 0; query < task->n_queries; query++) {
        double greatest = greatest_score(task, query);
        for (int32_t first = 0; first < task->head_dim; first += SLICE) {
            int32_t left = task->head_dim - first;
            attend(task, query, greatest, first, left < SLICE ? left : SLICE);
        }
    }
}
