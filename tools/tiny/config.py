"""The shape of vlmd-tiny and the limits of its image processor: the one place for these numbers."""

PATCH = 14
MERGE = 2
CELL = PATCH * MERGE          # pixels per merged token side
PATCH_VALUES = 3 * PATCH * PATCH
MIN_PIXELS = 112 * 112
MAX_PIXELS = 336 * 336
IMAGE_MEAN = [0.48145466, 0.4578275, 0.40821073]
IMAGE_STD = [0.26862954, 0.26130258, 0.27577711]

VOCAB = 3328                  # rows of the embedding; the tokenizer uses fewer
QUANT_GROUP = 64
QUANT_BITS = 4

VISION = dict(depth=8, hidden=256, heads=4, inter=704, full=(3, 7), window=112, theta=10000.0)
TEXT = dict(layers=6, hidden=384, heads=6, kv_heads=2, head_dim=64, inter=1024, sections=(8, 12, 12), theta=1e6, eps=1e-6)
