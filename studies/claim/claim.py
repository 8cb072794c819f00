"""Makes every table and picture of docs/claim.md from the finished runs: python -m studies.claim.claim

Differences are told only once every run of the three main arms and of the positive control is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from studies.claim.analysis import MARGIN
from studies.claim.figure import courses, forest
from studies.claim.finished import Study
from studies.claim.recipe import FILE as RECIPE
from studies.claim.simulated import ARMS as SIMULATED_ARMS
from studies.claim.simulated import SEEDS, result_file
from studies.claim.study import HERE, arm_config, planned
from studies.claim.tables import (
    ENDPOINTS,
    OTHERS,
    described,
    errors_table,
    map_distance,
    other_groups,
    power_table,
    primary,
    progress,
    recipe_table,
    secondary,
    simulated_table,
    term_share,
    why_table,
)
from studies.claim.why import ARMS as WHY_ARMS
from studies.claim.why import FILE as WHY
from xecgnet_jax.files import write_text

PAGE = HERE.parents[1] / "docs" / "claim.md"
#: The differences between arms, and what the term does while a network trains.
DIFFERENCES, COURSES = PAGE.with_name("claim.svg"), PAGE.with_name("claim-why.svg")
#: The paper's own difference, 77 − 69 of 91, in points, and its 95 % interval (Newcombe's, of two independent shares).
PAPER = (8.8, (-2.9, 20.2))
#: No difference is told before all of their runs are there.
MAIN = ("zero", "paper", "match", "half")


def make_blocks(study: Study) -> dict[str, str]:
    """Returns name → the text between its marks in the page."""
    reached = json.loads(RECIPE.read_text(encoding="utf-8"))["reached"]
    blocks = {"recipe": recipe_table(reached), "progress": progress(study)}
    if all(map(study.finished, MAIN)):
        blocks |= {"primary": primary(study), "groups": other_groups(study), "secondary": secondary(study)}
        blocks |= {"described": described(study), "power": power_table(study), "errors": errors_table(study)}
    if found := seen_while_training():
        blocks["why"] = why_table(found)
    if all(result_file(arm, seed).exists() for arm in SIMULATED_ARMS for seed in SEEDS):
        blocks["simulated"] = simulated_table()
    return blocks


def seen_while_training() -> Mapping[str, Sequence[Mapping[str, float]]]:
    """Returns what `why` saw, by arm and epoch; empty before all of its arms are there."""
    found = json.loads(WHY.read_text(encoding="utf-8")) if WHY.exists() else {}
    return found if found.keys() >= set(WHY_ARMS) else {}


def draw(study: Study) -> dict[Path, str]:
    """Returns the pictures, as SVG, of what is finished."""
    pictures = {}
    if all(map(study.finished, MAIN)):
        pictures[DIFFERENCES] = draw_differences(study)
    if found := seen_while_training():
        pictures[COURSES] = draw_courses(found)
    return pictures


def draw_differences(study: Study) -> str:
    """Returns the forest plot as SVG."""
    lines: list[tuple[str, float, tuple[float, float]]] = [("the paper: γ = 0.01 − 0, exact", *PAPER)]
    for arm, name in (("match", "match − γ = 0"), ("paper", "γ = 0.01 − 0"), ("half", "control: half of the data")):
        for endpoint in ENDPOINTS:
            one = study.difference(arm, "zero", endpoint, study.main_group)
            lines.append((f"{name}, {endpoint}", one.points, one.interval))
    for arm, (base, name) in OTHERS.items():
        if study.finished(arm) and study.finished(base):
            one = study.difference(arm, base, "exact", study.main_group)
            lines.append((f"{name}, exact", one.points, one.interval))
    return forest(lines, MARGIN)


def draw_courses(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Returns by epoch and γ, as SVG, how strong the term is and what it does to the maps."""
    epochs_of = {arm_config(arm).objective.gamma: found[arm] for arm in WHY_ARMS}

    def by_gamma(measured: Callable[[Mapping[str, float], float], float]) -> dict[str, list[float]]:
        return {f"γ = {gamma:g}": [measured(one, gamma) for one in epochs] for gamma, epochs in epochs_of.items()}

    return courses(
        {
            "term, % of the gradient,\nattention branch": by_gamma(partial(term_share, part="attention_branch")),
            "distance of the maps": by_gamma(lambda epoch, _: map_distance(epoch)),
            "attention map's spread\nwithin a recording": by_gamma(lambda epoch, _: epoch["within"]),
        }
    )


def fill_in(page: str, blocks: dict[str, str]) -> str:
    """Returns the page with the blocks between their marks: <!-- NAME --> … <!-- end NAME -->."""
    for name, block in blocks.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        page, number = marked.subn(partial(_between, block), page)
        if number != 1:
            raise SystemExit(f"{PAGE}: the marks of {name} are there {number} times, not once")
    return page


def _between(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{text}\n{marks[2]}"


def main() -> None:
    """Writes the blocks into the page, and the pictures beside it."""
    study = Study()
    write_text(PAGE, fill_in(PAGE.read_text(encoding="utf-8"), make_blocks(study)))
    for file, picture in draw(study).items():
        write_text(file, picture)
    print(f"{PAGE}: {len(study.runs)} of {len(planned())} runs")


if __name__ == "__main__":
    main()
