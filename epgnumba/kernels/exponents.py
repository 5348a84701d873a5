"""What a rate does to the states over an interval: the table of its exponents.

Let s be the dephasing by gradients since the interval began, less that at its end (so that rows are orders at the end),
and its moments t = int 1, S1 = int s, S2 = int s^2 over time. A state of order k is multiplied by exp(rate times what
the table says), as Weigel (JMRI 41 (2015) 266) says of diffusion:

    F_k   R2: -t   off-resonance: i t   diffusion: -(k^2 t + 2 k S1 + S2)   velocity: -i (k t + S1)
    Z_k   R1: -t                        diffusion: -k^2 t                   velocity: -i k t

M is the conjugate of F at -k. A term of physics is a row or a few here: value, tangent, adjoint and all derivatives by
rates and moments are made of them. T2' is out of phase for a time of its own, which counts at readouts only.
"""

from collections.abc import Callable
from typing import NamedTuple

from .columns import DIFFUSION, OMEGA, R1, R2, R2_PRIME, VELOCITY

T, S1, S2, OUT_OF_PHASE = range(4)  # moments


class Polynomial:
    """One of the order, of whole coefficients, those of lower powers first."""

    def __init__(self, *coefficients):
        self.coefficients = coefficients

    def __mul__(self, other):
        if not isinstance(other, Polynomial):
            return Polynomial(*(other * c for c in self.coefficients))
        product = [0] * (len(self.coefficients) + len(other.coefficients) - 1)
        for i, c in enumerate(self.coefficients):
            for j, d in enumerate(other.coefficients):
                product[i + j] += c * d
        return Polynomial(*product)

    __rmul__ = __mul__

    def __neg__(self):
        return self * -1


ORDER = Polynomial(0, 1)


class Exponent(NamedTuple):
    """A term of an exponent: of `rate`, times a moment, times weights that depend on the order.

    Attributes
    ----------
    weights : callable
        Those of P, M and Z for order k; None where there is none.
    imaginary : bool
        Whether states turn by it, rather than decay.
    scale : int
        Power of the dephasing of an order (radians per um) that belongs to it.
    """

    rate: int
    moment: int
    weights: Callable
    imaginary: bool = False
    scale: int = 0


EXPONENTS = (
    Exponent(R1, T, lambda k: (None, None, -1)),
    Exponent(R2, T, lambda k: (-1, -1, None)),
    Exponent(OMEGA, T, lambda k: (1, -1, None), imaginary=True),
    Exponent(DIFFUSION, T, lambda k: (-k * k, -k * k, -k * k), scale=2),
    Exponent(DIFFUSION, S1, lambda k: (-2 * k, 2 * k, None), scale=2),
    Exponent(DIFFUSION, S2, lambda k: (-1, -1, None), scale=2),
    Exponent(VELOCITY, T, lambda k: (-k, -k, -k), imaginary=True, scale=1),
    Exponent(VELOCITY, S1, lambda k: (-1, 1, None), imaginary=True, scale=1),
    Exponent(R2_PRIME, OUT_OF_PHASE, lambda k: (-1, 1, None)),
)
RELAXATION = EXPONENTS[0]  # of Z
FOLDED = R1, R2, OMEGA  # the same for all orders, and part of a pulse's coefficients and of its turn


def of_shape(shape):
    """The exponents that a shape has. Where there are two pools, exchange is what makes them decay (`pools`)."""
    rates = {R1, R2, *shape.terms, *((OMEGA,) if shape.planes == 2 else ())}
    if shape.bound or shape.second:
        rates -= {R1, R2} if shape.second else {R1}
    return [e for e in EXPONENTS if e.rate in rates]


def before_pulses(shape):
    """Those that act before pulses."""
    return [e for e in of_shape(shape) if e.moment != OUT_OF_PHASE]


def before_readouts(shape):
    """Those that act on F_0 before readouts."""
    return [e for e in of_shape(shape) if e.weights(0)[0]]


def by_order(shape):
    """Those that depend on the order, or are not folded into pulses."""
    return [e for e in before_pulses(shape) if e.rate not in FOLDED]
