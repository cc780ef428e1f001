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
from hub_samples import REPO, files_of, message_of
from hub_server import HubServer
from huggingface_hub import ModelCard
from publish_samples import card_of, finished_run, publish, published, write_scores
from S2LDMLib.errors import InputError
from S2LDMLib.model.layout import README_FILE, REQUIRED_FILES, weights_digest
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMTrainerLib.publishing.model_card import is_generated
from S2LDMTrainerLib.publishing.publish import PublishRequest, draft

# The client's own upload passes an argument that its HTTP library is about to rename.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

OWN_CARD = "---\nlicense: mit\ntags: [mine]\n---\n# My model\n\nMade by me.\n"


@pytest.fixture
def trained(small_model: Path, tmp_path: Path) -> Path:
    return finished_run(small_model, tmp_path)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, server: HubServer) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_valid")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1,localhost", **environment}
    arguments = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(arguments, capture_output=True, text=True, env={**clean, **settings}, timeout=120)


# The whole way, as users go it


def test_the_command_makes_the_repository_and_says_where_it_is(trained: Path, tmp_path: Path) -> None:
    with HubServer() as server:
        hub = {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": "hf_valid", "HF_HOME": str(tmp_path / "home")}
        done = run("S2LDMTrainerLib", "publish", trained, REPO, "--scores", write_scores(trained), "--public", **hub)
        assert done.returncode == 0, done.stderr
        commit = server.repos[REPO].resolve("main")
        assert done.stdout.startswith(f"Made {REPO} (public): {server.endpoint}/{REPO}/tree/{commit}\n")
        assert "19.07" in card_of(server)
    assert "Traceback" not in done.stderr and "Xet" not in done.stderr


@pytest.mark.usefixtures("token")
def test_a_published_model_translates_like_the_folder_it_came_from(
    server: HubServer, trained: Path, small: S2LDMPipeline, phantom: PhantomTriple, tmp_path: Path
) -> None:
    publish(trained, private=False)
    sitk.WriteImage(phantom.ncct, str(tmp_path / "ncct.nrrd"))
    arguments = ("--phase", "venous", "--model", REPO, "--dtype", "float32", "--device", "cpu", "--progress", "none")
    stranger = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "empty")}
    done = run("S2LDMLib", "translate", tmp_path / "ncct.nrrd", tmp_path / "venous.nrrd", *arguments, **stranger)
    assert done.returncode == 0, done.stderr
    assert len([path for path in server.requested("GET") if path.startswith("/cdn/")]) == 2  # nothing was cached
    synthetic, expected = sitk.ReadImage(str(tmp_path / "venous.nrrd")), small(phantom.ncct, "venous")
    assert np.array_equal(sitk.GetArrayFromImage(synthetic), sitk.GetArrayFromImage(expected))
    assert np.abs(sitk.GetArrayFromImage(synthetic) - sitk.GetArrayFromImage(phantom.ncct)).max() > 5
    assert synthetic.GetMetaData("S2LDM_model") == REPO
    assert synthetic.GetMetaData("S2LDM_revision") == server.repos[REPO].resolve("main")


