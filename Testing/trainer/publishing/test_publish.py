"""A trained model becomes a repository that others can use: against a Hub on the loopback, with the real client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hub_repos import front_matter_errors
from hub_samples import HUB, REPO, files_of, message_of
from hub_server import HubServer
from huggingface_hub import ModelCard
from publish_samples import card_of, drafted, publish, published, write_scores
from S2LDMLib.errors import InputError
from S2LDMLib.model.layout import README_FILE, REQUIRED_FILES, weights_digest
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMTrainerLib.publishing.model_card import is_generated

# The client's own upload passes an argument that its HTTP library is about to rename.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

OWN_CARD = "---\nlicense: mit\ntags: [mine]\n---\n# My model\n\nMade by me.\n"


def run(*command: str | Path, home: Path, server: HubServer, token: str = "") -> subprocess.CompletedProcess[str]:
    """Run a module as users do who have nothing in their cache."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1,localhost", "HF_ENDPOINT": server.endpoint}
    settings |= {"HF_HOME": str(home / "home")} | ({"HF_TOKEN": token} if token else {})
    arguments = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(arguments, capture_output=True, text=True, env=clean | settings, timeout=120)


# The whole way, as users go it


def test_the_command_makes_the_repository_and_says_where_it_is(
    server: HubServer, trained: Path, tmp_path: Path
) -> None:
    arguments = ("publish", trained, REPO, "--scores", write_scores(trained), "--public")
    done = run("S2LDMTrainerLib", *arguments, home=tmp_path, server=server, token="hf_valid")
    assert done.returncode == 0, done.stderr
    commit = server.repos[REPO].resolve("main")
    assert done.stdout.startswith(f"Made {REPO} (public): {server.endpoint}/{REPO}/tree/{commit}\n")
    assert f"--model {HUB}@{commit}" in done.stdout
    assert "19.07" in card_of(server)
    assert "Traceback" not in done.stderr and "Xet" not in done.stderr


def test_a_published_model_translates_like_the_folder_it_came_from(
    hub: HubServer, trained: Path, small: S2LDMPipeline, phantom: PhantomTriple, tmp_path: Path
) -> None:
    publish(trained, private=False)
    sitk.WriteImage(phantom.ncct, str(tmp_path / "ncct.nrrd"))
    arguments = ("--phase", "venous", "--model", HUB, "--dtype", "float32", "--device", "cpu", "--progress", "none")
    files = (tmp_path / "ncct.nrrd", tmp_path / "venous.nrrd")
    done = run("S2LDMLib", "translate", *files, *arguments, home=tmp_path, server=hub)
    assert done.returncode == 0, done.stderr
    assert len([path for path in hub.requested("GET") if path.startswith("/cdn/")]) == 2  # nothing was cached
    synthetic, expected = sitk.ReadImage(str(tmp_path / "venous.nrrd")), small(phantom.ncct, "venous")
    assert np.array_equal(sitk.GetArrayFromImage(synthetic), sitk.GetArrayFromImage(expected))
    assert np.abs(sitk.GetArrayFromImage(synthetic) - sitk.GetArrayFromImage(phantom.ncct)).max() > 5
    assert synthetic.GetMetaData("S2LDM_model") == REPO
    assert synthetic.GetMetaData("S2LDM_revision") == hub.repos[REPO].resolve("main")


def test_a_dry_run_prints_the_card_and_sends_nothing(server: HubServer, trained: Path, tmp_path: Path) -> None:
    arguments = ("publish", trained, REPO, "--dry-run")
    done = run("S2LDMTrainerLib", *arguments, home=tmp_path, server=server, token="hf_valid")
    assert server.log == []
    assert done.returncode == 0
    assert is_generated(done.stdout)
    assert "Nothing was sent" in done.stderr and "denoiser/model.safetensors" in done.stderr


def test_bad_input_is_one_line_and_exit_code_2(server: HubServer, tmp_path: Path) -> None:
    done = run("S2LDMTrainerLib", "publish", tmp_path / "none", REPO, home=tmp_path, server=server)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "no model folder" in done.stderr


