"""The symbols of the proofs."""

import sympy as sp

__all__ = ["d", "eta", "members", "n", "noise", "omega", "r", "r1", "rho", "s", "sigma"]

r, r1, eta, rho, s = sp.symbols("r r1 eta rho s", positive=True)
n, d = sp.symbols("n d", positive=True)
sigma, omega, noise, members = sp.symbols("sigma omega s_e m", positive=True)
