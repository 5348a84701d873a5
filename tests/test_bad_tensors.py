"""Bad calls with tensors, or of what takes them: as in test_bad_inputs."""

import pytest

pytest.importorskip("torch")

import torch
from bad_calls import TISSUE, TRAIN, T, V
from bad_events import of
from test_bad_inputs import BOTH, NUMERIC, check, check_numbers, nothing_runs  # noqa: F401

import epgnumba.torch as epg
from epgnumba import simulate

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
    "dtype of torch": (lambda: simulate(TRAIN, **TISSUE, dtype=torch.float16), V, "dtype"),
    "a product with a tensor": (lambda: of(lambda p: p.a * torch.tensor(2.0)), T, "linear"),
}


@pytest.mark.parametrize("row", ROWS)
def test_rows(row):
    check(*ROWS[row])
