"""The vocabulary: the codes with which corpora write the nine classes of CPSC2018."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np

#: The nine classes in the order of the authors' code (alphabetical). Every [.., C] array follows it.
CLASSES: tuple[str, ...] = ("AF", "I-AVB", "LBBB", "Normal", "PAC", "PVC", "RBBB", "STD", "STE")

#: CPSC2018's REFERENCE.csv: integers 1 to 9.
CPSC_INTEGERS: dict[str, str] = dict(
    zip("123456789", ("Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE"), strict=True)
)

#: SNOMED CT as used by the PhysioNet/CinC Challenges. The first code of a class is the one we write.
SNOMED_CT: dict[str, str] = {
    "164889003": "AF", "270492004": "I-AVB", "164909002": "LBBB", "733534002": "LBBB", "426783006": "Normal",
    "284470004": "PAC", "63593006": "PAC", "164884008": "PVC", "427172004": "PVC", "17338001": "PVC",
    "59118001": "RBBB", "713427006": "RBBB", "429622005": "STD", "164931005": "STE",
}  # fmt: skip

#: SCP-ECG statements of PTB-XL. Incomplete bundle branch blocks (IRBBB, ILBBB) are other findings.
SCP_ECG: dict[str, str] = {
    "NORM": "Normal", "AFIB": "AF", "1AVB": "I-AVB", "CLBBB": "LBBB", "CRBBB": "RBBB", "PAC": "PAC", "PVC": "PVC",
    "STD_": "STD", "STE_": "STE",
}  # fmt: skip

#: Every code of every vocabulary, and the names with which the first release of Challenge 2020 wrote `#Dx:`. They can
#: share one table because no string means two things.
VOCABULARY: dict[str, str] = CPSC_INTEGERS | dict(zip(CLASSES, CLASSES, strict=True)) | SNOMED_CT | SCP_ECG

#: SNOMED CT "sinus rhythm". Challenge sources write it for a normal ECG, but also beside other findings, where it
#: describes the rhythm only.
SINUS_RHYTHM: str = "426783006"


def unmapped_codes(codes: Collection[str]) -> tuple[str, ...]:
    """Returns those of a recording's codes that name none of its classes, once each, in their order.

    Sinus rhythm beside other codes is among them.
    """
    once = dict.fromkeys(codes)
    return tuple(code for code in once if code not in VOCABULARY or (code == SINUS_RHYTHM and len(once) > 1))


def classes_of(codes: Collection[str]) -> frozenset[str]:
    """Returns the classes of a recording with these codes: a subset of `CLASSES`, often empty outside CPSC2018."""
    without_class = unmapped_codes(codes)
    return frozenset(VOCABULARY[code] for code in codes if code not in without_class)


def label_vector(codes: Collection[str]) -> np.ndarray:
    """Returns [C] uint8, 1 where a recording with these codes has the class of `CLASSES`."""
    present = classes_of(codes)
    return np.array([name in present for name in CLASSES], dtype=np.uint8)


def count_codes(recordings: Iterable[Collection[str]]) -> tuple[dict[str, int], dict[str, int]]:
    """Counts the recordings with each class and with each unmapped code, from the codes of each recording.

    Classes are in the order of `CLASSES`, zeros included; unmapped codes by falling count, then by code.
    """
    recordings = list(recordings)
    classes = Counter(name for codes in recordings for name in classes_of(codes))
    others = Counter(code for codes in recordings for code in unmapped_codes(codes))
    by_count = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return {name: classes[name] for name in CLASSES}, dict(by_count)
