/* vlmd: the engine's public face, and the only public header.
 *
 * An engine is one loaded checkpoint: weights, tokenizer and configuration, immutable after
 * opening. A session is one timeline of tokens with its part of the paged kv cache. vlmd_step()
 * runs one ragged batch over many sessions; prefill chunks and decode steps are the same call. Chat
 * templates, image files, HTTP and scheduling live above this line.
 *
 * Threads: an engine may be read from any thread; vlmd_step, vlmd_image_encode and the session
 * calls of one engine must not run at the same time. Every call that can fail fills *err; nothing
 * here exits, aborts or prints.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vlmd_code {
    VLMD_OK = 0,
    VLMD_INVALID,     /* the caller's input is wrong: `field` names the part */
    VLMD_NOT_FOUND,   /* a file, model or name does not exist */
    VLMD_FORMAT,      /* a file or message is malformed */
    VLMD_UNSUPPORTED, /* well-formed, but not something this build can do */
    VLMD_TOO_LARGE,   /* exceeds a stated limit */
    VLMD_NO_MEMORY,   /* memory or kv blocks are used up */
    VLMD_IO,          /* the operating system refused */
    VLMD_CANCELLED,   /* the caller asked to stop */
    VLMD_BUSY,        /* try again later */
    VLMD_INTERNAL,    /* a defect in vlmd */
};

struct vlmd_error {
    enum vlmd_code code;
    char field[96]; /* the offending input, e.g. "messages[0].content[1].image_url", or "" */
    char text[320]; /* one sentence for people; never holds pointers or secrets */
};

typedef struct vlmd_engine vlmd_engine;
typedef struct vlmd_session vlmd_session;
typedef struct vlmd_image vlmd_image;

struct vlmd_engine_options {
    int threads;          /* of the CPU backend; 0: one per core that is there for it */
    int32_t kv_tokens;    /* kv cache of all sessions together; 0: 16384 or the model's context,
                             the smaller */
    int32_t batch_tokens; /* most tokens in one step; 0: 512 */
    const char *isa;      /* CPU kernels: NULL or "auto", "c", "avx2", "avx512", "amx", "neon" */
    /* What the CPU's 2- to 8-bit linear layers multiply with: NULL or "auto" (the fastest within
     * the bounds of docs/FIDELITY.md: "int16"), or "float32" */
    const char *activations;
};

struct vlmd_engine_info {
    const char *architecture; /* model_type of config.json, e.g. "qwen2_5_vl" */
    const char *isa;          /* kernels in use */
    bool has_vision;
    int32_t vocab_size;     /* rows of logits */
    int32_t context_length; /* most tokens of one session */
    int32_t hidden_size;
    int32_t batch_tokens; /* most tokens in one step */
    int32_t kv_tokens;    /* capacity of the kv cache in tokens */
    size_t weight_bytes;  /* mapped checkpoint files */
    size_t kv_bytes;
    /* What vlmd_image_plan goes by; 0 without vision. */
    int32_t patch_size, merge_size;
    int64_t min_pixels, max_pixels;
    int32_t image_token; /* the placeholder's id; -1 without vision */
};

/* Memory that an engine will take, read from the checkpoint's headers before any of it is taken. */
#define VLMD_USUAL_PIXELS (1 << 21)
struct vlmd_engine_needs {
    size_t weight_bytes, kv_bytes;
    size_t work_bytes;  /* activations of a step of batch_tokens */
    size_t image_bytes; /* of an image of VLMD_USUAL_PIXELS, or of the largest if that is smaller */
};
int vlmd_engine_measure(const char *path, const struct vlmd_engine_options *options,
                        struct vlmd_engine_needs *out, struct vlmd_error *err);

/* Opens the checkpoint folder `path` (config.json, tokenizer.json, safetensors). Returns an engine
 * that the caller owns (vlmd_engine_close), or NULL with *err. `options` may be NULL. */
