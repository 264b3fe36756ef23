"""Who only selects must not wait for torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["training.ranker", "training.window_scorers.ranker", "training.pages.lone"])
def test_torch_is_not_imported(module):
    code = f"import sys, {module}; sys.exit(' '.join({{'torch', 'transformers', 'datasets'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
