#!/usr/bin/env python3
"""Checks who imports whom: `imports.py [FOLDER OF THE LIBRARY'S SOURCES] [architecture.md]`.

Two things fail: an import against the order of the modules, which docs/design/architecture.md lists under "Order of the
modules", and a circle of files. Tests inside the sources are not read, and a re-export (`pub use`) in a mod.rs is not an
import: whoever uses the name imports the file that defines it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADING = "## Order of the modules"


def code_of(text):
    """The text without comments, the contents of strings, and modules of tests."""
    token = r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\''
    code = re.sub(token, lambda match: '""' if '"' in match[0][:3] else " ", text, flags=re.DOTALL)
    while found := re.search(r"#\[cfg\(test\)\]\s*mod \w+ \{", code):
        depth, end = 1, found.end()
        while depth and end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        code = code[: found.start()] + code[end:]
    return re.sub(r"\bpub\s*\([^)]*\)", "pub", code)


def leaves(tree):
    """The paths of a `use` tree: `a::{b, c::{d as e, self}}` gives a::b, a::c::d and a::c, each with its name here."""
    tree = tree.strip()
    if not tree:
        return
    brace = tree.find("{")
    if brace < 0:
        path, _, name = tree.partition(" as ")
        parts = [part.strip() for part in path.split("::")]
        yield parts, name.strip() or parts[-1]
        return
    before = [part for part in tree[:brace].split("::") if part.strip()]
    for part in split_at_commas(tree[brace + 1 : tree.rindex("}")]):
        for path, name in leaves(part):
            if path[0] == "self":
                yield before, name if name != "self" else before[-1]
            else:
                yield before + path, name


def split_at_commas(text):
    """The parts between the commas that lie in no braces."""
    depth, part = 0, ""
    for letter in text:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and not depth:
            yield part
            part = ""
        else:
            part += letter
    yield part


class Library:
    """The files of a crate by module: () is lib.rs, ("data", "fetch") is data/fetch/mod.rs."""

    def __init__(self, folder):
        self.files = {module_of(path.relative_to(folder)): path for path in sorted(folder.rglob("*.rs"))}
        self.code = {module: code_of(path.read_text()) for module, path in self.files.items()}
        self.names = {module: dict(self.exported(module)) for module in self.files}

    def exported(self, module):
        """The names that a module re-exports, with the paths behind them."""
        for tree in re.findall(r"\bpub use ([^;]*);", self.code[module]):
            for path, name in leaves(tree):
                yield name, path

    def absolute(self, module, path):
        """A path as seen in a module, from the root of the crate; none where it leads into another crate."""
        if path[0] == "crate":
            return tuple(path[1:])
        if path[0] in ("self", "super"):
            while path and path[0] in ("self", "super"):
                module = module[:-1] if path[0] == "super" else module
                path = path[1:]
            return module + tuple(path)
        return module + tuple(path) if module + (path[0],) in self.files else None

    def definer(self, path):
        """The module in whose file the thing at an absolute path is defined."""
        module = ()
        for at, name in enumerate(path):
            if module + (name,) in self.files:
                module += (name,)
            elif name in self.names[module]:
                behind = self.absolute(module, self.names[module][name])
                return self.definer(behind + tuple(path[at + 1 :])) if behind is not None else module
            else:
                break
        return module

    def imports(self, module):
        """The modules whose files a file imports from."""
        is_hub = self.files[module].name in ("mod.rs", "lib.rs")
        code = self.code[module]
        for public, tree in re.findall(r"\b(pub )?use ([^;]*);", code):
            if not (public and is_hub):
                yield from (path for path, _ in leaves(tree))
        body = re.sub(r"\b(?:use|mod) [^;{]*(?:\{[^;]*)?;", "", code)
        children = [child[-1] for child in self.files if child[:-1] == module and child]
        first = "|".join(["crate", "super", "self", *map(re.escape, children)])
        for path in re.findall(rf"(?<![\w:])(?:{first})(?:::\w+)+", body):
            yield path.split("::")

    def edges(self):
        """Pairs of modules: the file of the first imports from that of the second."""
        for module in self.files:
            for path in self.imports(module):
                absolute = self.absolute(module, path)
                if absolute is None:
                    continue
                target = self.definer(absolute)
                if target not in (module, ()):
                    yield module, target


def module_of(path):
    parts = path.with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts


def order_of(page):
    """The level of each module: the number of its line in the list of architecture.md."""
    after = page.partition(HEADING)[2].partition("\n## ")[0]
    lines = [line for line in after.splitlines() if line.startswith("    ")]
    return {name: level for level, line in enumerate(lines) for name in re.findall(r"\w+", line)}


def upward(edges, order):
    """The edges between modules that lead to the same line of the list or to a later one."""
    return [(a, b) for a, b in edges if a and a[0] != b[0] and order[b[0]] >= order[a[0]]]


def circles(edges):
    """Circles of imports, each as short as can be; those that share a file with one before are left out."""
    after = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)
    shortest = {}
    for start in after:
        way = way_back(start, after)
        members = frozenset(way or ())
        if way and not any(members & known for known in shortest):
            shortest[members] = way
    return list(shortest.values())


def way_back(start, after):
    """The shortest way from a file over its imports back to itself; none if there is no such way."""
    ways = [[start]]
    seen = set()
    while ways:
        way = ways.pop(0)
        for b in sorted(after.get(way[-1], ())):
            if b == start:
                return way
            if b not in seen:
                seen.add(b)
                ways.append([*way, b])
    return None


def problems(folder, page):
    """What is wrong, a line each."""
    library = Library(folder)
    edges = sorted(set(library.edges()))
    order = order_of(page)
    modules = {module[0] for module in library.files if module}

    def name(module):
        return str(library.files[module].relative_to(folder))

    lines = [f"{missing} is not in the list of architecture.md" for missing in sorted(modules - order.keys())]
    lines += [f"{gone} is in the list of architecture.md and not in the library" for gone in sorted(order.keys() - modules)]
    if not lines:
        lines += [f"upward import: {name(a)} imports {name(b)}" for a, b in upward(edges, order)]
    lines += ["circle of files: " + " -> ".join(map(name, [*way, way[0]])) for way in circles(edges)]
    return lines


def main():
    arguments = [Path(argument) for argument in sys.argv[1:]]
    folder = arguments[0] if arguments else ROOT / "crates/coretune/src"
    page = arguments[1] if len(arguments) > 1 else ROOT / "docs/design/architecture.md"
    lines = problems(folder, page.read_text())
    print("\n".join(lines) or "no upward import, no circle of files")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
