"""The settings of the published runs are the presets of today, and name everything."""

import dataclasses
import tomllib
from pathlib import Path

import pytest
from statsmodels.stats.proportion import proportion_confint

from xecgnet_jax.config import preset, read_config_file, to_dict, window_length

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("window", ["pad", "crop"])
def test_the_settings_are_those_of_the_preset_with_the_papers_split(window):
    file = ROOT / "studies" / "paper" / f"{window}.toml"
    config = read_config_file(file)
    assert window_length(config) == {"pad": 72_000, "crop": 2_880}[window]
    published = preset(f"paper-{window}")
    data = dataclasses.replace(published.data, split="paper", seconds=config.data.seconds)
    assert config == dataclasses.replace(published, data=data)
    named = tomllib.loads(file.read_text(encoding="utf-8"))
    assert {name: set(value) for name, value in named.items() if isinstance(value, dict)} == {
        name: set(value) for name, value in to_dict(config).items() if isinstance(value, dict)
    }


def test_the_published_intervals_are_wilsons():
    page = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
    for exact in (69, 77):
        low, high = proportion_confint(exact, 91, method="wilson")
        assert f"{exact} of 91, {exact / 91:.3f} [{low:.3f}, {high:.3f}]" in page
