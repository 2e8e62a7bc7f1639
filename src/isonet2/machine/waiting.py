"""How processor threads wait for one another."""

import os
from collections.abc import MutableMapping

SPINS = "GOMP_SPINCOUNT"
SAID_OTHERWISE = (SPINS, "OMP_WAIT_POLICY")
ROUNDS = "10000"
"""Of a waiting loop, before a thread sleeps: on idle cores as quick as the library's own many."""


def wait_briefly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait sleep soon, for this process and those that it starts.

    By default they keep their cores busy, and where several programs share the cores each keeps
    the others from what all wait for. It must be said before torch is loaded.

    Parameters
    ----------
    environment
        Changed, unless its user has said how threads wait.
    """
    if not any(name in environment for name in SAID_OTHERWISE):
        environment[SPINS] = ROUNDS
