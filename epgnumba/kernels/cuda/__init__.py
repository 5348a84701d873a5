"""The kernels on a CUDA device: the program of the CPU's tables, the physics of `kernels.physics`."""
