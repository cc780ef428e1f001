"""The sample "S2LDM phantom NCCT": a made-up patient, computed here and not downloaded."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import slicer

NAME = "S2LDM phantom NCCT"
CATEGORY = "S2LDM"
SEED = 0
WINDOW, LEVEL = 400.0, 40.0
_WAIT_S = 0.05


def register_sample_data() -> None:
    """Add the sample to the module Sample Data."""
    import SampleData

    icon = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "S2LDMTranslate.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        thumbnailFileName=str(icon),
        uris="",  # nothing is fetched, but Sample Data wants as many addresses as names
        fileNames=f"{NAME}.nrrd",
        nodeNames=NAME,
        customDownloader=make_sample,
    )


def make_sample(source: Any = None) -> Any:
    """Compute the phantom and put it into the scene; returns its node. Takes some seconds; the window stays alive."""
    from S2LDMLib.phantom.scan import make_phantom

    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(make_phantom(seed=SEED).ncct), daemon=True)
    thread.start()
    while thread.is_alive():
        slicer.app.processEvents()
        thread.join(_WAIT_S)
    if not made:
        raise RuntimeError("The phantom could not be made. Look at the Python console.")
    return _add(made[0])


def _add(image: Any) -> Any:
    import SimpleITK as sitk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(NAME))
    slicer.util.updateVolumeFromArray(node, sitk.GetArrayFromImage(image))
    matrix = np.eye(4)
    axes = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    matrix[:3] = np.diag([-1.0, -1.0, 1.0]) @ np.column_stack([axes, image.GetOrigin()])  # LPS to RAS
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(WINDOW, LEVEL)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node
