"""The metrics and methods of an evaluation, one table each: for its report, its plots, the terminal, the model card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MODEL = "model"
BASELINES = ("identity", "autoencoder_only", "ceiling")

Statistics = dict[str, float | int | None]  # ``mean``, ``sd`` and ``n`` of a metric over the cases
Summary = dict[str, dict[str, Statistics]]  # by method and metric


@dataclass(frozen=True)
class Metric:
    """A score that reports show.

    Attributes:
        title: its name in the report, without the unit.
        unit: ``HU`` or ``dB``; empty for a ratio.
        decimals: digits after the point in the report and on the terminal.
        better: which values are the good ones.
        card: its heading on a model card, and its identifier among the Hub's metrics; None for a metric that a card
            folds away.
        terminal: whether the terminal shows it.
        plotted: whether it has a panel among the plots.
    """

    title: str
    unit: str
    decimals: int
    better: Literal["higher", "lower", "nearer to 0"]
    card: tuple[str, str] | None = None
    terminal: bool = False
    plotted: bool = False

    @property
    def heading(self) -> str:
        """The title with the unit, e.g. ``body PSNR, dB``."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


@dataclass(frozen=True)
class MethodText:
    """What the report and the model card say that a method is."""

    report: str
    card: str = ""


# By the names that the JSON of an evaluation uses, in the order of the model card.
METRICS = {
    "body_psnr": Metric("body PSNR", "dB", 2, "higher", ("PSNR, body (dB)", "psnr"), terminal=True, plotted=True),
    "body_ssim": Metric("body SSIM", "", 3, "higher", ("SSIM, body", "ssim"), terminal=True, plotted=True),
    "body_nmae": Metric("body NMAE", "", 3, "lower", ("NMAE, body", "nmae")),
    "body_nmse": Metric("body NMSE", "", 3, "lower", ("NMSE, body", "nmse"), terminal=True),
    "volume_psnr": Metric("volume PSNR", "dB", 2, "higher"),
    "volume_ssim": Metric("volume SSIM", "", 3, "higher"),
    "volume_nmae": Metric("volume NMAE", "", 3, "lower"),
    "volume_nmse": Metric("volume NMSE", "", 3, "lower"),
    "body_mae_hu": Metric("body MAE", "HU", 1, "lower", ("MAE, body (HU)", "mae"), terminal=True),
    "body_bias_hu": Metric("body bias", "HU", 1, "nearer to 0"),
    "soft_core_psnr": Metric(
        "soft-core PSNR", "dB", 2, "higher", ("PSNR, soft tissue core (dB)", "psnr"), terminal=True, plotted=True
    ),
    "enhancement_mae_hu": Metric(
        "enhancement error", "HU", 1, "lower", ("enhancement error, MAE (HU)", "mae"), terminal=True, plotted=True
    ),
    "enhancement_bias_hu": Metric("enhancement bias", "HU", 1, "nearer to 0"),
    "unchanged_mae_hu": Metric(
        "change where none belongs", "HU", 1, "lower", ("change where none belongs, MAE (HU)", "mae"),
        terminal=True, plotted=True,
    ),
    "unchanged_bias_hu": Metric("its bias", "HU", 1, "nearer to 0"),
}  # fmt: skip
WINDOWED = {name: metric for name, metric in METRICS.items() if metric.unit != "HU"}
UNCLIPPED = {name: metric for name, metric in METRICS.items() if metric.unit == "HU"}
REPORTED = WINDOWED | UNCLIPPED  # all of them, in the order of the report and the terminal

OTHER_MODEL = MethodText("another model, given with --compare")
METHODS = {
    MODEL: MethodText("the model, as it ships", "the published model"),
    "identity": MethodText("the NCCT itself: no translation", "the NCCT itself, taken for the CECT"),
    "autoencoder_only": MethodText(
        "D(Q(E(NCCT))): no denoiser. Where the decoder gives back what was encoded, this only reconstructs the NCCT",
        "D(E(NCCT)): the autoencoder without the diffusion model",
    ),
    "ceiling": MethodText(
        "the real CECT in place of the denoiser's result: the best that this autoencoder allows",
        "D(E(CECT)): what the autoencoder could reach at best; it has seen the answer",
    ),
    "pixel_unet": MethodText(OTHER_MODEL.report, "a U-Net that regresses voxels"),
}


def number(value: float | None, decimals: int) -> str:
    """Write a value as tables show it; ``-`` where it is undefined."""
    return "-" if value is None else f"{value:z.{decimals}f}"


def spread(found: Statistics | None, decimals: int, cases: int) -> str:
    """Write mean ± SD, and n where it is not the number of cases; ``-`` where no case has a value."""
    if found is None or found["mean"] is None:
        return "-"
    sd = "" if found["sd"] is None else f" ± {found['sd']:.{decimals}f}"
    count = "" if found["n"] == cases else f" (n = {found['n']})"
    return number(found["mean"], decimals) + sd + count
