"""Two ways to one number, over random sequences: equal to rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_cases import KINDS, RF_DURATION, TERMED

import epgnumba
from epgnumba import CRLBObjective


def any_case(*others):
    """Make a check of a case (and what `others` draw) a test over random ones, and over those with terms."""

    def decorate(check):
        @pytest.mark.parametrize("kinds", [KINDS, TERMED], ids=["plain tissue", "with terms"])
        def test(kinds):
            given(st.one_of(*kinds.values()), *others)(check)()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def close(value, expected, tolerance=1e-12, scale=0.0):
    """Equal to rounding of the largest number there is, or of what the numbers are made of."""
    size = max(float(np.max(np.abs(expected), initial=0.0)), scale, 1e-300)
    np.testing.assert_allclose(value / size, np.asarray(expected) / size, rtol=0, atol=tolerance)


def bars_of(case, signal, jacobian):
    """Derivatives of a random scalar by signal and Jacobian, each of whose entries counts about as much."""
    rng = np.random.default_rng(len(case.events))
    signal_bar, jacobian_bar = (rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in (signal, jacobian))
    scale = np.array([case.scale(name) for name in case.diff])[:, None]
    return {"signal_bar": signal_bar, "jacobian_bar": jacobian_bar * scale, "diff": case.diff}


def gradient_and_scales(case, **changes):
    """Every derivative of that scalar, and what each is measured in."""
    case = case.using(**changes)
    sequence = case.sequence()
    bars = bars_of(case, *epgnumba.jacobian(sequence, **case.tissue, diff=case.diff))
    gradient = epgnumba.vjp(sequence, **case.tissue, **bars)
    units = {"flip": 50.0, "phase": 50.0, "receiver": 50.0, "wait": 10.0, "ramp": 10.0, "efficiency": 1.0}
    units["slice_prof"] = 1.0
    return gradient, {name: units.get(name) or case.scale(name) for name in gradient}, bars


@any_case()
def test_reverse_mode_is_the_difference_of_forward_mode(case):
    """Along one direction in all arguments at once; phases leave the quarters that made a program real."""
    gradient, scales, bars = gradient_and_scales(case)
    rng = np.random.default_rng(1)
    values = {**case.sequence().parameters, **case.tissue}
    direction = {name: rng.normal(size=np.shape(value)) * scales[name] for name, value in values.items()}
    for name in ("efficiency", "inv_efficiency"):  # at most one
        if name in direction:
            direction[name] *= 0
    if "ramp" in direction:  # at least nothing
        direction["ramp"] *= values["ramp"] > 0

    def scalar(step):
        moved = {name: value + step * direction[name] for name, value in values.items()}
        sequence = case.sequence().replace(**{name: moved[name] for name in case.parameters})
        tissue = {name: moved[name] for name in case.tissue}
        signal, jacobian = epgnumba.jacobian(sequence, **tissue, diff=case.diff)
        return np.vdot(bars["signal_bar"], signal).real + np.vdot(bars["jacobian_bar"], jacobian).real

    h = 2e-4
    slope = (8 * (scalar(h) - scalar(-h)) - (scalar(2 * h) - scalar(-2 * h))) / (12 * h)
    terms = [float((gradient[name] * direction[name]).sum()) for name in values]
    assert abs(slope - sum(terms)) <= 1e-8 * (sum(map(abs, terms)) + 1)


@any_case()
def test_what_else_is_asked_for_changes_nothing(case):
    """Parameters left out of the gradient keep a real problem real, or save the pairings."""
    gradient, scales, bars = gradient_and_scales(case)
    sequence = case.sequence()
    size = max(1.0, *(abs(gradient[name] * scales[name]).max(initial=0.0) for name in gradient))
    for wanted in (
        ("flip",), ("T1", "flip"), ("wait", "B1"), ("phase",), ("receiver", "T2"), ("slice_prof", "M0"), ("ramp", "D"),
        ("exchange", "velocity"),
    ):  # fmt: skip
        asked = tuple(name for name in wanted if name in gradient)
        if not asked:
            continue
        for name, value in epgnumba.vjp(sequence, **case.tissue, **bars, wanted=asked).items():
            close(value * scales[name], gradient[name] * scales[name], scale=size)


@any_case()
def test_a_trace_of_off_resonance_changes_nothing(case):
    """B0 = 1e-11 Hz makes a real program complex, and turns nothing that can be seen."""
    still, moving = (case.using(tissue={**case.tissue, "B0": B0}) for B0 in (0.0, 1e-11))
    gradient, scales, _ = gradient_and_scales(still)
    other, _, _ = gradient_and_scales(moving)
    size = max(1.0, *(abs(gradient[name] * scales[name]).max(initial=0.0) for name in gradient))
    for name in gradient:
        close(other[name] * scales[name], gradient[name] * scales[name], 1e-9, size)
    pairs = zip(*(epgnumba.jacobian(x.sequence(), **x.tissue, diff=case.diff) for x in (moving, still)), strict=True)
    for (value, expected), unit in zip(
        pairs, (1.0, np.array([case.scale(name) for name in case.diff])[:, None]), strict=True
    ):
        close(value * unit, expected * unit, 1e-8, 1.0)


@any_case()
def test_one_voxel_and_many(case):
    """A voxel alone has its orders side by side, one of many has voxels there; and nobody feels his neighbours."""
    sequence = case.sequence()
    alone = epgnumba.jacobian(sequence, **case.tissue, diff=case.diff)
    factors = np.array([1.0, 0.8, 1.3, 1.0, 0.9, 1.1, 1.0])
    maps = {**case.tissue, "T2": case.tissue["T2"] * factors, "M0": case.tissue["M0"] * factors[::-1]}
    many = epgnumba.jacobian(sequence, **maps, diff=case.diff)
    for value, expected in zip(many, alone, strict=True):  # voxel 3 is the one that was played alone
        close(value[3], expected, 1e-13)


@any_case(st.integers(0, 99))
def test_a_slice_is_the_mean_over_its_positions(case, seed):
    """Each played with flip angles of its own, and as long as leaves their power what it was."""
    kinds = ("one", "other", "third")[: sum(event[0] == "p" for event in case.events)]
    rng = np.random.default_rng(seed)
    profile = {kind: rng.uniform(0.2, 1.2, 3) * rng.choice([1, 1, -1]) for kind in kinds}
    case = case.using(kinds=kinds)
    found = epgnumba.jacobian(case.sequence(), **case.tissue, diff=case.diff, slice_prof=profile)
    gradient = epgnumba.vjp(
        case.sequence(), **case.tissue, slice_prof=profile, **bars_of(case, *found)
    )  # fmt: skip
    each, slopes = [], {name: np.zeros(3) for name in gradient if name.startswith("slice_prof")}
    for position in range(3):
        pulses, events = 0, []
        for event in case.events:
            if event[0] == "p":
                event = ("p", event[1] * profile[kinds[pulses % len(kinds)]][position], event[2])
                pulses += 1
            events.append(event)
        lasts = {kind: RF_DURATION * profile[kind][position] ** 2 for kind in kinds}
        played = case.using(events=events, rf_duration=lasts)
        each.append(epgnumba.jacobian(played.sequence(), **case.tissue, diff=case.diff))
        if "bound_fraction" not in case.tissue:
            by_flip = epgnumba.vjp(played.sequence(), **case.tissue, **bars_of(case, *found), wanted=("flip",))["flip"]
            for n, slope in enumerate(by_flip * case.parameters["flip"] / 3):
                slopes[f"slice_prof.{kinds[n % len(kinds)]}"][position] += slope
    for value, alone in zip(found, zip(*each, strict=True), strict=True):
        scale = np.array([case.scale(name) for name in case.diff])[:, None] if value.ndim > 1 else 1.0
        close(value * scale, np.mean(alone, 0) * scale, scale=1.0)
    if "bound_fraction" not in case.tissue:
        size = max(1.0, *(abs(value).max() for value in slopes.values()))
        for name, value in slopes.items():
            close(gradient[name], value, 1e-11, size)


@any_case()
def test_arrays_and_tensors(case):
    torch = pytest.importorskip("torch")
    import epgnumba.torch as bridge

    sequence = case.sequence()
    gradient, _, bars = gradient_and_scales(case)
    values = {**{n: np.asarray(v) for n, v in case.tissue.items()}, **sequence.parameters}
    tensors = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in values.items()}
    signal, jacobian = bridge.jacobian(
        sequence, **{name: tensors[name] for name in case.tissue}, diff=case.diff,
        parameters={name: tensors[name] for name in case.parameters},
    )  # fmt: skip
    plain = epgnumba.jacobian(sequence, **case.tissue, diff=case.diff)
    np.testing.assert_array_equal(signal.detach().numpy(), plain[0])
    np.testing.assert_array_equal(jacobian.detach().numpy(), plain[1])
    cotangents = torch.tensor(bars["signal_bar"]), torch.tensor(bars["jacobian_bar"])
    torch.autograd.backward((signal, jacobian), cotangents)
    for name, value in tensors.items():
        close(value.grad.numpy(), gradient[name])


def conditioning(objective, x, jacobian, magnitude):
    """The condition of the scaled Fisher matrix, one way or another: how many digits a bound has left."""
    slopes = np.asarray(objective._seen(x))[0] if magnitude else np.concatenate([jacobian.real, jacobian.imag], 1)
    size = np.linalg.norm(slopes, axis=1)
    with np.errstate(over="ignore"):
        return np.inf if (size == 0).any() else np.linalg.cond(slopes / size[:, None]) ** 2


@any_case(st.booleans())
def test_objective_and_bound(case, magnitude):
    """The objective's own kernel, its planar way, and `crlb` of a Jacobian say the same, infinity too."""
    readouts = sum(event[0] == "r" for event in case.events)
    diff = tuple(dict.fromkeys(("M0", "T1", *case.diff)))[: readouts if magnitude else 2 * readouts]
    sequence = case.sequence()
    weights = np.array([1 / case.scale(name) ** 2 for name in diff])
    kind = {"data": "magnitude"} if magnitude else {}
    names = tuple(name for name in ("flip", "wait", "ramp") if name in case.parameters)
    jacobian = epgnumba.jacobian(sequence, **case.tissue, diff=diff)[1]
    try:
        objective = CRLBObjective(sequence, **case.tissue, unknowns=diff, weights=weights, variables=names, **kind)
    except ValueError as refused:
        if "cannot be told apart by" not in str(refused):
            raise
        assert np.isinf(epgnumba.crlb(jacobian)).all()
        return
    value, gradient = objective(objective.x0)
    bounds = objective.bounds(objective.x0)
    condition = conditioning(objective, objective.x0, jacobian, magnitude)
    if 1e10 < condition < np.inf:  # too close to singular for two ways to agree on it
        return
    others = [float(objective.values(objective.x0)), float((weights * bounds).sum())]
    if not magnitude:
        others.append(float(epgnumba.crlb(jacobian, weights=weights)))
    if condition == np.inf:
        assert [value, *others] == [np.inf] * (1 + len(others))
        assert not gradient.any()
    else:
        np.testing.assert_allclose(others, value, rtol=1e-14 * max(condition, 100))
