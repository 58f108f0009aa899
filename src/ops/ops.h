/* The table of functions between models and backends. A model calls ops on tensors and never names
 * a backend; a backend fills every slot. Shapes are the caller's duty: ops do not fail at run time,
 * they are checked when the model is loaded. Sources are named after the definitions they
 * implement, in float32 unless the backend's documentation says otherwise. */
#pragma once

#include "base/err.h"
#include "ops/tensor.h"

struct backend;

struct ops {
    const char *name; /* e.g. "cpu/avx2" */

    void (*close)(struct backend *be); /* all memory and weights were given back before */

    /* Memory for activations and kv, at least 64-byte aligned; NULL without memory. */
    void *(*alloc)(struct backend *be, size_t bytes);
    void (*free)(struct backend *be, void *memory);
    void (*upload)(struct backend *be, void *to, const void *from_host, size_t bytes);
    void (*download)(struct backend *be, void *to_host, const void *from, size_t bytes);

    /* Takes over a parameter, for ops to read after weights_end. The mapping behind `source` stays
     * valid until weight_free. */
    int (*weight_load)(struct backend *be, struct weight *w, const struct weight_source *source,
                       struct vlmd_error *err);
    /* Ends any number of weight_load: what they left to be read and copied is done here, together.
     * VLMD_IO when a file cannot be read; then the weights can only be freed. */
    int (*weights_end)(struct backend *be, struct vlmd_error *err);
    void (*weight_free)(struct backend *be, struct weight *w);

    /* y[n, cols] = rows `ids` of table. ids are host memory, within the table. */
    void (*embed)(struct backend *be, struct tensor y, const struct weight *table,
                  const int32_t *ids);
    /* y[n, w.rows] = x[n, w.cols] w^T (+ bias). bias is a vector or NULL. y must not overlap x. */
    void (*linear)(struct backend *be, struct tensor y, struct tensor x, const struct weight *w,
                   const struct weight *bias);
    /* y = x / sqrt(mean(x^2) + eps) * w, row by row; y may be x (RMSNorm, arXiv 1910.07467). */
    void (*rms_norm)(struct backend *be, struct tensor y, struct tensor x, const struct weight *w,
                     float eps);
    /* x += y */
    void (*add)(struct backend *be, struct tensor x, struct tensor y);
    /* gate = gate * sigmoid(gate) * up (SwiGLU, arXiv 2002.05202) */
    void (*silu_mul)(struct backend *be, struct tensor gate, struct tensor up);
    /* x = x * Phi(x), the exact form with erf */
    void (*gelu)(struct backend *be, struct tensor x);
    /* Rotates each head of x[n, heads * head_dim] in place by the angles whose cosines and sines
     * are cos, sin[n, head_dim / 2]: element j pairs with j + head_dim / 2 (HF's rotate_half). */
    void (*rope)(struct backend *be, struct tensor x, int32_t head_dim, struct tensor cos,
                 struct tensor sin);
    /* Stores k, v[n, n_kv_heads * head_dim] at their tokens' places in the layer's kv blocks. */
    void (*kv_append)(struct backend *be, const struct kv_shape *shape, struct kv_layer *layer,
                      const struct kv_batch *batch, struct tensor k, struct tensor v);
    /* Causal attention of each item's rows over its own timeline, softmax(q k^T / sqrt(head_dim))
     * v; q, out[n, n_heads * head_dim]; head h reads kv head h / (n_heads / n_kv_heads). The
     * batch's own tokens were appended before. */
    void (*attention)(struct backend *be, const struct kv_shape *shape,
                      const struct kv_layer *layer, const struct kv_batch *batch, struct tensor out,
                      struct tensor q);
    /* Bidirectional attention inside each run of rows [start[s], start[s + 1]), s < n_runs; q, k,
     * v, out[n, heads * head_dim]. */
    void (*attention_runs)(struct backend *be, struct tensor out, struct tensor q, struct tensor k,
                           struct tensor v, int32_t head_dim, const int32_t *start, int32_t n_runs);
    /* y[i] = x[index[i]] and y[index[i]] = x[i] for i < n rows; index is host memory. */
    void (*gather_rows)(struct backend *be, struct tensor y, struct tensor x, const int32_t *index,
                        int32_t n);
    void (*scatter_rows)(struct backend *be, struct tensor y, struct tensor x, const int32_t *index,
                         int32_t n);
};

/* Backends embed this as their first member. */
struct backend {
    const struct ops *ops;
};
