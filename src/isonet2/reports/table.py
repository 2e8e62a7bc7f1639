"""Tables on standard output."""

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 10_000  # a file or a pipe has no edge: nothing is wrapped


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of numbers are aligned to the right.

    Where the table is wider than the terminal, what is the same in all rows is listed below
    it, and long cells are folded; nothing is cut.

    Parameters
    ----------
    title
        Stands above the table.
    columns
        Headings.
    rows
        One cell for each heading.
    """
    plain = Console(width=_PLAIN_WIDTH)
    console = Console() if plain.is_terminal else plain
    console.print(Text(title))
    table = _table(columns, rows)
    if not rows or Measurement.get(plain, plain.options, table).maximum <= console.width:
        console.print(table)
        return
    same = [i for i in range(len(columns)) if len({row[i] for row in rows}) == 1]
    others = [i for i in range(len(columns)) if i not in same]
    if others:
        console.print(_table([columns[i] for i in others], [[r[i] for i in others] for r in rows]))
    if same:
        console.print(_table(["in all rows", ""], [[columns[i], rows[0][i]] for i in same]))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Lay out a table."""
    table = Table()
    for index, heading in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(Text(heading), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _is_number(cell: str) -> bool:
    """Tell whether a cell holds a number or nothing."""
    try:
        float(cell or "0")
    except ValueError:
        return cell == "None"
    return True
