"""Weights that a run begins with: all of another run's that fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from xecgnet_jax.data.labels import Vocabulary
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.model import CLASS_LAYERS
from xecgnet_jax.training.state import Variables


class Initial(NamedTuple):
    """Weights to begin with.

    Attributes:
      source: what they are, for messages.
      digest: sha256 of them.
      vocabulary: of their classes.
      variables: {"params", "batch_stats"}.
      made_with: recording → patient ("" where unknown), of those that the weights know from training or validation;
        None where nothing says which these were.
    """

    source: str
    digest: str
    vocabulary: Vocabulary
    variables: Variables
    made_with: Mapping[str, str] | None = None


class Transferred(NamedTuple):
    """Variables to begin with, and the names of the arrays that were taken and of those drawn anew."""

    variables: Variables
    taken: tuple[str, ...]
    drawn: tuple[str, ...]

    def summary(self, source: str) -> str:
        """Returns what was taken and what was drawn, layer by layer, as two lines."""
        layers = [list(dict.fromkeys(name.rpartition("/")[0] for name in names)) for names in (self.taken, self.drawn)]
        taken, drawn = (["/".join(one.split("/")[1:]) for one in names] for names in layers)
        whole = list(dict.fromkeys(one.split("/")[0] for one in taken))
        return (
            f"taken from {source}: {len(self.taken)} arrays of {', '.join(whole)}\n"
            f"drawn anew: {', '.join(dict.fromkeys(drawn)) or 'nothing'}"
        )


def transfer(drawn: Variables, initial: Initial, vocabulary: Vocabulary, *, frozen: str = "none") -> Transferred:
    """Returns the variables `drawn`, with all of `initial` in their place that fits.

    An array fits where it has the same name and shape; those of the layers that know classes only where both
    vocabularies are the same, even where their numbers of classes are.

    Raises:
      ConfigError: nothing of the backbone fits: the networks have other widths; or not all of the part `frozen` does.
    """
    same_classes = initial.vocabulary.digest() == vocabulary.digest()
    source = by_name(initial.variables)
    taken, left, leaves = [], [], []
    for name, leaf in by_name(drawn).items():
        found = source.get(name)
        knows_classes = any(f"/{layer}/" in name for layer in CLASS_LAYERS)
        if found is None or np.shape(found) != np.shape(leaf) or (knows_classes and not same_classes):
            left.append(name)
            leaves.append(leaf)
        else:
            taken.append(name)
            leaves.append(found)
    if not any("/backbone/" in name for name in taken):
        raise ConfigError(
            f"init: nothing of the backbone of {initial.source} fits this network; give its width, or leave --width out"
        )
    if random := [name for name in left if f"/{frozen}/" in name]:
        raise ConfigError(
            f"freeze {frozen}: {len(random)} arrays of it, such as {random[0]}, are not in {initial.source}"
        )
    return Transferred(jax.tree.unflatten(jax.tree.structure(drawn), leaves), tuple(taken), tuple(left))


def by_name(variables: Variables) -> dict[str, Any]:
    """Returns params/backbone/conv_0/kernel → array, in the order of the tree's leaves."""
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in jax.tree.leaves_with_path(variables)}
