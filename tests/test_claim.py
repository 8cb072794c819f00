"""The study of the paper's claim: its design, its statistics another way, and that its page says what it computes."""

from __future__ import annotations

import json
import re
from collections import Counter

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import DescrStatsW

from studies.claim import analysis, claim, simulated, study, tables, why
from studies.claim import finished as runs
from studies.claim.recipe import EPOCHS, LEARNING_RATES
from studies.claim.recipe import FILE as RECIPE
from studies.claim.run import write_result
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.model import XECGNet
from xecgnet_jax.training.objective import objective
from xecgnet_jax.training.state import init_variables

pytestmark = pytest.mark.ci

NAMES = CPSC2018.classes


def test_each_fold_is_tested_once_for_each_seed_and_never_trained_on():
    runs = study.planned()
    assert len(set(runs)) == len(runs) == 152
    tested = Counter((run.arm, run.seed, *run.config.data.test_folds) for run in runs)
    assert set(tested.values()) == {1}
    for run in runs:
        data = run.config.data
        folds = [*data.train_folds, *data.validation_folds, *data.test_folds]
        assert sorted(folds) == list(range(1, 10)) and data.test_folds == (run.rotation,)
        assert data.validation_folds == ((run.rotation - 2) % 9 + 1,)


def test_arms_differ_in_what_they_are_named_after_only():
    zero = study.arm_config("zero")
    assert (zero.objective.gamma, zero.model.activation, zero.model.attention_head) == (0.0, "none", "gap")
    assert study.arm_config("half") == zero
    bins = np.ceil(1000 / zero.model.samples_per_bin)
    assert study.arm_config("match").objective.gamma == pytest.approx(0.01 * np.sqrt(297 / bins), abs=5e-4)
    large = study.arm_config("large-match")
    bins = np.ceil(1000 / large.model.samples_per_bin)
    assert large.objective.gamma == pytest.approx(0.01 * np.sqrt(297 / bins), abs=5e-4)
    for arm in ("paper", "match", "tenth", "one", "true"):
        config = study.arm_config(arm)
        assert (config.model, config.data, config.optimizer) == (zero.model, zero.data, zero.optimizer), arm
        assert (config.epochs, config.batch_size) == (zero.epochs, zero.batch_size)


def test_the_recipe_is_the_best_candidate():
    """By counting: every candidate with both values of γ, and the one with the highest sum in recipe.toml."""
    reached = json.loads(RECIPE.read_text(encoding="utf-8"))["reached"]
    assert len(reached) == 2 * len(EPOCHS) * len(LEARNING_RATES)
    sums = Counter()
    for one in reached:
        sums[one["epochs"], one["learning_rate"]] += one["micro_f1"]
    zero = study.arm_config("zero")
    assert sums.most_common(1)[0][0] == (zero.epochs, zero.optimizer.learning_rate)
    assert (
        tables.recipe_table(reached).splitlines()[2].startswith(f"| {zero.epochs} | {zero.optimizer.learning_rate:g} |")
    )


def test_preset_large_is_what_the_large_arms_train():
    from xecgnet_jax.config import preset

    for arm in ("large-zero", "large-match"):
        config, wanted = study.arm_config(arm), preset("large")
        assert (config.model, config.optimizer, config.epochs) == (wanted.model, wanted.optimizer, wanted.epochs)


def test_ranked_label_sets_by_brute_force():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.random((200, 9)) < 0.25, rng.integers(0, 12, (200, 9)) / 12
    labels[~labels.any(axis=1), 0] = True
    for row, (true, given) in enumerate(zip(labels, probabilities, strict=True)):
        wanted = all(given[a] > given[b] for a in np.flatnonzero(true) for b in np.flatnonzero(~true))
        assert study.is_ranked(labels, probabilities)[row] == wanted
    assert np.array_equal(study.unpack_sets(study.pack_sets(labels), 9), labels)
    order = study.ranks(probabilities)
    assert np.array_equal(order[:, None] < order[None], probabilities[:, None] < probabilities[None])


def outcomes(rng, share, rotations=9, seeds=3, recordings=40):
    return [rng.random((seeds, recordings)) < share for _ in range(rotations)]


