/* Any text as config.json, generation_config.json and preprocessor_config.json. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/model_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "{\"model_type\":\"qwen2\",\"hidden_size\":128,\"intermediate_"
                               "size\":256,\"vocab_size\":300,"
                               "\"num_hidden_layers\":2,\"num_attention_heads\":4}";
    struct model_config config;
    struct vlmd_error err;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    model_config_parse(&config, text, NULL, NULL, &err);
    model_config_parse(&config, good, text, NULL, &err);
    model_config_parse(&config, good, NULL, text, &err);
    free(text);
    return 0;
}
