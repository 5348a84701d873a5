"""Small calls of everything that the kernels can do, for the same numbers from compiled code and from plain Python.

As a program it writes them to a file: `python cases.py results.npz`.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent))

from families import FAMILIES, REPEATED

import epgnumba
from epgnumba import CRLBObjective, engine, pulses
from epgnumba import sequence as seq
from epgnumba.derivatives import push_forward
from epgnumba.engine import layout
from epgnumba.estimate import Dictionary, fit
from epgnumba.problem import read_problem

ONE = {"T1": 200.0, "T2": 40.0, "B1": 0.93, "inv_efficiency": 0.8, "M0": 1.3}
# Voxels side by side; and more than a vector has lanes, so that the last of them share theirs with none.
SPREAD = np.linspace(0.9, 1.1, 18)
MANY = {name: value * SPREAD for name, value in ONE.items()} | {"M0": 1.3 * SPREAD[::-1]}
THREE = {name: value[:3] for name, value in MANY.items()}
B0 = 9.0
ALL = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")  # of what every tissue has
REAL = ("T2", "T1", "B1", "M0", "inv_efficiency")  # off-resonance would make all programs complex


def unbalanced(p):
    """Gradients between all pulses."""
    for flip in p.flip:
        yield [seq.Pulse(flip, p.phase), seq.Wait(4.0), seq.Readout(), seq.Shift(1), seq.Wait(p.TR), seq.Readout(5.0)]


# Their steady state is found by playing them again and again: a handful of times, where T1 is short. Or, since
# tolerances are strict, as a mean over a handful of angles.
SHORT = {
    "SPGR, RF spoiled": seq.SPGR(20.0, 2.0, 600.0, "rf"),
    "DESS": seq.DESS(35.0, 4.0, 600.0, tolerance=1e-300),
    "unbalanced": seq.EventSequence(
        unbalanced, steady=True, advance="step", tolerance=1e-300, flip=[35.0, 70.0], phase=25.0, TR=400.0, step=40.0
    ),
}
SEQUENCES = {**{name: sequence for name, sequence in FAMILIES.items() if name not in REPEATED}, **SHORT}


def bar(shape, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def signal_and_derivatives(sequence, tissue, diff=ALL, parts=False, **options):
    """Signal, Jacobian, and what a reverse sweep finds; `parts`: also when only flips, times or phases are wanted."""
    signal, jacobian = epgnumba.jacobian(sequence, **tissue, diff=diff, **options)
    scale = np.maximum(abs(jacobian).max(axis=-1, keepdims=True), 1e-3)
    bars = {"signal_bar": bar(signal.shape, 1), "jacobian_bar": bar(jacobian.shape, 2) / scale}
    pull = {**tissue, **bars, "diff": diff, **options}
    found = {"signal": signal, "jacobian": jacobian}
    problem = read_problem(sequence, **tissue)
    names = problem.job().program.expressions
    groups = {
        "flips": set(sequence.parameters) - names.time_names - names.phase_names,
        "times": names.time_names,
        "phases": names.phase_names - names.time_names,
    }
    chosen = {title: tuple(sorted(group)) for title, group in groups.items() if group} if parts else {}
    for title, wanted in {"all": None, **chosen}.items():
        for name, value in epgnumba.vjp(sequence, **pull, wanted=wanted).items():
            found[f"{title} by {name}"] = value
    return found


def direction(sequence, tissue, diff=ALL, **options):
    """A directional derivative: the forward kernels in complex arithmetic."""
    values, rng = {**sequence.parameters, **tissue}, np.random.default_rng(3)
    tangents = {name: rng.normal(size=np.shape(value)) for name, value in values.items()}
    signal, jacobian = push_forward(read_problem(sequence, **tissue, diff=diff, **options), tangents)
    return {"signal": signal, "jacobian": jacobian}


def families():
    for name, sequence in SEQUENCES.items():
        short = {"T1": 50.0} if name in SHORT else {}
        one, three = {**ONE, **short}, {**THREE, **short}
        yield f"{name}, on resonance", lambda s=sequence, t=one: signal_and_derivatives(s, t, REAL)
        yield f"{name}, one", lambda s=sequence, t=one: signal_and_derivatives(s, {**t, "B0": B0}, parts=True)
        yield f"{name}, direction", lambda s=sequence, t=one: direction(s, {**t, "B0": B0})
        yield f"{name}, three", lambda s=sequence, t=three: signal_and_derivatives(s, {**t, "B0": B0 * SPREAD[:3]})


CPMG = seq.FSE(np.linspace(150, 50, 6), 7.0)
CPMG_STEADY = seq.FSE(np.linspace(150, 50, 5), 7.0, TR=200.0)
CP = seq.FSE(np.linspace(150, 50, 6), 7.0, phases=90.0)


def real_programs():
    inversion = seq.MRF(np.linspace(10, 50, 6), 11.0, TI=15.0, TE=2.0)
    for name, sequence in {"CPMG": CPMG, "CPMG, steady": CPMG_STEADY, "CP": CP, "inverted": inversion}.items():
        for company, tissue in (("one", ONE), ("three", THREE)):
            yield (
                f"{name}, {company}",
                lambda s=sequence, t=tissue, p=company == "one": signal_and_derivatives(s, t, REAL, p),
            )
        yield f"{name}, direction", lambda s=sequence: direction(s, ONE, REAL)


def odd_ones():
    profile = {"slice_prof": np.array([0.7, 1.0])}
    for name, sequence in {"slice": CPMG_STEADY, "slice, complex": SEQUENCES["own, balanced"]}.items():
        for company, tissue in (("one", ONE), ("three", THREE)):
            yield f"{name}, {company}", lambda s=sequence, t=tissue: signal_and_derivatives(s, t, REAL, **profile)
    yield "many", lambda: signal_and_derivatives(CPMG_STEADY, MANY, REAL)
    yield "many, off resonance", lambda: {"signal": epgnumba.simulate(CPMG, **MANY, B0=B0)}
    single = {"dtype": np.float32}
    yield "float32, one", lambda: signal_and_derivatives(CPMG_STEADY, ONE, REAL, **single)
    yield "float32, three", lambda: signal_and_derivatives(SEQUENCES["FSE"], THREE, **single)
    yield "truncated", lambda: signal_and_derivatives(CPMG, ONE, REAL, nstates=5)
    wide = np.linspace(30.0, 50.0, 150)  # two groups of eight units
    yield "groups", lambda: signal_and_derivatives(seq.FSE([120.0], 7.0), {"T1": 200.0, "T2": wide}, ("T2",))
    idle = seq.FSE([0.0, 0.0], 5.0, exc_flip=0.0, TR=100.0)  # Z_0 comes back as it was
    yield "nothing played", lambda: signal_and_derivatives(idle, {"T1": np.inf, "T2": 50.0}, "T2")
    yield "not finite", not_finite


def not_finite():
    """A rate that no caller may give: nothing of what it leaves in a thread's room is there for the next call."""
    problem = read_problem(seq.FSE(np.full(4, 120.0), 7.0, phases=20.0), **ONE, diff=REAL)
    program, entries = problem.compile(problem.sequence, True, False, ())

    def play(rate):
        table = problem.tissue.table()
        table[1] = rate
        job = engine.Job(program, entries, table, problem.profile, problem.codes)
        signal, jacobian = job.signals()
        sums = job.gradient(bar(signal.shape, 1), bar(jacobian.shape, 2), True, True)
        return {"signal": signal, "jacobian": jacobian, "flips": sums.flip_entries(), "tissue": sums.tissue}

    with np.errstate(all="ignore"):
        lost = play(np.nan)
    assert not np.isfinite(lost["signal"]).all()
    return play(1 / 40.0)


