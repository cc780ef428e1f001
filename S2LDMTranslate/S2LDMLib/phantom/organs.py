"""Where the organs and vessels of one patient lie, in the model frame of ``torso``."""

from __future__ import annotations

import numpy as np

from .shapes import Ellipsoid, Tube, curve
from .torso import spine_y


class Organs:
    """Abdominal organs and vessels of one patient; every node and semi-axis is varied by the generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._viscera()
        self._great_vessels()
        self._branches()
        self._bowel()

    def _vary(self, nodes: list[tuple[float, ...]], mm: float = 3.0, steps: int = 4) -> Tube:
        p = np.asarray(nodes, float)
        p[:, :3] += self._rng.normal(0, mm, 3) * 0.7 + self._rng.normal(0, mm * 0.6, (len(p), 3))
        p[:, 3] *= self._rng.uniform(0.9, 1.12)
        return curve([tuple(row) for row in p], steps)

    def _blob(self, centre: tuple, radii: tuple, yaw: float = 0.0, roll: float = 0.0, mm: float = 3.0) -> Ellipsoid:
        rng = self._rng
        moved = tuple(np.asarray(centre) + rng.normal(0, mm, 3))
        return Ellipsoid(
            moved,
            tuple(np.asarray(radii) * rng.uniform(0.92, 1.08, 3)),
            yaw + rng.normal(0, 0.06),
            roll + rng.normal(0, 0.06),
        )

    def _viscera(self) -> None:
        blob = self._blob
        self.liver = (
            blob((-76, -48, 28), (68, 92, 84), 0.1, 0.12),
            blob((4, -104, 50), (88, 40, 36), -0.25, -0.18),
            blob((-22, -70, 34), (30, 34, 32)),
        )
        self.porta = curve([(-14, -86, 22, 9), (-36, -74, 8, 14), (-48, -84, -14, 16), (-58, -100, -50, 24)])
        self.gallbladder = self._vary([(-50, -88, 2, 5), (-60, -98, -8, 11), (-68, -110, -22, 15), (-70, -116, -34, 9)])
        self.spleen = blob((96, -6, 32), (42, 60, 50), 0.35, 0.2, 4)
        self.spleen_dent = blob((54, -28, 18), (44, 44, 60), 0.35, 0.2, 2)
        self.heart = blob((24, -84, 114), (62, 44, 38), -0.6, -0.3)
        self.ventricles = (
            blob((40, -74, 112), (34, 17, 19), -0.6, -0.3, 1),
            blob((16, -104, 112), (34, 13, 20), -0.6, -0.3, 1),
        )
        self.atrium = blob((-18, -72, 112), (20, 20, 26))
        self.pancreas = self._vary(
            [
                (-32, -70, -44, 10),
                (-33, -74, -28, 15),
                (-24, -79, -16, 13),
                (-6, -87, -8, 8),
                (16, -90, 0, 9),
                (40, -76, 8, 10),
                (64, -48, 15, 11),
                (84, -28, 22, 9),
            ]
        )
        self.adrenals = [
            curve([(s * 34, -44, 22, 3), (s * 37 + e, -34 + f, 10, 2.6), (s * 38 + 2 * e, -26 + 2 * f, 2, 2)])
            for s in (-1, 1)
            for e, f in ((-5, 0), (5, -2))
        ]
        self.kidneys = [self._kidney(-1, (-67, -19, -38)), self._kidney(1, (67, -16, -26))]

    def _kidney(self, side: int, centre: tuple[float, float, float]) -> dict[str, list]:
        """Body, hilar sinus, pyramids, pelvis and the hilar point of one kidney."""
        rng = self._rng
        body = self._blob(centre, (27, 31, 54), side * 0.5, side * 0.16, 4)
        turn = np.array([[np.cos(body.yaw), -np.sin(body.yaw)], [np.sin(body.yaw), np.cos(body.yaw)]])
        local = [(u, v, w) for w in (-34, -17, 0, 17, 34) for u, v in ((0.30, 1.0), (0.30, -1.0), (1.0, 0.3))]

        def place(x: float, y: float, z: float) -> tuple[float, float, float]:
            return (*(turn @ (x * side + -z * np.sin(body.roll), y) + np.array(body.centre[:2])), body.centre[2] + z)

        pyramids = []
        for u, v, w in local:
            shrink = np.sqrt(1 - (w / 56) ** 2) * rng.uniform(0.92, 1.05)
            angle = np.arctan2(v, u * side)
            pyramids.append(
                Ellipsoid(
                    place(16 * u * shrink, 18 * v * shrink, w + rng.normal(0, 2)), (9.5, 8.6, 8.0), body.yaw + angle
                )
            )
        sinus = [
            Ellipsoid(place(-5, 0, 0), (11, 10, 33), body.yaw, body.roll),
            Ellipsoid(place(-20, 2, 0), (15, 9, 16), body.yaw),
        ]
        pelvis = curve(
            [(*place(0, 0, 14), 4), (*place(-6, 0, 0), 5), (*place(-18, 4, -6), 5), (*place(-30, 6, -22), 3)]
        )
        return {"body": [body], "sinus": sinus, "pyramids": pyramids, "pelvis": [pelvis], "hilum": [place(-16, 0, 2)]}

    def _great_vessels(self) -> None:
        levels = np.arange(-100, 181, 20)
        sway = self._rng.normal(0, 2.0, (len(levels), 2)) + self._rng.normal(0, 1.5, 2)
        front = spine_y(levels) - 17
        width = self._rng.uniform(9.0, 11.5)
        self.aorta = curve(
            [
                (5 + 0.07 * max(z, 0) + dx, y - 11 + 0.13 * max(z - 20, 0) + dy * 0.5, z, width + 0.012 * z)
                for z, y, (dx, dy) in zip(levels.tolist(), front.tolist(), sway, strict=True)
            ]
        )
        fork = self.aorta.nodes[0]
        self.iliacs = [
            curve([(*fork, 6.5), (s * 12 + 4, fork[1] + 2, -116, 6), (s * 27, -46, -142, 5.5), (s * 44, -34, -175, 5)])
            for s in (-1, 1)
        ]
        self.cava = self._vary(
            [
                (-12, -48, -114, 10),
                (-20, -50, -95, 10),
                (-23, -52, -60, 11),
                (-24, -48, -25, 11.5),
                (-24, -44, 0, 12),
                (-26, -44, 30, 12.5),
                (-24, -48, 60, 13),
                (-20, -58, 88, 14),
                (-18, -66, 104, 15),
            ],
            1.5,
        )
        self.iliac_veins = [
            curve([(-12, -48, -110, 8), (s * 20 - 6, -36, -132, 7), (s * 40, -24, -172, 7)]) for s in (-1, 1)
        ]
        self.portal = self._vary([(-8, -77, -6, 7.5), (-18, -74, 4, 7.5), (-32, -68, 18, 7.5), (-42, -66, 28, 7)], 1.5)
        merge = tuple(self.portal.nodes[0])
        self.splenic_vein = curve(
            [(*merge, 6), (16, -77, 2, 4.5), (40, -64, 10, 4.2), (62, -38, 18, 4), (78, -20, 26, 3)]
        )
        self.smv = curve([(*merge, 6.5), (-9, -82, -28, 6), (-8, -86, -55, 5), (-4, -92, -85, 4), (0, -96, -120, 2.5)])

    def _from_aorta(self, z: float) -> tuple[float, float, float]:
        return tuple(self.aorta.nodes[np.abs(self.aorta.nodes[:, 2] - z).argmin()])

    def _branches(self) -> None:
        rng = self._rng
        celiac, sma, renal = self._from_aorta(14), self._from_aorta(0), self._from_aorta(-12)
        trunk = (celiac[0] - 1, celiac[1] - 20, celiac[2] - 2)
        self.splenic_artery = curve(
            [
                (*trunk, 3),
                (12, -74, 18, 2.6),
                (26, -72, 12, 2.6),
                (38, -60, 20, 2.5),
                (52, -50, 15, 2.5),
                (64, -38, 24, 2.4),
                (78, -22, 24, 2),
            ]
        )
        self.arteries = [
            curve([(*celiac, 4), (*trunk, 3.6)]),
            curve([(*trunk, 2.8), (-14, -80, 10, 2.4), (-26, -82, 16, 2.2), (-38, -78, 24, 1.8), (-50, -74, 32, 1.4)]),
            curve([(*trunk, 2), (10, -90, 24, 1.6), (24, -92, 34, 1.3)]),
            curve(
                [(*sma, 4), (sma[0] - 1, sma[1] - 16, -8, 4), (3, -76, -30, 3.6), (4, -84, -60, 3), (8, -92, -95, 2.2)]
            ),
        ]
        self.renal_veins = []
        for side, kidney in zip((-1, 1), self.kidneys, strict=True):
            x, y, z = kidney["hilum"][0]
            self.arteries.append(curve([(*renal, 3), (side * 24 + 2, renal[1] + 6, -15, 2.8), (x, y, z, 2.4)]))
            start = (8, renal[1] - 14, -12, 4.5) if side > 0 else (-26, -48, -18, 5)
            middle = ((-22, -50, -14, 5), start, (30, y - 14, z, 5)) if side > 0 else (start,)
            self.renal_veins.append(curve([*middle, (x, y - 5, z - 2, 4.5)]))
        confluence = (-22, -56, 84)
        self.hepatic_veins = []
        for end in ((-112, -38, 52), (-62, -112, 44), (34, -116, 62), (-84, -16, 20)):
            self.hepatic_veins += self._tree(confluence, end, 5.5, 3)
        gate = tuple(self.portal.nodes[-1])
        self.portal_branches = []
        for end in ((-78, -92, 26), (-92, -34, 38), (-8, -112, 48), (-76, -66, 62), (-84, -56, -10)):
            self.portal_branches += self._tree(gate, end, 5.2, 3)
        self.hepatic_arteries = [
            Tube(t.nodes + 0.9 * t.radii[:, None], 0.2 * t.radii) for t in self.portal_branches if t.radii.max() > 2.5
        ]
        self.mesentery = [
            t
            for _ in range(26)
            for t in self._tree(
                (2, -88, rng.uniform(-100, -30)),
                (rng.uniform(-80, 90), rng.uniform(-120, -85), rng.uniform(-130, -40)),
                2.2,
                1,
            )
        ]
        self.lung_vessels = [
            t
            for s in (-1, 1)
            for _ in range(14)
            for t in self._tree(
                (s * 34, -36, 140), (s * rng.uniform(45, 122), rng.uniform(-125, 40), rng.uniform(40, 120)), 2.6, 2
            )
        ]

    def _tree(self, start: tuple, end: tuple, radius: float, depth: int) -> list[Tube]:
        """A bent branch from start to end that divides until ``depth`` is used up; its calibre falls to a third."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        length = np.linalg.norm(b - a)
        bends = [a + (b - a) * t + self._rng.normal(0, 0.06 * length, 3) * np.sin(np.pi * t) for t in (0, 0.35, 0.7, 1)]
        branches = [curve([(*p, radius * f) for p, f in zip(bends, (1, 0.85, 0.65, 0.35), strict=True)], 3)]
        for k in range(2 * (depth > 0)):
            root = bends[1 + k % 2]
            away = (b - a) / length + self._rng.normal(0, 0.75, 3)
            branches += self._tree(root, root + away * length * 0.55, radius * 0.55, depth - 1)
        return branches

    def _bowel(self) -> None:
        rng = self._rng
        size = rng.uniform(0.85, 1.2)
        self.stomach = self._vary(
            [
                (56, -22, 66, 12 * size),
                (58, -48, 56, 30 * size),
                (60, -76, 34, 31 * size),
                (58, -98, 8, 26 * size),
                (40, -112, -12, 22 * size),
                (12, -114, -20, 17),
                (-14, -104, -16, 13),
                (-28, -96, -10, 9),
            ],
            4,
        )
        self.duodenum = self._vary(
            [
                (-28, -96, -10, 9),
                (-44, -86, -8, 13),
                (-50, -74, -26, 12),
                (-50, -66, -50, 12),
                (-36, -62, -68, 12),
                (-4, -70, -70, 10),
                (28, -64, -62, 11),
                (44, -76, -40, 11),
                (52, -92, -46, 11),
            ],
            2,
        )
        self.esophagus = curve([(30, -42, 58, 8), (16, -40, 72, 8), (4, -26, 100, 8), (0, -12, 140, 8), (0, 0, 185, 8)])
        low = rng.uniform(-75, -50)
        self.colon = self._vary(
            [
                (-108, -40, -150, 28),
                (-112, -50, -105, 27),
                (-112, -58, -70, 24),
                (-106, -84, -46, 23),
                (-82, -118, low + 8, 21),
                (-44, -128, low - 14, 21),
                (0, -130, low - 18, 20),
                (44, -128, low, 20),
                (84, -118, -24, 19),
                (106, -88, 12, 20),
                (112, -58, 2, 18),
                (114, -38, -30, 17),
                (114, -34, -80, 17),
                (108, -34, -150, 17),
            ],
            4,
        )
        self.small_bowel = []
        # Jejunum fills the left upper quadrant, ileum the whole width further down, in two layers front to back.
        for left, depth, top in (
            (30, -84, -30),
            (10, -106, -40),
            *((-80, d, z) for z in range(-62, -180, -22) for d in (-108, -82)),
        ):
            x = np.arange(left, 96, 14) + rng.uniform(-5, 5)
            y = depth + 9 * np.sin(x / 17 + rng.uniform(0, 6)) + rng.normal(0, 3, len(x))
            height = top + 12 * np.sin(x / 12 + rng.uniform(0, 6)) + rng.normal(0, 3, len(x))
            self.small_bowel.append(curve(list(zip(x, y, height, rng.uniform(8.5, 13, len(x)), strict=True)), 3))
