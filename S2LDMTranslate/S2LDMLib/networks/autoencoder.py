"""The syncretic autoencoder: one encoder for NCCT and CECT, an optional codebook, and the CECT decoder.

The layout, and the names of the weights, are those of MONAI's VQVAE, which itself refuses strides that differ per axis.
It has no normalisation layer, so that encoding and decoding in halo tiles is exact.

Source: arXiv 2406.13977 (syncretic encoder, E and D); van den Oord et al., arXiv 1711.00937; MONAI VQVAE.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..model.config import AutoencoderConfig
from .codebook import Codebook
from .planar import to_planes, to_volume
from .triple import Triple, triple


def _kernel(stride: Triple, kernel_z: int) -> Triple:
    """Kernel of a strided convolution: 4 where it strides, as in VQVAE, else the plain extent of that axis."""
    return triple(4 if s == 2 else k for s, k in zip(stride, (kernel_z, 3, 3), strict=True))


class Convolution(nn.Module):
    """A convolution, strided or transposed, and a ReLU.

    planar: it takes and gives planes [N, C, Y, X], not volumes; its kernel is one voxel long in z.
    fp32: it computes in fp32 under any autocast. Layers that give or take latents or HU do: rounding those to bfloat16
        was most of the error of a bf16 run, and these layers are narrow, so that they cost little.
    """

    conv: nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d | nn.ConvTranspose3d

    def __init__(
        self, cin: int, cout: int, kernel: Triple, stride: Triple = (1, 1, 1), transposed: bool = False,
        relu: bool = True, fp32: bool = False, planar: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        padding = triple((k - 1) // 2 for k in kernel)
        if planar:
            in_planes = nn.ConvTranspose2d if transposed else nn.Conv2d
            self.conv = in_planes(cin, cout, kernel[1:], stride[1:], padding[1:])
        else:
            in_volumes = nn.ConvTranspose3d if transposed else nn.Conv3d
            self.conv = in_volumes(cin, cout, kernel, stride, padding)
        self.relu, self.fp32 = relu, fp32

    def forward(self, x: Tensor) -> Tensor:
        if self.fp32 and torch.amp.is_autocast_available(x.device.type):  # the meta device has none
            with torch.autocast(x.device.type, enabled=False):
                y = self.conv(x.to(self.conv.weight.dtype))
        else:
            y = self.conv(x)
        return y.relu_() if self.relu else y


class ResidualUnit(nn.Module):
    """``relu(x + conv(relu(conv(x))))``: MONAI's VQVAEResidualUnit with a kernel per axis."""

    def __init__(self, channels: int, kernel: Triple, planar: bool) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels, kernel, planar=planar)
        self.conv2 = Convolution(channels, channels, kernel, relu=False, planar=planar)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x)).add_(x).relu_()


class PlaneByPlane(nn.Sequential):
    """Layers that do not look along z, run on a volume [B, C, Z, Y, X] as planes."""

    def forward(self, x: Tensor) -> Tensor:
        return to_volume(super().forward(to_planes(x)), x.shape[0])


class SyncreticAutoencoder(nn.Module):
    """Encoder E, codebook Q and decoder D over volumes.

    Latents are standardised per channel (``latent_mean``, ``latent_std``, set after training): raw latents have a
    cosine near 1 everywhere, which would leave similarity, mask and diffusion without a signal.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        kernel = (config.kernel_z, 3, 3)
        widths = (1, *config.channels)
        planar = config.kernel_z == 1 and self.stride[0] == 1
        layers = PlaneByPlane if planar else nn.Sequential
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for level, stride in enumerate(config.strides):
            cin, cout = widths[level], widths[level + 1]
            units = [ResidualUnit(cout, kernel, planar) for _ in range(config.residual_units)]
            strided = _kernel(stride, config.kernel_z)
            down += [Convolution(cin, cout, strided, stride, planar=planar), *units]
            units = [ResidualUnit(cout, kernel, planar) for _ in range(config.residual_units)]
            last = level == 0
            back = Convolution(
                cout, cin, strided, stride, transposed=True, relu=not last, fp32=last, planar=planar
            )  # fmt: skip
            up = [*units, back, *up]
        self.encoder: nn.Module = nn.Identity()
        self.decoder: nn.Module = nn.Identity()
        if config.channels:
            deepest, latent = config.channels[-1], config.latent_channels
            last_down = Convolution(deepest, latent, kernel, relu=False, fp32=True, planar=planar)
            first_up = Convolution(latent, deepest, kernel, relu=False, fp32=True, planar=planar)
            self.encoder, self.decoder = layers(*down, last_down), layers(first_up, *up)
        self.codebook = Codebook(config.num_embeddings, config.latent_channels) if config.num_embeddings else None
        shape = (1, config.latent_channels, 1, 1, 1)
        self.register_buffer("latent_mean", torch.zeros(shape))
        self.register_buffer("latent_std", torch.ones(shape))

    @property
    def stride(self) -> Triple:
        """Voxels of the volume per latent voxel, (z, y, x)."""
        return self.config.stride

    def encode(self, x: Tensor) -> Tensor:
        """Volume [B, 1, Z, Y, X], normalised, to standardised latents [B, C, Z/sz, Y/sy, X/sx] in fp32.

        Z, Y and X must be multiples of the stride.
        """
        return (self.encoder(x).float() - self.latent_mean) / self.latent_std

    def quantize(self, z: Tensor) -> Tensor:
        """Standardised latents [B, C, Z, Y, X] to the nearest entries of the codebook, if the model has one."""
        if self.codebook is None:
            return z
        codes = self.codebook(z * self.latent_std + self.latent_mean)
        return (codes - self.latent_mean) / self.latent_std

    def decode(self, z: Tensor) -> Tensor:
        """Standardised latents [B, C, Z/sz, Y/sy, X/sx] to a normalised volume [B, 1, Z, Y, X] in fp32."""
        return self.decoder((z * self.latent_std + self.latent_mean).to(z.dtype)).float()

    def _layers(self) -> list[tuple[Triple, Triple]]:
        """(kernel, stride) of the encoder's convolutions, first to last; the decoder mirrors them."""
        if not self.config.channels:
            return []
        plain: tuple[Triple, Triple] = ((self.config.kernel_z, 3, 3), (1, 1, 1))
        layers: list[tuple[Triple, Triple]] = []
        for stride in self.config.strides:
            layers += [(_kernel(stride, self.config.kernel_z), stride), *[plain] * (2 * self.config.residual_units)]
        return [*layers, plain]

    def encoder_halo(self) -> Triple:
        """Latent voxels (z, y, x) beyond a tile whose input its encoding can depend on."""
        return self._halo(grows=True)

    def decoder_halo(self) -> Triple:
        """Latent voxels (z, y, x) beyond a tile that its decoding can depend on."""
        return self._halo(grows=False)

    def _halo(self, grows: bool) -> Triple:
        """``grows``: on the way back to the input, strides lengthen the reach, as in the encoder, or shorten it."""
        halo = []
        for axis, total in enumerate(self.stride):
            reach = 0  # walked from the output back to the input, in voxels of the layer at hand
            layers = [(kernel[axis], stride[axis]) for kernel, stride in self._layers()]
            for kernel, stride in reversed(layers) if grows else layers:
                side = kernel // 2
                reach = reach * stride + side if grows else -(-(reach + side) // stride)
            halo.append(-(-reach // total) if grows else reach)
        return triple(halo)
