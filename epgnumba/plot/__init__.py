"""Figures, with matplotlib."""

from .report import plot_report

__all__ = ["plot_report"]
