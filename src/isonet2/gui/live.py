"""Pictures of what a command would make while its parameters are chosen: who makes them.

A process of its own computes, since it needs torch, which the pages do without. It is started by
the first request, and ends after some minutes without one, or with the server.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

IDLE = 300.0
"""Seconds without a request after which the process ends."""
PATIENCE = 5.0
"""Seconds that it has to end."""
MODULE = "isonet2.live"


class Painter:
    """The process that makes pictures, and the folder of each page that shows some.

    Its pictures are volumes in a folder that only the user may enter; a page may read them there.
    """

    def __init__(self) -> None:
        self._root: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._end: asyncio.Task[None] | None = None

    @property
    def root(self) -> Path:
        """The folder of all pictures."""
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="isonet2_live_")).resolve()
        return self._root

    def folder(self) -> Path:
        """A new folder for the pictures of one page."""
        return Path(tempfile.mkdtemp(dir=self.root))

    def owns(self, path: Path | str) -> bool:
        """Whether a path is that of a picture."""
        whole = Path(os.path.normpath(path))
        return self._root is not None and whole.is_relative_to(self._root)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Let one picture be made; requests of several pages take turns.

        Returns
        -------
        dict
            What `isonet2.live` answers; `problem` holds what went wrong.
        """
        async with self._turn:
            if self._end is not None:
                self._end.cancel()
            process = await self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(ConnectionError):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                await process.stdin.drain()
            line = await process.stdout.readline()
            if not line:
                status = await process.wait()
                self._process = None
                words = await asyncio.to_thread(self._last_words)
                return {"problem": f"{MODULE} ended with status {status}: {words}"}
            self._end = asyncio.create_task(self._rest())
            answer: dict[str, Any] = json.loads(line)
            return answer

    async def stop(self) -> None:
        """End the process: it finishes what it does, if that takes no longer than some seconds."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def close(self) -> None:
        """End the process and remove all pictures."""
        if self._end is not None:
            self._end.cancel()
        await self.stop()
        if self._root is not None:
            await asyncio.to_thread(shutil.rmtree, self._root, True)
            self._root = None

    async def _rest(self) -> None:
        await asyncio.sleep(IDLE)
        self._end = None
        await self.stop()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            with (self.root / "log.txt").open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    MODULE,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
        return self._process

    def _last_words(self) -> str:
        lines = (self.root / "log.txt").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


PAINTER = Painter()
"""The one of this server."""
