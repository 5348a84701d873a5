"""Kernels: the only room that knows Numba. Importing this package compiles nothing and does not import Numba."""
