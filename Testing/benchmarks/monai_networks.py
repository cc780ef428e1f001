"""Our networks as a user of MONAI would build them: MONAI's blocks and Conv3d on volumes, with the very same weights.

Ours run as 2D what does not look along z (``S2LDMLib/networks/planar.py``); that is a gain of the engine, so that
contenders do not get it, unless they are named ``..._planar``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution
from S2LDMLib.model.config import AutoencoderConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.denoiser import EPSILON, Block, ChannelNorm, LatentDenoiser
from torch import Tensor, nn

Triple = tuple[int, int, int]


class Unit(nn.Module):
    """MONAI's VQVAEResidualUnit with a kernel per axis."""

    def __init__(self, channels: int, kernel: Triple) -> None:
        super().__init__()
        self.conv1 = Convolution(3, channels, channels, kernel_size=kernel, adn_ordering="A", act="RELU")
        self.conv2 = Convolution(3, channels, channels, kernel_size=kernel, conv_only=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv2(self.conv1(x)))


def monai_autoencoder(ours: SyncreticAutoencoder) -> SyncreticAutoencoder:
    """The same autoencoder of MONAI's Convolution blocks."""
    config: AutoencoderConfig = ours.config
    kernel = (config.kernel_z, 3, 3)
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for level, stride in enumerate(config.strides):
        widths = (1, *config.channels)[level : level + 2]
        units = [[Unit(widths[1], kernel) for _ in range(config.residual_units)] for _ in range(2)]
        down += [_strided(*widths, stride, config.kernel_z, False, False), *units[0]]
        up = [*units[1], _strided(*reversed(widths), stride, config.kernel_z, True, level == 0), *up]
    ends = (config.channels[-1], config.latent_channels)
    made = SyncreticAutoencoder(config)
    made.encoder = nn.Sequential(*down, Convolution(3, *ends, kernel_size=kernel, conv_only=True))
    made.decoder = nn.Sequential(Convolution(3, *reversed(ends), kernel_size=kernel, conv_only=True), *up)
    shapes = {name: tensor.shape for name, tensor in made.state_dict().items()}
    made.load_state_dict({name: tensor.reshape(shapes[name]) for name, tensor in ours.state_dict().items()})
    return made.eval()


def _strided(cin: int, cout: int, stride: Triple, kernel_z: int, transposed: bool, last: bool) -> Convolution:
    kernel = tuple(4 if s == 2 else k for s, k in zip(stride, (kernel_z, 3, 3), strict=True))
    return Convolution(
        3, cin, cout, strides=stride, kernel_size=kernel, padding=tuple((k - 1) // 2 for k in kernel),
        is_transposed=transposed, output_padding=0 if transposed else None, adn_ordering="A", act="RELU",
        conv_only=last,
    )  # fmt: skip


class VolumeDenoiser(LatentDenoiser):
    """Our denoiser on volumes, its convolutions in 3D."""

    def __init__(self, ours: LatentDenoiser) -> None:
        super().__init__(ours.config, ours.conv_out.out_channels, ours.phase.num_embeddings)
        self.load_state_dict(ours.state_dict())
        self.conv_in = _lifted(self.conv_in, ours.config.context)
        self.conv_out = _lifted(self.conv_out)
        for block in (*self.down, *self.up):
            block.conv1, block.conv2 = _lifted(block.conv1), _lifted(block.conv2)

    def forward(
        self, noisy: Tensor, ncct: Tensor, timestep: Tensor, phase: Tensor,
        mask: Tensor | None = None, context: bool = False,
    ) -> Tensor:  # fmt: skip
        """As :meth:`LatentDenoiser.forward`, for inference: no mask, no context."""
        embedding = F.silu(self.time(self._sinusoids(timestep)) + self.phase(phase))
        h = self.conv_in(F.pad(torch.cat([noisy, ncct], 1), (0, 0, 0, 0, self.context, self.context)))
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = _block(block, h if level == 0 else F.avg_pool3d(h, (1, 2, 2)), embedding)
            skips.append(h)
        for block, skip in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            h = _block(block, torch.cat([skip, F.interpolate(h, scale_factor=(1.0, 2.0, 2.0))], 1), embedding)
        return ncct.float() + self.conv_out(h).float()


def _lifted(planar: nn.Conv2d, depth: int = 1) -> nn.Conv3d:
    """The convolution of a volume that a planar one is, over planes or slabs of ``depth`` slices."""
    channels = planar.in_channels // depth
    made = nn.Conv3d(channels, planar.out_channels, (depth, *planar.kernel_size), padding=(0, *planar.padding))
    made.weight.data, made.bias = planar.weight.data.unflatten(1, (channels, depth)), planar.bias
    return made


def _block(block: Block, x: Tensor, embedding: Tensor) -> Tensor:
    scale, shift = block.modulation(embedding)[:, :, None, None, None].chunk(2, 1)
    h = F.silu(_norm(block.norm1, block.conv1(x)) * (1 + scale) + shift)
    return F.silu(_norm(block.norm2, block.conv2(h)))


def _norm(norm: ChannelNorm, x: Tensor) -> Tensor:
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return (F.rms_norm(x.movedim(1, -1), (x.shape[1],), weight, EPSILON) + bias).movedim(-1, 1)


def monai_denoiser(ours: LatentDenoiser) -> VolumeDenoiser:
    """The same denoiser on volumes."""
    return VolumeDenoiser(ours).eval()
