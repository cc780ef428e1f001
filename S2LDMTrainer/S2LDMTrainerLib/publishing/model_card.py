"""The model card: the README of a model repository, with the front matter that the Hub reads.

A generated card ends with a mark that holds its own hash. A card without it, or changed since, is somebody's own work
and is never replaced in silence.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from huggingface_hub import ModelCard, ModelCardData
from S2LDMLib.about import __version__
from S2LDMLib.errors import InputError

from .card_scores import Scores, eval_results, score_tables

if TYPE_CHECKING:
    from S2LDMLib.pipeline import S2LDMPipeline

LICENCE = "apache-2.0"

_MARK = re.compile(r"(?P<card>.*)<!-- Written by s2ldm-train publish: (?P<hash>[0-9a-f]{16}) -->\s*", re.DOTALL)
_TAGS = ("medical", "ct", "computed-tomography", "contrast-enhancement", "latent-diffusion", "3d-slicer")
_LIMITS = """\
- **It paints what usually enhances.** A non-contrast CT does not hold what contrast agent would show. A tumour, a clot,
  a bleeding, a narrowed vessel or a missing perfusion may be absent from the synthetic image, and one that is not there
  may appear.
- Tumours and small vessels, hepatic arteries above all, seldom enhance as they would; small vessels are blurred.
- Bright or dark blotches occur in the dome of the liver and in the spleen, and beside oral contrast. The aorta and the
  spleen may be too bright or too dark by tens of HU. HU of the synthetic image are not measurements.
- Contrast that is already there (oral, Lipiodol, an earlier injection), metal, motion, children, pregnancy, scanners
  and body regions that the training data lack: the result is undefined, and nothing in the image says so.
