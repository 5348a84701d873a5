"""What is computed: events lowered to flat tables, pruned exactly, and the way back from tables to parameters."""

from .program import Program, compile_program

__all__ = ["Program", "compile_program"]
