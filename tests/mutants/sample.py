"""Which mutants are tried: a seeded sample of all places that Cosmic Ray can change, the same number a room."""

from __future__ import annotations

import hashlib
import random
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_item import MutationSpec, WorkItem
from parso.tree import NodeOrLeaf

from tests.mutants.rooms import ROOT, room_of, sources

# `==` and `is` are the same of small numbers and names, so exchanging them says nothing.
SAME = re.compile(r"ReplaceComparisonOperator_((?!Is)\w+_Is(Not)?|Is_\w+(?<!_IsNot)|IsNot_\w+(?<!_Is))$")


def sample(*, seed: int, number: int, room: str | None = None) -> list[WorkItem]:
    """`number` mutants of each room, or of the one named: places first, all as likely, then one change to each.

    The same seed and files give the same mutants, and a larger number adds to those of a smaller. Their ids are of the
    file's content: a mutant that was tried needs no second trial as long as its file stays as it was.
    """
    places: dict[str, dict[tuple[str, tuple[int, int]], list[MutationSpec]]] = defaultdict(lambda: defaultdict(list))
    for path in sources():
        name = room_of(path).name
        if room in (None, name):
            for mutation in _mutations(path, ROOT.joinpath(path).read_text(encoding="utf-8")):
                places[name][path, mutation.start_pos].append(mutation)
    chosen = []
    for name in sorted(places):
        in_order = sorted(places[name])
        random.Random(f"{seed} {name}").shuffle(in_order)
        for path, position in in_order[:number]:
            mutation = random.Random(f"{seed} {path} {position}").choice(places[name][path, position])
            chosen.append(WorkItem.single(_identity(mutation), mutation))
    return chosen


def _identity(mutation: MutationSpec) -> str:
    source = ROOT.joinpath(mutation.module_path).read_text(encoding="utf-8")
    said = f"{mutation.module_path}\n{mutation.operator_name}\n{mutation.occurrence}\n{source}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


@cache
def _mutations(path: str, source: str) -> tuple[MutationSpec, ...]:
    """Every mutant of a file, in a fixed order."""
    module = parso.parse(source)
    nodes = list(ast_nodes(module))
    found = []
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or SAME.search(name):
            continue
        positions = ((node, *ends) for node in nodes for ends in operator().mutation_positions(node))
        for occurrence, (node, start, end) in enumerate(positions):
            if not _is_silent(node):
                found.append(MutationSpec(Path(path), name, occurrence, start, end))
    return tuple(sorted(found, key=lambda mutation: (mutation.start_pos, mutation.operator_name, mutation.occurrence)))


def _is_silent(node: NodeOrLeaf) -> bool:
    """Whether a node is part of a type, which nothing runs, or of how a function or dataclass may be called.

    The `*` of `def f(a, *, b)` and the `**` of `{**c}` are operators to Cosmic Ray: whatever else stands there is no
    Python, or `/`, which changes nothing for who names arguments.
    """
    if node.type == "operator" and node.parent is not None:
        before = node.get_previous_sibling()
        opens = before is None or (before.type == "operator" and before.value == ",")
        if node.parent.type == "parameters" or (node.value == "**" and node.parent.type == "dictorsetmaker" and opens):
            return True
    while node.parent is not None:
        above = node.parent
        of_parameter = above.type == "tfpdef" and above.children[2] is node
        of_result = above.type == "funcdef" and above.annotation is node
        of_name = above.type == "annassign" and above.children[1] is node
        of_dataclass = above.type == "decorator" and above.get_code().strip().startswith("@dataclass(")
        if of_parameter or of_result or of_name or of_dataclass:
            return True
        node = above
    return False
