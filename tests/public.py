"""A good call of everything public, each argument by name: what `test_nonsense` takes apart."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import epgnumba
import epgnumba.torch as bridge
from epgnumba import batch, demo, design, estimate, files, plot, pulses
from epgnumba import sequence as seq
from epgnumba.design import limits
from epgnumba.tissue_parameters import DEFAULTS

TRAIN = seq.FSE([120.0, 90.0], 8.0)
TISSUE = {"T1": 900.0, "T2": 70.0}
MAPS = dict(DEFAULTS)
OBJECTIVE = epgnumba.CRLBObjective(TRAIN, **TISSUE)
DATA = np.array([[0.9, 0.8], [0.7, 0.6]])
ATOMS = {"T1": [800.0, 900.0], "T2": [70.0, 80.0]}
SCANNER = {"gradient_area": None, "rf_duration": None}
PLAYING = {"slice_prof": 1.0, "dtype": np.float64, "device": None, "mask": None}
OPTIONS = {**PLAYING, "nstates": None, "check_nstates": False}


def own(p):
    return [seq.Pulse(p.flip), seq.Wait(p.TE), seq.Readout()]


def forms(module):
    """One-call forms, whose other arguments a signature tells."""
    fse = {"flip": [60.0, 50.0], "ESP": 8.0, **TISSUE}
    good = {
        "fse_sim": fse,
        "mrf_sim": {"flip": [10.0, 20.0], "TR": 9.0, "TI": 5.0, **TISSUE},
        "bssfp_sim": {"flip": 30.0, "TE": 2.0, "TR": 5.0, **TISSUE},
        "spgr_sim": {"flip": 9.0, "TE": 2.0, "TR": 9.0, "T1": 900.0, "T2star": 50.0},
        "mprage_sim": {"TI": 90.0, "flip": 8.0, "TRspgr": 8.0, "nshots": 8, "T1": 900.0},
        "mp2rage_sim": {"TI": [80.0, 300.0], "flip": 8.0, "TRspgr": 8.0, "TRmp2rage": 900.0, "nshots": 8, "T1": 900.0},
        "mpnrage_sim": {"nshots": 3, "flip": 8.0, "TR": 8.0, "T1": 900.0},
    }
    return {name: (getattr(module, name), arguments) for name, arguments in good.items()}


def found():
    """What `verify` and `optimize` return, and a dictionary, made once."""
    verified = design.verify(seq.FSE([150.0] * 4, 10.0), **TISSUE, noise=0.01, draws=100)
    optimised = design.optimize(OBJECTIVE, starts=1, max_iterations=2)
    return verified, optimised, estimate.Dictionary(TRAIN, **ATOMS, magnitude=True), demo.measure(2)


VERIFIED, DESIGN, ATLAS, REPORT = found()
PUBLIC = {
    **forms(epgnumba),
    **{f"torch.{name}": row for name, row in forms(bridge).items()},
    "simulate": (epgnumba.simulate, {"sequence": TRAIN, **TISSUE}),
    "jacobian": (epgnumba.jacobian, {"sequence": TRAIN, **TISSUE, "diff": "T2"}),
    "vjp": (epgnumba.vjp, {"sequence": TRAIN, **TISSUE, "signal_bar": [1.0, 1.0]}),
    "find_nstates": (epgnumba.find_nstates, {"sequence": TRAIN, **TISSUE}),
    "crlb": (epgnumba.crlb, {"jac": np.ones((1, 2))}),
    "CRLBObjective": (epgnumba.CRLBObjective, {"sequence": TRAIN, **TISSUE}),
    "CRLBObjective.__call__": (OBJECTIVE.__call__, {"x": [60.0, 60.0]}),
    "CRLBObjective.bounds": (OBJECTIVE.bounds, {"x": [60.0, 60.0]}),
    "CRLBObjective.alone": (OBJECTIVE.alone, {"x": [60.0, 60.0]}),
    "CRLBObjective.values": (OBJECTIVE.values, {"x": [60.0, 60.0]}),
    "CRLBObjective.worst": (OBJECTIVE.worst, {"x": [60.0, 60.0]}),
    "CRLBObjective.signal": (OBJECTIVE.signal, {"x": [60.0, 60.0]}),
    "CRLBObjective.sequence": (OBJECTIVE.sequence, {"x": [60.0, 60.0]}),
    "CRLBObjective.hessp": (OBJECTIVE.hessp, {"x": [60.0, 60.0], "p": [1.0, 1.0]}),
    "set_num_threads": (epgnumba.set_num_threads, {"count": 1}),
    "warm_up": (epgnumba.warm_up, {"parts": "signal", "progress": False}),
    # sequences
    "FSE": (seq.FSE, {"flip": [60.0, 50.0], "ESP": 8.0}),
    "MultiSpinEcho": (seq.MultiSpinEcho, {"echoes": 3, "ESP": 8.0}),
    "StimulatedEcho": (seq.StimulatedEcho, {"TE": 9.0, "TM": 20.0}),
    "Hyperecho": (seq.Hyperecho, {"flip": [20.0], "ESP": 9.0}),
    "MRF": (seq.MRF, {"flip": [20.0], "TR": 9.0}),
    "BSSFP": (seq.BSSFP, {"flip": 20.0, "TE": 2.0, "TR": 9.0}),
    "SPGR": (seq.SPGR, {"flip": 20.0, "TE": 2.0, "TR": 9.0, "spoiling": "rf"}),
    "DESS": (seq.DESS, {"flip": 20.0, "TE": 2.0, "TR": 9.0}),
    "MPRAGE": (seq.MPRAGE, {"TI": 90.0, "flip": 8.0, "TRspgr": 8.0, "nshots": 8}),
    "MP2RAGE": (seq.MP2RAGE, {"TI": [80.0, 300.0], "flip": 8.0, "TRspgr": 8.0, "TRmp2rage": 900.0, "nshots": 8}),
    "MPnRAGE": (seq.MPnRAGE, {"nshots": 3, "flip": 8.0, "TR": 8.0}),
    "LookLocker": (seq.LookLocker, {"pulses": 3, "flip": 8.0, "TR": 8.0}),
    "EventSequence": (seq.EventSequence, {"build": own, "steady": True, "flip": 20.0, "TE": 5.0}),
    "EventSequence.replace": (seq.EventSequence(own, flip=20.0, TE=5.0).replace, {"flip": 20.0, "TE": 4.0}),
    "FSE.replace": (TRAIN.replace, {"flip": [50.0, 60.0], "ESP": 4.0}),
    "FSE.on_scanner": (TRAIN.on_scanner, {"gradient_area": 5.0, "rf_duration": 1.0}),
    "Pulse": (seq.Pulse, {"flip": 9.0}),
    "Wait": (seq.Wait, {"duration": 9.0}),
    "Shift": (seq.Shift, {}),
    "Readout": (seq.Readout, {}),
    "Inversion": (seq.Inversion, {}),
    "Spoil": (seq.Spoil, {}),
    "Linear": (seq.Linear, {}),
    "Linear.of": (seq.Linear.of, {"name": "a"}),
    "t2_preparation": (seq.t2_preparation, {"duration": 40.0}),
    # designs
    "BSpline": (lambda coefficients=4, degree=3, scale=1.0: design.BSpline(coefficients, degree, scale).matrix(9), {}),
    "PiecewiseLinear": (lambda knots=4, scale=1.0: design.PiecewiseLinear(knots, scale).matrix(9), {}),
    "Free": (lambda entries=(0, 1), scale=1.0: design.Free(entries, scale).matrix(9), {}),
    "Shared": (lambda groups=(0, 0, 1), scale=1.0: design.Shared(groups, scale).matrix(3), {}),
    "optimize": (design.optimize, {"objective": OBJECTIVE, "starts": 1, "max_iterations": 2}),
    "verify": (design.verify, {"sequence": seq.FSE([150.0] * 4, 10.0), **TISSUE, "noise": 0.01, "draws": 100}),
    "Design.save": (DESIGN.save, {"path": "design.json"}),
    "Design.load": (design.Design.load, {"path": "design.json"}),
    "limits.bounds": (limits.bounds, {"objective": OBJECTIVE, "flip": (20, 150)}),
    "limits.duration": (
        limits.duration, {"objective": epgnumba.CRLBObjective(TRAIN, **TISSUE, variables=("ESP",)), "longest": 90.0},
    ),
    "limits.flip_power": (limits.flip_power, {"objective": OBJECTIVE, "limit": 60.0}),
    "limits.max_change": (limits.max_change, {"objective": OBJECTIVE, "name": "flip", "limit": 9.0}),
    "limits.signal_limits": (limits.signal_limits, {"objective": OBJECTIVE, "readouts": [0, 1], "minimum": 0.1}),
    # estimation
    "fit": (estimate.fit, {"sequence": TRAIN, "data": DATA, "T1": 900.0}),
    "Dictionary": (estimate.Dictionary, {"sequence": TRAIN, **ATOMS}),
    "Dictionary.grid": (estimate.Dictionary.grid, {"sequence": TRAIN, **ATOMS}),
    "Dictionary.match": (ATLAS.match, {"data": DATA}),
    "Dictionary.refine": (
        estimate.Dictionary(TRAIN, 900.0, [70.0, 80.0], magnitude=True).refine,
        {"data": DATA, "bounds": {"T2": (9, 900)}},
    ),
    "Dictionary.save": (ATLAS.save, {"path": "atlas.npz"}),
    "Dictionary.load": (estimate.Dictionary.load, {"path": "atlas.npz"}),
    # plots
    "find_pathways": (plot.find_pathways, {"sequence": TRAIN, **TISSUE}),
    "plot_phase_graph": (plot.plot_phase_graph, {"sequence": TRAIN, **TISSUE, "ax": Figure().subplots()}),
    "plot_protocol": (plot.plot_protocol, {"sequence": TRAIN, **TISSUE, "axes": Figure().subplots(3)}),
    "plot_bounds": (
        plot.plot_bounds,
        {
            "protocols": {"a": TRAIN}, "over": "T2", "values": [50.0], "unknowns": "T2", "T1": 900.0,
            "ax": Figure().subplots(),
        },
    ),
    "plot_convergence": (plot.plot_convergence, {"design": DESIGN, "ax": Figure().subplots()}),
    "plot_verification": (plot.plot_verification, {"verification": VERIFIED, "ax": Figure().subplots()}),
    "plot_report": (plot.plot_report, {"report": REPORT, "axes": Figure().subplots(6)}),
    "save_report": (plot.save_report, {"report": REPORT, "path": "report.png"}),
    # pulses
    "Waveform": (pulses.Waveform, {"samples": [1.0, 2.0, 1.0], "duration": 2.0}),
    "Waveform.flips": (pulses.hard(2.0).flips, {"flip": 30.0, "offset": [0.0, 1.0]}),
    "Waveform.profile": (pulses.sinc(2.0, 4.0, samples=16).profile, {"flip": 30.0, "z": [0.0, 1.0]}),
    "gaussian": (pulses.gaussian, {"duration": 2.0}),
    "hard": (pulses.hard, {"duration": 2.0}),
    "positions": (pulses.positions, {"n": 5}),
    "sinc": (pulses.sinc, {"duration": 2.0, "time_bandwidth": 4.0}),
    "super_lorentzian": (pulses.super_lorentzian, {"offset": [100.0, 2000.0]}),
    # files
    "read_array": (files.read_array, {"path": Path("array.npy")}),
    "read_map": (files.read_map, {"path": Path("map.nii")}),
    "write_map": (files.write_map, {"path": Path("map.nii"), "array": np.ones((2, 3))}),
    "read_pulseq": (files.read_pulseq, {"path": "train.seq"}),
    "write_pulseq": (
        files.write_pulseq, {"sequence": TRAIN, "path": "train.seq", "gradient_area": 5.0, "pulse_duration": 0.5},
    ),
    "make_plan": (batch.make_plan, {"command": "simulate", "path": Path("run.toml"), "workers": 1}),
    "Store": (batch.Store, {"path": Path("signals.zarr")}),
    "open_results": (batch.open_results, {"path": "signals.zarr"}),
    # tensors
    "torch.simulate": (bridge.simulate, {"sequence": TRAIN, **TISSUE}),
    "torch.jacobian": (bridge.jacobian, {"sequence": TRAIN, **TISSUE, "diff": "T2"}),
    "torch.crlb": (bridge.crlb, {"jac": torch.ones((1, 2), dtype=torch.float64)}),
    "torch.CRLBModule": (bridge.CRLBModule, {"objective": OBJECTIVE}),
    "torch.scipy_objective": (bridge.scipy_objective, {"cost": lambda x: x.sum()}),
}  # fmt: skip
