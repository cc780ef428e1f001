"""Several samples: their mean and spread."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_maker import hu
from S2LDMLib.errors import InputError
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import Progress


def test_mean_and_deviation_are_those_of_the_samples(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    seen: list[Progress] = []
    mean, deviation = small.samples(phantom.ncct, "venous", 3, seed=5, steps=3, on_progress=seen.append)
    samples = np.stack([hu(small(phantom.ncct, "venous", seed=5 + index, steps=3)) for index in range(3)])
    assert samples.std(axis=0).max() > 0
    assert np.abs(hu(mean) - samples.mean(axis=0)).max() <= 0.501
    assert np.abs(hu(deviation) - samples.std(axis=0, ddof=1)).max() <= 0.501
    assert mean.GetOrigin() == deviation.GetOrigin() == phantom.ncct.GetOrigin()
    assert (mean.GetMetaData("S2LDM_samples"), mean.GetMetaData("S2LDM_seed")) == ("3", "5")
    assert deviation.GetMetaData("description").endswith("standard deviation of 3 samples")
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len({f for f in fractions if f < 0.3}) > 1


@pytest.mark.parametrize(("count", "steps", "message"), [(3, None, "same result for every seed"), (1, 4, "no spread")])
def test_samples_without_spread_are_refused(
    small: S2LDMPipeline, phantom: PhantomTriple, count: int, steps: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        small.samples(phantom.ncct, "venous", count, steps=steps)