def test_intervals_by_drawing_patients_and_seeds_one_by_one():
    rng = np.random.default_rng(1)
    after, before = outcomes(rng, 0.6), outcomes(rng, 0.5)
    patients = [np.array([f"{rotation}-{at // 2}" for at in range(40)]) for rotation in range(9)]
    found = analysis.compare_outcomes(after, before, patients)
    means = []
    for _ in range(1500):
        total = number = 0.0
        for a, b, who in zip(after, before, patients, strict=True):
            seeds = rng.integers(3, size=3)
            for patient in rng.choice(np.unique(who), len(np.unique(who))):
                rows = np.flatnonzero(who == patient)
                total += np.sum(a[np.ix_(seeds, rows)].mean(axis=0)) - np.sum(b[np.ix_(seeds, rows)].mean(axis=0))
                number += len(rows)
        means.append(100 * total / number)
    assert found.interval == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.6)
    assert found.narrow == pytest.approx(np.quantile(means, [0.05, 0.95]), abs=0.6)
    by_rotation = [100 * (a.mean() - b.mean()) for a, b in zip(after, before, strict=True)]
    half = stats.t.ppf(0.975, 8) * np.std(by_rotation, ddof=1) / 3
    assert found.t_interval == pytest.approx((np.mean(by_rotation) - half, np.mean(by_rotation) + half))
    assert found.points == pytest.approx(np.mean(by_rotation)) and found.after > found.before
    assert found.discordant == pytest.approx(100 * np.mean([a != b for a, b in zip(after, before, strict=True)]))


def test_equivalence_is_two_one_sided_tests():
    base = {"points": 0.0, "p": 1.0, "t_interval": (0.0, 0.0), "t_p": 1.0, "before": 50.0, "after": 50.0}
    base["discordant"] = 0.0
    cases = {
        (-2.0, 2.0, -1.5, 1.5): "no effect that matters",
        (0.2, 2.0, 0.4, 1.8): "an effect, too small to matter",
        (-1.0, 4.0, -0.5, 3.5): "undecided",
        (1.0, 9.0, 2.0, 8.0): "an effect",
    }
    for (low, high, narrow_low, narrow_high), words in cases.items():
        one = analysis.Difference(interval=(low, high), narrow=(narrow_low, narrow_high), **base)
        assert analysis.conclude(one) == words
    assert analysis.Difference(interval=(0, 0), narrow=(0, 0), **base | {"after": 75.0}).odds_ratio == pytest.approx(3)


def test_holm_as_in_statsmodels():
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert analysis.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_power_rises_with_the_effect_and_is_the_level_without_one():
    runs_of_arms = outcomes(np.random.default_rng(2), 0.4, seeds=9, recordings=100)
    none, some, much = (analysis.power(runs_of_arms, points, simulations=200) for points in (0.0, 3.0, 12.0))
    assert none < 0.12 and none < some < much and much > 0.95


def test_what_the_term_does_by_finite_differences_and_by_hand():
    """Of a network in float64: each gradient's norm against the slope along it, and the maps against their formulas."""
    model = XECGNet(width=0.0625, pools=(3, 3, 3, 1, 1))
    rng = np.random.default_rng(5)
    with jax.enable_x64():
        signal, labels = jnp.asarray(rng.standard_normal((3, 81, 12))), jnp.asarray(rng.random((3, 9)) < 0.4, float)
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), init_variables(model, seed=0))
        found = why.measure(model, variables, signal, labels)
        whole = [(part, name) for part in ("backbone", "attention_branch") for name in ("term", "classification")]

        def losses(params):
            out, _ = model.apply(variables | {"params": params}, signal, train=True, mutable=["batch_stats"])
            total, parts = objective(out, labels, gamma=1.0)
            return {"term": 2 * parts["alignment"], "classification": total - 2 * parts["alignment"]}, out

        values, outputs = losses(variables["params"])
        for part, name in whole:
            assert found[f"{name}_loss"] == pytest.approx(float(values[name]))
            slope = jax.grad(lambda params, name=name: losses(params)[0][name])(variables["params"])[part]
            moved = jax.tree.map(lambda leaf, along: leaf + 1e-6 * along, variables["params"][part], slope)
            raised = losses(variables["params"] | {part: moved})[0][name] - values[name]
            assert raised == pytest.approx(1e-6 * float(found[f"{name}_{part}"]) ** 2, rel=1e-3)
        a, r = np.asarray(outputs.attention), np.asarray(outputs.responses)
        reference = np.einsum("bsc,bc->bs", r, np.asarray(labels)) / 9
        distance = np.sum((reference - a) ** 2, axis=1)
        centered = np.sum((reference - a - (reference - a).mean(axis=1, keepdims=True)) ** 2, axis=1)
        assert found["level"] == pytest.approx(np.mean(1 - centered / distance))
        assert found["within"] == pytest.approx(np.mean(a.std(axis=1)))


