"""Links from one page to another that several pages make."""

from pathlib import Path
from urllib.parse import urlencode

from nicegui import ui


def see(volume: Path, table: Path | None = None, tomogram: int | None = None) -> None:
    """Open the viewer with a volume, beside the other volumes of its tomogram where it is known."""
    query: dict[str, object] = {"path": volume}
    if table is not None and tomogram is not None:
        query |= {"star": table, "index": tomogram}
    ui.navigate.to(f"/view?{urlencode(query)}", new_tab=True)
