"""Bad calls with tensors, or of what takes them: as in test_bad_inputs."""

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from bad_calls import TISSUE, TRAIN, T, V
from bad_designs import objective
from bad_events import of
from test_bad_inputs import BOTH, NUMERIC, check, check_numbers, nothing_runs  # noqa: F401

import epgnumba.torch as epg
from epgnumba import simulate, vjp
from epgnumba.design import limits

FORMS = {name: (getattr(epg, name), *row[1:]) for name, row in NUMERIC.items() if name.endswith("_sim")} | {
    "simulate": (lambda **k: epg.simulate(TRAIN, **k), TISSUE, "T1 T2 B1 M0 B0 inv_efficiency slice_prof"),
    "jacobian": (lambda **k: epg.jacobian(TRAIN, diff="T2", **k), TISSUE, "T1 T2 B1 M0 slice_prof"),
    "simulate, parameters": (lambda **k: epg.simulate(TRAIN, **TISSUE, parameters=k), {}, "flip ESP phases TR"),
}


@pytest.mark.parametrize(("form", "name"), [(form, name) for form, row in FORMS.items() for name in row[2].split()])
def test_what_is_no_number(form, name):
    check_numbers(*FORMS[form][:2], name)


@pytest.mark.parametrize("name", ["flip", "ESP", "T1", "T2", "phases", "B1", "M0", "slice_prof"])
@pytest.mark.parametrize("bad", [torch.tensor(1j), torch.tensor(True), torch.tensor(torch.nan), [torch.tensor(1.0)]])
def test_tensors_that_are_no_numbers(name, bad):
    check(lambda: epg.fse_sim(**{"flip": [60.0], "ESP": 8.0, **TISSUE, name: bad}), BOTH, name)


FLAGS = {
    "simulate": (lambda check_nstates: epg.simulate(TRAIN, **TISSUE, check_nstates=check_nstates), "check_nstates"),
    "mrf_sim": (lambda steady: epg.mrf_sim([9.0], 9.0, **TISSUE, steady=steady), "steady"),
}


@pytest.mark.parametrize("form", FLAGS)
@pytest.mark.parametrize("bad", ["yes", 2, 1, 0, None, 1.0, [True], torch.tensor(True)])
def test_flags_are_booleans(form, bad):
    call, name = FLAGS[form]
    check(lambda: call(bad), T, name)