def test_simulated_recordings_have_the_classes_that_are_asked_for(tmp_path):
    folder = simulated.make_corpus(tmp_path / "corpus", (6, 3, 4))
    rows = [line.split(",") for line in (folder / "labels.csv").read_text().split()][1:]
    assert [int(fold) for _, _, fold in rows] == [1] * 6 + [2] * 3 + [3] * 4
    assert all(len(labels.split(";")) == 2 for _, labels, fold in rows if fold == "3")
    assert read_record(folder / f"{rows[0][0]}.hea").signal.shape == (5000, 12)
    pack = pack_of(folder, tmp_path / "pack", workers=1, progress=False)
    labels = ["+".join(sorted(labels.split(";"))) for _, labels, _ in rows]
    assert ["+".join(np.array(NAMES)[row.astype(bool)]) for row in pack.labels] == labels


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """All runs of a small corpus: the match rights a tenth of what γ = 0 gets wrong, half a third of it less."""
    rng = np.random.default_rng(3)
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    size, folds = 540, np.repeat(np.arange(1, 10), 60)
    labels = np.zeros((size, 9), bool)
    labels[np.arange(size), rng.integers(9, size=size)] = True
    labels[::2, 1] = labels[::2, 4] = True
    recordings = study.Recordings(np.arange(size).astype(str), np.arange(size).astype(str), folds, labels)
    monkeypatch.setattr(runs, "read_recordings", lambda: recordings)
    epochs = [{"epoch": 1, "step": 5, "validation_micro_f1": 0.5}]
    about = np.array(json.dumps({"seconds": 60.0, "best_epoch": 1, "epochs": epochs}))
    right = rng.random(size) < 0.5
    changes = {"match": right | (rng.random(size) < 0.1), "half": right & (rng.random(size) < 0.66)}
    for run in study.planned():
        own, true = changes.get(run.arm, right)[folds == run.rotation], labels[folds == run.rotation]
        sets = study.pack_sets(np.where(own[:, None], true, ~true))
        write_result(
            run.result,
            sets=np.stack([sets] * 4),
            ranked=np.stack([own] * 4),
            ranks=study.ranks(true + 0.1 * rng.random(true.shape)),
            about=about,
        )
    return changes | {"zero": right}, runs.Study()


def test_the_tables_say_what_was_predicted(finished):
    right, one = finished
    group = one.main_group
    found = one.difference("match", "zero", "exact", group)
    assert found.points == pytest.approx(100 * (right["match"][group].mean() - right["zero"][group].mean()))
    assert found.before == pytest.approx(100 * right["zero"][group].mean()) and found.p < 0.05
    blocks = claim.make_blocks(one)
    assert "152 of 152 runs" in blocks["progress"] and f"{found.points:+.1f} [" in blocks["primary"]
    assert "the endpoint sees it" in blocks["primary"] and "no effect that matters" in blocks["primary"]
    assert "macro AUROC | 100.0 % | 100.0 % | +0.0" in blocks["secondary"]
    page = "".join(f"<!-- {name} -->\nold\n<!-- end {name} -->\n" for name in blocks)
    filled = claim.fill_in(page, blocks)
    assert "old" not in filled and claim.fill_in(filled, blocks) == filled
    assert "<svg" in claim.draw(one)[claim.DIFFERENCES]


def test_kinds_of_errors_by_counting():
    """Of the finished runs, recording by recording with sets of names."""
    one = runs.Study()
    if not all(map(one.finished, claim.MAIN)):
        pytest.skip("the main runs of the study are not finished")
    counted: Counter = Counter()
    total = predicted = 0
    for run in one.runs:
        if run.arm != "zero":
            continue
        tested = one.recordings.folds == run.rotation
        given = study.read_result(run.result)[0]["sets"][0]
        for row, number in zip(np.flatnonzero(tested), given.tolist(), strict=True):
            if not one.main_group[row]:
                continue
            true = set(np.flatnonzero(one.recordings.labels[row]).tolist())
            found = {at for at in range(9) if number >> at & 1}
            counted[bool(true - found), bool(found - true)] += 1
            total, predicted = total + 1, predicted + len(found)
    kinds = ((False, False), (True, False), (False, True), (True, True))
    shares = [f"{100 * counted[kind] / total:.1f} %" for kind in kinds]
    assert f"| zero | {' | '.join(shares)} | {predicted / total:.2f} |" in tables.errors_table(one)


def test_nothing_is_told_before_the_main_arms_are_finished(finished):
    study.StudyRun(4, "half", 0).result.unlink()
    one = runs.Study()
    assert list(claim.make_blocks(one)) == ["recipe", "progress", "why", "simulated"]
    assert list(claim.draw(one)) == [claim.COURSES]