- Scores are means over few cases. Body PSNR says little about enhancement, as most of its error comes from organ
  borders that registration leaves apart: look at the soft tissue core and at the HU of organs too."""
_CITATION = """\
The method follows S2LDM ([arXiv 2406.13977](https://arxiv.org/abs/2406.13977)), whose authors released neither code nor
weights: these weights are not theirs. Please cite their paper and the sources of the training data.

```bibtex
@misc{lin2024s2ldm,
  title         = {Similarity-aware Syncretic Latent Diffusion Model for Medical Image Translation with
                   Representation Learning},
  author        = {Lin, Tingyi and Lyu, Pengju and Zhang, Jie and Wang, Yuqing and Wang, Cheng and Zhu, Jianjun},
  year          = {2024},
  eprint        = {2406.13977},
  archivePrefix = {arXiv}
}
```"""


@dataclass(frozen=True)
class CardFacts:
    """What only the publisher knows.

    licence: an identifier of the Hub, as in its list of licences; None for Apache-2.0 or what a card says already.
    datasets: repositories on the Hub that the model was trained on.
    attribution: sources of the training data with their licences, one a line.
    recipe: how it was trained, by field.
    """

    repo_id: str
    licence: str | None = None
    datasets: tuple[str, ...] = ()
    attribution: tuple[str, ...] = ()
    recipe: dict[str, str] | None = None
    scores: Scores | None = None


def front_matter(pipeline: S2LDMPipeline, facts: CardFacts) -> ModelCardData:
    """The metadata of a card: what the Hub lists, filters and ranks by."""
    results = eval_results(facts.scores) if facts.scores else []
    return ModelCardData(
        license=facts.licence or LICENCE,
        library_name="s2ldm",
        pipeline_tag="image-to-image",
        tags=[*_TAGS, *pipeline.config.phases],
        datasets=list(facts.datasets) or None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=pipeline.config.name if results else None,
        eval_results=results or None,
    )


def write_card(pipeline: S2LDMPipeline, facts: CardFacts) -> str:
    """Write the whole card of a model, mark included.

    Args:
        pipeline: the model that is published.
        facts: what the publisher says about it.
    """
    text = "\n\n".join(
        [
            f"# {pipeline.config.name}",
            _introduction(pipeline),
            f"## How to use it\n\n{_usage(pipeline, facts.repo_id)}",
            f"## Training data\n\n{_training_data(pipeline, facts)}",
            f"## Training\n\n{_training(pipeline, facts.recipe)}",
            f"## Scores\n\n{_scores(facts.scores)}",
            f"## Limits and known failures\n\n{_LIMITS}",
            f"## Citation\n\n{_CITATION}",
        ]
    )
    card = f"---\n{front_matter(pipeline, facts).to_yaml()}\n---\n\n{text}\n\n"
    return f"{card}<!-- Written by s2ldm-train publish: {_hash(card)} -->\n"


def is_generated(card: str) -> bool:
    """Whether a card is one of :func:`write_card` that nobody has changed since."""
    mark = _MARK.fullmatch(card.replace("\r\n", "\n"))
    return mark is not None and _hash(mark["card"]) == mark["hash"]


def complete_card(card: str, data: ModelCardData, facts: CardFacts, where: str) -> tuple[str, list[str]]:
    """Keep the text of somebody's own card and complete its front matter.

    What the front matter says stays; missing fields are added and lists get the missing entries. The licence is
    replaced where one is asked for by name, and the ``model-index`` where there are scores, for these belong to the
    weights.

    Args:
        card: the card as it is.
        data: what :func:`front_matter` gives for the model.
        where: name of the card in errors.

    Returns:
        The new card, and the names of the fields that were added or changed.

    Raises:
        InputError: the front matter is no valid YAML, or its model-index is malformed.
    """
    has_front_matter = re.match(r"\s*---\s*\n", card) is not None
    try:
        kept = ModelCard(card if has_front_matter else f"---\n\n---\n{card}")
    except (ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The front matter of {where} cannot be read ({reason}). Correct or remove it.") from None
    before = kept.data.to_dict()
    for name, value in vars(data).items():
        present = kept.data.get(name)
        if name in ("eval_results", "model_name"):
            replaced = facts.scores is not None
        else:
            replaced = not present or (name == "license" and facts.licence is not None)
        if replaced:
            kept.data[name] = value
        elif isinstance(value, list) and name in ("tags", "datasets", "metrics"):
            own = present if isinstance(present, list) else [present]
            kept.data[name] = list(dict.fromkeys([*own, *value]))
    after = kept.data.to_dict()
    return kept.content, [name for name in after if after[name] != before.get(name)]


def _hash(card: str) -> str:
    return hashlib.sha256(card.encode()).hexdigest()[:16]


def _introduction(pipeline: S2LDMPipeline) -> str:
    phases = " and ".join(pipeline.config.phases)
    means = "a latent\ndiffusion model in the latent space of an autoencoder that NCCT and CECT share"
    if not pipeline.autoencoder.config.channels:
        means = "a network\nthat works on the voxels themselves; it is a baseline for latent diffusion models"
    return f"""\
**Synthetic images for research. Not a medical device, not for diagnosis, not for treatment planning.**

Makes a synthetic contrast-enhanced CT (CECT) in the {phases} phase from a non-contrast CT (NCCT), with {means}.

- **Intended use**: research on image synthesis, registration and segmentation across phases, augmentation of training
  data, teaching.
- **Out of scope**: any decision about a patient; finding, excluding or measuring a lesion; replacing an injection of
  contrast agent; dose calculation; handing the images on without saying that they are synthetic."""


def _usage(pipeline: S2LDMPipeline, repo_id: str) -> str:
    phase = pipeline.config.phases[0]
    return f"""\
On the command line, where S2LDM is installed:

```console
s2ldm translate ncct.nii.gz {phase}.nii.gz --phase {phase} --model {repo_id}
```

In Python:

```python
import SimpleITK as sitk
from S2LDMLib import S2LDMPipeline

pipeline = S2LDMPipeline.from_pretrained("{repo_id}")
synthetic = pipeline(sitk.ReadImage("ncct.nii.gz"), "{phase}")
sitk.WriteImage(synthetic, "{phase}.nii.gz")
```

Phases: {", ".join(f"`{name}`" for name in pipeline.config.phases)}. Input: a volume in HU, any orientation and spacing;
output: int16 HU on the same grid. `{repo_id}@COMMIT` pins the weights."""


def _training_data(pipeline: S2LDMPipeline, facts: CardFacts) -> str:
    recorded = pipeline.config.provenance.get("data")
    lines = [f"- {line}" for line in (*([recorded] if recorded else []), *facts.attribution)]
    lines += [f"- [{name}](https://huggingface.co/datasets/{name})" for name in facts.datasets]
    return "\n".join(" ".join(line.split()) for line in lines) or "Not stated by who published these weights."


def _training(pipeline: S2LDMPipeline, recipe: dict[str, str] | None) -> str:
    preprocess, codes = pipeline.config.preprocess, pipeline.autoencoder.config.num_embeddings
    low, high = (preprocess.level + sign * preprocess.window / 2 for sign in (-1, 1))
    stride = " x ".join(str(step) for step in reversed(pipeline.autoencoder.stride))
    spacing = " x ".join(f"{step:g}" for step in preprocess.spacing or ())
    weights = sum(p.numel() for part in (pipeline.autoencoder, pipeline.denoiser) for p in part.parameters())
    rows = {
        "denoiser": f"{pipeline.denoiser.config.kind}, {pipeline.scheduler.config.prediction} prediction, "
        f"{pipeline.scheduler.config.steps} sampling step(s) by default",
        "autoencoder": f"stride {stride} (x, y, z), {f'{codes} codes' if codes else 'no codebook'}",
        "parameters": f"{weights / 1e6:.1f} million",
        "window": f"{low:g} to {high:g} HU",
        "working spacing": f"{spacing} mm (x, y, z)" if spacing else "the input's own",
        "published with": f"S2LDM {__version__}",
        **{key: value for key, value in pipeline.config.provenance.items() if key != "data"},
    }
    if not recipe:
        return _rows(rows)
    if "preset" in recipe:
        rows = {"preset": f"`{recipe['preset']}`", **rows}
    return f"{_rows(rows)}\n\n<details><summary>The whole recipe</summary>\n\n{_rows(recipe)}\n\n</details>"


def _rows(rows: dict[str, str]) -> str:
    cells = [(key, " ".join(value.split()).replace("|", "\\|")) for key, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in cells)])


def _scores(scores: Scores | None) -> str:
    if scores is None:
        return "These weights were not scored when they were published."
    patients = f" of {scores.patients} patient(s)" if scores.patients else ""
    remarks = [scores.note] if scores.note else []
    if scores.trained_on:
        remarks.append(
            f"**{scores.trained_on} of these cases were there to train on: such scores do not tell how the model does "
            "on other patients.**"
        )
    return "\n\n".join(
        [
            f"Measured by `s2ldm-train evaluate` on the cases{patients} of `{scores.data}` (split: {scores.split}), "
            f"detail `{scores.detail}`, {scores.steps} sampling step(s), against the registered real CECT: mean ± "
            "standard deviation over n cases. PSNR, SSIM, NMAE and NMSE at window 400, level 0.",
            *remarks,
            score_tables(scores),
        ]
    )
