# SPDX-License-Identifier: Apache-2.0
"""Who may test on this machine now: several that share it, or one that has it alone. In the order of coming."""

import contextlib
import fcntl
import pathlib
import tempfile

TEMP = pathlib.Path(tempfile.gettempdir())


@contextlib.contextmanager
def taken(shared=False):
    """Who waits for the machine holds the door: nobody who comes later shares it before."""
    with open(TEMP / "faultd-tests.lock", "w") as machine:
        with open(TEMP / "faultd-tests.door", "w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(machine, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
