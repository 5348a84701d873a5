"""Digests of calls (see `calls`), each from a process that has called nothing of its kind.

    python fresh.py [cold] < names.json > digests.json

Names are those of calls, or lists of them, of which the last one's digest is wanted. Kernels are loaded first, by
playing a sequence that is like no other; then every call runs in a copy of that process. `cold` leaves that out: what
the first name needs is compiled, or loaded, for it.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


def load_kernels():
    from calls import KINDS, objective

    from epgnumba import EventSequence
    from epgnumba.sequence import Pulse, Readout, Shift, Spoil, Wait

    def strange(p):
        yield [
            Pulse(p.strange),
            Wait(p.stranger),
            Readout(7.0),
            Shift(5),
            Pulse(3.0, 1.0),
            Wait(1.0),
            Readout(),
            Spoil(),
        ]

    sequence = EventSequence(strange, strange=11.0, stranger=13.0)
    for call in KINDS.values():
        call(sequence)
    objective(sequence, variables=("strange",))


def in_a_copy(names):
    """The last call's digest, made in a fork of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        from calls import digest

        try:
            found = [digest(name) for name in names][-1]
        except Exception as error:
            found = repr(error)
        os.write(writing, found.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return found


if __name__ == "__main__":
    if "cold" not in sys.argv:
        load_kernels()
    wanted = json.load(sys.stdin)
    json.dump([in_a_copy([one] if isinstance(one, str) else one) for one in wanted], sys.stdout)
