"""Imports point one way: config ← data, model ← evaluation ← training ← runs ← export, report; commands on all."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ci

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "xecgnet_jax"

GROUND = {"config", "errors", "files"}
#: Room → what its modules may import of the package.
ALLOWED = {
    "errors": set(),
    "terminal": set(),
    "files": {"errors"},
    "config": {"errors"},
    "data": GROUND | {"data"},
    "model": {"config", "errors", "model"},
    "evaluation": GROUND | {"data", "model", "evaluation"},
    "plotting": GROUND | {"data", "evaluation", "plotting"},
    "training": GROUND | {"terminal", "data", "model", "evaluation", "training"},
    "runs": GROUND | {"terminal", "data", "model", "evaluation", "training", "plotting", "runs"},
    "report": GROUND | {"data", "evaluation", "plotting", "runs", "report"},
    "export": GROUND | {"data", "model", "evaluation", "training", "runs", "export"},
}
ALLOWED["cli"] = {*ALLOWED, "cli"}
ALLOWED["__main__"] = {"cli"}
#: Library → the only modules that may import it.
CONFINED = {
    "flax": f"{PACKAGE}.model.",
    "orbax": f"{PACKAGE}.training.checkpoint.",
    "wfdb": f"{PACKAGE}.data.",
}
#: Modules of data/ that make batches: the others read files, in worker processes that must start quickly.
WITH_JAX = {f"{PACKAGE}.data.{name}" for name in ("augmentation", "batches", "windows")}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


def imports_of(module: str) -> set[str]:
    """Full names of all that a module imports, wherever in it: `from a import b` is a.b."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(module: str) -> set[str]:
    """What a module imports of the package, but for the version, which is nobody's."""
    own = {name for name in imports_of(module) if name.split(".")[0] == PACKAGE}
    return own - {f"{PACKAGE}.__version__"}


def room(name: str) -> str:
    """xecgnet_jax.data.pack.Pack → data; the package itself → ""."""
    return [*name.split("."), ""][1]


IN_ROOMS = [name for name in MODULES if name != PACKAGE]


def test_the_walk_sees_the_package():
    assert f"{PACKAGE}.data.batches" in IN_ROOMS
    assert f"{PACKAGE}.training.checkpoint" in IN_ROOMS
    assert f"{PACKAGE}.cli" in IN_ROOMS
    assert "wfdb" in imports_of(f"{PACKAGE}.data.simulation.recording")  # inside a function


def test_every_module_is_in_a_room():
    assert {room(name) for name in IN_ROOMS} == set(ALLOWED)


@pytest.mark.parametrize("module", IN_ROOMS)
def test_imports_point_one_way(module):
    wrong = {name for name in own_imports(module) if room(name) not in ALLOWED[room(module)]}
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))}"


def test_public_names_are_imported_on_first_use():
    """All of them, and none of JAX before; what type checkers see is the same."""
    code = (
        f"import sys, {PACKAGE} as package\n"
        "assert 'jax' not in sys.modules and set(package.__all__) <= set(dir(package))\n"
        "package.Config, package.preset\n"
        "assert 'jax' not in sys.modules\n"
        "for name in package.__all__: getattr(package, name)\n"
        "print(sorted(f'{package.__name__}.{package._MODULES[name]}.{name}' for name in package._MODULES))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    assert ast.literal_eval(result.stdout) == sorted(own_imports(PACKAGE))


@pytest.mark.parametrize("library", CONFINED)
def test_a_library_stays_where_it_belongs(library):
    users = [name for name in MODULES if any(one.split(".")[0] == library for one in imports_of(name))]
    assert users, f"nothing imports {library}"
    outside = [name for name in users if not f"{name}.".startswith(CONFINED[library])]
    assert not outside, f"{library} is imported by {', '.join(outside)}"


def test_config_needs_the_standard_library_only():
    roots = {name.split(".")[0] for name in imports_of(f"{PACKAGE}.config")}
    assert roots - {PACKAGE, "__future__"} <= sys.stdlib_module_names


def test_nothing_is_imported_in_a_circle():
    done: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path, module))
        if module in done:
            return
        for name in own_imports(module):
            target = name if name in MODULES else name.rpartition(".")[0]
            # The package's own __init__ imports its public names on first use only.
            if target != PACKAGE:
                visit(target, (*path, module))
        done.append(module)

    for module in MODULES:
        if module != PACKAGE:
            visit(module, ())


def test_reading_needs_no_jax():
    """All of data/ but what makes batches, and config and the package itself, in a fresh interpreter."""
    reading = [name for name in MODULES if room(name) in ("", "config", "errors", "files", "data")]
    reading = [name for name in reading if name not in WITH_JAX]
    for needed in ("io.wfdb", "corpora", "pack.pack", "labels", "splits", "simulation.corpus"):
        assert f"{PACKAGE}.data.{needed}" in reading
    code = f"import sys, importlib\nfor name in {reading!r}: importlib.import_module(name)\n"
    code += "print(sorted({name.split('.')[0] for name in sys.modules} & {'jax', 'jaxlib', 'flax', 'orbax', 'optax'}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


#: What takes long to import → the modules that must do without it.
SLOW = {
    "jax": ["cli.main"],
    "sklearn": ["training.loop", "training.sweep", "runs.load", "runs.predict", "export.archive"],
    "scipy.stats": ["training.loop", "training.sweep", "runs.load", "runs.predict", "export.archive"],
    "tensorboardX": ["runs.load", "runs.evaluate", "runs.compare", "runs.predict", "export.archive"],
    "matplotlib": ["training.loop", "runs.load", "runs.evaluate", "runs.compare", "runs.predict", "export.archive"],
    "wfdb": ["training.loop", "runs.load", "runs.evaluate", "runs.compare"],
    "jinja2": ["training.loop", "runs.load", "runs.evaluate", "runs.compare", "runs.predict", "export.archive"],
}


#: Modules that must do without the same libraries are imported together.
TOGETHER = {
    frozenset(library for library, modules in SLOW.items() if module in modules): [
        other
        for other in sorted({name for modules in SLOW.values() for name in modules})
        if all((other in modules) == (module in modules) for modules in SLOW.values())
    ]
    for module in sorted({name for modules in SLOW.values() for name in modules})
}


@pytest.mark.parametrize("unwanted", TOGETHER, ids=[",".join(modules) for modules in TOGETHER.values()])
def test_nothing_slow_is_imported_that_is_not_used(unwanted):
    modules = ", ".join(f"{PACKAGE}.{module}" for module in TOGETHER[unwanted])
    code = f"import sys, {modules}\nprint(sorted({set(unwanted)!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_paths_that_others_import_by_stay():
    from xecgnet_jax.data.splits import paper_split
    from xecgnet_jax.model.keras import from_keras
    from xecgnet_jax.runs import Run, load_run
    from xecgnet_jax.training.loop import fit
    from xecgnet_jax.training.objective import objective

    assert all(map(callable, (Run, load_run, fit, objective, from_keras, paper_split)))