def test_a_missing_token_is_explained_with_exit_code_1(server: HubServer, trained: Path, tmp_path: Path) -> None:
    done = run("S2LDMTrainerLib", "publish", trained, REPO, home=tmp_path, server=server)
    assert server.repos == {}
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("s2ldm-train: ")
    assert "valid access token" in done.stderr and "Traceback" not in done.stderr


def test_asking_for_help_loads_no_torch() -> None:
    code = "import sys, S2LDMTrainerLib.commands.cli as c; c.build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# What goes up


def test_only_the_models_files_go_up_and_the_folder_stays_as_it_was(hub: HubServer, trained: Path) -> None:
    before = files_of(trained)
    publish(trained)
    up = published(hub)
    assert set(up) == {*REQUIRED_FILES, README_FILE}
    assert all(up[name] == before[name] for name in REQUIRED_FILES)
    assert files_of(trained) == before
    assert hub.repos[REPO].private


def test_the_card_on_the_hub_parses_and_holds_the_models_scores(hub: HubServer, trained: Path) -> None:
    publish(trained, scores=write_scores(trained), datasets=("lab/ct",), licence="cc-by-4.0")
    data = ModelCard.load(REPO).data
    assert front_matter_errors(card_of(hub)) == []
    assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-4.0", "s2ldm", "image-to-image")
    assert data.datasets == ["lab/ct"]
    assert {"ct", "arterial", "venous"} <= set(data.tags)
    found = {(result.dataset_config, result.metric_name): result.metric_value for result in data.eval_results}
    ssim = {(phase, "SSIM, body"): 0.6814 for phase in ("arterial", "venous")}
    assert found == ssim | {("arterial", "PSNR, body (dB)"): 19.07, ("venous", "PSNR, body (dB)"): 20.07}
    assert {result.dataset_split for result in data.eval_results} == {"validation"}
    assert data.metrics == ["psnr", "ssim"]


def test_the_card_shows_the_baselines_beside_the_model_with_spread_and_count(trained: Path) -> None:
    card = drafted(trained, scores=write_scores(trained)).card
    assert "| | model | identity | ceiling | bigger_model |\n|---|---|---|---|---|\n" in card
    cells = [f"{mean} ± 0.25 (n = 3)" for mean in ("19.07", "18.25", "25.50", "20.50")]
    assert f"| PSNR, body (dB) | {' | '.join(cells)} |" in card
    assert "| SSIM, body | 0.681 ± 0.030 (n = 3) | 0.668 (n = 1) |" in card
    assert "| liver, mae (HU) | 14.12 ± 0.25 (n = 3) |" in card
    assert "soft tissue core (dB)" not in card  # no case had it
    assert "jane" not in card and "core mae" not in card  # those are for the evaluation's own report


def test_the_card_says_that_it_was_scored_on_what_it_was_trained_on(trained: Path) -> None:
    card = drafted(trained, scores=write_scores(trained, patients=2, training_cases=[], note="Only scanner <B>.")).card
    assert "cases of 2 patient(s) of `pairs of ct` (split: validation)" in card
    assert "\n\nOnly scanner <B>.\n\n" in card and "to train on" not in card
    made = drafted(trained, scores=write_scores(trained, training_cases=["jane", "joe"]))
    assert any("to train on" in note for note in made.notes)
    assert ModelCard(made.card).data.eval_results is None and "model-index" not in made.card
    assert "**2 of these cases were there to train on" in made.card and "jane" not in made.card


def test_the_card_says_what_it_is_and_what_it_is_not_for(trained: Path) -> None:
    attribution = ("TCIA HCC-TACE-Seg, CC BY 4.0", "Our hospital, with consent")
    card = drafted(trained, attribution=attribution).card
    wanted = (
        "not for diagnosis", "Intended use", "Out of scope", "Limits and known failures", "2406.13977",
        f'from_pretrained("{HUB}")', f"--phase arterial --model {HUB}",
        f"`{HUB}@COMMIT` pins", *attribution, "| preset | `demo` |",
        "| data.share.pair | 0.6 |", "-200 to 500 HU", "not scored",
    )  # fmt: skip
    assert [text for text in wanted if text not in card] == []


