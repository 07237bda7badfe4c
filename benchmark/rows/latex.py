"""A table in LaTeX, ruled by the package booktabs."""

from collections.abc import Collection, Sequence

ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
"""What means something to LaTeX, and how it is written to mean itself."""


def escaped(text: str) -> str:
    """A text as LaTeX sets it."""
    return "".join(ESCAPED.get(sign, sign) for sign in text)


def table(
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    caption: str,
    bold: Collection[tuple[int, int]] = (),
) -> str:
    r"""A floating table; the document needs `\usepackage{booktabs}`.

    Args:
        heads: Names of the columns.
        lines: Texts of each line; columns of numbers stand right, others left.
        caption: Its caption.
        bold: (line, column) of what is set bold.
    """
    sides = "".join("r" if all(_number(line[i]) for line in lines) else "l" for i in range(len(heads)))
    body = [
        " & ".join(rf"\textbf{{{escaped(text)}}}" if (i, j) in bold else escaped(text) for j, text in enumerate(line))
        for i, line in enumerate(lines)
    ]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{escaped(caption)}}}",
            rf"  \begin{{tabular}}{{{sides}}}",
            r"    \toprule",
            rf"    {' & '.join(map(escaped, heads))} \\",
            r"    \midrule",
            *(rf"    {line} \\" for line in body),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _number(text: str) -> bool:
    """Whether a text is a number, a range of them, or the dash that stands for none."""
    return text == "-" or not text.translate(str.maketrans("", "", "0123456789.+-eMto ")).strip()