def test_a_dry_run_prints_the_card_and_sends_nothing(trained: Path, tmp_path: Path) -> None:
    with HubServer() as server:
        hub = {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": "hf_valid", "HF_HOME": str(tmp_path / "home")}
        done = run("S2LDMTrainerLib", "publish", trained, REPO, "--dry-run", **hub)
        assert server.log == []
    assert done.returncode == 0
    assert is_generated(done.stdout)
    assert "Nothing was sent" in done.stderr and "denoiser/model.safetensors" in done.stderr


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = run("S2LDMTrainerLib", "publish", tmp_path / "none", REPO)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "There is no model folder" in done.stderr


def test_a_missing_token_is_explained_with_exit_code_1(trained: Path, tmp_path: Path) -> None:
    with HubServer() as server:
        hub = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home")}
        done = run("S2LDMTrainerLib", "publish", trained, REPO, **hub)
        assert server.repos == {}
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("s2ldm-train: ")
    assert "asks for a valid access token" in done.stderr and "Traceback" not in done.stderr


def test_asking_for_help_loads_no_torch() -> None:
    code = "import sys, S2LDMTrainerLib.commands.publish; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# What goes up


@pytest.mark.usefixtures("token")
def test_only_the_models_files_go_up_and_the_folder_stays_as_it_was(server: HubServer, trained: Path) -> None:
    before = files_of(trained)
    publish(trained)
    up = published(server)
    assert set(up) == {*REQUIRED_FILES, README_FILE}
    assert all(up[name] == before[name] for name in REQUIRED_FILES)
    assert files_of(trained) == before
    assert server.repos[REPO].private


@pytest.mark.usefixtures("token")
def test_the_card_on_the_hub_parses_and_holds_the_models_scores(server: HubServer, trained: Path) -> None:
    publish(trained, scores=write_scores(trained), datasets=("lab/ct",), licence="cc-by-4.0")
    data = ModelCard.load(REPO).data
    assert front_matter_errors(card_of(server)) == []
    assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-4.0", "s2ldm", "image-to-image")
    assert data.datasets == ["lab/ct"]
    assert {"ct", "arterial", "venous"} <= set(data.tags)
    found = {(result.dataset_config, result.metric_name): result.metric_value for result in data.eval_results}
    assert found == {
        ("arterial", "PSNR, body (dB)"): 19.07,
        ("arterial", "SSIM, body"): 0.6814,
        ("venous", "PSNR, body (dB)"): 20.07,
        ("venous", "SSIM, body"): 0.6814,
    }
    assert {result.dataset_split for result in data.eval_results} == {"validation"}
    assert data.metrics == ["psnr", "ssim"]


def test_the_card_shows_the_baselines_beside_the_model_with_spread_and_count(trained: Path) -> None:
    card = draft(PublishRequest(trained, REPO, scores=write_scores(trained))).card
    assert "| | model | identity | ceiling | bigger_model |" in card
    cells = [f"{mean} ± 0.25 (n = 3)" for mean in ("19.07", "18.25", "25.50", "20.50")]
    assert f"| PSNR, body (dB) | {' | '.join(cells)} |" in card
    assert "| SSIM, body | 0.681 ± 0.030 (n = 3) | 0.668 (n = 1) |" in card
    assert "| liver, mae (HU) | 14.12 ± 0.25 (n = 3) |" in card
    assert "soft tissue core (dB)" not in card  # no case had it
    assert "jane" not in card and "core mae" not in card  # those are for the evaluation's own report


def test_the_card_says_that_it_was_scored_on_what_it_was_trained_on(trained: Path) -> None:
    unseen = write_scores(trained, patients=2, training_cases=[], note="Scanner B only.")
    card = draft(PublishRequest(trained, REPO, scores=unseen)).card
    assert "cases of 2 patient(s) of `pairs of ct` (split: validation)" in card
    assert "Scanner B only." in card and "to train on" not in card
    seen = write_scores(trained, training_cases=["jane", "joe"])
    made = draft(PublishRequest(trained, REPO, scores=seen))
    card = made.card
    assert any("there to train on" in note for note in made.notes)
    assert ModelCard(card).data.eval_results is None and "model-index" not in card
    assert "**2 of these cases were there to train on" in card and "jane" not in card


def test_the_card_says_what_it_is_and_what_it_is_not_for(trained: Path) -> None:
    attribution = ("TCIA HCC-TACE-Seg, CC BY 4.0", "Our hospital, with consent")
    card = draft(PublishRequest(trained, REPO, attribution=attribution)).card
    wanted = (
        "not for diagnosis", "Intended use", "Out of scope", "Limits and known failures", "2406.13977",
        f'from_pretrained("{REPO}")', f"--phase arterial --model {REPO}", *attribution, "| preset | `demo` |",
        "| data.share.pair | 0.6 |", "-200 to 500 HU", "not scored",
    )  # fmt: skip
    assert [text for text in wanted if text not in card] == []


def test_neither_card_nor_message_names_folders_of_this_machine(trained: Path) -> None:
    made = draft(PublishRequest(trained, REPO, scores=write_scores(trained)))
    assert "pairs of ct" in made.card
    assert "/home" not in made.card and str(trained) not in made.card
    assert weights_digest(trained)[:12] in made.message


def test_a_provenance_with_a_folder_of_this_machine_is_pointed_out(trained: Path) -> None:
    config = json.loads((trained / "config.json").read_text())
    config["provenance"] = {"data": "see https://doi.org/10/x and a/b/c", "run": "from /home/jane/runs/3"}
    (trained / "config.json").write_text(json.dumps(config))
    notes = " ".join(draft(PublishRequest(trained, REPO)).notes)
    assert "config.json names folders of a machine in its provenance (run)" in notes


def test_a_recipe_in_the_model_folder_goes_before_the_one_beside_it(trained: Path) -> None:
    (trained / "training.json").write_text('{"preset": "paper"}')
    assert "| preset | `paper` |" in draft(PublishRequest(trained, REPO)).card


def test_missing_statements_are_asked_for(trained: Path) -> None:
    notes = " ".join(draft(PublishRequest(trained, REPO)).notes)
    assert "--data-attribution" in notes and "--scores" in notes
    complete = PublishRequest(trained, REPO, attribution=("Ours",), scores=write_scores(trained))
    assert len(draft(complete).notes) == 1  # where the recipe came from


# Whose card it is


def test_a_card_of_ones_own_keeps_its_text_and_gets_the_missing_fields(trained: Path) -> None:
    (trained / README_FILE).write_text(OWN_CARD)
    made = draft(PublishRequest(trained, REPO, scores=write_scores(trained), datasets=("lab/ct",)))
    card = ModelCard(made.card)
    assert made.card.endswith("---\n# My model\n\nMade by me.\n")
    assert card.data.license == "mit"
    assert card.data.tags[0] == "mine" and "ct" in card.data.tags
    assert card.data.datasets == ["lab/ct"]
    assert len(card.data.eval_results) == 4
    assert front_matter_errors(made.card) == []
    assert any("written or changed by hand" in note for note in made.notes)
    asked = draft(PublishRequest(trained, REPO, licence="cc-by-4.0"))
    assert ModelCard(asked.card).data.license == "cc-by-4.0"


def test_a_card_without_front_matter_gets_one(trained: Path) -> None:
    (trained / README_FILE).write_text("# Mine\n")
    card = draft(PublishRequest(trained, REPO)).card
    assert card.endswith("---\n# Mine\n")
    assert ModelCard(card).data.license == "apache-2.0"


def test_a_generated_card_is_written_anew_and_a_changed_one_is_kept(trained: Path) -> None:
    first = draft(PublishRequest(trained, REPO)).card
    (trained / README_FILE).write_text(first)
    anew = draft(PublishRequest(trained, "lab/other"))
    assert "lab/other" in anew.card and REPO not in anew.card
    (trained / README_FILE).write_text(first.replace("## Citation", "## How to cite"))
    kept = draft(PublishRequest(trained, "lab/other"))
    assert "## How to cite" in kept.card and REPO in kept.card
    assert "## Citation" in draft(PublishRequest(trained, "lab/other", replace_card=True)).card


@pytest.mark.usefixtures("token")
def test_a_card_that_was_edited_on_the_hub_is_not_replaced_in_silence(server: HubServer, trained: Path) -> None:
    publish(trained)
    edited = card_of(server).replace("## Citation", "## How to cite")
    server.repos[REPO].commit({README_FILE: edited.encode()})
    with pytest.raises(InputError) as error:
        publish(trained)
    assert f"The card of {REPO} was written or changed by hand" in message_of(error)
    assert "--replace-card" in message_of(error)
    assert card_of(server) == edited
    publish(trained, replace_card=True)
    assert "## Citation" in card_of(server)
    server.repos[REPO].commit({README_FILE: edited.encode()})
    (trained / README_FILE).write_text(edited)
    publish(trained)
    assert "## How to cite" in card_of(server)


# A repository that exists


@pytest.mark.usefixtures("token")
def test_publishing_again_adds_a_commit_and_says_so(server: HubServer, trained: Path) -> None:
    assert publish(trained).startswith(f"Made {REPO} (private): ")
    assert publish(trained, scores=write_scores(trained)).startswith(f"Updated {REPO} (private): ")
    assert len(server.repos[REPO].commits) == 2
    assert "19.07" in card_of(server)


@pytest.mark.usefixtures("token")
def test_a_private_model_does_not_get_into_a_public_repository(server: HubServer, trained: Path) -> None:
    publish(trained, private=False)
    assert not server.repos[REPO].private
    with pytest.raises(InputError) as error:
        publish(trained)
    assert f"{REPO} exists and is public" in message_of(error)
    assert len(server.repos[REPO].commits) == 1
    assert "(public)" in publish(trained, private=False)


@pytest.mark.usefixtures("token")
def test_a_private_repository_stays_private(server: HubServer, trained: Path) -> None:
    publish(trained)
    assert "It was private and stays so." in publish(trained, private=False)
    assert server.repos[REPO].private