def test_no_folder_of_this_machine_is_named(trained: Path) -> None:
    made = drafted(trained, scores=write_scores(trained))
    assert "pairs of ct" in made.card
    assert "/home" not in made.card and str(trained) not in made.card
    assert weights_digest(trained)[:12] in made.message
    config = json.loads((trained / "config.json").read_text())
    config["provenance"] = {"data": "see https://doi.org/10/x and a/b/c", "run": "from /home/jane/runs/3"}
    (trained / "config.json").write_text(json.dumps(config))
    assert any("names folders of a machine in its provenance (run)" in note for note in drafted(trained).notes)


def test_missing_statements_are_asked_for(trained: Path) -> None:
    notes = " ".join(drafted(trained).notes)
    assert "--data-attribution" in notes and "--scores" in notes
    complete = drafted(trained, attribution=("Ours",), scores=write_scores(trained))
    assert len(complete.notes) == 1  # where the recipe came from


# Whose card it is


def test_a_card_of_ones_own_keeps_its_text_and_gets_the_missing_fields(trained: Path) -> None:
    (trained / README_FILE).write_text(OWN_CARD)
    made = drafted(trained, scores=write_scores(trained), datasets=("lab/ct",))
    data = ModelCard(made.card).data
    assert made.card.endswith("---\n# My model\n\nMade by me.\n")
    assert data.license == "mit"
    assert data.tags[0] == "mine" and "ct" in data.tags
    assert data.datasets == ["lab/ct"]
    assert len(data.eval_results) == 4
    assert front_matter_errors(made.card) == []
    assert any("changed by hand" in note for note in made.notes)
    assert ModelCard(drafted(trained, licence="cc-by-4.0").card).data.license == "cc-by-4.0"
    (trained / README_FILE).write_text("# Mine\n")  # without front matter
    card = drafted(trained).card
    assert card.endswith("---\n# Mine\n")
    assert ModelCard(card).data.license == "apache-2.0"


def test_a_generated_card_is_written_anew_and_a_changed_one_is_kept(trained: Path) -> None:
    first = drafted(trained).card
    (trained / README_FILE).write_text(first)
    anew = drafted(trained, "lab/other").card
    assert "lab/other" in anew and REPO not in anew
    (trained / README_FILE).write_text(first.replace("## Citation", "## How to cite"))
    kept = drafted(trained, "lab/other").card
    assert "## How to cite" in kept and REPO in kept
    assert "## Citation" in drafted(trained, "lab/other", replace_card=True).card


def test_a_card_that_was_edited_on_the_hub_is_not_replaced_in_silence(hub: HubServer, trained: Path) -> None:
    publish(trained)
    edited = card_of(hub).replace("## Citation", "## How to cite")
    hub.repos[REPO].commit({README_FILE: edited.encode()})
    with pytest.raises(InputError, match="--replace-card") as error:
        publish(trained)
    assert REPO in message_of(error)
    assert card_of(hub) == edited
    publish(trained, replace_card=True)
    assert "## Citation" in card_of(hub)
    hub.repos[REPO].commit({README_FILE: edited.encode()})
    (trained / README_FILE).write_text(edited)
    publish(trained)
    assert "## How to cite" in card_of(hub)


# A repository that exists


def test_publishing_again_adds_a_commit_and_says_so(hub: HubServer, trained: Path) -> None:
    assert publish(trained).startswith(f"Made {REPO} (private): ")
    assert publish(trained, scores=write_scores(trained)).startswith(f"Updated {REPO} (private): ")
    assert len(hub.repos[REPO].commits) == 2
    assert "19.07" in card_of(hub)


def test_a_repository_keeps_its_visibility(hub: HubServer, trained: Path) -> None:
    publish(trained, "lab/open", private=False)
    assert not hub.repos["lab/open"].private
    with pytest.raises(InputError, match="lab/open exists and is public"):
        publish(trained, "lab/open")
    assert len(hub.repos["lab/open"].commits) == 1
    assert "(public)" in publish(trained, "lab/open", private=False)
    publish(trained)
    assert "private and stays so" in publish(trained, private=False)
    assert hub.repos[REPO].private
