"""Costs written in torch, with the objectives that they equal."""

import numpy as np
import torch

import epgnumba
import epgnumba.torch as bridge


def close(found, expected, tolerance):
    """Within `tolerance` of the largest number."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= tolerance * abs(expected).max()


def fse_case():
    rng = np.random.default_rng(1)
    objective = epgnumba.CRLBObjective(
        epgnumba.FSE(rng.uniform(40, 160, 16), 6.0), 1000.0, [60.0, 100.0], B1=0.95, unknowns=("M0", "T1", "T2"),
        weights=[0.0, 1e-3, 1.0], noise=0.1,
    )  # fmt: skip

    def cost(x):
        _, slope = bridge.fse_sim(x, 6.0, 1000.0, [60.0, 100.0], B1=0.95, diff=("M0", "T1", "T2"))
        return bridge.crlb(slope, weights=[0.0, 1e-3, 1.0], noise=0.1).sum()

    return objective, cost


def fingerprint_case():
    rng = np.random.default_rng(2)
    train = epgnumba.sequence.MRF(rng.uniform(10, 70, 20), rng.uniform(9, 13, 20), TI=15.0, TE=2.0)
    objective = epgnumba.CRLBObjective(train, 900.0, 70.0, unknowns=("T1", "T2"), variables=("flip", "TR"))

    def cost(x):
        _, slope = bridge.mrf_sim(x[:20], x[20:], 900.0, 70.0, TI=15.0, TE=2.0, diff=("T1", "T2"))
        return bridge.crlb(slope).sum()

    return objective, cost


def diffusion_case():
    rng, maps = np.random.default_rng(3), {"D": [0.8, 1.5], "velocity": 2.0}
    train = epgnumba.FSE(rng.uniform(40, 160, 12), 6.0)
    objective = epgnumba.CRLBObjective(
        train.on_scanner(gradient_area=600.0), 1000.0, 80.0, **maps, unknowns=("M0", "T2", "D"), weights=[0, 1, 1e3],
        variables=("flip", "ESP"),
    )  # fmt: skip

    def cost(x):
        _, slope = bridge.fse_sim(x[:12], x[12], 1000.0, 80.0, **maps, gradient_area=600.0, diff=("M0", "T2", "D"))
        return bridge.crlb(slope, weights=[0, 1, 1e3]).sum()

    return objective, cost


def pool_case():
    rng = np.random.default_rng(4)
    maps, unknowns = {"bound_fraction": 0.12, "exchange": 25.0}, ("T1", "bound_fraction")
    train = epgnumba.sequence.MRF(rng.uniform(10, 70, 10), rng.uniform(9, 13, 10), TI=15.0)
    objective = epgnumba.CRLBObjective(
        train.on_scanner(rf_duration=1.0), 900.0, 70.0, **maps, unknowns=unknowns, weights=[1e-6, 1.0],
        variables=("flip", "TR"),
    )  # fmt: skip

    def cost(x):
        _, slope = bridge.mrf_sim(x[:10], x[10:], 900.0, 70.0, TI=15.0, **maps, rf_duration=1.0, diff=unknowns)
        return bridge.crlb(slope, weights=[1e-6, 1.0]).sum()

    return objective, cost


def second_pool_case():
    rng = np.random.default_rng(5)
    maps, unknowns = {"fraction_b": 0.2, "exchange_b": 12.0}, ("T2", "fraction_b", "T2_b")
    train = epgnumba.FSE(rng.uniform(60, 160, 12), 6.0)
    weights = [1e-2, 1.0, 1e-3]
    objective = epgnumba.CRLBObjective(
        train, 900.0, 70.0, **maps, unknowns=unknowns, weights=weights, variables=("flip", "ESP")
    )

    def cost(x):
        _, slope = bridge.fse_sim(x[:12], x[12], 900.0, 70.0, **maps, diff=unknowns)
        return bridge.crlb(slope, weights=weights).sum()

    return objective, cost


def with_columns(objective, cost):
    """The objective, its cost, a point, and the objective's exact Hessian there, column by column."""
    columns = [objective.hessp(objective.x0, unit) for unit in np.eye(objective.x0.size)]
    x = torch.tensor(objective.x0)
    np.testing.assert_allclose(cost(x).item(), objective(objective.x0)[0], rtol=1e-12)
    return objective, cost, x, np.stack(columns)
