"""The objective: classification losses of both heads plus γ times the alignment of attention and reference."""

from __future__ import annotations

from typing import Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from xecgnet_jax.model import Outputs
from xecgnet_jax.model.layers import Array

Reference = Literal["all_classes", "true_classes"]
Norm = Literal["l2", "l2_squared", "l1"]


def binary_cross_entropy(logits: Float[Array, "*B"], labels: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """Returns −log P(label) for each class, from logits."""
    return jax.nn.softplus(logits) - labels * logits


def asymmetric_loss(
    logits: Float[Array, "*B"],
    labels: Float[Array, "*B"],
    *,
    asl_gamma_negative: float,
    asl_gamma_positive: float,
    asl_clip: float,
) -> Float[Array, "*B"]:
    """Returns the asymmetric loss of Ridnik et al. (ICCV 2021): easy negatives count less.

    L₊ = (1 − p)^γ₊ log p, L₋ = p_m^γ₋ log(1 − p_m), p_m = max(p − asl_clip, 0), negated.
    With both focus exponents and the asl_clip 0 it is binary cross-entropy.
    """
    # Powers as exp(γ log p): where p rounds to 0 or 1, p^γ has no finite gradient, not even for γ = 0.
    positive = jnp.exp(asl_gamma_positive * jax.nn.log_sigmoid(-logits)) * -jax.nn.log_sigmoid(logits)
    if asl_clip:
        shifted = jnp.maximum(jax.nn.sigmoid(logits) - asl_clip, 0.0)
        # shifted^γ has no gradient at 0 for γ < 1; the loss is 0 there whatever the exponent.
        inside = shifted > 0
        safe = jnp.where(inside, shifted, 0.5)
        negative = jnp.where(inside, safe**asl_gamma_negative * -jnp.log1p(-safe * (1 - 1e-6)), 0.0)
    else:
        negative = jnp.exp(asl_gamma_negative * jax.nn.log_sigmoid(logits)) * jax.nn.softplus(logits)
    return labels * positive + (1 - labels) * negative


def reference_map(
    responses: Float[Array, "B S C"], labels: Float[Array, "B C"], divide_by: Reference = "all_classes"
) -> Float[Array, "B S"]:
    """Returns the average response map of the true classes.

    Their sum is divided by the number of all classes, as in the authors' code (9 however many are true), or of the true
    ones, as in their text. Without any true class the map is zero in both.
    """
    total = jnp.einsum("bsc,bc->bs", responses, labels, precision="highest")
    if divide_by == "all_classes":
        return total / responses.shape[-1]
    return total / jnp.maximum(jnp.sum(labels, axis=-1, keepdims=True), 1.0)


def distance(difference: Float[Array, "B S"], norm: Norm = "l2") -> Float[Array, " B"]:
    """Returns the norm over time of each recording's difference. Its gradient at 0 is 0."""
    if norm == "l1":
        # Not jnp.abs, whose gradient at 0 is 1 in JAX.
        return jnp.sum(difference * jnp.sign(difference), axis=-1)
    squares = jnp.sum(jnp.square(difference), axis=-1)
    if norm == "l2_squared":
        return squares
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)


def alignment(
    outputs: Outputs,
    labels: Float[Array, "B C"],
    *,
    reference: Reference = "all_classes",
    norm: Norm = "l2",
    reference_gradient: bool = True,
) -> Float[Array, " B"]:
    """Returns ‖reference map − attention map‖ of each recording. Zero for the plain network."""
    if outputs.attention is None or outputs.responses is None:
        return jnp.zeros(labels.shape[0])
    target = reference_map(outputs.responses, labels, reference)
    if not reference_gradient:
        target = jax.lax.stop_gradient(target)
    return distance(target - outputs.attention, norm)


def objective(
    outputs: Outputs,
    labels: Float[Array, "B C"],
    *,
    gamma: Float[Array, ""] | float = 0.01,
    reference: Reference = "all_classes",
    norm: Norm = "l2",
    term: Literal["both_heads", "once"] = "both_heads",
    reference_gradient: bool = True,
    loss: Literal["bce", "asymmetric"] = "bce",
    asl_gamma_negative: float = 0.0,
    asl_gamma_positive: float = 0.0,
    asl_clip: float = 0.0,
    pos_weight: Float[Array | np.ndarray, " C"] | None = None,
    weights: Float[Array, " B"] | None = None,
    columns: Int[np.ndarray, " A"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Returns the training loss and its parts, means over the batch.

    With the defaults it is the authors': Σ over heads of mean(BCE) + γ · mean(‖reference − attention‖₂), so
    that the term counts twice.

    Args:
      outputs: of the network.
      labels: 0 or 1.
      gamma: weight of the alignment term; may be traced.
      reference, norm, reference_gradient: see `alignment`.
      term: "both_heads" adds the term to each head's loss (the authors' code), "once" adds it once.
      loss: of each class and head: binary cross-entropy, or the asymmetric loss with its three settings.
      pos_weight: factors on the loss of positives, or None.
      weights: how much each recording counts (0 for the padding of a last batch), or None for 1 each.
      columns: classes that count; the others are unknown, with labels of 0. None: all.

    Returns:
      (loss, {"attention_loss", "perception_loss", "alignment"}).
    """
    chex.assert_equal_shape([labels, outputs.perception_logits])
    if weights is None:
        weights = jnp.ones(labels.shape[0])
    chex.assert_shape(weights, labels.shape[:1])
    total_weight = jnp.maximum(jnp.sum(weights), 1e-12)

    def mean(values: Float[Array, " B"]) -> Float[Array, ""]:
        return jnp.sum(values * weights) / total_weight

    focus = {"asl_gamma_negative": asl_gamma_negative, "asl_gamma_positive": asl_gamma_positive, "asl_clip": asl_clip}

    def classification(logits: Float[Array, "B C"] | None) -> Float[Array, ""]:
        if logits is None:
            return jnp.zeros(())
        each = binary_cross_entropy(logits, labels) if loss == "bce" else asymmetric_loss(logits, labels, **focus)
        if pos_weight is not None:
            each = each * (1 + labels * (pos_weight - 1)[None, :])
        return mean(jnp.mean(each if columns is None else each[:, columns], axis=-1))

    attention_loss = classification(outputs.attention_logits)
    perception_loss = classification(outputs.perception_logits)
    aligned = mean(alignment(outputs, labels, reference=reference, norm=norm, reference_gradient=reference_gradient))
    times = 2.0 if term == "both_heads" else 1.0
    total = attention_loss + perception_loss + times * gamma * aligned
    return total, {"attention_loss": attention_loss, "perception_loss": perception_loss, "alignment": aligned}
