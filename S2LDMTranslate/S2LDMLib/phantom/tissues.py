"""How dense each tissue of the phantom is in each phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import Array

LABELS: dict[str, int] = {
    name: value
    for value, name in enumerate(
        (
            "background",
            "fat",
            "muscle",
            "skin",
            "bone",
            "disc",
            "spinal_canal",
            "cartilage",
            "lung",
            "lung_vessel",
            "heart",
            "aorta",
            "artery",
            "ivc",
            "portal_vein",
            "mesenteric_vein",
            "hepatic_vein",
            "renal_vein",
            "liver",
            "gallbladder",
            "spleen",
            "pancreas",
            "adrenal",
            "kidney_cortex",
            "kidney_medulla",
            "renal_pelvis",
            "esophagus",
            "stomach",
            "bowel",
            "bowel_fluid",
            "bowel_gas",
            "stool",
            "oral_contrast",
        )
    )
}

# Tissue: label, NCCT HU, then enhancement above NCCT in the late arterial and in the portal venous phase,
# each as a range from which a seed draws. Published values where they exist (aorta, portal and hepatic veins,
# liver, spleen, kidney, arterial pancreas); the others are usual readings. Venous hepatic veins, for which
# there is no published value here, follow the portal vein.
Range = tuple[float, float]
TISSUES: dict[str, tuple[str, Range, Range, Range]] = {
    "fat": ("fat", (-112, -98), (0, 0), (0, 0)),
    "muscle": ("muscle", (47, 56), (2, 4), (5, 8)),
    "skin": ("skin", (5, 30), (0, 4), (2, 8)),
    "cortical": ("bone", (720, 900), (0, 0), (0, 0)),
    "cancellous": ("bone", (140, 215), (0, 0), (0, 0)),
    "disc": ("disc", (70, 90), (0, 0), (0, 0)),
    "canal": ("spinal_canal", (18, 30), (0, 2), (0, 3)),
    "cartilage": ("cartilage", (85, 120), (0, 0), (0, 0)),
    "lung": ("lung", (-880, -830), (4, 10), (6, 12)),
    "myocardium": ("heart", (42, 48), (70, 90), (75, 90)),
    "cavum": ("heart", (38, 44), (220, 270), (112, 120)),
    "chamber": ("heart", (38, 44), (300, 336), (117, 125)),
    "esophagus": ("esophagus", (38, 44), (15, 25), (25, 35)),
    "aorta": ("aorta", (38, 44), (300, 336), (117, 125)),
    "lung_vessel": ("lung_vessel", (38, 44), (230, 280), (112, 122)),
    "artery": ("artery", (38, 44), (300, 336), (117, 125)),
    "ivc_low": ("ivc", (38, 44), (5, 20), (70, 95)),
    "ivc_high": ("ivc", (38, 44), (75, 105), (92, 100)),
    "portal_vein": ("portal_vein", (38, 44), (75, 104), (87, 93)),
    "mesenteric_vein": ("mesenteric_vein", (38, 44), (75, 104), (87, 95)),
    "hepatic_vein": ("hepatic_vein", (38, 44), (24, 51), (86, 94)),
    "renal_vein": ("renal_vein", (38, 44), (120, 150), (112, 122)),
    "liver": ("liver", (52, 60), (15, 25), (59, 63)),
    "gallbladder": ("gallbladder", (4, 12), (0, 0), (0, 0)),
    "gallbladder_wall": ("gallbladder", (28, 36), (20, 30), (35, 45)),
    "spleen": ("spleen", (45, 51), (97, 108), (73, 82)),
    "pancreas": ("pancreas", (38, 44), (74, 84), (56, 64)),
    "adrenal": ("adrenal", (14, 26), (45, 60), (45, 55)),
    "kidney_cortex": ("kidney_cortex", (30, 35), (195, 217), (148, 165)),
    "kidney_medulla": ("kidney_medulla", (29, 33), (70, 85), (142, 148)),
    "renal_pelvis": ("renal_pelvis", (4, 12), (0, 2), (0, 4)),
    "stomach": ("stomach", (36, 44), (22, 36), (40, 52)),
    "bowel": ("bowel", (34, 42), (25, 40), (42, 55)),
    "fluid": ("bowel_fluid", (6, 22), (0, 0), (0, 0)),
    "gas": ("bowel_gas", (-970, -940), (0, 0), (0, 0)),
    "stool": ("stool", (-60, 10), (0, 0), (0, 0)),
    "oral_contrast": ("oral_contrast", (240, 420), (0, 0), (0, 0)),
}
BLOOD = (
    "cavum",
    "chamber",
    "aorta",
    "lung_vessel",
    "artery",
    "ivc_low",
    "ivc_high",
    "portal_vein",
    "mesenteric_vein",
    "hepatic_vein",
    "renal_vein",
)


@dataclass(frozen=True)
class Tissue:
    """Label and mean HU of the three phases, shape (3, 1, 1)."""

    label: int
    hu: Array


def sample_tissues(rng: np.random.Generator) -> dict[str, Tissue]:
    """Draw one patient's HU; all vessels share one NCCT blood density, and the medulla follows its cortex."""
    drawn = {name: [rng.uniform(*span) for span in spans] for name, (_, *spans) in TISSUES.items()}
    for name in BLOOD:
        drawn[name][0] = drawn["aorta"][0]
    drawn["artery"][1:] = drawn["aorta"][1:]
    drawn["kidney_medulla"][1] = drawn["kidney_cortex"][1] + drawn["kidney_cortex"][0] - rng.uniform(112, 138)
    drawn["kidney_medulla"][1] -= drawn["kidney_medulla"][0]
    drawn["pancreas"][1] = rng.uniform(114, 126) - drawn["pancreas"][0]
    tissues = {}
    for name, (plain, arterial, venous) in drawn.items():
        hu = np.array([plain, plain + arterial, plain + venous], np.float32)[:, None, None]
        tissues[name] = Tissue(LABELS[TISSUES[name][0]], hu)
    return tissues
