"""Compiled loops are kept where the settings say, and never where others could put theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.matcher.index.compile import UnsafeCache, keep_compiled_in

_COMPILE_ONE = """
import sys
from pathlib import Path
from services.matcher.index import compile as compiling
import numpy as np
compiling.keep_compiled_in(Path(sys.argv[1]))
assert compiling.kernels_if_loaded() is None
assert "numba" not in sys.modules
none = np.empty((0, 4), dtype=np.uint64)
compiling.kernels().scan(none, none, np.empty(0, dtype=np.bool_), np.uint64(31))
"""


def test_compiled_loops_are_kept_in_the_directory_that_was_named(tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", _COMPILE_ONE, folder], check=True, env=environment, timeout=120)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.rglob("*.nbc"))


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(UnsafeCache):
        keep_compiled_in(tmp_path)
