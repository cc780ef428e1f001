"""The real volumes at hand, by the names that ``shared_data.real`` takes."""

from __future__ import annotations

NON_CONTRAST = [
    "pairs/HCC_005_19990123/ncct",  # oral contrast
    "pairs/HCC_007_19971227/ncct",
    "pairs/HCC_007_19980314/ncct",  # Lipiodol in a tumour
    "native/HCC_005_19990123/ncct",
    "labelled/native_abdomen_ct",
]
ENHANCED = [
    *(f"pairs/HCC_{case}/{phase}" for case in ("005_19990123", "007_19971227", "007_19980314")
      for phase in ("arterial", "venous")),
    *(f"native/HCC_005_19990123/{phase}" for phase in ("arterial", "venous")),
    *(f"cect_only/HCC_{name}" for name in (
        "002_19970926/phase1", "002_19970926/phase2", "005_19990430/phase1", "005_19990430/phase2",
        "005_19990430/phase3", "006_19990806/phase1", "015_19981101/phase1", "015_19981101/phase2",
        "048_20010812/phase1")),
    "labelled/lidc_0001_arterial_ct",
]  # fmt: skip
