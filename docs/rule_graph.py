"""Draws the picture of the rules in docs/workflow.md from Snakemake's own: make graph.

Reads ``snakemake --rulegraph mermaid-js``. All figures become one box, the final target is left out, and so is every
arrow that a longer way implies.
"""

import re
import sys


def picture(graph: str) -> str:
    """The Mermaid flowchart, arrows in Snakemake's order."""
    names = {
        number: "draw_{figure}" if name.startswith("draw_") else name
        for number, name in re.findall(r"(id\d+)\[(\w+)\]", graph)
    }
    arrows = dict.fromkeys(
        (names[start], names[end]) for start, end in re.findall(r"(id\d+) --> (id\d+)", graph) if names[end] != "all"
    )
    after: dict[str, set[str]] = {}
    for start, end in arrows:
        after.setdefault(start, set()).add(end)

    def reaches(start: str, end: str) -> bool:
        return end in after.get(start, ()) or any(reaches(next_, end) for next_ in after.get(start, ()))

    kept = [
        (start, end) for start, end in arrows if not any(reaches(other, end) for other in after[start] if other != end)
    ]
    box = {"draw_{figure}": 'draw["draw_{figure}"]'}
    lines = [f"    {box.get(start, start)} --> {box.get(end, end)}" for start, end in sorted(kept)]
    return "\n".join(["flowchart LR", *lines, ""])


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read()))
