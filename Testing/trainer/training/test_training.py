"""Training runs as a user starts them: repeated, killed, stopped, resumed, shared out over processes, and failing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMTrainerLib.training.checkpoint import best_checkpoint, last_checkpoint
from safetensors.torch import load_file
from trainer_runs import WEIGHTS, checkpoints, command, finish, start, weights, write_preset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five prepared phantoms: four patients to train on, one to validate on."""
    folder = tmp_path_factory.mktemp("data") / "prepared"
    arguments = ["-m", "S2LDMTrainerLib", "prepare", str(folder), "--phantoms", "5", "--phantom-size", "64", "64", "12"]
    code, _, err = finish(start([*arguments, "--spacing", "5", "5", "5", "--jobs", "1", "--progress", "none"]))
    assert code == 0, err
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="module")
def finished(data: Path, preset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    code, _, err = finish(start(command(data, run, preset)))
    assert code == 0, err
    return run


def wait_for_step(run: Path, stage: str, step: int) -> None:
    """Until a checkpoint of this step, or a later one, is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(int(folder.name[5:]) >= step for folder in (run / stage).glob("step_*")):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{run} never came to step {step} of the {stage}")


def test_a_run_leaves_a_model_that_translates_and_tells_how_it_was_made(finished: Path, phantom) -> None:
    pipeline = S2LDMPipeline.from_pretrained(finished / "model", device="cpu")
    result = pipeline(phantom.ncct, "venous")
    assert result.GetSize() == phantom.ncct.GetSize()
    assert "12 autoencoder steps" in pipeline.config.provenance["training"]
    assert "4 cases of 4 patients (4 phantom)" in pipeline.config.provenance["cases"]


def test_a_run_tells_what_it_does(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "progress.jsonl").read_text().splitlines()]
    last = {line["stage"]: line for line in lines if "values" in line}
    assert (last["autoencoder"]["step"], last["denoiser"]["step"]) == (12, 12)
    assert {"l1_hu", "similarity", "vq", "adversarial"} <= set(last["autoencoder"]["values"])
    validations = {(line["stage"], line["step"]): line["validation"] for line in lines if "validation" in line}
    assert set(validations) == {("autoencoder", 6), ("autoencoder", 12), ("denoiser", 8), ("denoiser", 12)}
    assert validations["autoencoder", 12]["codes_used"] > 1
    assert lines[-1]["event"] == "done"
    assert list((finished / "pictures").glob("phantom_*_arterial_00000012.png"))
    assert list((finished / "tensorboard").glob("events*"))


def test_the_last_and_the_best_checkpoint_are_kept(finished: Path) -> None:
    for stage in ("autoencoder", "denoiser"):
        last, best = last_checkpoint(finished / stage), best_checkpoint(finished / stage)
        assert last.step == 12 and best.score <= last.score
        assert len(list((finished / stage).iterdir())) == len({last, best})


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    data: Path, preset: Path, finished: Path, tmp_path: Path
) -> None:
    for run, more in (("again", ()), ("other", ("--set", "seed=1"))):
        assert finish(start(command(data, tmp_path / run, preset, *more)))[0] == 0
    assert weights(tmp_path / "again") == weights(finished)
    assert weights(tmp_path / "other") != weights(finished)


@pytest.mark.parametrize("stage", ["autoencoder", "denoiser"])
def test_a_killed_run_goes_on_to_the_same_weights(
    data: Path, preset: Path, finished: Path, tmp_path: Path, stage: str
) -> None:
    run = tmp_path / "run"
    process = start(command(data, run, preset))
    wait_for_step(run, stage, 5)
    time.sleep(float(np.random.default_rng().uniform(0, 0.5)))  # at a random step: any is right
    process.send_signal(signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    code, lines, err = finish(start(command(data, run, preset, "--resume")))
    assert code == 0, err
    assert any("going on from step" in line.get("message", "") for line in lines)
    assert weights(run) == weights(finished)


@pytest.mark.slow
def test_a_stopped_run_writes_a_checkpoint_and_goes_on_to_the_same_weights(
    data: Path, preset: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(command(data, run, preset))
    wait_for_step(run, "autoencoder", 5)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 130 and "go on with --resume" in err and err.count("\n") == 1
    assert not (run / "model").exists()
    assert finish(start(command(data, run, preset, "--resume")))[0] == 0
    assert weights(run) == weights(finished)


def loss_curve(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "progress.jsonl").read_text().splitlines()]
    return [line["validation"] for line in lines if "validation" in line]


def agree(run: Path, other: Path) -> None:
    """The same curve and weights within what the order of sums in fp32 makes."""
    for a, b in zip(loss_curve(run), loss_curve(other), strict=True):
        assert a == pytest.approx(b, rel=2e-3)
    for name in WEIGHTS:
        ours, theirs = (load_file(folder / "model" / name) for folder in (run, other))
        for key, tensor in ours.items():
            assert torch.allclose(tensor, theirs[key], rtol=1e-3, atol=2e-4), key


def test_two_processes_with_half_the_batch_each_train_as_one_does(
    data: Path, preset: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    code, _, err = finish(start([*launch, *command(data, run, preset)]))
    assert code == 0, err
    agree(run, finished)


@pytest.fixture
def two_hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces, joined by a cable: hosts of their own as far as the network goes."""
    tag = f"s2{os.getpid() % 10000}"
    names, ends = (f"{tag}a", f"{tag}b"), (f"{tag}v0", f"{tag}v1")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        ip("netns", "add", names[0])
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine allows no network namespaces (root and iproute2 are needed): {error}")
    try:
        ip("netns", "add", names[1])
        ip("link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            ip("-n", name, "addr", "add", f"192.0.2.{number}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.slow
def test_two_machines_train_as_one_does(
    data: Path, preset: Path, finished: Path, tmp_path: Path, two_hosts: tuple[str, str]
) -> None:
    run, processes = tmp_path / "run", []
    for rank, host in enumerate(two_hosts):
        launch = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(rank),
                  "--master-addr", "192.0.2.1", "--master-port", "29555"]  # fmt: skip
        inside, interface = ("ip", "netns", "exec", host), host[:-1] + f"v{rank}"
        processes.append(start([*launch, *command(data, run, preset)], prefix=inside, GLOO_SOCKET_IFNAME=interface))
    for process in processes:
        code, _, err = finish(process)
        assert code == 0, err
    agree(run, finished)


@pytest.mark.slow
def test_gradient_accumulation_trains_as_one_pass_does(
    data: Path, preset: Path, finished: Path, tmp_path: Path
) -> None:
    assert finish(start(command(data, tmp_path / "run", preset, "--accumulate", "2")))[0] == 0
    agree(tmp_path / "run", finished)


@pytest.mark.slow
def test_a_lost_process_ends_the_run_with_a_message_and_a_checkpoint(data: Path, preset: Path, tmp_path: Path) -> None:
    run, port = tmp_path / "run", str(29500 + np.random.default_rng().integers(400))
    steps = ("--set", "autoencoder_training.schedule.steps=4000")
    processes = [
        start(command(data, run, preset, *steps), MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE="2",
              RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(2)
    ]  # fmt: skip
    wait_for_step(run, "autoencoder", 5)
    processes[1].send_signal(signal.SIGKILL)
    code, _, err = finish(processes[0])
    finish(processes[1])
    assert code == 1 and "Another process of this run was lost" in err and "--resume" in err
    assert checkpoints(run)


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run_before_the_weights_are_spoilt(
    data: Path, preset: Path, tmp_path: Path
) -> None:
    more = ("--set", "autoencoder_training.schedule.learning_rate=1e30")
    code, _, err = finish(start(command(data, tmp_path / "run", preset, *more)))
    assert code == 1 and "lower learning rate" in err and err.count("\n") == 1
    last = json.loads((tmp_path / "run" / "progress.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "failed" and "lower learning rate" in last["message"]


@pytest.mark.slow
def test_too_little_memory_is_explained(data: Path, preset: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limits")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))

    more = ("--set", "autoencoder_training.crop=[1,12000,12000]")
    code, _, err = finish(start(command(data, tmp_path / "run", preset, *more), limit))
    assert code == 1 and "Memory ran out in step 1 of the autoencoder" in err and "--accumulate" in err


@pytest.mark.slow
def test_a_full_disk_is_explained_and_the_checkpoint_before_stays(
    data: Path, preset: Path, finished: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands in for the full disk: the system refuses the write all the same."""
    run = tmp_path / "run"
    more = ("--set", "autoencoder_training.schedule.steps=8")
    assert finish(start(command(data, run, preset, *more)))[0] == 0
    before = checkpoints(run)

    resource = pytest.importorskip("resource", reason="Windows has no limits")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code, _, err = finish(start(command(data, tmp_path / "full", preset), limit))
    assert code == 1 and "Free some" in err and "--resume" in err
    assert not list((tmp_path / "full").rglob("*.partial")) and not list((tmp_path / "full").glob("*/step_*"))
    assert checkpoints(run) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "autoencoder_training.crop=[40,48,48]"), "phantom_100 has 12 slices"),
        (("--set", "preprocess.spacing=[1.5,1.5,5]"), "again with --spacing 1.5 1.5 5"),
        (("--hold-out", "HCC_001"), "no patient HCC_001 to hold out. Use one of phantom_100"),
        (("--accumulate", "3"), "batch of 4 cannot be divided"),
        (("--accumulate", "0"), "--accumulate is 0"),
        (("--set", 'phases=["delayed"]'), "holds no training pair with delayed"),
        (("--set", "diffusion_training.crop=[2,60,64]"), "must be a multiple of"),
        (("--set", "precision=fp16"), "fp16 needs a GPU"),
        (("--set", "sed=1"), "no key 'sed'"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(
    data: Path, preset: Path, tmp_path: Path, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from accelerate.state import AcceleratorState
    from S2LDMTrainerLib.commands.cli import main

    AcceleratorState._reset_state(reset_partial_state=True)
    code = main(command(data, tmp_path / "run", preset, *more)[2:])
    err = capsys.readouterr().err
    assert code == 2 and message in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_another_recipe_cannot_resume_a_run(
    data: Path, preset: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from S2LDMTrainerLib.commands.cli import main

    before = weights(finished)
    for more, message in (((), "holds a run already"), (("--resume", "--set", "seed=5"), "another recipe: seed")):
        assert main(command(data, finished, preset, *more)[2:]) == 2
        assert message in capsys.readouterr().err
    assert weights(finished) == before
