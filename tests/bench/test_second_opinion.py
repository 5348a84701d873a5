"""Any sequence, held to the second opinion: the signal to rounding, derivatives to the accuracy of differences."""

import numpy as np
import pytest
from hypothesis import given
from opinion import derivatives
from random_cases import KINDS, Case

import epgnumba


def check_signal_and_jacobian(case: Case):
    sequence = case.sequence()
    expected, slopes = derivatives(sequence, case.tissue, case.diff)
    signal, jacobian = epgnumba.jacobian(sequence, **case.tissue, diff=case.diff)
    np.testing.assert_allclose(signal, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(epgnumba.simulate(sequence, **case.tissue), signal, rtol=0, atol=1e-14)
    for name, slope, exact in zip(case.diff, jacobian, slopes, strict=True):
        np.testing.assert_allclose(slope * case.scale(name), exact * case.scale(name), rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_signal_and_jacobian(kind):
    @given(KINDS[kind])
    def check(case):
        check_signal_and_jacobian(case)

    check()
