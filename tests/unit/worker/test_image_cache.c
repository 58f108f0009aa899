/* The cache of images: what is found, by whom, what goes first, and that what somebody holds stays.
 */
#include "unit.h"

#include <string.h>

#include "vlmd.h"
#include "worker/image_cache.h"

#define CHECKPOINT "tests/parity/checkpoints/vl-mlx"
#define SIDE       32

static vlmd_engine *engine;
static int32_t width, height;

static int setup(void **state)
{
    struct vlmd_error err;
    struct vlmd_image_plan plan;
    const struct vlmd_engine_options options = {.threads = 1};
    (void)state;
    engine = vlmd_engine_open(CHECKPOINT, &options, &err);
    if (!engine || vlmd_image_plan(engine, SIDE, SIDE, 0, 0, &plan, &err) < 0)
        return -1;
    width = plan.width;
    height = plan.height;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vlmd_engine_close(engine);
    return 0;
}

static struct image_key key_of(uint8_t colour, uint64_t owner)
{
    static uint8_t rgb[1 << 16];
    struct image_key key;
    struct vlmd_error err;
    assert_true((size_t)width * (size_t)height * 3 <= sizeof rgb);
    memset(rgb, colour, sizeof rgb);
    assert_int_equal(image_key_make(rgb, width, height, owner, &key, &err), 0);
    return key;
}

static struct held_image *add(struct image_cache *cache, uint8_t colour, uint64_t bytes)
{
    static uint8_t rgb[1 << 16];
    const struct image_key key = key_of(colour, 0);
    struct vlmd_error err;
    vlmd_image *image = vlmd_image_encode(engine, rgb, width, height, NULL, NULL, &err);
    assert_non_null(image);
    struct held_image *held = image_cache_add(cache, &key, image, bytes, &err);
    assert_non_null(held);
    assert_ptr_equal(held_image_get(held), image);
    return held;
}

static bool has(struct image_cache *cache, uint8_t colour)
{
    const struct image_key key = key_of(colour, 0);
    struct held_image *held = image_cache_find(cache, &key);
    image_cache_give_back(held);
    return held != NULL;
}

static struct image_cache *open_cache(uint64_t bytes)
{
    struct vlmd_error err;
    struct image_cache *cache = image_cache_open(bytes, &err);
    assert_non_null(cache);
    return cache;
}

static void what_was_used_longest_ago_goes(void **state)
{
    struct image_cache *cache = open_cache(100);
    (void)state;
    for (uint8_t i = 0; i < 4; i++)
        image_cache_give_back(add(cache, i, 25));
    assert_true(has(cache, 0)); /* now 1 is the oldest */
    image_cache_give_back(add(cache, 4, 30));
    struct image_cache_state s = image_cache_state(cache);
    assert_int_equal(s.evictions, 2);
    assert_int_equal(s.images, 3);
    assert_int_equal(s.bytes, 80);
    assert_false(has(cache, 1));
    assert_false(has(cache, 2));
    assert_true(has(cache, 0) && has(cache, 3) && has(cache, 4));
    s = image_cache_state(cache);
    assert_int_equal(s.hits, 4);
    assert_int_equal(s.misses, 2);
    image_cache_close(cache);
}

static void what_is_held_stays(void **state)
{
    struct image_cache *cache = open_cache(100);
    (void)state;
    struct held_image *first = add(cache, 1, 100);
    image_cache_give_back(add(cache, 2, 100));
    assert_false(has(cache, 1));
    assert_true(vlmd_image_tokens(held_image_get(first)) > 0);
    image_cache_give_back(first);
    image_cache_close(cache);
}

static void what_is_too_large_is_not_kept(void **state)
{
    struct image_cache *cache = open_cache(100);
    (void)state;
    image_cache_give_back(add(cache, 1, 100));
    struct held_image *large = add(cache, 2, 101);
    assert_true(vlmd_image_tokens(held_image_get(large)) > 0);
    image_cache_give_back(large);
    assert_false(has(cache, 2));
    assert_true(has(cache, 1));
    image_cache_close(cache);
    cache = open_cache(0);
    image_cache_give_back(add(cache, 1, 1));
    assert_false(has(cache, 1));
    image_cache_close(cache);
}

static void keys_tell_pixels_sizes_and_owners_apart(void **state)
{
    static const uint8_t rgb[24 * 16 * 3];
    struct image_cache *cache = open_cache(100);
    struct image_key key;
    struct vlmd_error err;
    (void)state;
    image_cache_give_back(add(cache, 9, 10));
    key = key_of(9, 1);
    assert_null(image_cache_find(cache, &key));
    key = key_of(8, 0);
    assert_null(image_cache_find(cache, &key));
    key = key_of(9, 0);
    key.width = height * 2;
    assert_null(image_cache_find(cache, &key));
    assert_true(has(cache, 9));
    assert_int_equal(image_key_make(rgb, 24, 16, 0, &key, &err), 0);
    struct image_key turned;
    assert_int_equal(image_key_make(rgb, 16, 24, 0, &turned, &err), 0);
    assert_memory_equal(key.pixels, turned.pixels, sizeof key.pixels);
    assert_int_not_equal(key.width, turned.width);
    image_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_used_longest_ago_goes),
        cmocka_unit_test(what_is_held_stays),
        cmocka_unit_test(what_is_too_large_is_not_kept),
        cmocka_unit_test(keys_tell_pixels_sizes_and_owners_apart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
