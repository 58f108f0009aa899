/* Safetensors files, whole and damaged: every refusal names what is wrong, and nothing is read
 * outside the file. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "format/checkpoint.h"
#include "format/safetensors.h"

/* A file in memory: header text, then `data_size` bytes counting up. */
struct image {
    uint8_t *bytes;
    size_t size;
};

static struct image make(const char *header, size_t data_size)
{
    size_t n = strlen(header);
    struct image f = {.bytes = malloc(8 + n + data_size), .size = 8 + n + data_size};
    assert_non_null(f.bytes);
    for (int i = 0; i < 8; i++)
        f.bytes[i] = (uint8_t)(n >> (8 * i));
    memcpy(f.bytes + 8, header, n);
    for (size_t i = 0; i < data_size; i++)
        f.bytes[8 + n + i] = (uint8_t)i;
    return f;
}

static void refuse(const char *header, size_t data_size, const char *part_of_text)
{
    struct vlmd_error err = {0};
    struct safetensors st;
    struct image f = make(header, data_size);
    assert_int_equal(safetensors_parse(&st, f.bytes, f.size, "test", &err), -1);
    if (!strstr(err.text, part_of_text))
        fail_msg("\"%s\" does not speak of \"%s\"", err.text, part_of_text);
    assert_int_equal(st.n_tensors, 0);
    free(f.bytes);
}

static void reads_tensors(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct safetensors st;
    struct image f = make("{\"__metadata__\":{\"format\":\"mlx\"},"
                          "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                          "\"a\":{\"dtype\":\"U32\",\"shape\":[],\"data_offsets\":[12,16]},"
                          "\"c\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[16,16]}}",
                          16);
    assert_int_equal(safetensors_parse(&st, f.bytes, f.size, "test", &err), 0);
    assert_int_equal(st.n_tensors, 3);
    const struct safetensors_tensor *b = safetensors_find(&st, "b");
    assert_non_null(b);
    assert_int_equal(b->dtype, SAFETENSORS_BF16);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->shape[1], 3);
    assert_int_equal(b->bytes, 12);
    assert_int_equal(b->data[11], 11);
    assert_int_equal(safetensors_find(&st, "a")->n_dims, 0);
    assert_int_equal(safetensors_find(&st, "c")->dtype, SAFETENSORS_OTHER);
    assert_null(safetensors_find(&st, "__metadata__"));
    assert_null(safetensors_find(&st, "d"));
    safetensors_close(&st);
    free(f.bytes);
}

static void refuses_damage(void **state)
{
    (void)state;
    refuse("[]", 0, "not an object");
    refuse("{\"a\":", 0, "not valid JSON");
    refuse("{\"a\":1}", 0, "not an object");
    refuse("{\"a\":{}}", 0, "dtype is missing");
    refuse("{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "dimension");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "dimension");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
           "dimensions");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "past the end");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "data_offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "data_offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-4,4]}}", 8, "data_offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "do not match");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
           "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
           8, "duplicate");
    /* 4194305 x 4194305 x 211106198978564 is 4 modulo 2^64 */
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[4194305,4194305,211106198978564],"
           "\"data_offsets\":[0,4]}}",
           4, "overflows");
}

static void refuses_bad_lengths(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct safetensors st;
    uint8_t bytes[16] = {0};
    for (size_t size = 0; size < 8; size++)
        assert_int_equal(safetensors_parse(&st, bytes, size, "test", &err), -1);
    memset(bytes, 0xFF, 8);
    assert_int_equal(safetensors_parse(&st, bytes, sizeof bytes, "test", &err), -1);
    memset(bytes, 0, 8);
    bytes[0] = 9; /* one more than there is */
    assert_int_equal(safetensors_parse(&st, bytes, sizeof bytes, "test", &err), -1);
}

/* Beside a dimension of 0 the others may be anything. */
static void refuses_matrices_of_nothing(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct safetensors st;
    struct weight_source source;
    struct image f =
        make("{\"m.weight\":{\"dtype\":\"U32\",\"shape\":[0,4611686018427387904],"
             "\"data_offsets\":[0,0]},"
             "\"m.scales\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]},"
             "\"m.biases\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[4,8]}}",
             8);
    assert_int_equal(safetensors_parse(&st, f.bytes, f.size, "test", &err), 0);
    struct checkpoint cp = {&st, 1};
    assert_int_equal(checkpoint_matrix(&cp, "m", 1, 64, &source, &err), -1);
    assert_int_equal(err.code, VLMD_FORMAT);
    safetensors_close(&st);
    free(f.bytes);
}

static void names_a_missing_file(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct safetensors st;
    assert_int_equal(safetensors_open(&st, "build/no such file", &err), -1);
    assert_int_equal(err.code, VLMD_NOT_FOUND);
    assert_non_null(strstr(err.text, "no such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tensors),        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(refuses_bad_lengths),  cmocka_unit_test(refuses_matrices_of_nothing),
        cmocka_unit_test(names_a_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
