"""Vocabularies: which classes there are, and the codes with which corpora write them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.errors import ConfigError
from xecgnet_jax.files import LARGEST_TABLE, read_bytes

_SHIPPED = Path(__file__).parent / "vocabularies"
#: Names of the vocabularies of this package.
VOCABULARIES: tuple[str, ...] = tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))

#: Names of classes stand in tables and in the headers of CSV files.
_NAME = re.compile(r"[^\s,;|\"'][^\t\n\r,;|\"']{0,39}")


def strip_decimals(text: str) -> str:
    """Returns `17` for the `17.0` or `17.00` of a spreadsheet, in which a whole number became a decimal."""
    return re.sub(r"(?<=\d)\.0+$", "", text)


@dataclass(frozen=True)
class Vocabulary:
    """C classes, and the codes that stand for them. A string means one class, whatever the coding system."""

    name: str
    source: str  #: where the classes come from
    systems: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...]  #: class → coding system → codes
    alone: tuple[str, ...] = ()  #: codes that count only where a recording has no other

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes. Every [.., C] array follows their order."""
        return tuple(name for name, _ in self.systems)

    @cached_property
    def class_of(self) -> dict[str, str]:
        """Code → class."""
        return {code: name for name, systems in self.systems for _, codes in systems for code in codes}

    @cached_property
    def _by_spelling(self) -> dict[str, str]:
        """Lower-case code → code, where only one code is spelled so."""
        times = Counter(code.lower() for code in self.class_of)
        return {code.lower(): code for code in self.class_of if times[code.lower()] == 1}

    @cached_property
    def _spelled(self) -> dict[str, str]:
        """What `_spell` has returned: corpora have few codes, and each in many recordings."""
        return {}

    def _spell(self, code: str) -> str:
        """Returns a code as this vocabulary writes it: `2` for a spreadsheet's `2.0`, `AFIB` for `afib`."""
        if code not in self._spelled:
            plain, lower = strip_decimals(code), code.lower()
            if plain.isdecimal() and lower not in self._by_spelling:  # I44.0 is a code of its own
                lower = plain
            self._spelled[code] = code if code in self.class_of else self._by_spelling.get(lower, code)
        return self._spelled[code]

    def in_system(self, system: str) -> dict[str, str]:
        """Returns code → class of one coding system."""
        return {code: name for name, systems in self.systems for code in dict(systems).get(system, ())}

    def unmapped_codes(self, codes: Collection[str]) -> tuple[str, ...]:
        """Returns those of a recording's codes that name none of its classes, once each, in their order."""
        once = {code: self._spell(code) for code in codes}
        several = len(set(once.values())) > 1
        return tuple(code for code, own in once.items() if own not in self.class_of or (own in self.alone and several))

    def classes_of(self, codes: Collection[str]) -> frozenset[str]:
        """Returns the classes of a recording with these codes, possibly none."""
        without_class = set(self.unmapped_codes(codes))
        return frozenset(self.class_of[self._spell(code)] for code in codes if code not in without_class)

    def label_vector(self, codes: Collection[str]) -> np.ndarray:
        """Returns [C] uint8, 1 where a recording with these codes has the class."""
        present = self.classes_of(codes)
        return np.array([name in present for name in self.classes], dtype=np.uint8)

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values, for `vocabulary_from_json`."""
        classes = {name: {system: list(codes) for system, codes in systems} for name, systems in self.systems}
        return {"name": self.name, "source": self.source, "alone": list(self.alone), "classes": classes}

    def digest(self) -> str:
        """Returns the sha256 of its classes and codes; name and source do not count."""
        value = [[[name, sorted(self._codes(name))] for name in self.classes], sorted(self.alone)]
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()

    def _codes(self, name: str) -> list[str]:
        return [code for code, of in self.class_of.items() if of == name]


def read_vocabulary(name: str) -> Vocabulary:
    """Returns a vocabulary of this package by its name, or that of a TOML or CSV file.

    TOML: as the files of this package. CSV: columns `class` and `code`, a line for each code, perhaps `system`; classes
    are in the order of their first lines.

    Raises:
      ConfigError: naming the file; it cannot be read, or a class or code is impossible.
    """
    return _read_shipped(name) if name in VOCABULARIES else _read_vocabulary(name, Path(name))


@cache
def _read_shipped(name: str) -> Vocabulary:
    return _read_vocabulary(name, _SHIPPED / f"{name}.toml")


def _read_vocabulary(name: str, path: Path) -> Vocabulary:
    try:
        text = read_bytes(path, LARGEST_TABLE).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise ConfigError(f"classes {name}: {reason}; possible: {', '.join(VOCABULARIES)}, or a file") from error
    try:
        return vocabulary_from_json(_csv_values(path.stem, text) if path.suffix == ".csv" else tomllib.loads(text))
    except ValueError as error:
        raise ConfigError(f"classes {name}: {error}; see docs/data.md for the form of such files") from error


def vocabulary_from_json(value: Any) -> Vocabulary:
    """Returns the vocabulary of JSON or TOML values.

    Raises:
      ValueError: they are not of the form that `Vocabulary.to_json` gives.
    """
    classes = value.get("classes") if isinstance(value, dict) else None
    if not isinstance(classes, dict) or len(classes) < 2:
        raise ValueError("it needs a table `classes` of two classes or more")
    systems = []
    for name, of_class in classes.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"the class {name!r} has no possible name (1 to 40 characters without quotes , ; |)")
        lists = list(of_class.values()) if isinstance(of_class, dict) else []
        if not lists or not all(isinstance(codes, list) and all(isinstance(c, str) for c in codes) for codes in lists):
            raise ValueError(f"the class {name} needs lists of codes (text), one for each coding system")
        systems.append((name, tuple((system, tuple(codes)) for system, codes in of_class.items())))
    made = Vocabulary(str(value.get("name", "")), str(value.get("source", "")), tuple(systems))
    for name, of_class in made.systems:
        for code in {code for _, codes in of_class for code in codes}:
            if (other := made.class_of[code]) != name:
                raise ValueError(f"the code {code!r} stands for {name} and for {other}")
    alone = value.get("alone", [])
    if not isinstance(alone, list) or not all(isinstance(code, str) and code in made.class_of for code in alone):
        raise ValueError("`alone` must list codes of the classes")
    return Vocabulary(made.name, made.source, made.systems, tuple(alone))


def _csv_values(name: str, text: str) -> dict[str, Any]:
    rows = csv.DictReader(text.splitlines())
    if not {"class", "code"} <= set(rows.fieldnames or ()):
        raise ValueError("the first line must name the columns class and code")
    classes: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if not row["class"] or not row["code"]:
            raise ValueError(f"line {rows.line_num} has no class or no code")
        codes = classes.setdefault(row["class"].strip(), {}).setdefault(row.get("system") or "code", [])
        codes.append(row["code"].strip())
    return {"name": name, "classes": classes}


#: The nine classes of CPSC2018 in the order of the authors' code (alphabetical), the default.
CPSC2018: Vocabulary = read_vocabulary("cpsc2018")
CLASSES: tuple[str, ...] = CPSC2018.classes
#: Their codes by coding system. The first SNOMED CT code of a class is the one that the simulator writes.
CPSC_INTEGERS, SNOMED_CT, SCP_ECG = (CPSC2018.in_system(name) for name in ("cpsc2018", "snomed_ct", "scp_ecg"))


def count_codes(
    recordings: Iterable[Collection[str]], vocabulary: Vocabulary = CPSC2018
) -> tuple[dict[str, int], dict[str, int]]:
    """Counts the recordings with each class and with each unmapped code, from the codes of each recording.

    Classes are in their order, zeros included; unmapped codes by falling count, then by code.
    """
    recordings = list(recordings)
    classes = Counter(name for codes in recordings for name in vocabulary.classes_of(codes))
    others = Counter(code for codes in recordings for code in vocabulary.unmapped_codes(codes))
    by_count = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return {name: classes[name] for name in vocabulary.classes}, dict(by_count)
