"""A hospital's folder of seven formats, from its files to predictions."""

from pathlib import Path

import pytest

from tests.mixed_folder import go_through


@pytest.mark.slow
def test_a_mixed_folder_is_packed_trained_on_killed_and_predicted(tmp_path: Path) -> None:
    go_through(tmp_path, 140)
