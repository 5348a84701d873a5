"""Uses of the package for type checkers to read: they must report the lines marked `# bad`, and no other.

`tests/test_typing.py` hands it to mypy; it is never run.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes

import epgnumba
import epgnumba.torch as epg
from epgnumba import batch, files, plot, pulses
from epgnumba.design import Free, limits, optimize, verify
from epgnumba.estimate import Dictionary, fit
from epgnumba.sequence import DESS, SPGR, Event, Pulse, Readout, Wait

flips = np.full(4, 60.0)
angles = torch.full((4,), 60.0, requires_grad=True)


def one_call_forms() -> npt.NDArray[np.complexfloating]:
    signal, slope = epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100, diff="T2")
    signal, slopes = epgnumba.mrf_sim([10, 20], [12, 13.5], 1000, [[80], [100]], diff=["T1", "T2"], nreps=2)
    sizes: npt.NDArray[np.floating] = abs(epgnumba.bssfp_sim(30, np.float32(2), TR=5, T1=range(100, 300), T2=90))
    epgnumba.mprage_sim(900, flip=8, TRspgr=8, nshots=(50, 50), T1=[800, 1400], TR=2000)[..., 0].imag.round(4)
    assert isinstance(epgnumba.fse_sim(angles, ESP=5, T1=1000, T2=100), torch.Tensor)
    epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100, difff="T2")  # bad
    epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100, diff=2)  # bad
    epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100, B1=[0.9, 1.0], M0=2, nstates=8, dtype="float32", mask=[True, False])
    epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100, B_1=0.9)  # bad
    epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100, B1=None)  # bad
    epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100, nstates="all")  # bad
    epgnumba.bssfp_sim(flips, TE=2, TR=5, T1=1000, T2=100, nstates=8)  # bad
    epgnumba.fse_sim(flips, ESP=5, T1=1000)  # bad
    epgnumba.mrf_sim(flips, TR=12, T1=1000, T2=100, nreps="twice")  # bad
    epgnumba.mrf_sim(flips, TR=12, T1=None, T2=100)  # bad
    epgnumba.bssfp_sim(flips, TE=2, TR=5, T1=1000, T2={"white": 80})  # bad
    epgnumba.spgr_sim(flips, TE=2, TR=5, T1=1000, T2=80)  # bad
    epgnumba.spgr_sim(flips, TE=2, TR=5, T1=1000, T2star=80, spoiling="fr")  # bad
    epgnumba.mp2rage_sim([800, 2200], 4, 6, 5000, 120, T1=1000, T2=80)  # bad
    epgnumba.mpnrage_sim(nshots=3.5, flip=5, TR=500, T1=1000)  # bad
    print(epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100).shpae)  # bad
    print(signal.shape, slope.shape, slopes.shape, sizes)
    return epgnumba.fse_sim(flips, ESP=5, T1=1000, T2=100)


def on_tensors() -> torch.Tensor:
    _, slope = epg.fse_sim(angles, ESP=5, T1=torch.tensor(1000.0), T2=[80, 100], diff="T2", dtype=torch.float32)
    (1 / slope.abs().square().sum()).backward()
    epg.bssfp_sim(angles, TE=2, TR=torch.tensor(5.0), T1=1000, T2=np.array([80.0])).abs().sum().backward()
    train = epgnumba.FSE(flips, ESP=5)
    epg.simulate(train, T1=torch.tensor(1000.0), T2=100, parameters={"flip": angles}).abs()
    _, slopes = epg.jacobian(train, T1=1000, T2=100, diff=["T1", "T2"], dtype=torch.float64)
    epg.fse_sim(angles, ESP=5, T1=1000, T2=100, difff="T2")  # bad
    epg.fse_sim(angles, ESP=5, T1=1000, T2=100, B1=torch.tensor(0.9), device="cpu")
    epg.jacobian(train, T1=1000, T2=100, diff="B1", B1=torch.tensor(0.9), M0=2.0)[1].abs()
    epg.jacobian(train, T1=1000, T2=100, diff="B1", B_1=0.9)  # bad
    epg.mpnrage_sim(angles, flip=5, TR=500, T1=1000)  # bad
    epg.simulate(train, T1=1000, T2=100, params={"flip": angles})  # bad
    epg.crlb(slopes, singular="rise")  # bad
    print(epg.nonsense)  # bad
    return epg.crlb(slopes, weights=torch.tensor([0.0, 1.0]), noise=0.01)


def verbs() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    train = epgnumba.FSE([180.0] * 3, ESP=10, TR=np.inf)
    signal: npt.NDArray[np.complexfloating] = epgnumba.simulate(train, 1000, [80, 100], B1=np.float32(0.9))
    bars = epgnumba.vjp(train, T1=1000, T2=100, signal_bar=[1.0, 0, 0])
    print(bars["ESP"].round(3), epgnumba.find_nstates(train, T1=1000, T2=50, tolerance=1e-2).nstates, abs(signal))
    print(epgnumba.crlb(epgnumba.jacobian(train, T1=1000, T2=100, diff=("T1", "T2"))[1], noise=0.01).round(3))
    epgnumba.simulate(train, T1=1000, T2=100, B3=1)  # bad
    epgnumba.simulate(train, 1000, 100, B0=[0, 10], M0=2, inv_efficiency=0.9, check_nstates=True, nstates=5)
    epgnumba.simulate(train, 1000, 100, 0.9)  # bad
    epgnumba.simulate(train, 1000, 100, M0=None)  # bad
    epgnumba.simulate(train, 1000, 100, diff="T2")  # bad
    epgnumba.vjp(train, 1000, 100, signal_bar=[1, 1, 1], B1=0.9, nstates=5, dtype=np.float32)["B1"].round(3)
    epgnumba.vjp(train, 1000, 100, signal_bar=[1, 1, 1], check_nstates=True)  # bad
    epgnumba.find_nstates(train, 1000, 50, B1=0.9, diff="T2", mask=None)
    epgnumba.find_nstates(train, 1000, 50, nstates=3)  # bad
    epgnumba.simulate(flips, T1=1000, T2=100)  # bad
    epgnumba.jacobian(train, T1=1000, T2=100)  # bad
    epgnumba.vjp(train, T1=1000, T2=100, wanted=3)  # bad
    epgnumba.find_nstates(train, T1=1000, T2=50, tol=1e-2)  # bad
    epgnumba.crlb([[1.0, 2.0]], weight=[1])  # bad
    epgnumba.set_num_threads("all")  # bad
    epgnumba.warm_up(("signal", "second"), progress=False)
    epgnumba.warm_up("torch")  # bad
    return epgnumba.jacobian(train, T1=1000, T2=100, diff="T2")


def sequences() -> epgnumba.Sequence:
    def fisp(p: Any) -> Iterator[list[Event]]:
        for flip in p.flip:
            yield [Pulse(flip), Wait(p.TE), Readout(), Wait(p.TR - p.TE)]

    own = epgnumba.EventSequence(fisp, flip=[10, 20, 40], TE=3, TR=12, steady=True)
    print(own.replace(TE=np.float64(4)).advance, epgnumba.FSE(flips, ESP=5).replace(flip=[1.0, 2.0]).tolerance)
    epgnumba.FSE(flips, ESP=5, phase=0.0)  # bad
    epgnumba.FSE(flips, ESP=[5])  # bad
    epgnumba.FSE(flips)  # bad
    DESS(30, TE=5, TR=20, tol=1e-3)  # bad
    SPGR(15, TE=[5, 10], TR=20, spoiling="RF")  # bad
    epgnumba.EventSequence("fisp", flip=[10, 20, 40])  # bad
    epgnumba.EventSequence(fisp, advance=[1, 2], TE=3)  # bad
    Pulse(30, phse=0)  # bad
    print(own.nonsense)  # bad
    return own


def designs() -> float:
    train = epgnumba.FSE(flips, ESP=5)
    objective = epgnumba.CRLBObjective(train, 1000, 80, unknowns=["M0", "T2"], variables={"flip": Free()})
    value, gradient = objective(objective.x0)
    found = optimize(objective, [limits.bounds(objective, flip=(20, 150))], progress=False, method="SLSQP")
    found.save("design.json")
    epgnumba.CRLBObjective(train, 1000, 80, unknown="T2")  # bad
    epgnumba.CRLBObjective(train, 1000, 80, B1=[[0.9], [1.1]], B0=5, slice_prof=[0.5, 1.0])
    epgnumba.CRLBObjective(train, 1000, 80, B_1=0.9)  # bad
    epgnumba.CRLBObjective(train, 1000, 80, mask=[True])  # bad
    epgnumba.CRLBObjective(train, 1000, 80, criterion="B")  # bad
    epgnumba.CRLBObjective(train, 1000, 80, variables=3)  # bad
    print(objective.values(objective.x0).shpae)  # bad
    optimize(objective, start=3)  # bad
    optimize(objective, method="BFGS")  # bad
    optimize(train)  # bad
    limits.flip_power(objective, 60.0, totl=True)  # bad
    limits.max_change(objective, 5.0)  # bad
    print(found.history.shpae)  # bad
    return found.fun + value + float(gradient.sum())


def modules() -> None:
    print(epgnumba.design.optimize, epgnumba.design.limits.duration, epgnumba.sequence.MRF, epgnumba.torch.crlb)
    epgnumba.plot.plot_phase_graph(epgnumba.FSE(flips, ESP=5), 1000, 100).set_title("pathways")
    print(epgnumba.nonsense)  # bad
    print(epgnumba.design.nonsense)  # bad
    print(epgnumba.design.limits.nonsense)  # bad
    print(epgnumba.sequence.nonsense)  # bad
    print(epgnumba.plot.nonsense)  # bad
    from epgnumba import nonesuch  # bad

    print(nonesuch)


def estimation() -> npt.NDArray[np.float64]:
    train = epgnumba.FSE(flips, ESP=5)
    data = abs(epgnumba.simulate(train, 1000, [60, 80]))
    found = fit(train, data, ("M0", "T2"), T1=1000, bounds={"T2": (10, 500)}, noise=0.01, mask=[True, False])
    atoms = Dictionary.grid(train, T1=[800, 1000], T2=np.arange(20, 120), B1=[0.9, 1.0], energy=0.9999)
    match = atoms.match(data, complex_M0=False)
    proof = verify(train, T1=1000, T2=80, noise=0.01, draws=200)
    fit(train, data, T1=1000, bound={"T2": (10, 500)})  # bad
    fit(train, data, 5, T1=1000)  # bad
    verify(train, T1=1000, T2=80)  # bad
    print(found.status.shpae, match.maps["T2"].mean())  # bad
    print(proof.ratios)  # bad
    return proof.ratio


def figures() -> list[Axes]:
    train = epgnumba.FSE(flips, ESP=5)
    ax = plot.plot_phase_graph(train, 1000, 80, kind="map", states="Z")
    axes = plot.plot_protocol(train, T1=1000, T2=80, diff="T2", B1=0.9)
    plot.plot_bounds({"a": train}, "T2", [50, 60], "T2", T1=1000, ax=ax).set_title("bounds")
    plot.plot_phase_graph(train, 1000, 80, kind="maps")  # bad
    plot.plot_phase_graph(train, 1000, 80, axes=None)  # bad
    plot.plot_convergence(train)  # bad
    return [ax, *axes]


def around() -> npt.NDArray[np.float64]:
    profile = pulses.sinc(3.0, 4.0, window="hann").profile(90.0, pulses.positions(9))
    written = files.write_pulseq(epgnumba.FSE(flips, ESP=5), "train.seq")
    print(files.read_pulseq("train.seq").parameters, batch.make_plan("simulate", "run.toml").seconds(), written.steady)
    batch.open_results("out.zarr", flat=True).to_netcdf("out.nc")
    pulses.sinc(3.0)  # bad
    files.read_pulseq(5)  # bad
    batch.make_plan("simulate", "run.toml", worker=3)  # bad
    epgnumba.warm_up("signals")  # bad
    return profile
