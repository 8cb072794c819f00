"""Makes every table and picture of docs/claim.md from the finished runs: python -m studies.claim.claim

Differences are told only once every run of the three main arms and of the positive control is there.
"""

from __future__ import annotations

import json
import re
from functools import partial

from studies.claim.analysis import MARGIN
from studies.claim.figure import forest
from studies.claim.finished import Study
from studies.claim.recipe import FILE as RECIPE
from studies.claim.simulated import ARMS as SIMULATED_ARMS
from studies.claim.simulated import SEEDS, result_file
from studies.claim.study import HERE, planned
from studies.claim.tables import (
    ENDPOINTS,
    OTHERS,
    described,
    other_groups,
    power_table,
    primary,
    progress,
    recipe_table,
    secondary,
    simulated_table,
    why_table,
)
from studies.claim.why import ARMS as WHY_ARMS
from studies.claim.why import FILE as WHY
from xecgnet_jax.files import write_text

PAGE = HERE.parents[1] / "docs" / "claim.md"
PICTURE = PAGE.with_name("claim.svg")
#: No difference is told before all of their runs are there.
MAIN = ("zero", "paper", "match", "half")


def make_blocks(study: Study) -> dict[str, str]:
    """Returns name → the text between its marks in the page."""
    reached = json.loads(RECIPE.read_text(encoding="utf-8"))["reached"]
    blocks = {"recipe": recipe_table(reached), "progress": progress(study)}
    if all(map(study.finished, MAIN)):
        blocks |= {"primary": primary(study), "groups": other_groups(study), "secondary": secondary(study)}
        blocks |= {"described": described(study), "power": power_table(study)}
    if WHY.exists() and (found := json.loads(WHY.read_text(encoding="utf-8"))).keys() >= set(WHY_ARMS):
        blocks["why"] = why_table(found)
    if all(result_file(arm, seed).exists() for arm in SIMULATED_ARMS for seed in SEEDS):
        blocks["simulated"] = simulated_table()
    return blocks


def draw(study: Study) -> str | None:
    """Returns the forest plot as SVG; None before the main arms are finished."""
    if not all(map(study.finished, MAIN)):
        return None
    lines: list[tuple[str, float, tuple[float, float]]] = [("the paper: γ = 0.01 − 0, exact", 8.8, (-2.9, 20.2))]
    for arm, name in (("match", "match − γ = 0"), ("paper", "γ = 0.01 − 0"), ("half", "control: half of the data")):
        for endpoint in ENDPOINTS:
            one = study.difference(arm, "zero", endpoint, study.main_group)
            lines.append((f"{name}, {endpoint}", one.points, one.interval))
    for arm, (base, name) in OTHERS.items():
        if study.finished(arm) and study.finished(base):
            one = study.difference(arm, base, "exact", study.main_group)
            lines.append((f"{name}, exact", one.points, one.interval))
    return forest(lines, MARGIN)


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
    """Writes the blocks into the page, and the picture beside it."""
    study = Study()
    write_text(PAGE, fill_in(PAGE.read_text(encoding="utf-8"), make_blocks(study)))
    if picture := draw(study):
        write_text(PICTURE, picture)
    print(f"{PAGE}: {len(study.runs)} of {len(planned())} runs")


if __name__ == "__main__":
    main()
