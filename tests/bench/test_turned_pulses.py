"""Pulses that turn each voxel in its own way, of random sequences: fields by kind, waveforms across a slice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opinion import derivatives
from random_cases import KINDS, TERMED

import epgnumba
from epgnumba import pulses
from epgnumba.derivatives import push_forward, push_pull
from epgnumba.problem import read_problem

EVERY = {**KINDS, **TERMED}
OF_PULSES = ("one", "other")


def some(test):
    """A quarter of the cases that others play: each is compiled for shapes of its own, which takes seconds."""
    return settings(max_examples=settings.default.max_examples // 4)(test)


WAVES = {
    "one": pulses.Waveform([0.4, 1.0, 0.9 + 0.3j, -0.2], 1.5),
    "other": pulses.Waveform([0.5, 1.0 - 0.2j, 0.6], 0.8),
}


@st.composite
def turning(draw, kind):
    """A case, its fields (B1 of all or by kind), the place in the slice, and what is differentiated by."""
    case = draw(kind)
    played = OF_PULSES[: sum(event[0] == "p" for event in case.events)]
    tissue = {name: value for name, value in case.tissue.items() if name != "B1"}
    by_kind, place = draw(st.booleans()), draw(st.one_of(st.none(), st.floats(-0.9, 0.9), st.just(0.0)))
    own = ["B1"]
    if by_kind or place is None:
        sizes = {f"B1.{one}": draw(st.sampled_from([1.0, 0.8, 1.3])) for one in played}
        angles = {f"B1_phase.{one}": draw(st.sampled_from([0.0, 90.0, 37.0, -140.0])) for one in played}
        fields = sizes | angles
        own = [*fields]
    else:
        fields = {"B1": case.tissue["B1"]}
    known = [name for name in case.tissue if name in ("bound_fraction", "fraction_b", "D", "velocity")]
    diff = draw(st.sampled_from([(own[0], "T2"), (own[-1], *known[:1])]))  # few, each of which is compiled
    return case.using(tissue=tissue | fields, kinds=OF_PULSES, diff=diff), place, played


def arguments(case, place, played):
    """Of a call: fields as complex numbers, waveforms at one place."""
    maps = {name: value for name, value in case.tissue.items() if "." not in name}
    if "B1" not in maps:
        size, angle = ([case.tissue[f"{part}.{one}"] for one in played] for part in ("B1", "B1_phase"))
        maps["B1"] = dict(zip(played, np.array(size) * np.exp(1j * np.deg2rad(angle)), strict=True))
    if place is not None:
        waves = {one: pulses.Waveform(WAVES[one].samples, WAVES[one].duration, 1.0) for one in played}
        maps["slice_prof"] = {one: wave.across([place]) for one, wave in waves.items()}
    return maps


def unit(case, name):
    return (50.0 if "phase" in name else 1.0) if "." in name else case.scale(name)


@pytest.mark.parametrize("kind", EVERY)
def test_second_opinion(kind):
    @some
    @given(turning(EVERY[kind]), st.sampled_from([1, 3]))
    def check(drawn, voxels):
        case, place, played = drawn
        waves = {} if place is None else {one: (WAVES[one].samples, WAVES[one].duration, place) for one in played}
        expected, slopes = derivatives(case.sequence(), case.tissue, case.diff, waves=waves)
        maps = arguments(case, place, played)
        maps["T2"] = np.full(voxels, maps["T2"])
        signal, jacobian = epgnumba.jacobian(case.sequence(), **maps, diff=case.diff)
        np.testing.assert_allclose(signal[-1], expected, rtol=0, atol=1e-12)
        for name, slope, exact in zip(case.diff, jacobian[-1], slopes, strict=True):
            scale = unit(case, name)
            np.testing.assert_allclose(slope * scale, exact * scale, rtol=0, atol=1e-9, err_msg=name)

    check()


@pytest.mark.parametrize("kinds", [KINDS, TERMED], ids=["plain tissue", "with terms"])
def test_reverse_mode_is_the_adjoint_of_forward_mode(kinds):
    """Of signal and Jacobian, along everything; second derivatives are symmetric."""

    @some
    @given(turning(st.one_of(*kinds.values())))
    def check(drawn):
        case, rng = drawn[0], np.random.default_rng(3)
        maps = arguments(*drawn)
        problem = read_problem(case.sequence(), **maps, diff=case.diff)
        signal, jacobian = epgnumba.jacobian(case.sequence(), **maps, diff=case.diff)
        units = np.array([unit(case, name) for name in case.diff])[:, None]
        bars = [rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in (signal, jacobian)]
        bars[1] = bars[1] * units
        pulled = epgnumba.vjp(case.sequence(), **maps, diff=case.diff, signal_bar=bars[0], jacobian_bar=bars[1])
        scales = {
            "slice_prof": 1.0,
            "flip": 50.0,
            "phase": 50.0,
            "receiver": 50.0,
            "wait": 10.0,
            "ramp": 10.0,
            "efficiency": 1.0,
        }

        def directions():
            return {
                name: rng.normal(size=np.shape(bar)) * (scales.get(name) or unit(case, name))
                for name, bar in pulled.items()
            }

        along, step = directions(), directions()
        pushed = push_forward(problem, along)
        product = sum(float((b.conj() * x).real.sum()) for b, x in zip(bars, pushed, strict=True))
        terms = [float((pulled[name] * along[name]).sum()) for name in pulled]
        assert abs(product - sum(terms)) <= 1e-10 * (sum(map(abs, terms)) + 1)
        one, other = (push_pull(problem, tuple(bars), x) for x in (along, step))
        pairs = [[float((a[n] * b[n]).sum()) for n in pulled] for a, b in ((one, step), (other, along))]
        assert abs(sum(pairs[0]) - sum(pairs[1])) <= 1e-9 * (sum(map(abs, pairs[0])) + 1)

    check()