AREA, RF_DURATION = 300.0, 0.9
FLOWING = {"D": 1.4, "velocity": -3.0}
POOL = {"bound_fraction": 0.12, "exchange": 30.0, "T1_bound": 90.0, "lineshape": 12.0}
SECOND = {"fraction_b": 0.2, "exchange_b": 14.0, "T1_b": 90.0, "T2_b": 21.0}
SHIFTED = {**SECOND, "shift_b": 11.0}
POOLS = ("T1", "T2", "B1", "inv_efficiency", *POOL)


def out_of_phase(p):
    """Readouts before and behind a spin echo, whose spins have been out of phase one way and the other."""
    yield [seq.Pulse(p.flip, 90.0), seq.Wait(p.first), seq.Shift(1, 2.0), seq.Pulse(150.0), seq.Shift(1, 2.0)]
    yield [seq.Wait(p.second), seq.Readout(), seq.Wait(6.0), seq.Readout()]


# Sequences, with what not every tissue has, and what is differentiated.
TERMED = {
    "diffusion": (CPMG, {"D": 1.4}, ("T2", "D", "B1")),
    "flow": (CP, FLOWING, ("D", "velocity", "T1")),
    "flow between repetitions": (SHORT["unbalanced"], FLOWING, ("velocity",)),
    "out of phase": (seq.EventSequence(out_of_phase, flip=80.0, first=10.0, second=6.0), {**FLOWING, "T2prime": 30.0},
                     ("T2prime", "D", "velocity", "T2")),
    "out of phase, real": (seq.EventSequence(out_of_phase, flip=80.0, first=10.0, second=6.0), {"T2prime": 30.0},
                           ("T2prime", "T2")),
    "bound pool": (seq.MRF(np.linspace(10, 50, 5), 11.0, TI=15.0, TE=2.0), POOL, POOLS),
    "bound pool, steady": (CPMG_STEADY, POOL, ("bound_fraction", "B1", "T1")),
    "bound pool, balanced": (seq.BSSFP(40.0, 2.5, 6.0, phase_inc=150.0), POOL, ("exchange", "lineshape", "T2")),
    "bound pool, all else": (SEQUENCES["own, steady"], {**POOL, **FLOWING}, ("bound_fraction", "T1_bound", "D")),
    "second pool": (CPMG, SECOND, ("T1", "T2", "B1", *SECOND)),
    "second pool, inverted": (seq.MRF(np.linspace(10, 50, 5), 11.0, TI=15.0, TE=2.0), SHIFTED,
                              ("shift_b", "T2_b", "inv_efficiency")),
    "second pool, CP": (CP, SECOND, ("fraction_b", "T2_b")),
    "second pool, steady": (CPMG_STEADY, SECOND, ("fraction_b", "B1", "T1")),
    "second pool, balanced": (seq.BSSFP(40.0, 2.5, 6.0, phase_inc=150.0), SHIFTED, ("exchange_b", "shift_b", "T2")),
    "second pool, all else": (SEQUENCES["own, steady"], {**SHIFTED, **FLOWING}, ("fraction_b", "T1_b", "D")),
    "second pool, out of phase": (seq.EventSequence(out_of_phase, flip=80.0, first=10.0, second=6.0),
                                  {**SECOND, "T2prime": 30.0}, ("T2prime", "T2_b")),
}  # fmt: skip