def test_the_primary_comparisons_another_way():
    """Of the finished runs: statsmodels' cluster-robust regression, and its paired t and two one-sided tests."""
    one = runs.Study()
    if not all(map(one.finished, claim.MAIN)):
        pytest.skip("the main runs of the study are not finished")
    group = one.main_group
    for arm in ("match", "paper", "half"):
        for endpoint in tables.ENDPOINTS:
            found = one.difference(arm, "zero", endpoint, group)
            after, before = one.outcomes(arm, endpoint, group), one.outcomes("zero", endpoint, group)
            before = [part[: len(own)] for part, own in zip(before, after, strict=True)]
            by_rotation = [100 * (a.mean() - b.mean()) for a, b in zip(after, before, strict=True)]
            t = DescrStatsW(by_rotation)
            assert found.t_interval == pytest.approx(t.tconfint_mean(0.05))
            change = np.concatenate(
                [100 * (a.astype(float) - b).mean(axis=0) for a, b in zip(after, before, strict=True)]
            )
            patients = np.concatenate(
                [one.recordings.patients[group & (one.recordings.folds == rotation)] for rotation in study.ROTATIONS]
            )
            clusters = np.unique(patients, return_inverse=True)[1]
            model = OLS(change, np.ones(len(change))).fit(cov_type="cluster", cov_kwds={"groups": clusters})
            assert found.points == pytest.approx(model.params[0])
            low, high = model.conf_int(0.05)[0]  # without the variance of the seeds
            assert found.interval[0] < low + 0.3 and found.interval[1] > high - 0.3
            width, narrowest = found.interval[1] - found.interval[0], high - low
            if len(after[0]) == 1:
                assert width == pytest.approx(narrowest, rel=0.1)
            else:
                assert narrowest < width < 2.5 * narrowest
            # Both one-sided tests by the rotations' differences, which know of the seeds, too.
            p_equivalent = t.ttost_mean(-analysis.MARGIN, analysis.MARGIN)[0]
            if p_equivalent < 0.01 or p_equivalent > 0.2:
                assert found.equivalent == (p_equivalent < 0.05), (arm, endpoint)


def test_the_simulated_runs_and_what_was_seen_while_training(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated, "RESULTS", tmp_path)
    rng = np.random.default_rng(4)
    labels = np.zeros((300, 9), bool)
    labels[:, 1] = labels[:, 4] = True
    for arm, share in (("zero", 0.4), ("match", 0.7)):
        for seed in simulated.SEEDS:
            right = rng.random(300) < share
            sets = study.pack_sets(np.where(right[:, None], labels, ~labels))
            arrays = {"sets": np.stack([sets] * 4), "ranked": np.stack([right] * 4), "labels": study.pack_sets(labels)}
            write_result(simulated.result_file(arm, seed), **arrays, about=np.array("{}"))
    assert tables.simulated_table().count("| an effect |") == 2
    one = {"within": 0.01, "level": 0.9} | {
        f"{name}_{part}": 1.0
        for name in ("term", "classification")
        for part in ("loss", "backbone", "attention_branch")
    }
    table = tables.why_table({arm: [one] * 15 for arm in why.ARMS})
    assert "| 1 | 15 | 50.0 % | 50.0 % | 50.0 % | 0.50 | 90 % | 0.010 |" in table and "| 0 | 1 | 0.0 % |" in table


def test_the_page_says_what_the_finished_runs_say():
    page = claim.PAGE.read_text(encoding="utf-8")
    one = runs.Study()
    assert claim.fill_in(page, claim.make_blocks(one)) == page, "run make claim"
    number = re.compile(r"-?\d+\.\d+")
    for file, picture in claim.draw(one).items():
        kept = file.read_text(encoding="utf-8")
        if f"Matplotlib v{matplotlib.__version__}," not in kept:  # 3.9 draws some lines 1.6 points beside those of 3.11
            continue
        assert number.sub("", kept) == number.sub("", picture), f"{file.name}: run make claim"
        places = [[float(place) for place in number.findall(svg)] for svg in (kept, picture)]
        assert places[0] == pytest.approx(places[1], abs=1e-3), f"{file.name}: run make claim"


def test_the_papers_own_interval():
    """Newcombe's, by statsmodels."""
    points, interval = claim.PAPER
    assert points == pytest.approx(100 * (77 - 69) / 91, abs=0.05)
    found = confint_proportions_2indep(77, 91, 69, 91, method="newcomb", compare="diff")
    assert interval == pytest.approx([100 * limit for limit in found], abs=0.05)


def test_the_answer_has_the_computed_numbers():
    """README and page, in their first screens, against differences computed here."""
    one = runs.Study()
    if not all(map(one.finished, claim.MAIN)):
        pytest.skip("the main runs of the study are not finished")
    readme = claim.PAGE.parents[1] / "README.md"
    for file in (readme, claim.PAGE):
        first = " ".join(file.read_text(encoding="utf-8").split()[:450])
        for arm in ("match", "paper"):
            found = one.difference(arm, "zero", "exact", one.main_group)
            low, high = found.interval
            assert f"{found.points:+.1f} points [{low:+.1f}, {high:+.1f}]".replace("-", "−") in first, (file, arm)
        lost = one.difference("half", "zero", "exact", one.main_group).points
        assert f"costs {-lost:.1f} points" in first, file
