"""The feature cache: visual tokens of pages, encoded once by a frozen backbone and kept on disk.

    FOLDER/cache.json                  whose tokens these are: the backbone's spec
    FOLDER/shard-<16 hex>.safetensors  tokens (n, d_v) of some pages, in the backbone's own precision
    FOLDER/shard-<16 hex>.parquet      beside each shard: which pages, what shape, which checksum

A shard counts from the moment its index part is renamed into place, and a name is never used twice. So writers need no
lock, the union of the parts is the index, and shards of caches with equal `cache.json` may be moved into one folder.

    with open_features(Path("features"), backbone, store) as reader:
        reader.prefetch(page_ids)
        tokens = reader.tokens(page_ids[0])
"""

from training.features.cache import FeatureCache, create_cache, open_cache, read_cache
from training.features.extraction import extract
from training.features.keys import PageKey, page_key
from training.features.plan import Plan, check_space, plan_extraction
from training.features.pruning import plan_prune, prune
from training.features.reader import FeatureReader, open_features
from training.features.scanning import scan
from training.features.verification import verify
from training.features.writer import FeatureWriter

__all__ = [
    "FeatureCache",
    "FeatureReader",
    "FeatureWriter",
    "PageKey",
    "Plan",
    "check_space",
    "create_cache",
    "extract",
    "open_cache",
    "open_features",
    "page_key",
    "plan_extraction",
    "plan_prune",
    "prune",
    "read_cache",
    "scan",
    "verify",
]
