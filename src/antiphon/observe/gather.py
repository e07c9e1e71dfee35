"""The counters of several processes in one answer, in Prometheus' text format. Pure.

Nothing is summed. A sum of counters falls when one process is started again, which Prometheus would
take for a start of them all; with a label for each, `sum(rate(...))` is right
(https://prometheus.io/docs/prometheus/latest/querying/functions/#rate).
"""

from __future__ import annotations

from collections.abc import Mapping


def merged(texts: Mapping[int, str], label: str = "worker") -> str:
    """What each process has written, by number, as one: every sample with a label for its
    process, and the lines of a metric together, as the format demands."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for number, text in sorted(texts.items()):
        heads, samples = families.setdefault("", ([], []))
        for line in text.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                name = line.split(" ", 3)[2]
                heads, samples = families.setdefault(name, ([], []))
                if line not in heads:
                    heads.append(line)
            elif line and not line.startswith("#"):
                samples.append(_labelled(line, f'{label}="{number}"'))
    parts = [line for heads, samples in families.values() for line in (*heads, *samples)]
    return "".join(f"{line}\n" for line in parts)


def _labelled(sample: str, label: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace and " " not in name:
        return f"{name}{{{label},{rest}" if not rest.startswith("}") else f"{name}{{{label}{rest}"
    name, _, value = sample.partition(" ")
    return f"{name}{{{label}}} {value}"
