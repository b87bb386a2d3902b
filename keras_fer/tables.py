"""Tables for the screen and for Markdown pages."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """The rows under their header in aligned columns: the first to the left, the others (numbers) to the right.

    Args:
        header, rows: cells as text; every row is as long as the header.
        markdown: write a Markdown table instead of bare columns.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells, separator):
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(cells, widths))
        )
        return separator.join([first, *others])

    if not markdown:
        return "\n".join(line(row, "  ").rstrip() for row in (header, *rows))
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {line(row, ' | ')} |" for row in (header, rule, *rows))