def in_blocks():
    """Three blocks of voxels, of which the second has the transmit fields of the first, and the third has not."""
    fields = {"excitation": np.where(np.arange(33) < 32, 0.9, 0.8j), "refocusing": 1.1}
    return {"signal": epgnumba.simulate(seq.FSE([150.0, 120.0], 7.0), 900.0, np.linspace(40, 90, 33), B1=fields)}


def turned():
    """Transmit fields by kind of pulse, and waveforms, with a second pool of either kind."""
    waves = pulses.Waveform([0.6, 1.0 + 0.2j, 0.7], 1.2, 1.0), pulses.Waveform([1.0, 0.8], 0.9, 1.0)
    profile = {"excitation": waves[0].across([0.1, 0.5]), "refocusing": waves[1].across([0.1, 0.5])}
    names, both = ("B1.refocusing", "B1_phase.excitation", "T2"), {"slice_prof": profile}
    for title, maps in {"plain": {}, "bound": POOL, "second": SHIFTED}.items():
        played = CPMG_STEADY.on_scanner(gradient_area=AREA, rf_duration=RF_DURATION)
        for company, tissue in (("one", ONE), ("many", MANY)):
            own = {**tissue, **maps}
            fields = {"excitation": 0.9 * tissue["B1"], "refocusing": tissue["B1"] * np.exp(0.4j)}
            by_kind = {**own, "B1": fields}
            yield f"fields, {title}, {company}", lambda t=by_kind, s=played: signal_and_derivatives(s, t, names)
            yield f"waves, {title}, {company}", lambda t=own, s=played: signal_and_derivatives(s, t, ("B1",), **both)
        yield f"both, {title}", lambda t=by_kind, s=played: signal_and_derivatives(s, t, names, **both)
    inversion, once = seq.MRF(np.linspace(10, 50, 4), 11.0, TI=15.0, TE=2.0), {"excitation": profile["excitation"]}
    yield "waves, inverted", lambda: signal_and_derivatives(inversion, ONE, ("B1", "inv_efficiency"), slice_prof=once)
    yield "fields, blocks", in_blocks
    yield "waves, direction", lambda: direction(inversion, ONE, ("B1", "inv_efficiency"), slice_prof=once)


