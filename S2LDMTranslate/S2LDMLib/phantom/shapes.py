"""Shapes of the phantom as signed distances in mm, negative inside.

Points are three arrays that broadcast to one axial slice (rows, columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

Array = np.ndarray
Points = tuple[Array, Array, Array]
Bounds = tuple[tuple[float, ...], tuple[float, ...]]  # the lowest and the highest x, y, z in mm


def smooth_max(a: Array, b: Array, width: float) -> Array:
    """Rounded intersection of two signed distances; ``width`` mm is the size of the rounding."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.maximum(a, b) + h * h * (width / 4)


def smooth_min(a: Array, b: Array, width: float) -> Array:
    """Rounded union of two signed distances; ``width`` mm is the size of the rounding."""
    return -smooth_max(-a, -b, width)


def ramp(value: Array | float, low: float, high: float) -> Array:
    """Smoothstep from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with semi-axes in mm, turned by ``yaw`` (about z), then tilted by ``roll`` (about y), in rad."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    yaw: float = 0.0
    roll: float = 0.0

    @cached_property
    def bounds(self) -> Bounds:
        """The box that holds the ellipsoid."""
        centre = np.asarray(self.centre)
        turned = bool(self.yaw or self.roll)
        reach = np.full(3, max(self.radii)) if turned else np.asarray(self.radii, float)
        return tuple((centre - reach).tolist()), tuple((centre + reach).tolist())

    def local(self, points: Points) -> Points:
        """Points in the ellipsoid's own axes, mm."""
        x, y, z = (p - np.float32(c) for p, c in zip(points, self.centre, strict=True))
        cos, sin = np.float32(np.cos(self.yaw)), np.float32(np.sin(self.yaw))
        x, y = cos * x + sin * y, cos * y - sin * x
        cos, sin = np.float32(np.cos(self.roll)), np.float32(np.sin(self.roll))
        return cos * x + sin * z, y, cos * z - sin * x

    def distance(self, points: Points) -> Array:
        # First-order distance k0 (k0 - 1) / k1 of an implicit ellipsoid: exact near the surface, which is all we use.
        local = self.local(points)
        k0 = np.sqrt(sum((p / np.float32(r)) ** 2 for p, r in zip(local, self.radii, strict=True)))
        k1 = np.sqrt(sum((p / np.float32(r * r)) ** 2 for p, r in zip(local, self.radii, strict=True)))
        return k0 * (k0 - 1) / np.maximum(k1, 1e-6)


@dataclass(frozen=True)
class Tube:
    """Round tube through ``nodes`` (n, 3) mm with ``radii`` (n,) mm, as a chain of cones."""

    nodes: Array
    radii: Array

    @cached_property
    def bounds(self) -> Bounds:
        """The box that holds the tube."""
        reach = self.radii[:, None]
        return tuple((self.nodes - reach).min(0).tolist()), tuple((self.nodes + reach).max(0).tolist())

    @cached_property
    def _cones(self) -> list[tuple]:
        """Both ends (x, y, z, radius) of every cone and its reach, as plain floats: NumPy scalars are slow."""
        ends = np.column_stack([self.nodes, self.radii]).tolist()
        # The margin keeps the soft edge and the shift of the points inside the window.
        return [(a, b, max(a[3], b[3]) + 10.0) for a, b in pairwise(ends)]

    def distance(self, points: Points) -> Array:
        x, y, z = np.broadcast_arrays(*points)
        out = np.full(x.shape, 99, np.float32)
        columns, rows, low, high = x.mean(0), y.mean(1), float(z.min()), float(z.max())
        for a, b, reach in self._cones:
            if min(a[2], b[2]) - reach > high or max(a[2], b[2]) + reach < low:
                continue
            j = columns.searchsorted((min(a[0], b[0]) - reach, max(a[0], b[0]) + reach))
            i = rows.searchsorted((min(a[1], b[1]) - reach, max(a[1], b[1]) + reach))
            if i[0] < i[1] and j[0] < j[1]:
                window = slice(*i), slice(*j)
                np.minimum(out[window], _cone_distance((x[window], y[window], z[window]), a, b), out=out[window])
        return out

    def shrunk(self, wall: float) -> Tube:
        """The lumen inside a wall of ``wall`` mm."""
        return Tube(self.nodes, np.maximum(self.radii - np.float32(wall), 0.5))

    def pieces(self, length: int) -> list[Tube]:
        """Successive pieces of ``length`` segments that share their end nodes."""
        starts = range(0, len(self.nodes) - 1, length)
        return [Tube(self.nodes[k : k + length + 1], self.radii[k : k + length + 1]) for k in starts]


def _cone_distance(points: Points, a: list[float], b: list[float]) -> Array:
    dx, dy, dz, dr = (end - start for start, end in zip(a, b, strict=True))
    x, y, z = (p - q for p, q in zip(points, a[:3], strict=True))
    t = ((x * dx + y * dy + z * dz) / max(dx * dx + dy * dy + dz * dz, 1e-6)).clip(0, 1)
    return np.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2 + (z - t * dz) ** 2) - (a[3] + t * dr)


def curve(nodes: list[tuple[float, ...]], steps: int = 4) -> Tube:
    """A tube along a Catmull-Rom spline through nodes (x, y, z, radius), ``steps`` segments between two of them."""
    p = np.asarray(nodes, np.float32)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[:, None]
    spans = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    p = np.vstack([*spans, p[-2:-1]])
    return Tube(p[:, :3], np.maximum(p[:, 3], 0.4))


@dataclass(frozen=True)
class Ripple:
    """Smooth random field of unit SD: a sum of plane waves with wavelengths drawn from a range in mm."""

    waves: Array  # (k, 3) rad / mm
    phases: Array  # (k,)

    @classmethod
    def sample(cls, rng: np.random.Generator, shortest: float, longest: float, count: int = 6) -> Ripple:
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        waves = direction * (2 * np.pi / rng.uniform(shortest, longest, (count, 1)))
        return cls(waves.astype(np.float32), rng.uniform(0, 2 * np.pi, count).astype(np.float32))

    def __call__(self, points: Points) -> Array:
        x, y, z = points
        total = sum(np.sin(w[0] * x + w[1] * y + (w[2] * z + p)) for w, p in zip(self.waves, self.phases, strict=True))
        return total * np.float32(np.sqrt(2 / len(self.phases)))
