"""Work that tests give to the processes of a cluster, which import it by this name."""

import logging
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

from isonet2.errors import InputError

log = logging.getLogger("isonet2.test")


def prepare(parameters):
    """Write down that a process was made ready, and work as the tomogram's name says."""
    (parameters.output_dir / f"ready_{os.getpid()}").touch()

    def work(tomogram, label):
        log.warning("%s by %d", label, os.getpid())
        once = Path(parameters.output_dir, f"died_{tomogram.index}")
        if tomogram.index == 2 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if tomogram.index == 3:
            raise InputError("TS_03: has no use")
        if tomogram.index == 4:
            raise ZeroDivisionError("a fault of ours")
        if tomogram.index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        Path(parameters.output_dir, f"done_{tomogram.index}").touch()
        return {"rlnMaskName": Path(f"mask_{tomogram.index}.mrc")}

    return work


def slow(parameters):
    """Work that takes long, and says when it begins."""

    def work(tomogram, label):
        Path(parameters.output_dir, f"began_{tomogram.index}").touch()
        if tomogram.index > 1:
            time.sleep(120)
        return {"rlnMaskName": Path(f"mask_{tomogram.index}.mrc")}

    return work


def deadly(number, killers):
    """End this process, or after a moment give the number back."""
    if number in killers:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    return number


def asked(server=None):
    """Where Dask serves pages, and how it answers who asks for its health."""
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ  # which more than doubles what work takes
    if server is None:
        from distributed import get_worker

        server = get_worker().http_server
    try:
        urllib.request.urlopen(f"http://{server.address}:{server.port}/health", timeout=20).close()
    except urllib.error.HTTPError as error:
        return [server.address, error.code]
    return [server.address, 200]