def terms():
    for name, (sequence, maps, diff) in TERMED.items():
        played = sequence.on_scanner(gradient_area=AREA, rf_duration=RF_DURATION)
        short = {"T1": 50.0} if name == "flow between repetitions" else {}
        one = {**ONE, **maps, **short}
        many = {**MANY, **{key: value * SPREAD for key, value in maps.items()}, **short}
        yield f"{name}, one", lambda s=played, t=one, d=diff: signal_and_derivatives(s, t, d, parts=True)
        yield f"{name}, direction", lambda s=played, t=one, d=diff: direction(s, t, d)
        yield f"{name}, many", lambda s=played, t=many, d=diff: signal_and_derivatives(s, t, d)
        yield (
            f"{name}, float32, many",
            lambda s=played, t=many, d=diff: signal_and_derivatives(s, t, d, dtype=np.float32),
        )
        yield f"{name}, float32, one", lambda s=played, t=one: {"signal": epgnumba.simulate(s, **t, dtype=np.float32)}
    none = {"bound_fraction": 0.0, "exchange": 0.0}
    train = CPMG.on_scanner(rf_duration=RF_DURATION)
    yield (
        "bound pool of nothing",
        lambda: signal_and_derivatives(train, {**ONE, **none}, ("bound_fraction", "exchange")),
    )
    none = {"fraction_b": 0.0, "exchange_b": 0.0, "T2_b": ONE["T2"]}
    yield (
        "second pool of nothing",
        lambda: signal_and_derivatives(CPMG, {**ONE, **none}, ("fraction_b", "exchange_b", "shift_b")),
    )
    fast = {"fraction_b": 0.3, "exchange_b": 3000.0, "shift_b": 900.0}  # what is so large has its own functions
    yield "second pool, fast", lambda: signal_and_derivatives(CPMG, {**ONE, **fast}, ("fraction_b", "shift_b"))


def in_segments(function):
    """What a function finds while tapes hold next to nothing, so that trains are played in segments."""
    limit, layout.TAPE_LIMIT = layout.TAPE_LIMIT, 1
    try:
        return function()
    finally:
        layout.TAPE_LIMIT = limit


SEGMENTED = {
    "segments, real": (seq.FSE(np.linspace(150, 50, 9), 7.0, TR=200.0), ONE, REAL),
    "segments, complex": (seq.FSE(np.linspace(150, 50, 9), 7.0, np.linspace(0, 70, 9), TR=200.0), THREE, ALL),
}


def segments():
    """Programs are kept: a limit on orders that limits nothing makes the segmented one another."""
    for name, (sequence, tissue, diff) in SEGMENTED.items():
        yield f"{name}, straight", lambda s=sequence, t=tissue, d=diff: signal_and_derivatives(s, t, d)
        yield (
            name,
            lambda s=sequence, t=tissue, d=diff: in_segments(lambda: signal_and_derivatives(s, t, d, nstates=99)),
        )


def at_nearly_one_time(p):
    """Readouts that tell M0 and T2 apart by little more than rounding does."""
    yield [seq.Pulse(p.flip), seq.Wait(20.0), *[seq.Readout(), seq.Wait(p.step)] * 16]


def at_start(objective, second=True):
    x = objective.x0
    value, gradient = objective(x)
    found = {"value": np.array(value), "gradient": gradient}
    return {**found, "hessp": objective.hessp(x, np.cos(np.arange(x.size)))} if second else found


