"""The authors' network, objective and optimizer in PyTorch, as fast as PyTorch does them: the peer of `xecgnet_jax`.

Signals are [B, 12, T], PyTorch's own layout, so that no convolution copies its input.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from xecgnet_jax.model.layers import EPSILON, MOMENTUM
from xecgnet_jax.model.xecgnet import BACKBONE


class PeerOutputs(NamedTuple):
    """As `xecgnet_jax.Outputs`, but responses are [B, C, S]."""

    attention_logits: Tensor
    perception_logits: Tensor
    attention: Tensor
    responses: Tensor


def norm(features: int) -> nn.BatchNorm1d:
    """Returns a normalization: PyTorch's momentum is the weight of the new statistics, Keras's that of the old ones."""
    return nn.BatchNorm1d(features, eps=EPSILON, momentum=1 - MOMENTUM)


def max_pool3(x: Tensor) -> Tensor:
    """Pools [B, F, T] → [B, F, ⌈T/3⌉] with "same" padding, all of it inside the one operation."""
    missing = -x.shape[2] % 3
    return F.max_pool1d(x, 3, 3, padding=int(missing == 2), ceil_mode=missing == 1)


class Backbone(nn.Module):
    """Thirteen convolutions and five poolings: [B, 12, T] → [B, 128 · width, S]."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        before = 12
        for features in (scale_features(features, width) for group in BACKBONE for features in group):
            self.convs.append(nn.Conv1d(before, features, 3, padding=1))
            self.norms.append(norm(features))
            before = features

    def forward(self, x: Tensor) -> Tensor:
        layers = iter(zip(self.convs, self.norms, strict=True))
        for group in BACKBONE:
            for _ in group:
                conv, batch_norm = next(layers)
                x = batch_norm(conv(x))
            x = max_pool3(x)
        return x


class Bottleneck(nn.Module):
    def __init__(self, before: int, features: int) -> None:
        super().__init__()
        narrow = features // 4
        self.shortcut = nn.Conv1d(before, features, 1, bias=False)
        self.shortcut_norm = norm(features)
        self.conv_0 = nn.Conv1d(before, narrow, 1, bias=False)
        self.conv_1 = nn.Conv1d(narrow, narrow, 3, padding=1, bias=False)
        self.conv_2 = nn.Conv1d(narrow, features, 1, bias=False)
        self.norm_0, self.norm_1, self.norm_2 = norm(narrow), norm(narrow), norm(features)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut_norm(self.shortcut(x))
        x = F.relu(self.norm_0(self.conv_0(x)))
        x = F.relu(self.norm_1(self.conv_1(x)))
        return F.relu(self.norm_2(self.conv_2(x)) + shortcut)


class Peer(nn.Module):
    """The authors' final network, its layers named as in the variables of `XECGNet`."""

    def __init__(self, classes: int = 9, width: float = 1.0) -> None:
        super().__init__()
        features, wide = scale_features(BACKBONE[-1][-1], width), scale_features(256, width)
        self.backbone = Backbone(width)
        self.attention_branch = nn.ModuleDict(
            {
                "bottleneck": Bottleneck(features, wide),
                "norm": norm(wide),
                "responses": nn.Conv1d(wide, classes, 1, bias=False),
                "attention": nn.Conv1d(classes, 1, 1, bias=False),
                "attention_norm": norm(1),
            }
        )
        self.perception_branch = nn.ModuleDict(
            {
                "bottleneck": Bottleneck(features, wide),
                "dense_0": nn.Linear(wide, scale_features(512, width)),
                "dense_1": nn.Linear(scale_features(512, width), classes),
            }
        )

    def forward(self, signal: Tensor) -> PeerOutputs:
        """Applies the network to normalized leads [B, 12, T]."""
        features = self.backbone(signal)
        attend, perceive = self.attention_branch, self.perception_branch
        responses = F.relu(attend["responses"](attend["norm"](attend["bottleneck"](features))))
        attention = torch.sigmoid(attend["attention_norm"](attend["attention"](responses)))
        pooled = perceive["bottleneck"](features * (1 + attention)).mean(dim=2)
        logits = perceive["dense_1"](perceive["dense_0"](pooled))
        return PeerOutputs(responses.mean(dim=2), logits, attention[:, 0], responses)


