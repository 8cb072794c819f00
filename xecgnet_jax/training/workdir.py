"""The working directory's config: one folder, one run."""

from __future__ import annotations

import json
from pathlib import Path

from xecgnet_jax.config import Config, differences, from_dict, to_dict
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.files import write_json

CONFIG = "config.json"


def claim(workdir: Path, config: Config) -> None:
    """Writes config.json, or checks that the one there is the same."""
    path = workdir / CONFIG
    if not path.exists():
        write_json(path, to_dict(config))
        return
    held = read_config(workdir)
    if changed := differences(held, config):
        raise CheckpointError(
            f"{workdir} holds a run of another config ({'; '.join(changed)}); choose another --workdir, or give the "
            "settings it was begun with"
        )


def read_config(workdir: Path) -> Config:
    """The config of a working directory."""
    path = workdir / CONFIG
    try:
        return from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CheckpointError(f"{workdir}: no {CONFIG} there; give the working directory of a training run") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); restore it or train anew elsewhere") from None