def objectives():
    few = {name: THREE[name] for name in ("T1", "T2", "B1", "M0")}
    alone = {name: ONE[name] for name in few}
    unknowns = {"unknowns": ("M0", "T2"), "weights": [0.1, 1.0]}
    yield "objective, one", lambda: at_start(CRLBObjective(CPMG, **alone, **unknowns))
    yield "objective, three", lambda: at_start(CRLBObjective(CPMG_STEADY, **few, **unknowns))
    slices = {"slice_prof": [0.7, 1.0], "variables": ("flip", "ESP", "phases")}
    yield "objective, slices", lambda: at_start(CRLBObjective(CPMG_STEADY, **few, **unknowns, **slices))
    own = SEQUENCES["own, balanced"]
    yield "objective, balanced", lambda: at_start(CRLBObjective(own, **alone, unknowns=("T1", "T2"), B0=B0,
                                                                variables=("flip", "TR", "step")))  # fmt: skip
    weighted = {**unknowns, "weights": [[0.1, 1.0], [0.0, 0.0], [1.0, 1.0]]}
    yield "objective, one tissue without weight", lambda: at_start(CRLBObjective(CPMG, **few, **weighted))
    # Echoes that are alike cannot tell two unknowns apart; nor is there a bound where nothing depends on the unknown.
    alike, two = seq.SPGR(15.0, [2.0, 5.0], 20.0), {**unknowns, "unknowns": ("M0", "T1")}
    yield "objective, singular", lambda: at_start(CRLBObjective(alike, **few, **two), False)
    series = seq.EventSequence(at_nearly_one_time, flip=90.0, step=9e-7)
    yield "objective, nearly singular", lambda: at_start(CRLBObjective(series, 200.0, 40.0, **unknowns), False)
    untold = {"unknowns": ("T1", "T2"), "weights": [1.0, 1.0]}
    refocused = seq.FSE(np.full(4, 180.0), 7.0)
    yield "objective, T1 unseen", lambda: at_start(CRLBObjective(refocused, 200.0, 40.0, **untold), False)
    diffusing = CPMG.on_scanner(gradient_area=AREA)
    yield "objective, diffusion", lambda: at_start(CRLBObjective(diffusing, **few, D=1.4, unknowns=("M0", "D")))
    for name, options in {"D": {"criterion": "D"}, "E": {"criterion": "E", "data": "magnitude"}}.items():
        yield f"objective, {name}", lambda o=options: at_start(CRLBObjective(CPMG, **few, **unknowns, **o))


def noisy(signal, noise, seed=8):
    rng = np.random.default_rng(seed)
    return signal + noise * (rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape))


def fitted(sequence, data, unknowns, **options):
    """A fit's numbers, where there are some, and how each voxel ended."""
    found = fit(sequence, data, unknowns, **options)
    numbers = {**found.maps, "covariance": found.covariance, "residual": found.residual}
    return {"status": found.status, **{name: np.nan_to_num(value) for name, value in numbers.items()}}


