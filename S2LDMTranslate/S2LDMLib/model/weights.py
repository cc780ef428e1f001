"""Weights on disk: safetensors only, written whole or not at all.

Pickled checkpoints (``torch.save``) can run code when they are opened, so nothing here ever unpickles: a
pickle is recognised by its name or its first bytes and refused with the way to convert it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import atomic_write
from ..errors import InputError, ModelError, one_line
from .layout import HOW_TO_CONVERT, PICKLE_SUFFIXES

if TYPE_CHECKING:
    import torch

_NAMES_SHOWN = 3
# torch.save writes a zip archive, or formerly a bare pickle: 0x80 and the number of the protocol.
_PICKLE_MAGICS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LFS_POINTER = b"version https://git-lfs"


def load_weights(module: torch.nn.Module, file: Path) -> None:
    """Fill all parameters and persistent buffers of a module from one safetensors file.

    The load is strict: names and shapes must agree and every value must be finite. Floating-point tensors may
    be stored in another precision (float16 or bfloat16, say) and take the module's; the module is left as it
    was when anything is wrong.

    Args:
        module: network to fill; keeps its dtype and device.
        file: a ``.safetensors`` file, as ``save_weights`` writes it.

    Raises:
        ModelError: the file is missing, a pickle, truncated or corrupt, or does not belong to this module.
    """
    from safetensors import SafetensorError, safe_open

    file = Path(file)
    if not file.is_file():
        raise ModelError(_explain_missing(file))
    expected = module.state_dict()
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            former = {present_name(name, module): name for name in stored.keys()}  # noqa: SIM118  no mapping
            _check_names(set(former), set(expected), file)
            _check_shapes({name: stored.get_slice(former[name]).get_shape() for name in expected}, expected, file)
            loaded = {
                name: _convert(stored.get_tensor(former[name]), target, name, file) for name, target in expected.items()
            }
    except SafetensorError as error:
        raise ModelError(_explain_unreadable(file, error)) from error
    except OSError as error:
        raise ModelError(f"Cannot read {file}: {one_line(error)}. Check its permissions.") from error
    module.load_state_dict(loaded, strict=True)


def save_weights(module: torch.nn.Module, file: Path, dtype: torch.dtype | None = None) -> None:
    """Write all parameters and persistent buffers of a module to one safetensors file, whole or not at all.

    The file is written under a temporary name in the same folder and then renamed, so an interrupted run
    leaves the former file as it was.

    Args:
        module: network to save.
        file: target, ``.../model.safetensors``; its folder is made if needed.
        dtype: storage precision of the floating-point tensors; as they are if None.

    Raises:
        InputError: the file cannot be written there.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {}
    for name, tensor in module.state_dict().items():
        stored = tensor.detach().to(device="cpu", dtype=dtype if tensor.is_floating_point() else None)
        # A copy of its own: safetensors refuses tensors that share memory, as tied weights and views do.
        tensors[name] = stored.clone(memory_format=torch.contiguous_format)
    file = Path(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as partial:
            partial.touch()
            mode = partial.stat().st_mode
            save_file(tensors, partial, metadata={"format": "pt"})
            partial.chmod(mode)  # safetensors leaves 0600, which a shared model folder cannot use
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"Cannot write the weights {file}: {one_line(error)}. Free disk space or choose another folder."
        ) from error


def present_name(name: str, module: torch.nn.Module) -> str:
    """Return what a tensor is called today; format 1 had other names (``FORMER_NAMES`` of the module)."""
    first, dot, rest = name.partition(".")
    former: dict[str, str] = getattr(module, "FORMER_NAMES", {})
    return former.get(first, first) + dot + rest


def is_same_layer(stored: Sequence[int], expected: Sequence[int]) -> bool:
    """Return whether a tensor of one shape holds the values of another in their order.

    It does where format 1 had a 3D convolution over one slice, or over slices that are channels of a 2D one today.
    """
    if len(stored) == 5 and len(expected) == 4:
        stored = (stored[0], stored[1] * stored[2], *stored[3:])
    return tuple(stored) == tuple(expected)


def _check_names(stored: set[str], expected: set[str], file: Path) -> None:
    complaints = [
        f"{kind} {_some(names)}"
        for kind, names in (("lacks", expected - stored), ("has the unexpected", stored - expected))
        if names
    ]
    if complaints:
        raise ModelError(
            f"{file} does not fit the network: it {' and '.join(complaints)}. "
            "Use the config.json that was saved with these weights."
        )


def _check_shapes(stored: dict[str, list[int]], expected: dict[str, torch.Tensor], file: Path) -> None:
    wrong = [
        f"{name} is {tuple(shape)}, expected {tuple(expected[name].shape)}"
        for name, shape in sorted(stored.items())
        if not is_same_layer(shape, expected[name].shape)
    ]
    if wrong:
        more = f" and {len(wrong) - _NAMES_SHOWN} more" if len(wrong) > _NAMES_SHOWN else ""
        raise ModelError(
            f"{file} has tensors of the wrong shape: {'; '.join(wrong[:_NAMES_SHOWN])}{more}. "
            "Use the config.json that was saved with these weights."
        )


def _convert(tensor: torch.Tensor, target: torch.Tensor, name: str, file: Path) -> torch.Tensor:
    """Return the tensor in the target's dtype; refuse other kinds of number and non-finite values."""
    if tensor.dtype != target.dtype and not (tensor.is_floating_point() and target.is_floating_point()):
        raise ModelError(
            f"{file} stores {name} as {tensor.dtype}, expected {target.dtype}. "
            "Use the config.json that was saved with these weights."
        )
    converted = tensor.to(target.dtype).reshape(target.shape)
    if converted.is_floating_point() and not converted.isfinite().all():
        raise ModelError(
            f"{file} has values in {name} that are not finite in {target.dtype}. "
            "Download or export the weights again, in float32 if they overflow."
        )
    return converted


def _explain_missing(file: Path) -> str:
    pickles = sorted(path.name for path in file.parent.glob("*") if path.suffix.lower() in PICKLE_SUFFIXES)
    if pickles:
        return (
            f"{file} is missing, and the pickled weights beside it ({_some(pickles)}) are refused because "
            f"opening them can run code. {HOW_TO_CONVERT}"
        )
    return f"The weights {file} do not exist. Check the model folder or download the model again."


def _explain_unreadable(file: Path, error: Exception) -> str:
    with file.open("rb") as stream:
        head = stream.read(len(_LFS_POINTER))
    if head.startswith(_PICKLE_MAGICS):
        return (
            f"{file} is a pickle and not a safetensors file, and is refused because opening pickled weights "
            f"can run code. {HOW_TO_CONVERT}"
        )
    if head.startswith(_LFS_POINTER):
        return f"{file} is a Git LFS pointer and not the weights. Run 'git lfs pull' in its repository."
    return f"{file} is truncated or corrupt ({one_line(error)}). Download or copy it again."


def _some(names: set[str] | list[str]) -> str:
    shown = sorted(names)[:_NAMES_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more
