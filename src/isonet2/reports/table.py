"""Tables on standard output."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 10_000  # a file or a pipe has no edge: nothing is wrapped


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of numbers are aligned to the right.

    Parameters
    ----------
    title
        Stands above the table.
    columns
        Headings.
    rows
        One cell for each heading. Nothing is cut: a narrow terminal folds long cells.
    """
    table = Table(title=Text(title), title_justify="left")
    for index, heading in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(Text(heading), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    console.print(table)


def _is_number(cell: str) -> bool:
    """Tell whether a cell holds a number or nothing."""
    try:
        float(cell or "0")
    except ValueError:
        return cell == "None"
    return True
