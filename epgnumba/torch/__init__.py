"""The same names on torch tensors, differentiable in every mode: `import epgnumba.torch as torchsim`."""

from .bound import crlb
from .bridge import fse_sim, jacobian, simulate
from .objective import scipy_objective

__all__ = ["crlb", "fse_sim", "jacobian", "scipy_objective", "simulate"]
