"""One axial plane of the phantom, painted organ by organ, back to front, with soft edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .organs import Organs
from .shapes import Array, Ellipsoid, Points, Ripple, Tube, ramp, smooth_max, smooth_min
from .tissues import sample_tissues
from .torso import RIBS, VERTEBRAE, Torso, crura, spine_y, vertebral_arches, vertebral_body

AIR_HU, TABLE_HU = -1000.0, 100.0


class Patient:
    """Geometry, densities and textures of one seed; it lives in the model frame of :mod:`S2LDMLib.phantom.torso`."""

    def __init__(self, seed: int, oral_contrast: bool | None) -> None:
        rng = np.random.default_rng([seed, 1])
        self.scale = rng.uniform(0.94, 1.07) * rng.uniform(0.97, 1.03, 3)
        self.tissues = sample_tissues(rng)
        self.torso = Torso.sample(rng)
        self.organs = Organs(rng)
        self.arches = vertebral_arches()
        self.crura = crura()
        self.marrow = [part.shrunk(2.0) for part in self.arches]
        self.warp = [Ripple.sample(rng, 75, 150, 5) for _ in range(3)]
        self.fine, self.coarse, self.mottle = (Ripple.sample(rng, *span) for span in ((5, 12), (25, 60), (13, 26)))
        self.crumbs = Ripple.sample(rng, 6, 16, 10)
        self.oral = bool(rng.random() < 0.5) if oral_contrast is None else oral_contrast
        self.colon_fill = self._fill(rng, 40, ("stool", "stool", "gas", "stool"))
        positive = ("oral_contrast", "oral_contrast", "fluid", "gas", "bowel")
        mixed = positive if self.oral else ("fluid", "fluid", "gas", "bowel", "bowel")
        self.small_fill = self._fill(rng, 200, mixed)
        self.stomach_level = rng.uniform(-112, -88)
        plaque = self.organs.aorta.nodes[rng.integers(0, 20, 4)] if rng.random() < 0.6 else ()
        self.plaques = [
            Ellipsoid((x + 8 * np.cos(t), y + 8 * np.sin(t), z), (2.4, 2.0, 4.0))
            for (x, y, z), t in zip(plaque, rng.uniform(0, 6.3, 4), strict=False)
        ]

    @staticmethod
    def _fill(rng: np.random.Generator, count: int, choices: tuple[str, ...]) -> list[str]:
        return [choices[k] for k in rng.integers(0, len(choices), count)]

    def bend(self, points: Points) -> Points:
        """Shift points smoothly by a few mm so that no organ is a clean ellipsoid; the spine stays."""
        x, y, z = points
        away = ramp(np.sqrt(x * x + (y - spine_y(z)) ** 2), 25, 70)
        shift = [np.float32(s) * away * w(points) for s, w in zip((3.2, 3.2, 3.5), self.warp, strict=True)]
        return x + shift[0], y + shift[1], z + shift[2]


class Plane:
    """One axial plane being painted: HU (3 phases, rows, columns) and labels (rows, columns)."""

    def __init__(self, patient: Patient, x: Array, y: Array, z: float, edge: float) -> None:
        self.patient, self.edge = patient, edge
        self.x, self.y = x, y
        shape = (len(y), len(x))
        self.straight = (np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape), np.full((1, 1), z, np.float32))
        self.bent = patient.bend(self.straight)
        self.hu = np.full((3, *shape), AIR_HU, np.float32)
        self.label = np.zeros(shape, np.uint8)
        self.z = z
        self.skin = patient.torso.skin(self.straight)

    def fill(self, distance: Array, name: str, texture: Array | float = 0.0, window: tuple = np.s_[:, :]) -> None:
        """Paint tissue ``name`` where ``distance`` is negative; ``texture`` adds HU, alike or per phase."""
        alpha = np.clip(0.5 - distance / self.edge, 0, 1)
        tissue = self.patient.tissues[name]
        hu = self.hu[(slice(None), *window)]
        hu += alpha * (tissue.hu + texture - hu)
        self.label[window][alpha > 0.5] = tissue.label

    def window(self, shape: Ellipsoid | Tube) -> tuple[slice, slice] | None:
        """Rows and columns that the shape can touch, or None when it misses the plane."""
        low, high = shape.bounds
        margin = 11.0  # the largest shift of Patient.bend
        if low[2] - margin > self.z or high[2] + margin < self.z:
            return None
        i = np.searchsorted(self.y, (low[1] - margin, high[1] + margin))
        j = np.searchsorted(self.x, (low[0] - margin, high[0] + margin))
        return (slice(*i), slice(*j)) if i[0] < i[1] and j[0] < j[1] else None

    def paint(
        self,
        shape: Ellipsoid | Tube,
        name: str,
        clip: Array | None = None,
        straight: bool = False,
        texture: Callable[[Points], Array] | None = None,
    ) -> None:
        """Paint a shape, cut by the signed distance ``clip`` (rows, columns)."""
        window = self.window(shape)
        if window is None:
            return
        x, y, z = self.straight if straight else self.bent
        points = x[window], y[window], z if z.size == 1 else z[window]
        distance = shape.distance(points)
        if clip is not None:
            distance = np.maximum(distance, clip[window])
        if (distance < self.edge).any():
            self.fill(distance, name, texture(points) if texture else 0.0, window)


def paint_torso(plane: Plane) -> Array:
    """Skin, fat, muscles, ribs, diaphragm and lungs; returns the signed distance to the abdominal cavity."""
    patient, points = plane.patient, plane.straight
    torso, grain = patient.torso, 7 * patient.coarse(points) + 4 * patient.fine(points)
    skin = plane.skin
    plane.fill(skin, "skin")
    plane.fill(skin + 2.2, "fat", grain)
    shell, around = torso.shell(points), torso.around(points)
    inner = shell + torso.wall_thickness(points, around)
    # Streaks of fat between the bundles of muscle.
    marbling = -15 * np.maximum(patient.fine(points) - 0.6, 0)
    back = ramp(around, 0.16, 0.22) * (1 - ramp(around, 0.5, 0.62)) * ramp(plane.z, -70, 20)
    plane.fill(np.maximum(shell - 7.5 * back, skin + 4), "muscle", marbling)
    flank = ramp(around, 0.30, 0.36) * (1 - ramp(around, 0.66, 0.72)) * ramp(-plane.z, -10, 30)
    for depth in (0.36, 0.68):
        gap = np.abs(shell + depth * (inner - shell)) - 0.8
        plane.fill(gap + 9 * (1 - flank), "fat")
    plane.fill(np.maximum(np.abs(shell) - 0.9, 9 * (1 - np.ceil(back))), "fat")
    plane.fill(inner, "fat", grain)
    paint_back_muscles(plane, marbling)
    for level in range(len(RIBS)):
        rib, past = torso.rib(points, shell, around, level)
        plane.fill(np.maximum(rib, past * 300), "cortical")
        plane.fill(np.maximum(rib + 1.6, past * 300), "cancellous")
        plane.fill(np.maximum(rib, -past * 300), "cartilage")
    dome = torso.diaphragm(points)
    paint_chest(plane, inner, plane.z - dome)
    return np.maximum(inner + 2.5, 0.6 * (plane.z - dome + 4.5))


def paint_back_muscles(plane: Plane, marbling: Array) -> None:
    """Erector spinae on both sides of the spinous processes, with a cleft of fat."""
    x, y, _ = plane.straight
    side, spine = np.abs(x), float(spine_y(plane.z))
    grow = 1 + 0.14 * float(ramp(-plane.z, 0, 90))
    erector = np.sqrt(((side - 32) / (33 * grow)) ** 2 + ((y - spine - 56) / (21 * grow * grow)) ** 2)
    plane.fill(np.maximum(np.maximum((erector - 1) * 23, plane.skin + 6), 2.0 - side), "muscle", marbling)
    cleft = np.abs(side - 38 + 0.5 * (y - spine - 50)) - 0.8
    plane.fill(np.maximum(cleft, (erector - 0.9) * 23), "fat")


def paint_loins(plane: Plane) -> None:
    """Quadratus lumborum and psoas, which grow downward from the first lumbar vertebra."""
    x, y, _ = plane.straight
    side, spine = np.abs(x), float(spine_y(plane.z))
    low = float(ramp(-plane.z, -25, 20))
    if low > 0:
        lumborum = np.sqrt(((side - 56) / 17) ** 2 + ((y - spine - 43 + 0.2 * (side - 56)) / 8) ** 2)
        plane.fill((lumborum - low) * 11, "muscle")
        size = 7 + 15 * float(ramp(-plane.z, -15, 110))
        centre = 30 + 0.7 * size - 6 * (1 - low), spine + 6 + 0.08 * plane.z
        psoas = np.sqrt(((side - centre[0]) / size) ** 2 + ((y - centre[1]) / (1.25 * size)) ** 2)
        plane.fill((psoas - low) * size, "muscle")


def paint_chest(plane: Plane, inner: Array, above_dome: Array) -> None:
    """Diaphragm, lungs, mediastinum and heart; ``above_dome`` mm is positive in the thorax."""
    patient, organs = plane.patient, plane.patient.organs
    x, y, _ = plane.straight
    mediastinum = (np.sqrt(((x - 4) / 30) ** 2 + ((y + 62) / 84) ** 2) - 1) * 32
    if above_dome.max() < -6:
        return
    thorax = np.maximum(inner, -0.6 * above_dome)
    plane.fill(np.maximum(inner, -0.6 * (above_dome + 4)), "muscle")
    plane.fill(thorax + 0.5, "fat")
    pericardium = organs.heart.distance(plane.bent) - 7
    lung = np.maximum(np.maximum(thorax + 1, -mediastinum), -pericardium)
    plane.fill(lung, "lung", 18 * patient.coarse(plane.straight))
    for vessel in organs.lung_vessels:
        plane.paint(vessel, "lung_vessel", lung + 3)
    chest = np.maximum(inner + 3, -0.6 * above_dome)
    plane.paint(organs.heart, "myocardium", chest)
    for blood, name in zip((*organs.ventricles, organs.atrium), ("chamber", "cavum", "cavum"), strict=True):
        plane.paint(blood, name, chest + 2)


def paint_spine(plane: Plane) -> None:
    """Discs, vertebrae with cortex and cancellous bone, arches, spinal canal and the iliac wings."""
    patient = plane.patient
    x, y, _ = plane.straight
    body, column = vertebral_body(plane.straight)
    plane.fill(column, "disc")
    plane.fill(body, "cortical")
    plane.fill(body + 1.5, "cancellous", 20 * patient.fine(plane.straight))
    for side in (-1, 1):
        wing = Ellipsoid((side * 82, -8, -154), (60, 7, 50), -0.94 * side)
        plane.paint(wing, "cortical", straight=True)
        plane.paint(Ellipsoid(wing.centre, (58, 5, 48), wing.yaw), "cancellous", straight=True)
    for part in patient.arches:
        plane.paint(part, "cortical", plane.skin + 7, straight=True)
    for part in patient.marrow:
        plane.paint(part, "cancellous", plane.skin + 9, straight=True)
    depth = float(np.interp(plane.z, VERTEBRAE[:, 0], VERTEBRAE[:, 3]))
    canal = np.sqrt((x / 11) ** 2 + ((y - spine_y(plane.z) - depth - 9.5) / 9) ** 2)
    plane.fill((canal - 1) * 9, "fat")
    plane.fill((canal - 0.82) * 9, "canal")


def paint_liver(plane: Plane, cavity: Array) -> None:
    """Liver with its fissure, porta, hepatic veins, portal branches and gallbladder."""
    patient, organs = plane.patient, plane.patient.organs
    x, y, z = plane.bent
    liver = smooth_min(organs.liver[0].distance(plane.bent), organs.liver[1].distance(plane.bent), 24)
    liver = smooth_min(liver, organs.liver[2].distance(plane.bent), 16)
    liver = smooth_max(liver, cavity, 8)
    fissure = np.maximum(np.abs(x + 12 + 0.15 * (y + 100)) - 1.6 - 3 * ramp(-z, -40, 0), np.maximum(y + 92, z - 46))
    liver = smooth_max(liver, -fissure, 5)
    liver = smooth_max(liver, -organs.porta.distance(plane.bent), 6)
    if (liver > 0).all():
        return
    plane.fill(liver, "liver", 1.5 * patient.coarse(plane.straight))
    for vein in organs.hepatic_veins:
        plane.paint(vein, "hepatic_vein", liver + 3)
    for vein in organs.portal_branches:
        plane.paint(vein, "portal_vein", liver + 3)
    for artery in organs.hepatic_arteries:
        plane.paint(artery, "artery", liver + 3)
    plane.paint(organs.gallbladder, "gallbladder_wall", cavity)
    plane.paint(organs.gallbladder.shrunk(1.8), "gallbladder", cavity)


def paint_solid_organs(plane: Plane, cavity: Array) -> None:
    """Perirenal fat, kidneys, adrenals and spleen."""
    patient, organs = plane.patient, plane.patient.organs

    def arterial_stripes(points: Points) -> Array:
        # The red pulp fills unevenly: serpentine bands in the arterial phase alone.
        bands = np.sin(2.2 * patient.mottle(points) + 1.5 * patient.coarse(points))
        return np.array([0, 26, 0], np.float32)[:, None, None] * bands

    if plane.window(organs.spleen):
        dent = -organs.spleen_dent.distance(plane.bent)
        spleen_clip = smooth_max(cavity, dent, 6)
        plane.paint(organs.spleen, "spleen", spleen_clip, texture=arterial_stripes)
    for kidney in organs.kidneys:
        body = kidney["body"][0]
        capsule = Ellipsoid(body.centre, tuple(r + 9 for r in body.radii), body.yaw, body.roll)
        plane.paint(capsule, "fat", cavity)
        if not plane.window(body):
            continue
        plane.paint(body, "kidney_cortex", cavity)
        rim = body.distance(plane.bent)
        for pyramid in kidney["pyramids"]:
            plane.paint(pyramid, "kidney_medulla", rim + 6)
        for sinus in kidney["sinus"]:
            plane.paint(sinus, "fat", rim - 4)
        plane.paint(kidney["pelvis"][0], "renal_pelvis")
    for limb in organs.adrenals:
        plane.paint(limb, "adrenal")


def paint_pancreas(plane: Plane) -> None:
    """Lobulated pancreas with the splenic vein behind it and the splenic artery along it."""
    patient, organs = plane.patient, plane.patient.organs
    if plane.window(organs.pancreas):
        lobules = 1.6 * patient.mottle(plane.bent) + 0.5 * patient.fine(plane.bent)
        plane.paint(organs.pancreas, "pancreas", organs.pancreas.distance(plane.bent) + lobules)
    plane.paint(organs.splenic_vein, "mesenteric_vein")
    plane.paint(organs.splenic_artery, "artery")


def paint_gut(plane: Plane, cavity: Array) -> None:
    """Small bowel, colon, stomach and duodenum with wall and contents; gas collects in front."""
    patient, organs = plane.patient, plane.patient.organs
    for vessel in organs.mesentery:
        plane.paint(vessel, "mesenteric_vein", cavity)
    loops = [(t, patient.small_fill, 2.2, 5) for t in organs.small_bowel]
    loops.append((organs.duodenum, patient.small_fill, 2.5, 6))
    offset = 0
    for tube, fill, wall, length in loops:
        plane.paint(tube, "bowel", cavity)
        for piece in tube.pieces(length):
            paint_contents(plane, piece.shrunk(wall), fill[offset % len(fill)], cavity)
            offset += 1
    plane.paint(organs.colon, "bowel", cavity)
    for piece, content in zip(organs.colon.pieces(3), patient.colon_fill, strict=False):
        paint_contents(plane, piece.shrunk(2.4), content, cavity)
    plane.paint(organs.stomach, "stomach", cavity)
    lumen = organs.stomach.shrunk(4.0)
    plane.paint(
        lumen,
        "oral_contrast" if patient.oral else "fluid",
        cavity + 3,
        texture=None if patient.oral else lambda p: 14 * np.maximum(patient.crumbs(p), 0),
    )
    plane.paint(lumen, "gas", np.maximum(cavity + 3, plane.straight[1] - patient.stomach_level))


def paint_contents(plane: Plane, lumen: Tube, content: str, cavity: Array) -> None:
    """Fill a piece of bowel: stool is a crumbly mix with gas bubbles, gas floats on fluid."""
    patient = plane.patient
    if content == "stool":
        plane.paint(lumen, "stool", cavity + 2, texture=lambda p: 45 - 420 * np.maximum(patient.crumbs(p) - 0.9, 0))
    elif content == "gas":
        level = float(lumen.nodes[:, 1].mean()) + 0.3 * float(lumen.radii.mean())
        plane.paint(lumen, "fluid", cavity + 2)
        plane.paint(lumen, "gas", np.maximum(cavity + 2, plane.straight[1] - level))
    else:
        plane.paint(lumen, content, cavity + 2)


def paint_great_vessels(plane: Plane) -> None:
    """Esophagus and the great vessels with their branches, in front of everything that they cross."""
    patient, organs = plane.patient, plane.patient.organs
    plane.paint(organs.esophagus, "esophagus")
    for vein in organs.renal_veins:
        plane.paint(vein, "renal_vein")
    plane.paint(organs.portal, "portal_vein")
    plane.paint(organs.smv, "mesenteric_vein")
    renal = float(ramp(plane.z, -45, -5))
    mixing = np.array([0, 12, 2], np.float32)[:, None, None]
    plane.paint(
        organs.cava, "ivc_high" if renal > 0.5 else "ivc_low", texture=lambda p: mixing * patient.fine(p) * renal
    )
    for vein in organs.iliac_veins:
        plane.paint(vein, "ivc_low")
    for crus in patient.crura:
        plane.paint(crus, "muscle", straight=True)
    for artery in (*organs.iliacs, *organs.arteries):
        plane.paint(artery, "artery")
    plane.paint(organs.aorta, "aorta")
    for plaque in patient.plaques:
        plane.paint(plaque, "cortical")


def paint_plane(patient: Patient, x: Array, y: Array, z: float, edge: float) -> Plane:
    """Paint everything at model height ``z`` mm."""
    plane = Plane(patient, x, y, z, edge)
    cavity = paint_torso(plane)
    paint_liver(plane, cavity)
    paint_solid_organs(plane, cavity)
    paint_pancreas(plane)
    paint_gut(plane, cavity)
    paint_loins(plane)
    paint_spine(plane)
    paint_great_vessels(plane)
    table = np.sqrt(x[None] ** 2 + (y[:, None] + 395) ** 2) - 395 - 90 - 0.5 * patient.torso.fat
    opaque = np.clip(0.5 - (np.abs(table) - 1.5) / edge, 0, 1) * (plane.label == 0) * (np.abs(x) < 190)
    plane.hu += opaque * np.float32(TABLE_HU - AIR_HU)
    return plane
