"""Prices under models with smiles, for tests to compare with: slow, simple, and independent of what they test.

All in years, annual vols and USD, with a continuous rate and dividend yield.
"""

import cmath
import math
from dataclasses import dataclass

from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr


@dataclass(frozen=True, slots=True)
class Heston:
    """dv = kappa (theta − v) dt + xi √v dW, correlated with the price by rho; v starts at v0."""

    v0: float
    kappa: float
    theta: float
    xi: float
    rho: float


def black_call(forward: float, strike: float, years: float, vol: float) -> float:
    """Undiscounted Black-76 call."""
    total = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / total + total / 2.0
    return float(forward * ndtr(d1) - strike * ndtr(d1 - total))


def implied_vol(forward: float, strike: float, years: float, undiscounted: float) -> float:
    """The vol of an undiscounted call's price."""
    return float(
        brentq(lambda vol: black_call(forward, strike, years, vol) - undiscounted, 1e-4, 10.0, xtol=1e-13)
    )


def heston_undiscounted(model: Heston, forward: float, strike: float, years: float) -> float:
    """Undiscounted call by Lewis's single integral (A. Lewis, 2001) over the characteristic function of ln(S/F).

    C = F − √(FK)/π ∫₀^∞ Re[e^{iuk} φ(u − i/2)] / (u² + ¼) du with k = ln(F/K), φ in the form of H. Albrecher et al.
    ("The little Heston trap", 2007).
    """
    k = math.log(forward / strike)

    def characteristic(u: complex) -> complex:
        iu = 1j * u
        beta = model.kappa - model.rho * model.xi * iu
        d = cmath.sqrt(beta * beta + model.xi**2 * (iu + u * u))
        g = (beta - d) / (beta + d)
        decay = cmath.exp(-d * years)
        of_theta = (beta - d) * years - 2.0 * cmath.log((1.0 - g * decay) / (1.0 - g))
        of_v0 = (beta - d) * (1.0 - decay) / (1.0 - g * decay)
        return cmath.exp((model.kappa * model.theta * of_theta + model.v0 * of_v0) / model.xi**2)

    def integrand(u: float) -> float:
        return (cmath.exp(1j * u * k) * characteristic(u - 0.5j)).real / (u * u + 0.25)

    area, _ = quad(integrand, 0.0, math.inf, epsabs=1e-13, epsrel=1e-13, limit=1000)
    return forward - math.sqrt(forward * strike) / math.pi * area


def heston_call(
    model: Heston, spot: float, strike: float, years: float, rate: float, dividend: float = 0.0
) -> float:
    """Price of a call in USD."""
    forward = spot * math.exp((rate - dividend) * years)
    return math.exp(-rate * years) * heston_undiscounted(model, forward, strike, years)


def merton_call(
    spot: float,
    strike: float,
    years: float,
    rate: float,
    vol: float,
    intensity: float,
    jump_mean: float,
    jump_std: float,
) -> float:
    """Call under lognormal jumps (R. Merton, 1976): Poisson-weighted Black-Scholes prices. The jump's logarithm has the
    mean `jump_mean` and standard deviation `jump_std`; `intensity` jumps come a year.
    """
    mean_jump = math.exp(jump_mean + jump_std**2 / 2.0) - 1.0
    price = 0.0
    for n in range(60):
        weight = math.exp(-intensity * years) * (intensity * years) ** n / math.factorial(n)
        total = math.sqrt(vol**2 + n * jump_std**2 / years)
        drift = (rate - intensity * mean_jump) * years + n * (jump_mean + jump_std**2 / 2.0)
        price += weight * black_call(spot * math.exp(drift), strike, years, total)
    return math.exp(-rate * years) * price
