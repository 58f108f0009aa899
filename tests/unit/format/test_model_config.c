/* config.json, generation_config.json and preprocessor_config.json: both nestings, defaults, and a
 * named field for every refusal. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "format/model_config.h"

#define TEXT                                                                                       \
    "\"hidden_size\":128,\"intermediate_size\":256,\"num_hidden_layers\":2,"                       \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":300,"                      \
    "\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5"
#define VISION                                                                                     \
    "\"vision_config\":{\"depth\":4,\"hidden_size\":64,\"intermediate_size\":96,\"num_heads\":2,"  \
    "\"out_hidden_size\":128,\"fullatt_block_indexes\":[1,3]}"

static void reads_flat_text(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct model_config c;
    assert_int_equal(
        model_config_parse(&c, "{\"model_type\":\"qwen2\"," TEXT "}", NULL, NULL, &err), 0);
    assert_string_equal(c.model_type, "qwen2");
    assert_int_equal(c.text.head_dim, 32);
    assert_int_equal(c.text.n_kv_heads, 2);
    assert_int_equal(c.text.context_length, 512);
    assert_true(c.text.rope_theta == 10000);
    assert_int_equal(c.text.mrope_section[0], 16);
    assert_false(c.text.tie_word_embeddings);
    assert_false(c.has_vision);
    assert_int_equal(c.image_token_id, -1);
}

static void reads_nested_and_old_vision(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct model_config nested, flat;
    const char *new_form =
        "{\"model_type\":\"qwen2_5_vl\",\"image_token_id\":7,\"tie_word_embeddings\":true," VISION
        ",\"text_config\":{" TEXT ",\"rope_parameters\":{\"rope_type\":\"default\","
        "\"rope_theta\":5000,\"mrope_section\":[4,6,6]},\"eos_token_id\":[3,5]}}";
    const char *old_form =
        "{\"model_type\":\"qwen2_5_vl\",\"image_token_id\":7,\"tie_word_embeddings\":true," VISION
        "," TEXT ",\"rope_theta\":5000,\"rope_scaling\":{\"type\":\"mrope\","
        "\"mrope_section\":[4,6,6]},\"eos_token_id\":[3,5]}";
    assert_int_equal(model_config_parse(&nested, new_form, NULL, NULL, &err), 0);
    assert_int_equal(model_config_parse(&flat, old_form, NULL, NULL, &err), 0);
    assert_memory_equal(&nested, &flat, sizeof nested);
    assert_true(flat.text.tie_word_embeddings);
    assert_int_equal(flat.text.mrope_section[2], 6);
    assert_int_equal(flat.n_eos, 2);
    assert_int_equal(flat.vision.full_attention_blocks[1], 3);
    assert_int_equal(flat.vision.window_size, 112);
}

static void other_files_have_their_say(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct model_config c;
    const char *config =
        "{\"model_type\":\"qwen2_5_vl\",\"image_token_id\":7,\"eos_token_id\":1," VISION "," TEXT
        "}";
    assert_int_equal(model_config_parse(&c, config, "{\"eos_token_id\":[2,4]}",
                                        "{\"min_pixels\":784,\"max_pixels\":1568,"
                                        "\"image_mean\":[0.5,0.25,0.125]}",
                                        &err),
                     0);
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(c.eos[0], 2);
    assert_int_equal(c.preprocessor.min_pixels, 784);
    assert_true(c.preprocessor.mean[2] == 0.125f);
    assert_int_equal(model_config_parse(&c, config, NULL,
                                        "{\"image_processor\":{\"size\":{\"shortest_edge\":3136,"
                                        "\"longest_edge\":50176}}}",
                                        &err),
                     0);
    assert_int_equal(c.preprocessor.max_pixels, 50176);
    /* more than the front could be told */
    assert_int_equal(model_config_parse(&c, config, NULL, "{\"max_pixels\":4294967296}", &err), -1);
    assert_string_equal(err.field, "preprocessor_config.json.max_pixels");
}

static void refuse(const char *config, const char *field)
{
    struct vlmd_error err = {0};
    struct model_config c;
    assert_int_equal(model_config_parse(&c, config, NULL, NULL, &err), -1);
    if (!strstr(err.field, field))
        fail_msg("field \"%s\" should be \"%s\" (%s)", err.field, field, err.text);
}

static void refuses_with_the_field(void **state)
{
    (void)state;
    refuse("[]", "config.json");
    refuse("{" TEXT "}", "config.json.model_type");
    refuse("{\"model_type\":\"qwen2\"}", "vocab_size");
    refuse("{\"model_type\":\"qwen2\"," TEXT ",\"rope_scaling\":{\"type\":\"yarn\"}}", "rope_type");
    refuse("{\"model_type\":\"qwen2\"," TEXT ",\"use_sliding_window\":true}", "use_sliding_window");
    refuse("{\"model_type\":\"qwen2\"," TEXT ",\"hidden_act\":\"gelu\"}", "hidden_act");
    refuse("{\"model_type\":\"qwen2\"," TEXT ",\"rope_theta\":0}", "rope_theta");
    refuse("{\"model_type\":\"qwen2\"," TEXT ",\"eos_token_id\":300}", "eos_token_id");
    refuse("{\"model_type\":\"qwen2\"," TEXT ",\"rope_scaling\":{\"mrope_section\":[1,2,3]}}",
           "mrope_section");
    refuse("{\"model_type\":\"qwen2\"," TEXT ",\"quantization\":{\"mode\":\"mxfp4\"}}",
           "quantization.mode");
    refuse("{\"model_type\":\"qwen2\"," TEXT
           ",\"quantization_config\":{\"quant_method\":\"gptq\"}}",
           "quantization_config.quant_method");
    refuse("{\"model_type\":\"v\"," VISION "," TEXT "}", "image_token_id");
    refuse("{\"model_type\":\"v\",\"image_token_id\":300," VISION "," TEXT "}", "image_token_id");
    refuse("{\"model_type\":\"v\",\"vision_config\":{\"depth\":2}," TEXT "}",
           "config.json.vision_config.hidden_size");
    refuse("{\"model_type\":\"qwen2\",\"hidden_size\":-1}", "");
}

/* Every prefix of a good text is refused, none crashes. */
static void refuses_every_truncation(void **state)
{
    (void)state;
    const char *good = "{\"model_type\":\"qwen2_5_vl\",\"image_token_id\":7," VISION "," TEXT "}";
    char text[1024];
    struct vlmd_error err;
    struct model_config c;
    for (size_t n = 0; n < strlen(good); n++) {
        snprintf(text, sizeof text, "%.*s", (int)n, good);
        assert_int_equal(model_config_parse(&c, text, NULL, NULL, &err), -1);
    }
    assert_int_equal(model_config_parse(&c, good, NULL, NULL, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_flat_text),
        cmocka_unit_test(reads_nested_and_old_vision),
        cmocka_unit_test(other_files_have_their_say),
        cmocka_unit_test(refuses_with_the_field),
        cmocka_unit_test(refuses_every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
