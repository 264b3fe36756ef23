"""Copy the pictures of a finished demo and a benchmark of its run into the README's folder, at the size a page needs.

python docs/make_pictures.py DEMO docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

WIDTH = 1000
PICTURES = {
    "select.jpg": "select-2/selection.png",
    "evidence.jpg": "gold-generated-infovqa.png",
    "benchmark.jpg": "benchmark/examples/example-1.png",
}


def main() -> None:
    demo, out = map(Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    for name, source in PICTURES.items():
        with Image.open(demo / source) as picture:
            small = picture.convert("RGB")
        small.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
        small.save(out / name, quality=85, optimize=True)


if __name__ == "__main__":
    main()
