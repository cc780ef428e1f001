"""A finished training run, an evaluation of its model, and what is in a repository after it was published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hub_samples import REPO
from hub_server import HubServer
from S2LDMLib.model.layout import README_FILE, weights_digest
from S2LDMTrainerLib.publishing.publish import Draft, PublishRequest, draft, upload


def finished_run(model: Path, folder: Path) -> Path:
    """Make the model folder of a run below ``folder``: a copy of a model, with other things lying around it."""
    made = Path(shutil.copytree(model, folder / "run" / "model"))
    (made / "notes.txt").write_text("not of the model")
    recipe = {"preset": "demo", "data": {"folder": "/home/jane/ct", "share": {"pair": 0.6}}, "notes": None}
    (made.parent / "recipe.json").write_text(json.dumps(recipe))
    return made


def statistics(mean: float | str | None, sd: float | None = 0.25, n: int = 3) -> dict[str, Any]:
    """Return one metric of a summary."""
    return {"mean": mean, "sd": sd, "n": n}


def write_scores(folder: Path, **changes: Any) -> Path:
    """Write what ``evaluate`` says of a model beside its folder, with these fields changed."""
    phases = {}
    for phase, psnr in (("arterial", 19.07), ("venous", 20.07)):
        model = {
            "organ/liver/mae_hu": statistics(14.125),
            "organ/liver/core_mae_hu": statistics(11.5),
            "roi/jane_aorta/real_hu": statistics(350.0),
            "body_psnr": statistics(psnr),
            "body_ssim": statistics(0.6814, 0.03),
            "soft_core_psnr": statistics(None, None, 0),
        }
        summary = {
            "ceiling": {"body_psnr": statistics(25.5)},
            "identity": {"body_psnr": statistics(18.25), "body_ssim": statistics(0.668, None, 1)},
            "model": model,
            "bigger_model": {"body_psnr": statistics(20.5)},
        }
        phases[phase] = {"cases": {}, "summary": summary}
    scored = {"id": "model", "revision": weights_digest(folder), "detail": "native", "steps": 1}
    found = {"version": 1, "model": scored, "data": "/home/jane/pairs of ct", "split": "validation", "phases": phases}
    file = folder.parent / "evaluation.json"
    file.write_text(json.dumps(found | changes))
    return file


def drafted(folder: Path, repo_id: str = REPO, **options: Any) -> Draft:
    """Check a model and write its card, as the command does."""
    return draft(PublishRequest(folder, repo_id, **options))


def publish(folder: Path, repo_id: str = REPO, **options: Any) -> str:
    """Publish as the command does, and return what it tells the user."""
    return upload(PublishRequest(folder, repo_id, **options), drafted(folder, repo_id, **options))


def published(server: HubServer, repo_id: str = REPO) -> dict[str, bytes]:
    """Return the newest files of a repository."""
    return next(reversed(server.repos[repo_id].commits.values()))


def card_of(server: HubServer, repo_id: str = REPO) -> str:
    """Return the newest card of a repository."""
    return published(server, repo_id)[README_FILE].decode()
