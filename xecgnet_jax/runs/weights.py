"""Weights that travel: a folder with model.safetensors, config.json and a model card; those of this package by name."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.files import read_json, seal, sealed, sha256, write_bytes, write_json, write_text
from xecgnet_jax.terminal import warn
from xecgnet_jax.training.description import Description, from_json
from xecgnet_jax.training.initial import by_name
from xecgnet_jax.training.state import Variables

WEIGHTS, ABOUT, CARD = "model.safetensors", "config.json", "README.md"
#: Which recordings the run was made with, and which those of the weights that it began with.
SPLIT, INITIAL = "split.csv.gz", "initial.csv.gz"
#: The first entry of config.json, by which it is told from that of a working directory.
FORMAT = "xecgnet-jax weights 1"
#: Weights that come with this package, each a folder.
_PACKAGED = Path(__file__).parents[1] / "pretrained"
PRETRAINED = tuple(sorted(path.parent.name for path in _PACKAGED.glob(f"*/{WEIGHTS}")))
#: What predicts where no run is named.
DEFAULT = "xecgnet-cpsc2018"
#: Bytes that the names and shapes of a file of weights may take.
_HEADER = 1_000_000


class SavedWeights(NamedTuple):
    """What a folder of weights says of itself; `variables` reads the arrays."""

    folder: Path
    step: int
    description: Description
    sha256: str

    def variables(self, like: Variables) -> Variables:
        """Returns the arrays, with the names and shapes of `like`.

        Raises:
          CheckpointError: the file is missing, changed since it was written, or of another network.
        """
        path, expected = self.folder / WEIGHTS, by_name(like)
        size = sum(np.dtype(leaf.dtype).itemsize * leaf.size for leaf in expected.values())
        try:
            if not size <= path.stat().st_size <= size + _HEADER:
                raise CheckpointError(f"{path}: is not of the size that its config.json makes; get it anew")
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
        if sha256(content) != self.sha256:
            raise CheckpointError(f"{path}: its checksum is not the one in {ABOUT}; it is damaged, get it anew")
        try:
            found = load(content)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:  # KeyError: a type that NumPy lacks
            raise CheckpointError(
                f"{path}: is no file of safetensors that can be read ({error}); get it anew"
            ) from error
        wanted = {name: (leaf.shape, leaf.dtype) for name, leaf in expected.items()}
        if {name: (array.shape, array.dtype) for name, array in found.items()} != wanted:
            raise CheckpointError(f"{path}: its arrays are not those of the network in {ABOUT}; get it anew")
        leaves = [found[name] for name in expected]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)


def check_numbers(arrays: Mapping[str, Any], where: Path) -> None:
    """Raises CheckpointError, naming `where`, where an array has NaN or infinity, or a variance is below 0."""
    for name, leaf in sorted(arrays.items()):
        array = np.asarray(leaf)
        if not np.isfinite(array).all():
            raise CheckpointError(f"{where}: {name} has values that are no numbers; get it anew, or use another one")
        if name.endswith("/var") and (array < 0).any():
            raise CheckpointError(f"{where}: {name} has variances below 0; get it anew, or use another one")


def without_paths(description: dict[str, Any]) -> dict[str, Any]:
    """Returns a description whose settings name files without their folders, which may hold names of people."""
    config = dict(description["config"])
    config["data"] = {**config["data"]}
    of_data = [(config["data"], name) for name in ("sample_weights", "split_file", "classes")]
    for settings, name in [(config, "init"), *of_data]:
        settings[name] = Path(settings[name]).name
    return description | {"config": config}


def is_weights(path: Path) -> bool:
    """Whether a path is a folder of weights."""
    return (path / WEIGHTS).is_file()


def pretrained_folder(name: str) -> Path | None:
    """Returns the folder of weights that come with this package, None where none has that name."""
    return _PACKAGED / name if name in PRETRAINED else None


def read_weights(folder: Path) -> SavedWeights:
    """Returns what a folder of weights says of itself.

    Raises:
      CheckpointError: config.json is missing, damaged, or of another version.
    """
    path = folder / ABOUT
    try:
        value = read_json(path)
        if "seal" not in value:
            warn(f"{path}: has no checksum (an older version wrote it), so it cannot be checked")
        elif value["seal"] != seal(value):
            raise ValueError("its checksum is another")
        if value["format"] != FORMAT:
            raise ValueError(f"it is of the format {value['format']!r}, this version reads {FORMAT!r}")
        step, digest, description = int(value["step"]), str(value["sha256"]), dict(value["description"])
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); a folder of weights has it") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{path}: is damaged or of another version ({error}); get it anew") from None
    return SavedWeights(folder, step, from_json(description, path), digest)


def write_weights(
    folder: Path,
    variables: Variables,
    step: int,
    description: dict[str, Any],
    card: Callable[[int], str],
    made_with: Mapping[str, str],
) -> None:
    """Writes a folder of weights.

    Args:
      folder: made where it is missing; one of weights is replaced, another that is not empty refused.
      variables, step: of the checkpoint.
      description: `Description.to_json`.
      card: from the size of the file of weights in bytes to the model card.
      made_with: SPLIT, and INITIAL, → text, where the folder is to have these files.

    Raises:
      CheckpointError: the folder holds something else.
    """
    if folder.exists() and not (folder.is_dir() and (is_weights(folder) or not any(folder.iterdir()))):
        raise CheckpointError(f"{folder}: holds something else than weights; choose a folder that is new or empty")
    content = save({name: np.asarray(leaf) for name, leaf in by_name(variables).items()})
    write_bytes(folder / WEIGHTS, content)
    about = {"format": FORMAT, "step": step, "sha256": sha256(content), "description": description}
    write_json(folder / ABOUT, sealed(about))
    for name in (SPLIT, INITIAL):
        if name in made_with:
            write_bytes(folder / name, gzip.compress(made_with[name].encode(), mtime=0))
        else:
            (folder / name).unlink(missing_ok=True)
    write_text(folder / CARD, card(len(content)))
