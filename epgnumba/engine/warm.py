"""Compiling ahead of time."""


def warm_up() -> None:
    """Compile the kernels, or load them from disk, before they are needed: a minute if it has never been done.

    A call compiles what it needs by itself; before a batch of processes starts, one call of this saves each the wait.

    Examples
    --------
    >>> warm_up()
    """
    from ..design import CRLBObjective
    from ..sequence import FSE
    from ..verbs import jacobian, vjp

    train = FSE([60.0], 5.0)
    jacobian(train, 1000.0, 100.0, diff="T2")
    vjp(train, 1000.0, 100.0, signal_bar=[1.0])
    objective = CRLBObjective(train, 1000.0, 100.0)
    objective(objective.x0)
    objective.hessp(objective.x0, objective.x0)
