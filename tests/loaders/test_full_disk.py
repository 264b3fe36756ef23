"""A disk that fills up while a split is written is an error with a name, not the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO

# No file may grow beyond 200,000 bytes: what a full disk does to a writer, without the right to mount one.
WRITE = """
import resource, sys, random
from pathlib import Path
from datasets import Features, Value
from loaders.parquet import ShardSize, SplitWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
writer = SplitWriter(Path(sys.argv[1]), "docs", "train", Features({"text": Value("string")}), ShardSize())
draw = random.Random(0)
try:
    for _ in range(int(sys.argv[2])):
        writer.write({"text": draw.randbytes(400).hex()})
    writer.finish()
except OSError as error:
    writer.abandon()
    print(f"{error.strerror}: {error.filename}")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs limits of the system")
@pytest.mark.parametrize("rows", [4000, 500], ids=["amid a row group", "in the last one"])
def test_a_write_that_fails_is_an_error_that_names_the_file(tmp_path: Path, rows: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path), str(rows)],
        env=os.environ | {"PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == f"File too large: {tmp_path / 'docs' / 'train-00000.parquet'}"
