"""A finished training run, an evaluation of its model, and what is in a repository after it was published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hub_samples import REPO
from hub_server import HubServer
from S2LDMLib.model.layout import README_FILE, weights_digest
from S2LDMTrainerLib.publishing.publish import PublishRequest, draft, upload


def finished_run(model: Path, folder: Path) -> Path:
    """The model folder of a run below ``folder``: a copy of a model, with other things lying around it."""
    made = Path(shutil.copytree(model, folder / "run" / "model"))
    (made / "notes.txt").write_text("not of the model")
    recipe = {"preset": "demo", "data": {"folder": "/home/jane/ct", "share": {"pair": 0.6}}, "notes": None}
    (made.parent / "recipe.json").write_text(json.dumps(recipe))
    return made


def figures(mean: float | None, sd: float | None = 0.25, n: int = 3) -> dict[str, float | int | None]:
    """One metric of a summary."""
    return {"mean": mean, "sd": sd, "n": n}


def evaluation(folder: Path) -> dict[str, Any]:
    """What ``evaluate`` writes about a model."""
    phases = {
        phase: {
            "cases": {},
            "summary": {
                "ceiling": {"body_psnr": figures(25.5 + number)},
                "identity": {"body_psnr": figures(18.25), "body_ssim": figures(0.668, None, 1)},
                "model": {
                    "organ/liver/mae_hu": figures(14.125),
                    "organ/liver/core_mae_hu": figures(11.5),
                    "roi/jane_aorta/real_hu": figures(350.0),
                    "body_psnr": figures(19.07 + number),
                    "body_ssim": figures(0.6814, 0.03),
                    "soft_core_psnr": figures(None, None, 0),
                },
                "bigger_model": {"body_psnr": figures(20.5)},
            },
        }
        for number, phase in enumerate(("arterial", "venous"))
    }
    scored = {"id": "model", "revision": weights_digest(folder), "detail": "native", "steps": 1}
    return {"version": 1, "model": scored, "data": "/home/jane/pairs of ct", "split": "validation", "phases": phases}


def write_scores(folder: Path, **changes: Any) -> Path:
    """Write an evaluation of a model beside it, with these fields changed."""
    file = folder.parent / "evaluation.json"
    file.write_text(json.dumps({**evaluation(folder), **changes}))
    return file


def publish(folder: Path, repo_id: str = REPO, **options: Any) -> str:
    """Publish as the command does; returns what it tells the user."""
    request = PublishRequest(folder, repo_id, **options)
    return upload(request, draft(request))


def published(server: HubServer, repo_id: str = REPO) -> dict[str, bytes]:
    """The newest files of a repository."""
    repo = server.repos[repo_id]
    return repo.commits[repo.resolve("main")]


def card_of(server: HubServer, repo_id: str = REPO) -> str:
    """The newest card of a repository."""
    return published(server, repo_id)[README_FILE].decode()
