"""Any sequence, held to the second opinion: the signal to rounding, derivatives to the accuracy of differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opinion import derivatives, play
from random_cases import KINDS, TERMED, Case, evenly, tissues

import epgnumba


def check_signal_and_jacobian(case: Case):
    sequence = case.sequence()
    expected, slopes = derivatives(sequence, case.tissue, case.diff)
    signal, jacobian = epgnumba.jacobian(sequence, **case.tissue, diff=case.diff)
    np.testing.assert_allclose(signal, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(epgnumba.simulate(sequence, **case.tissue), signal, rtol=0, atol=1e-14)
    for name, slope, exact in zip(case.diff, jacobian, slopes, strict=True):
        np.testing.assert_allclose(slope * case.scale(name), exact * case.scale(name), rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", [*KINDS, *TERMED])
def test_signal_and_jacobian(kind):
    @given({**KINDS, **TERMED}[kind])
    def check(case):
        check_signal_and_jacobian(case)

    check()


@given(evenly(), tissues(False), st.floats(5.0, 80.0))
def test_times_out_of_phase(sequence, tissue, T2prime):
    """Off-resonance turns a readout by the time that its spins have been out of phase; T2' makes it decay by that."""
    tissue, turn = {**tissue, "B0": 0.0}, 0.5  # Hz
    still, turned = play(sequence, {**tissue, "B0": np.array([[0.0], [turn]])}, size=2)
    seen = abs(still) > 1e-5
    time = np.where(seen, np.angle(turned / np.where(seen, still, 1)), 0) / (2e-3 * np.pi * turn)
    expected = still * np.exp(-abs(time) / T2prime)
    signal, slope = epgnumba.jacobian(sequence, **tissue, T2prime=T2prime, diff="T2prime")
    tolerance = 1e-7 if sequence.steady else 1e-11  # it is repeated until that is left
    np.testing.assert_allclose(signal[seen], expected[seen], rtol=0, atol=tolerance)
    np.testing.assert_allclose(slope[seen], (expected * abs(time) / T2prime**2)[seen], rtol=0, atol=tolerance)
