"""The same names on torch tensors, twice differentiable: `import epgnumba.torch as torchsim`.

The gradient of a bound with respect to flip angles:

>>> import torch
>>> flip = torch.full((4,), 120.0, requires_grad=True)
>>> _, dT2 = fse_sim(flip, ESP=10, T1=1000, T2=100, diff="T2")
>>> bound = 1 / (dT2.abs() ** 2).sum()
>>> bound.backward()
>>> flip.grad.shape
torch.Size([4])
"""

from ..extras import brought

with brought("torch", "epgnumba.torch"):
    import torch  # noqa: F401

from .. import functional
from .bound import crlb
from .bridge import jacobian, on_tensors, simulate
from .design import CRLBModule
from .objective import scipy_objective

fse_sim = on_tensors(functional.fse_sim)
mrf_sim = on_tensors(functional.mrf_sim)
bssfp_sim = on_tensors(functional.bssfp_sim)
spgr_sim = on_tensors(functional.spgr_sim)
mprage_sim = on_tensors(functional.mprage_sim)
mp2rage_sim = on_tensors(functional.mp2rage_sim)
mpnrage_sim = on_tensors(functional.mpnrage_sim)

__all__ = [
    "CRLBModule",
    "bssfp_sim",
    "crlb",
    "fse_sim",
    "jacobian",
    "mp2rage_sim",
    "mpnrage_sim",
    "mprage_sim",
    "mrf_sim",
    "scipy_objective",
    "simulate",
    "spgr_sim",
]


def __dir__() -> list[str]:
    return __all__
