"""Batched prediction against one recording and one window at a time."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.numpy_network import random_variables, sigmoid
from xecgnet_jax.config import ModelConfig
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.windows import WindowSpec
from xecgnet_jax.evaluation.inference import make_predict, predict_recordings
from xecgnet_jax.model import XECGNet, bin_edges
from xecgnet_jax.model.layers import max_pool

BIN = 243
POOLS = ModelConfig().pools
MOMENTS = Normalization(np.linspace(-0.2, 0.2, 12).astype(np.float32), np.linspace(0.5, 2, 12).astype(np.float32))
#: Unequal, unordered, shorter and longer than any window, and no multiple of the batch size.
LENGTHS = [300, 299, 40, 650, 243, 244, 601]


def corpus_of(lengths):
    rng = np.random.default_rng(1)
    return [rng.standard_normal((length, 12)).astype(np.float32) for length in lengths]


def windows_of(recording, window, length):
    """The windows of one recording, cut by hand and normalized."""
    standard = (recording - MOMENTS.mean) / MOMENTS.std
    if window == "whole":
        length = BIN * int(np.ceil(len(standard) / BIN))
    if window == "crop" and len(standard) >= length:
        return [standard[first : first + length] for first in range(0, len(standard) - length + 1, length)]
    standard = standard[-length:]
    return [np.concatenate([np.zeros((length - len(standard), 12), np.float32), standard])]


@pytest.fixture(scope="module")
def model():
    model = XECGNet(width=0.0625)
    return model, random_variables(model, 2), make_predict(model.apply), jax.jit(model.apply)


def predicted(model, corpus, spec, **how):
    """What `predict_recordings` gives for a corpus, in batches of three."""
    _, variables, predict, _ = model
    lengths = np.array([len(one) for one in corpus])
    settled = {"spec": spec, "normalization": MOMENTS, "batch_size": 3}
    return predict_recordings(predict, variables, corpus.__getitem__, lengths, **settled, **how)


@pytest.mark.parametrize(
    ("window", "length", "over"),
    [("crop", 300, "mean"), ("crop", 300, "max"), ("pad", 500, "mean"), ("pad", 5003, "mean"), ("whole", 0, "mean")],
)
def test_whole_recordings_against_one_window_at_a_time(model, window, length, over):
    _, variables, _, apply = model
    corpus, done = corpus_of(LENGTHS), []
    ours, _ = predicted(model, corpus, WindowSpec(window, length, POOLS, over), progress=done.append)
    expected = []
    for recording in corpus:
        heads = [apply(variables, one[None]) for one in windows_of(recording, window, length)]
        each = [(sigmoid(o.attention_logits[0]) + sigmoid(o.perception_logits[0])) / 2 for o in heads]
        expected.append(getattr(np, over)(each, axis=0))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)
    assert sum(done) == sum(len(windows_of(one, window, length)) for one in corpus)


@pytest.mark.ci
@pytest.mark.parametrize(("window", "length"), [("crop", 300), ("pad", 500), ("pad", 5003), ("whole", 0)])
def test_maps_against_one_window_at_a_time(model, window, length):
    """Every sample gets the attention and responses of the bin that its window has there."""
    _, variables, _, apply = model
    corpus = corpus_of(LENGTHS)
    _, maps = predicted(model, corpus, WindowSpec(window, length, POOLS), maps=True)
    for recording, ours in zip(corpus, maps, strict=True):
        cut = windows_of(recording, window, length)
        seen = np.concatenate([samples_seen(len(recording), number, cut) for number in range(len(cut))])
        outputs = [apply(variables, one[None]) for one in cut]
        of_sample = np.concatenate(
            [np.repeat(np.arange(len(o.attention[0])), bin_sizes(len(w))) for o, w in zip(outputs, cut, strict=True)]
        )
        window_of = np.repeat(np.arange(len(cut)), [len(one) for one in cut])
        real = seen >= 0
        assert ours.edges[0] == seen[real][0] and ours.edges[-1] == seen[real][-1] + 1
        places = np.searchsorted(ours.edges, seen[real], side="right") - 1
        for name in ("attention", "responses"):
            expected = np.array(
                [
                    getattr(outputs[w], name)[0][s]
                    for w, s in sorted({*zip(window_of[real], of_sample[real], strict=True)})
                ]
            )
            np.testing.assert_allclose(getattr(ours, name), expected, rtol=0, atol=1e-5)
        expected = np.array([outputs[w].attention[0][s] for w, s in zip(window_of[real], of_sample[real], strict=True)])
        np.testing.assert_allclose(ours.attention[places], expected, rtol=0, atol=1e-6)
        assert np.all(np.diff(ours.edges) > 0)


@pytest.mark.parametrize("over", ["mean", "max"])
def test_overlapping_windows_against_one_at_a_time(model, over):
    """Probabilities of all windows; each sample has the map of the nearest window, up to a bin where two meet."""
    _, variables, _, apply = model
    length, step = 486, 250
    corpus = corpus_of([300, 40, 1000, 1043, 486])
    ours, maps = predicted(model, corpus, WindowSpec("crop", length, POOLS, over, step), maps=True)
    for recording, probability, own in zip(corpus, ours, maps, strict=True):
        n = len(recording)
        starts = [n - length] if n < length else [*range(0, n - length, step), n - length]
        standard = (recording - MOMENTS.mean) / MOMENTS.std
        cut = [np.pad(standard[max(0, s) : s + length], ((max(0, -s), 0), (0, 0))) for s in starts]
        outputs = [apply(variables, one[None]) for one in cut]
        each = [(sigmoid(o.attention_logits[0]) + sigmoid(o.perception_logits[0])) / 2 for o in outputs]
        np.testing.assert_allclose(probability, getattr(np, over)(each, axis=0), rtol=0, atol=1e-6)
        assert own.edges[0] == max(0, starts[0]) and own.edges[-1] == n and np.all(np.diff(own.edges) > 0)
        assert len(own.attention) == len(own.responses) == len(own.edges) - 1
        middles = np.array([(one + length + other) / 2 for one, other in itertools.pairwise(starts)])
        for sample in range(own.edges[0], n):
            value = own.attention[np.searchsorted(own.edges, sample, side="right") - 1]
            nearest = int(np.sum(middles <= sample))
            exactly = not np.any(np.abs(middles - sample) <= BIN)
            places = [
                (number, place)
                for number, start in enumerate(starts)
                for place in range(length // BIN)
                if start + BIN * place - BIN / 2 <= sample <= start + BIN * (place + 1) + BIN / 2
            ]
            if exactly:
                places = [(nearest, (sample - starts[nearest]) // BIN)]
            assert min(abs(outputs[number].attention[0][place] - value) for number, place in places) < 1e-6


def samples_seen(samples, number, cut):
    """Which sample of the recording each sample of a window is; negative: padding."""
    if len(cut) > 1:
        return np.arange(len(cut[0])) + number * len(cut[0])
    if samples >= len(cut[0]) and len(cut[0]) == 300:  # a crop window takes the recording's beginning
        return np.arange(len(cut[0]))
    return np.arange(samples - len(cut[0]), samples)


def bin_sizes(samples):
    """Samples of each bin, by pooling their numbers five times as TensorFlow's "same" padding tells."""
    groups = [[sample] for sample in range(samples)]
    for _ in range(5):
        bins = -(-len(groups) // 3)
        left = (3 * bins - len(groups)) // 2
        padded = [[]] * left + groups + [[]] * (3 * bins - len(groups) - left)
        groups = [padded[3 * i] + padded[3 * i + 1] + padded[3 * i + 2] for i in range(bins)]
    return [len(group) for group in groups]


@given(st.integers(1, 5000))
def test_the_edges_of_bins_are_those_of_the_poolings(samples):
    np.testing.assert_array_equal(bin_edges(samples, POOLS), np.cumsum([0, *bin_sizes(samples)]))


@pytest.mark.ci
def test_the_bins_are_where_the_network_looks():
    """A spike in a sample shows most in the bin that holds it, were the network its poolings alone."""
    samples = 700
    edges = bin_edges(samples, POOLS)
    for sample in range(0, samples, 13):
        x = jax.numpy.zeros((1, samples, 1)).at[0, sample, 0].set(1.0)
        for _ in range(5):
            x = max_pool(x, 3)
        assert np.flatnonzero(x[0, :, 0]) == np.searchsorted(edges, sample, side="right") - 1


class Shapes:
    """A stand-in for a network that is exact and quick: means over the real samples of a window.

    Like the network, it leaves out what `bins` says is padding. It remembers the shapes it saw.
    """

    def __init__(self):
        self.seen = set()

    def __call__(self, variables, signal, bins, repeat=None):
        signal = np.asarray(signal, np.float64)
        self.seen.add((signal.shape, bins is None))
        real = [signal.shape[1] // BIN] * len(signal) if bins is None else bins.tolist()
        if bins is not None:
            assert all(not np.any(one[BIN * n :]) for one, n in zip(signal, real, strict=True))
            signal = np.stack(
                [np.where(np.arange(len(one))[:, None] < BIN * n, one, 0) for one, n in zip(signal, real, strict=True)]
            )
            return (np.abs(signal).sum(axis=1) / (BIN * np.array(real))[:, None])[:, :9], None
        return np.abs(signal).mean(axis=1)[:, :9], None


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 1500), min_size=1, max_size=12),
    st.sampled_from([("crop", 300), ("pad", 500), ("whole", 0)]),
    st.integers(1, 5),
)
def test_order_and_padding_for_any_lengths(lengths, how, batch_size):
    window, length = how
    corpus, network = corpus_of(lengths), Shapes()
    ours, _ = predict_recordings(
        network,
        None,
        corpus.__getitem__,
        np.array(lengths),
        spec=WindowSpec(window, length, POOLS),
        normalization=MOMENTS,
        batch_size=batch_size,
    )
    expected = [
        np.mean([np.abs(np.float64(one)).mean(axis=0)[:9] for one in windows_of(recording, window, length)], axis=0)
        for recording in corpus
    ]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)
    assert all(shape[0] == batch_size for shape, _ in network.seen)
    if window != "whole":
        assert len(network.seen) == 1