vlmd_engine *vlmd_engine_open(const char *path, const struct vlmd_engine_options *options,
                              struct vlmd_error *err);
/* NULL is fine. All sessions and images of the engine must be gone. */
void vlmd_engine_close(vlmd_engine *engine);
const struct vlmd_engine_info *vlmd_engine_info(const vlmd_engine *engine);

/* Tokens. Text is UTF-8. A text may come in parts of different trust: names of special tokens
 * become those tokens only inside parts that say so and are plain text elsewhere, and ordinary text
 * is cut into tokens as if the parts were one. Writes at most `cap` ids to `out`; returns the
 * number of ids the text has (call again with more room if it exceeds cap), -1 with *err. */
struct vlmd_text_part {
    const char *text;
    size_t len;
    bool special; /* special tokens are recognised */
};
int64_t vlmd_tokenize(const vlmd_engine *engine, const struct vlmd_text_part *parts, size_t n_parts,
                      int32_t *out, size_t cap, struct vlmd_error *err);
/* One token's bytes, not always whole UTF-8; empty for special tokens. Owned by the engine. */
const char *vlmd_token_bytes(const vlmd_engine *engine, int32_t token, size_t *len);
/* The id of a special token by its text, e.g. "<|im_end|>"; -1 when there is none. */
int32_t vlmd_special_token(const vlmd_engine *engine, const char *text);
/* True for the ids that end a generation (eos_token_id of generation_config.json, else
 * config.json). */
bool vlmd_token_ends(const vlmd_engine *engine, int32_t token);

/* Images. Sizes are pixels. vlmd_image_plan says to which size an upright RGB picture of width x
 * height is to be resized, as the checkpoint's preprocessor_config.json demands (Qwen2-VL's
 * smart_resize), within [min_pixels, max_pixels] when those are not 0. */
struct vlmd_image_plan {
    int32_t width, height; /* size to hand to vlmd_image_encode */
    int32_t tokens;        /* image placeholder tokens in the prompt */
};
int vlmd_image_plan(const vlmd_engine *engine, int32_t width, int32_t height, int64_t min_pixels,
                    int64_t max_pixels, struct vlmd_image_plan *plan, struct vlmd_error *err);

/* Bytes that vlmd_image_encode takes for a picture of this planned size while it works, its result
 * included; 0 without vision. */
size_t vlmd_image_bytes(const vlmd_engine *engine, int32_t width, int32_t height);

/* Asked between layers of long work, and within long layers; true means stop (the call fails with
 * VLMD_CANCELLED). */
typedef bool (*vlmd_cancel_fn)(void *context);

/* Runs the vision tower on `rgb` (height x width x 3 bytes, the planned size). Returns the image's
 * embeddings, owned by the caller (vlmd_image_free), or NULL with *err. */
vlmd_image *vlmd_image_encode(vlmd_engine *engine, const uint8_t *rgb, int32_t width,
                              int32_t height, vlmd_cancel_fn cancel, void *cancel_context,
                              struct vlmd_error *err);
void vlmd_image_free(vlmd_image *image);
int32_t vlmd_image_tokens(const vlmd_image *image);
/* For evaluation: copies the embeddings, vlmd_image_tokens x hidden_size floats in raster order. */
void vlmd_image_read(const vlmd_image *image, float *out);

/* Sessions. A prompt is laid out once: token ids with one placeholder id per image token, and the
 * images in the order of their placeholders. Positions (M-RoPE) follow from both. */
vlmd_session *vlmd_session_open(vlmd_engine *engine, struct vlmd_error *err);
void vlmd_session_close(vlmd_session *session); /* gives its kv blocks back */

/* Appends ids to the timeline without running them. Images are borrowed until their tokens were
 * stepped. Fails with VLMD_INVALID when placeholders and images do not match, VLMD_TOO_LARGE when
 * the context length would be exceeded. */
