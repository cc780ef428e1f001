"""What a command writes: never over its input or over itself, all of it or nothing, and readable on any console."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import SimpleITK as sitk
from S2LDMLib.atomic import atomic_write, together
from S2LDMLib.commands.cli import main
from S2LDMLib.phantom.scan import PhantomTriple, make_phantom
from S2LDMLib.volume.detached import files_of

pytestmark = pytest.mark.usefixtures("restored")
Spelling = Callable[[Path], Path]
PHASE = ("--phase", "arterial", "--overwrite")


def by_another_path(volume: Path) -> Path:
    return volume.parent / ".." / volume.parent.name / volume.name


def by_a_link(volume: Path) -> Path:
    volume.with_name("link.nrrd").symlink_to(volume)
    return volume.with_name("link.nrrd")


def by_a_hard_link(volume: Path) -> Path:
    os.link(volume, volume.with_name("hard.nrrd"))
    return volume.with_name("hard.nrrd")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    sitk.WriteImage(sitk.Image([32, 32, 8], sitk.sitkInt16), str(tmp_path / "in.nrrd"))
    return tmp_path / "in.nrrd"


@pytest.mark.parametrize("spelling", [by_another_path, by_a_link, by_a_hard_link])
@pytest.mark.parametrize("option", ["OUTPUT", "--sd"])
def test_nothing_is_written_over_the_input(
    volume: Path, spelling: Spelling, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, target = volume.read_bytes(), str(spelling(volume))
    several = ["--samples", "2", "--steps", "2", "--sd", target]
    outputs = [target] if option == "OUTPUT" else [str(volume.with_name("out.nrrd")), *several]
    assert main(["translate", str(volume), *outputs, *PHASE]) == 2
    assert f"{option} " in (said := capsys.readouterr().err) and "is the input" in said
    assert volume.read_bytes() == before


def test_the_voxels_of_a_detached_header_are_input_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scan.nhdr").write_text("NRRD0004\ntype: short\ndata file: scan.nrrd\n\n")
    (tmp_path / "scan.nrrd").write_bytes(b"voxels")
    assert main(["translate", str(tmp_path / "scan.nhdr"), str(tmp_path / "scan.nrrd"), *PHASE]) == 2
    assert "is the input" in capsys.readouterr().err and (tmp_path / "scan.nrrd").read_bytes() == b"voxels"


@pytest.mark.parametrize(
    ("name", "header", "data"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = a.zraw\n", ["a.zraw"]),
        ("a.mhd", "NDims = 3\nElementDataFile = LIST\none.raw\ntwo.raw\n", ["one.raw", "two.raw"]),
        ("a.mhd", "NDims = 3\nElementDataFile = LOCAL\n", []),
        ("a.nhdr", "NRRD0004\ndatafile: a.raw.gz\n", ["a.raw.gz"]),
        ("a.nrrd", "NRRD0004\ndata file: other.raw\n", []),
    ],
)
def test_a_header_names_its_data_files(tmp_path: Path, name: str, header: str, data: list[str]) -> None:
    (tmp_path / name).write_text(header)
    assert files_of(tmp_path / name) == [tmp_path / each for each in (name, *data)]


@pytest.mark.parametrize(
    "options",
    [
        ("out.nrrd", "--samples", "2", "--steps", "2", "--sd", "out.nrrd"),
        ("out.nrrd", "--samples", "2", "--steps", "2", "--sd", "out.mha", "--sidecar"),
    ],
)
def test_two_outputs_need_two_files(volume: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    placed = [str(volume.with_name(each)) if each.startswith("out.") else each for each in options]
    assert main(["translate", str(volume), *placed, *PHASE]) == 2
    assert "a file of its own" in capsys.readouterr().err and list(volume.parent.iterdir()) == [volume]


def test_files_that_belong_together_are_all_there_or_none(tmp_path: Path) -> None:
    files = [tmp_path / "one.txt", tmp_path / "two.txt"]
    files[0].write_text("before")

    def write(fails: bool) -> None:
        with together():
            for file in files:
                with atomic_write(file) as partial:
                    partial.write_text("after")
            assert files[0].read_text() == "before" and not files[1].exists()
            if fails:
                raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write(fails=True)
    assert files[0].read_text() == "before" and list(tmp_path.iterdir()) == [files[0]]
    write(fails=False)
    assert [file.read_text() for file in files] == ["after", "after"] and len(list(tmp_path.iterdir())) == 2


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / f"{'x' * 248}.nii.gz") as partial:
        partial.write_text("voxels")
    assert len(next(tmp_path.iterdir()).name) == 255


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**63])
def test_a_seed_out_of_range_is_refused_before_any_work(
    volume: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    output = volume.with_name("out.nrrd")
    assert main(["translate", str(volume), str(output), *PHASE, f"--seed={seed}"]) == 2
    assert "out of range" in capsys.readouterr().err and not output.exists()


def test_the_demo_keeps_the_volume_that_its_results_were_made_from(
    tmp_path: Path, phantom: PhantomTriple, small_model: Path
) -> None:
    out, own = tmp_path / "demo", tmp_path / "own.nrrd"
    out.mkdir()
    (out / "ncct.nrrd").write_text("the phantom of before")
    sitk.WriteImage(phantom.ncct, str(own))
    options = ["--out", str(out), "--model", str(small_model), "--device", "cpu", "--progress", "none"]
    assert main(["demo", "--input", str(own), *options]) == 0
    kept = sitk.ReadImage(str(out / "ncct.nrrd"))
    assert (sitk.GetArrayFromImage(kept) == sitk.GetArrayFromImage(phantom.ncct)).all()
    assert main(["demo", "--input", str(out / "ncct.nrrd"), *options]) == 2


def test_whoever_stops_reading_ends_it_in_silence() -> None:
    command = f"{sys.executable} -m S2LDMLib info bundled --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == "" and done.returncode in (0, 141)


def test_a_console_of_another_encoding_shows_what_it_can(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    command = [sys.executable, "-m", "S2LDMLib", "check", str(tmp_path / "肝臓.nrrd")]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 2 and b"does not exist" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_path_that_is_no_utf8_is_refused_in_one_line(volume: Path) -> None:
    folder = os.fsencode(volume.parent) + b"/M\xfcller"
    os.mkdir(folder)
    os.link(volume, folder + b"/in.nrrd")
    inside = os.fsdecode(folder + b"/in.nrrd")
    for arguments in (["check", inside], ["translate", str(volume), os.fsdecode(folder + b"/out.nrrd"), *PHASE]):
        done = subprocess.run([sys.executable, "-m", "S2LDMLib", *arguments], capture_output=True)
        assert done.returncode == 2 and b"UTF-8" in done.stderr and done.stderr.count(b"\n") == 1


def test_a_disk_that_fills_at_the_last_file_leaves_none(
    phantom: PhantomTriple, small_model: Path, tmp_path: Path
) -> None:
    """Header and voxels fit, and the picture does not."""
    sitk.WriteImage(phantom.ncct, str(tmp_path / "in.nrrd"))
    folder = tmp_path / "small"
    folder.mkdir()
    options = "--phase arterial --device cpu --progress none --sidecar"
    script = f"""
mount -t tmpfs -o size={{size}} tmpfs {folder} || exit 77
"{sys.executable}" -m S2LDMLib translate {tmp_path}/in.nrrd {folder}/a.nrrd --model {small_model} {options} \\
    --preview {folder}/p.png
echo $? $(ls -A {folder})
"""
    written = tmp_path / "a.nrrd"
    arguments = f"translate {tmp_path}/in.nrrd {written} --model {small_model} {options}"
    assert subprocess.run([sys.executable, "-m", "S2LDMLib", *arguments.split()]).returncode == 0
    size = (written.stat().st_size // 4096 + 4) * 4096
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script.format(size=size)], capture_output=True, text=True
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("tmpfs cannot be mounted here")
    assert done.stdout.strip() in ("1", "2") and "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("s2ldm: ")


def test_check_refuses_what_translate_refuses(
    small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thin = tmp_path / "thin.nrrd"
    image = make_phantom(0, (96, 96, 2), (4.0, 4.0, 5.0)).ncct
    sitk.WriteImage(image, str(thin))
    said = []
    for words in (["check", str(thin)], ["translate", str(thin), str(tmp_path / "o.nrrd"), *PHASE]):
        assert main([*words, "--model", str(small_model)]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1] and "too small" in said[0]