def test_batches_of_unequal_recordings_come_in_few_shapes():
    """Each shape is one compilation. At most an eighth of a batch's length is there for the shape's sake.

    All lengths up to 144 s, each beside one of a single bin.
    """
    network, silence = Shapes(), np.zeros((297 * BIN, 12), np.float32)
    for longest in range(2, 298):
        before = set(network.seen)
        lengths = np.array([longest * BIN, 1])
        predict_recordings(
            network,
            None,
            lambda row, lengths=lengths: silence[: lengths[row]],
            lengths,
            spec=WindowSpec("whole", 0, POOLS),
            normalization=MOMENTS,
            batch_size=2,
        )
        assert all(shape[1] <= longest * BIN * 5 / 4 for shape, _ in network.seen - before)
    assert len({shape for shape, _ in network.seen}) <= 50


def test_recordings_of_one_length_need_no_mask():
    network, silence = Shapes(), np.zeros((5000, 12), np.float32)
    predict_recordings(
        network,
        None,
        lambda row: silence,
        np.full(5, 5000),
        spec=WindowSpec("whole", 0, POOLS),
        normalization=MOMENTS,
        batch_size=2,
    )
    assert network.seen == {((2, 21 * BIN, 12), True)}


def test_no_recordings_are_refused():
    with pytest.raises(ValueError, match="no recordings"):
        predict_recordings(
            Shapes(), None, lambda row: None, np.array([], int), spec=WindowSpec("pad", 9, POOLS), normalization=MOMENTS
        )