ROWS = {
    "sequences for torch": (lambda: epg.simulate([TRAIN], **TISSUE), T, "sequence"),
    "a dtype of whole numbers": (lambda: epg.scipy_objective(sum, dtype=torch.int64), V, "dtype"),
    "a list of tensors": (lambda: epg.fse_sim([torch.tensor(60.0)], 8, **TISSUE), T, "flip"),
    "a list of tensors, acquisitions": (lambda: epg.spgr_sim([torch.tensor(6.0)] * 2, 2, 9, 900, 50), T, "flip"),
    "parameters a number": (lambda: epg.simulate(TRAIN, **TISSUE, parameters=5), T, "parameters"),
    "parameters a list": (lambda: epg.simulate(TRAIN, **TISSUE, parameters=["flip"]), T, "parameters"),
    "parameters of the tissue": (lambda: epg.simulate(TRAIN, **TISSUE, parameters={"T1": 5.0}), V, "parameters"),
    "parameters that are unknown": (lambda: epg.simulate(TRAIN, **TISSUE, parameters={"flips": 5.0}), V, "flips"),
    "nreps of none, tensors": (lambda: epg.mrf_sim([9.0], 9.0, **TISSUE, nreps=0), V, "nreps"),
    "T2star below zero, tensors": (lambda: epg.spgr_sim(9, 2, 9, 900, torch.tensor(-5.0)), V, "T2star"),
    "chemshift of nan, tensors": (
        lambda: epg.bssfp_sim(9, 2, 9, **TISSUE, chemshift=torch.tensor(torch.nan)),
        V,
        "chemshift",
    ),
    "inversion in percent, tensors": (
        lambda: epg.mrf_sim([9.0], 9.0, **TISSUE, inversion=torch.tensor(95.0)),
        V,
        "inversion",
    ),
    "diff None, tensors": (lambda: epg.jacobian(TRAIN, **TISSUE, diff=None), T, "diff"),
    "a cost that cannot be called": (lambda: epg.scipy_objective(5), T, "cost"),
    "a module of no objective": (lambda: epg.CRLBModule(TRAIN), T, "objective"),
    "noise of zero, tensors": (lambda: epg.crlb(torch.eye(2), noise=0.0), V, "noise"),
    "weights below zero, tensors": (lambda: epg.crlb(torch.eye(2), weights=-1.0), V, "weights"),
    "singular misspelt, tensors": (lambda: epg.crlb(torch.eye(2), singular="x"), V, "singular"),
    "weights that are infinite, tensors": (lambda: epg.crlb(torch.eye(2), weights=torch.inf), V, "weights"),
    "weights of text, tensors": (lambda: epg.crlb(torch.eye(2), weights=["a", "b"]), T, "weights"),
    "weights a complex tensor": (lambda: epg.crlb(torch.eye(2), weights=torch.ones(2) * 1j), T, "weights"),
    "noise of text, tensors": (lambda: epg.crlb(torch.eye(2), noise="a"), T, "noise"),
    "noise a boolean, tensors": (lambda: epg.crlb(torch.eye(2), noise=True), T, "noise"),
    "noise a tensor of zeros": (lambda: epg.crlb(torch.eye(2), noise=torch.zeros(())), V, "noise"),
    "noise a tensor of inf": (lambda: epg.crlb(torch.eye(2), noise=torch.tensor(torch.inf)), V, "noise"),
    "noise that does not broadcast, tensors": (
        lambda: epg.crlb(torch.ones(2, 1, 2), noise=torch.ones(3)),
        V,
        "noise",
    ),
    "jac of nan, tensors": (lambda: epg.crlb(torch.tensor([[torch.nan, 1.0]])), V, "jac"),
    "jac of booleans, tensors": (lambda: epg.crlb(torch.ones(1, 2, dtype=torch.bool)), T, "jac"),
    "jac of text, tensors": (lambda: epg.crlb("x"), T, "jac"),
    "jac of swapped axes, tensors": (lambda: epg.crlb(torch.ones(96, 2)), V, "jac"),
    "an array for a module": (lambda: epg.CRLBModule(objective())(np.ones(2)), T, "x"),
    "whole numbers for a module": (lambda: epg.CRLBModule(objective())(torch.ones(2, dtype=torch.int64)), T, "x"),
    "nan for a cost": (lambda: epg.scipy_objective(torch.sum)([np.nan]), V, "x"),
    "a table for a cost": (lambda: epg.scipy_objective(torch.sum)(np.ones((2, 2))), V, "x"),
    "B0 a boolean tensor, and chemshift": (
        lambda: epg.bssfp_sim(9, 2, 9, **TISSUE, B0=torch.tensor(True), chemshift=5.0),
        T,
        "B0",
    ),
    "dtype a tensor": (lambda: simulate(TRAIN, **TISSUE, dtype=torch.ones((), requires_grad=True)), V, "dtype"),
    "signal_bar that requires its gradient": (
        lambda: vjp(TRAIN, **TISSUE, signal_bar=torch.ones(2, requires_grad=True)),
        T,
        "signal_bar",
    ),
    "signal_limits of a tensor's gradient": (
        lambda: limits.signal_limits(objective(), torch.tensor(0.0, requires_grad=True)),
        T,
        "readouts",
    ),
    "dtype of torch": (lambda: simulate(TRAIN, **TISSUE, dtype=torch.float16), V, "dtype"),
    "a product with a tensor": (lambda: of(lambda p: p.a * torch.tensor(2.0)), T, "linear"),
}


@pytest.mark.parametrize("row", ROWS)
def test_rows(row):
    check(*ROWS[row])
