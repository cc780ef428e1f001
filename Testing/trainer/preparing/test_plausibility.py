"""Registered pairs that are not what they claim to be are kept out of training, and sound ones are not."""

from __future__ import annotations

from dataclasses import replace

import painted_abdomen
import pytest
import SimpleITK as sitk
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMTrainerLib.preparing.plausibility import Enhancement, doubt_enhancement, doubt_registration, enhancement
from S2LDMTrainerLib.preparing.registration import Quality

# As measured on real pairs: the one that fits least, and NCCTs with the CECT of somebody else or of another date.
WORST_SOUND = Quality(0.465, 0.893, 0.494, 0.810, 6.8, 14.4, 0.0)
OTHER_PATIENT = Quality(0.044, 0.266, -0.001, 0.295, 42.7, 72.4, 0.0093)
OTHER_DATE = Quality(0.065, 0.705, 0.068, 0.765, 35.3, 48.9, 0.0002)


def everywhere(image: sitk.Image) -> sitk.Image:
    return sitk.Cast(image * 0 + 1, sitk.sitkUInt8)


def measured(triple: PhantomTriple) -> dict[str, Enhancement]:
    found = {}
    for phase in ("arterial", "venous"):
        one = enhancement(triple.ncct, getattr(triple, phase), everywhere(triple.ncct))
        assert one is not None
        found[phase] = one
    return found


def test_registrations_as_measured_are_told_apart() -> None:
    assert doubt_registration("venous", WORST_SOUND) is None
    assert "borders of organs do not meet" in str(doubt_registration("venous", OTHER_PATIENT))
    assert "moves organs by 49 mm" in str(doubt_registration("venous", OTHER_DATE))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"folding": 0.02}, "folds 2.0% of the body"), ({"border_correlation_before": 0.9}, "meet less than before")],
)
def test_a_folded_or_harmful_registration_is_doubted(change: dict[str, float], message: str) -> None:
    assert message in str(doubt_registration("arterial", replace(WORST_SOUND, **change)))


def test_phases_of_a_phantom_are_plausible_and_swapped_ones_are_not(phantom: PhantomTriple) -> None:
    found = measured(phantom)
    assert doubt_enhancement(found) is None
    swapped = {"arterial": found["venous"], "venous": found["arterial"]}
    assert "arterial and venous look swapped" in str(doubt_enhancement(swapped))


def test_a_cect_darker_than_the_ncct_is_doubted(phantom: PhantomTriple) -> None:
    backwards = enhancement(phantom.arterial, phantom.ncct, everywhere(phantom.ncct))
    assert backwards is not None
    assert "darker than the ncct" in str(doubt_enhancement({"arterial": backwards}))


def test_an_ncct_given_as_a_phase_is_doubted() -> None:
    again = painted_abdomen.native(noise=9)
    found = enhancement(painted_abdomen.native(), again, everywhere(again))
    assert found is not None
    assert "shows no contrast medium" in str(doubt_enhancement({"venous": found}))


def test_an_arterial_scan_given_as_the_only_venous_one_is_doubted() -> None:
    assert "looks arterial" in str(doubt_enhancement({"venous": Enhancement(337.0, 6.4, -28.0)}))
    assert doubt_enhancement({"venous": Enhancement(139.0, 59.1, -28.0)}) is None


def test_what_the_cect_did_not_measure_does_not_count() -> None:
    ncct, cect = painted_abdomen.native(), painted_abdomen.venous()
    whole = enhancement(ncct, cect, everywhere(cect))
    cut = sitk.Image(cect)
    cut[:, :, 8:] = -1024
    half = enhancement(ncct, cut, sitk.Cast(cut > -1024, sitk.sitkUInt8))
    assert whole is not None and half is not None
    assert half.losses > -30
    assert half.vessels == pytest.approx(whole.vessels, abs=15)


def test_too_little_soft_tissue_tells_nothing() -> None:
    ncct = painted_abdomen.native()
    assert enhancement(ncct, painted_abdomen.venous(), everywhere(ncct) * 0) is None