def scale_features(features: int, width: float) -> int:
    """Returns `features · width`, a multiple of 4, as in the model."""
    return max(4, 4 * round(features * width / 4))


def objective(outputs: PeerOutputs, labels: Tensor, gamma: float = 0.01) -> Tensor:
    """Returns the authors' loss: binary cross-entropy of both heads, and for each γ times the distance of the maps."""
    reference = torch.einsum("bcs,bc->bs", outputs.responses, labels) / labels.shape[1]
    alignment = torch.linalg.vector_norm(reference - outputs.attention, dim=1).mean()
    attention_loss = F.binary_cross_entropy_with_logits(outputs.attention_logits, labels)
    perception_loss = F.binary_cross_entropy_with_logits(outputs.perception_logits, labels)
    return attention_loss + perception_loss + 2 * gamma * alignment


def probabilities(outputs: PeerOutputs) -> Tensor:
    return (torch.sigmoid(outputs.attention_logits) + torch.sigmoid(outputs.perception_logits)) / 2


def make_peer(variables: Mapping[str, Any], width: float = 1.0, device: str = "cpu") -> Peer:
    """Returns the network with the weights and statistics of `XECGNet(width=width)`."""
    classes = variables["params"]["perception_branch"]["dense_1"]["bias"].shape[0]
    peer = Peer(classes, width)
    state = {name: torch.from_numpy(np.array(value)) for name, value in _state(variables)}
    state |= {name: value for name, value in peer.state_dict().items() if name.endswith("num_batches_tracked")}
    peer.load_state_dict(state)
    return peer.to(device)


def _state(variables: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (PyTorch's name, array in PyTorch's layout) of each of our variables."""
    names = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    for collection in ("params", "batch_stats"):
        for path, value in _leaves(variables[collection]):
            if path[:1] == ("backbone",):
                kind, index = path[1].split("_")
                path = ("backbone", f"{kind}s", index, *path[2:])
            array = np.asarray(value)
            yield ".".join((*path[:-1], names[path[-1]])), array.transpose(*reversed(range(array.ndim)))


def gradients(peer: Peer) -> dict[str, np.ndarray]:
    """Returns the gradients under PyTorch's names."""
    return {name: value.grad.numpy(force=True) for name, value in peer.named_parameters() if value.grad is not None}


def torch_names(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns a tree like our parameters, under PyTorch's names and in its layout."""
    return dict(_state({"params": tree, "batch_stats": {}}))


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def training_step(
    peer: Any, *, learning_rate: float = 1e-5, gamma: float = 0.01, precision: torch.dtype = torch.float32
) -> Callable[[Tensor, Tensor], Tensor]:
    """Returns (signal [B, 12, T], labels [B, C]) → loss, which makes one step of Adam (ε 1e-7 as Keras has it).

    Args:
      peer: a `Peer`, or what `torch.compile` makes of one.
      learning_rate: of Adam.
      gamma: weight of the maps' distance.
      precision: bfloat16 lets autocast compute with it what it deems fit.
    """
    peer.train()
    optimizer = torch.optim.Adam(peer.parameters(), lr=learning_rate, eps=1e-7, fused=True)

    def step(signal: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(signal.device.type, precision, enabled=precision is not torch.float32):
            loss = objective(peer(signal), labels, gamma)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def fold(peer: Peer) -> Peer:
    """Returns a copy for inference: a convolution with a normalization behind it is one, wherever they stand so."""
    peer = copy.deepcopy(peer).eval()
    backbone = peer.backbone
    for at, (conv, batch_norm) in enumerate(zip(backbone.convs, backbone.norms, strict=True)):
        backbone.convs[at] = _fold_pair(conv, batch_norm)
        backbone.norms[at] = nn.Identity()
    for branch in (peer.attention_branch, peer.perception_branch):
        bottleneck = branch["bottleneck"]
        for conv_name, norm_name in (("shortcut", "shortcut_norm"), *((f"conv_{i}", f"norm_{i}") for i in range(3))):
            setattr(bottleneck, conv_name, _fold_pair(getattr(bottleneck, conv_name), getattr(bottleneck, norm_name)))
            setattr(bottleneck, norm_name, nn.Identity())
    return peer


def _fold_pair(conv: Any, batch_norm: Any) -> nn.Module:
    return fuse_conv_bn_eval(conv, batch_norm)