int vlmd_session_append(vlmd_session *session, const int32_t *tokens, int32_t n_tokens,
                        vlmd_image *const *images, int32_t n_images, struct vlmd_error *err);
/* Takes kv blocks for n_tokens more tokens than were stepped, so that stepping them cannot run out.
 * VLMD_NO_MEMORY when there are too few at the moment, VLMD_TOO_LARGE when the whole cache is too
 * small. */
int vlmd_session_reserve(vlmd_session *session, int32_t n_tokens, struct vlmd_error *err);
int32_t vlmd_session_length(const vlmd_session *session);  /* tokens appended */
int32_t vlmd_session_pending(const vlmd_session *session); /* appended, not yet stepped */

/* One ragged batch. Each item runs the next n_tokens pending tokens of its session. */
struct vlmd_step_item {
    vlmd_session *session;
    int32_t n_tokens;
    float *logits;     /* out, vocab_size floats for the item's last token; NULL when not wanted */
    float *logits_all; /* out, n_tokens x vocab_size; NULL when not wanted (evaluation) */
};
/* Fails whole: on an error no session has moved. VLMD_NO_MEMORY means that kv blocks ran out. */
int vlmd_step(vlmd_engine *engine, const struct vlmd_step_item *items, int32_t n_items,
              vlmd_cancel_fn cancel, void *cancel_context, struct vlmd_error *err);

/* Sampling: a sampler is one request's random stream and penalties; the same seed and the same
 * logits give the same token, whoever else is being served. */
typedef struct vlmd_sampler vlmd_sampler;
struct vlmd_sampling {
    float temperature;        /* 0: greedy */
    float top_p;              /* (0, 1] */
    int32_t top_k;            /* 0: off */
    float min_p;              /* [0, 1) */
    float repetition_penalty; /* > 0; 1: off (CTRL; over prompt and answer, as transformers does) */
    float presence_penalty;   /* OpenAI's, over the answer */
    float frequency_penalty;  /* OpenAI's, over the answer */
    uint64_t seed;
};
/* OpenAI's defaults: temperature 1, top_p 1, no penalties; seed 0. */
struct vlmd_sampling vlmd_sampling_default(void);
/* VLMD_INVALID names the field that is out of range. */
int vlmd_sampling_check(const struct vlmd_sampling *s, struct vlmd_error *err);
vlmd_sampler *vlmd_sampler_open(const vlmd_engine *engine, const struct vlmd_sampling *s,
                                struct vlmd_error *err);
void vlmd_sampler_close(vlmd_sampler *sampler);
/* Tokens that repetition_penalty counts beside the answer's own. */
void vlmd_sampler_prompt(vlmd_sampler *sampler, const int32_t *tokens, int32_t n);
/* Draws and records the next token. logits: vocab_size floats, overwritten. -1 when none is a
 * number above minus infinity. */
int32_t vlmd_sampler_next(vlmd_sampler *sampler, float *logits);

/* Text out of tokens: holds back bytes that may still become part of a UTF-8 character or of a stop
 * string. */
typedef struct vlmd_text_stream vlmd_text_stream;
vlmd_text_stream *vlmd_text_stream_open(const vlmd_engine *engine, const char *const *stops,
                                        size_t n_stops, struct vlmd_error *err);
void vlmd_text_stream_close(vlmd_text_stream *stream);
/* Feeds one token. *text (owned by the stream, valid until the next call) is what may be sent now,
 * *len its bytes. Returns 1 when a stop string was completed (text ends before it), 0 otherwise, -1
 * with *err. */
int vlmd_text_stream_push(vlmd_text_stream *stream, int32_t token, const char **text, size_t *len,
                          struct vlmd_error *err);
/* What is left at the end: held-back text; an unfinished UTF-8 character becomes U+FFFD. */
int vlmd_text_stream_finish(vlmd_text_stream *stream, const char **text, size_t *len,
                            struct vlmd_error *err);

#ifdef __cplusplus
}
#endif
