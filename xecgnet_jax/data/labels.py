"""The vocabulary: how corpora write the nine classes of CPSC2018."""

from __future__ import annotations

#: The nine classes in the order of the authors' code (alphabetical). Every [.., C] array follows it.
CLASSES: tuple[str, ...] = ("AF", "I-AVB", "LBBB", "Normal", "PAC", "PVC", "RBBB", "STD", "STE")

#: CPSC2018's REFERENCE.csv: integers 1 to 9.
CPSC_INTEGERS: dict[str, str] = {
    "1": "Normal",
    "2": "AF",
    "3": "I-AVB",
    "4": "LBBB",
    "5": "RBBB",
    "6": "PAC",
    "7": "PVC",
    "8": "STD",
    "9": "STE",
}

#: SNOMED CT as used by the PhysioNet/CinC Challenges. The first code of a class is the one we write.
SNOMED_CT: dict[str, str] = {
    "164889003": "AF",
    "270492004": "I-AVB",
    "164909002": "LBBB",
    "733534002": "LBBB",
    "426783006": "Normal",
    "284470004": "PAC",
    "63593006": "PAC",
    "164884008": "PVC",
    "427172004": "PVC",
    "17338001": "PVC",
    "59118001": "RBBB",
    "713427006": "RBBB",
    "429622005": "STD",
    "164931005": "STE",
}
