"""A cost written by hand in torch, minimised by scipy: two tissues, T1 and T2 unknown, smooth flip angles wanted."""

import numpy as np
import torch
from scipy.optimize import minimize

import epgnumba.torch as epg

T1 = torch.tensor([800.0, 1400.0])  # ms
T2 = torch.tensor([60.0, 110.0])


def cost(flip: torch.Tensor) -> torch.Tensor:
    """Log of the relative variance of T2, with M0 unknown too, plus a price on roughness."""
    _, jacobian = epg.fse_sim(flip, ESP=8.0, T1=T1, T2=T2, diff=("M0", "T2"))
    variance = epg.crlb(jacobian, noise=0.01)[:, 1] / T2**2
    return torch.log(variance).mean() + 1e-4 * flip.diff().square().mean()


objective = epg.scipy_objective(cost)
start = np.full(32, 60.0)
found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(20, 160)] * 32)
before, after = (np.exp(cost(torch.tensor(flip)).item() / 2) for flip in (start, found.x))
print(f"relative error of T2: {before:.2%} before, {after:.2%} after {found.nit} iterations")
print("flip angles:", found.x.round(0).astype(int))