def fits():
    tissue = {"T1": 200.0, "T2": np.linspace(25.0, 60.0, 5), "B1": np.linspace(0.75, 0.97, 5)}
    ask = {"unknowns": ("M0", "T2", "B1"), "bounds": {"B1": (0.5, 1.0), "T2": (5.0, 500.0)}, "T1": 200.0}
    train = seq.FSE(np.full(8, 170.0), 7.0)
    data = noisy(epgnumba.simulate(train, **tissue), 0.01)
    bad = data.copy()
    bad[0], bad[1], bad[2] = 0, np.nan, noisy(np.zeros(8), 0.01)
    yield "fit, real M0", lambda: fitted(train, bad, **ask)
    yield "fit, noise known", lambda: fitted(train, bad, **ask, noise=0.01, weights=[0, 1, 1, 1, 2, 1, 1, 1])
    yield "fit, complex M0", lambda: fitted(train, 1j * data, **ask, complex_M0=True)
    yield "fit, magnitudes", lambda: fitted(train, abs(bad), **ask)
    yield "fit, Rician", lambda: fitted(train, abs(bad), **ask, noise=0.01)
    yield "fit, M0 known", lambda: fitted(train, data, "T2", T1=200.0, B1=tissue["B1"], M0=np.linspace(0.9, 1.1, 5))
    yield "fit, M0 alone", lambda: fitted(train, data, "M0", T1=200.0, T2=tissue["T2"])
    beyond = {**ask, "bounds": {"B1": (0.8, 0.9), "T2": (30.0, 40.0)}}
    yield "fit, beyond bounds", lambda: fitted(train, data, **beyond)
    yield "fit, few steps", lambda: fitted(train, data, **ask, max_iterations=2)
    blind = {"unknowns": ("M0", "T1"), "T2": 40.0, "B1": [0.9, 1.0, 1.1]}
    plain = seq.FSE(np.full(8, 180.0), 7.0)
    yield "fit, unseen", lambda: fitted(plain, epgnumba.simulate(plain, 200.0, 40.0, B1=blind["B1"]), **blind)
    yield "fit, far off", lambda: fitted(train, data, **ask, start={"T2": 499.0, "B1": 0.51})
    bent, start = noisy(epgnumba.simulate(train, **tissue), 0.15, 1), {"T2": 40.0, "B1": 0.8}
    yield "fit, noise that bends valleys", lambda: fitted(train, bent, **ask, start=start)
    yield "fit, nowhere to go", lambda: fitted(train, data, "T2", T1=200.0, bounds={"T2": (5.0, 20.0)})
    yield "fit, no signal", lambda: fitted(train, data, ("M0", "T2"), T1=200.0, B1=[0.0, 0.9, 0.9, 0.9, 0.9])
    short, field = seq.FSE(np.full(8, 180.0), 7.0, TR=300.0), [0.9, 1.0]  # whose steady state tells no T1 from M0
    steady = epgnumba.simulate(short, 200.0, 40.0, B1=field)
    yield "fit, singular", lambda: fitted(short, steady, ("M0", "T1"), T2=40.0, B1=field)
    for kind, dtype in (("real M0", "float64"), ("complex M0", "float32")):
        yield f"match, {kind}", lambda k=kind, d=dtype: matched(train, bad, k, d)


def matched(train, data, kind, dtype):
    """A match's numbers; of single precision, too."""
    atoms = Dictionary.grid(train, T1=200.0, T2=[30.0, 40.0, 50.0], B1=[0.8, 0.9, 1.0], dtype=dtype)
    found = atoms.match(data, complex_M0=kind == "complex M0")
    return {"index": found.index, **{name: np.nan_to_num(value) for name, value in found.maps.items()}}


def projected(sequence, tissue, parts, columns, **options):
    """What a few directions, which are no matter, keep of signals or magnitudes."""
    problem = read_problem(sequence, **tissue, **options)
    job, along = problem.cpu_job(), parts == 1
    basis = np.random.default_rng(4).normal(size=(parts, job.program.n_out, columns)) / 9
    shapes = {"coefficients": (job.n_voxels, columns), "norms": job.n_voxels, "losses": job.n_voxels}
    found = {name: np.empty(shape, problem.dtype) for name, shape in shapes.items()}
    engine.Projection(job, basis, along)(problem.tissue.table(problem.dtype), *found.values())
    return found


def projections():
    slices, nothing = {"slice_prof": [0.7, 1.0]}, {**THREE, "M0": [1.0, 0.0, 1.0]}
    for parts in (1, 2):
        for name, tissue in {"one": ONE, "three": THREE, "many": MANY, "nothing of one": nothing}.items():
            yield f"projection, {name}, {parts}", lambda t=tissue, p=parts: projected(CPMG, t, p, 3)
        yield (
            f"projection, slices off resonance, {parts}",
            lambda p=parts: projected(CPMG_STEADY, {**THREE, "B0": B0}, p, 9, **slices),
        )
        yield (
            f"projection, float32, {parts}",
            lambda p=parts: projected(CPMG, THREE, p, 14, dtype=np.float32, nstates=99),
        )


def cases():
    """Names, and functions of no argument that find named arrays."""
    for group in (families, real_programs, odd_ones, terms, turned, segments, objectives, fits, projections):
        yield from group()


if __name__ == "__main__":
    np.savez(sys.argv[1], **{f"{name}: {key}": value for name, run in cases() for key, value in run().items()})
