#!/usr/bin/env python3
"""Finds phrases that this project does not use, and says what to write instead.

    python3 scripts/language.py               # README, docs, recipes
    python3 scripts/language.py --messages    # texts in the code: string literals, generated pages, fields of errors

Checked are prose in Markdown files (not code, not links), comments in recipes, string literals in crates/*/src (without
tests), and doc lines of three words or fewer on fields of error enums. Other doc comments are not checked.
Exit status: 0 nothing found, 1 something found (a line each: file:line, the phrase, what to write instead).
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ("docs/bad-input.md", "docs/defaults.md", "docs/reference.md")
BE = r"(?:is|are|was|were|be|been|being|isn't|aren't)"


class Rule(NamedTuple):
    """A phrase, what to write instead, and the same letters in another sense, which are fine."""

    phrase: str
    instead: str
    unless: str | None = None


RULES = [
    Rule(r"look(?:s|ed|ing)?\b", "check, evaluate, measure, read", r"look(?:s|ed|ing)? (?:like|up)\b"),
    Rule(r"told\b", "is reported, warns, distinguished"),
    Rule(rf"{BE} (?:\w+ )?said\b", "is reported, says"),
    Rule(r"(?:go|goes|gone|going|went) on\b", "resume, continue"),
    Rule(r"dr(?:aw|aws|ew|awn) out\b", "extrapolate"),
    # "There is no X" is plain English, and so is a comparison.
    Rule(
        rf"{BE} no\b(?! one\b)",
        "is not a ...; there is no ...",
        rf"\b(?:there|[Tt]here \w+|[Tt]here \w+ \w+) {BE} no\b|{BE} no (?:longer|more|less|fewer|better|worse|\w+er) ?",
    ),
    Rule(rf"(?:{BE} none|none is there)\b", "is not a ...; there is no ...", rf"[Tt]here (?:\w+ )?{BE} none\b"),
    Rule(r"no numbers?\b", "NaN or infinite"),
    Rule(r"what (?:came|was typed|was given)\b", "the value given"),
    Rule(r"where there (?:is|are|was) (?:one|any|some|none)\b", "if any, if there is one"),
    Rule(r"(?:stand|stands|stood|standing)\b", "is, is stored", r"(?:stand|stands|standing) for\b"),
    Rule(r"the (?:same )?bits\b|same bits\b", "bit-identical"),
    Rule(r"shares? of\b", "a fraction of"),
]
PATTERNS = [
    (re.compile(rf"\b(?:{rule.phrase})", re.IGNORECASE), rule.unless and re.compile(rule.unless, re.IGNORECASE), rule)
    for rule in RULES
]


class Finding(NamedTuple):
    line: int
    phrase: str
    instead: str


def in_text(text, line_of):
    """The findings in a text whose letter `place` is in the line `line_of(place)`."""
    for pattern, unless, rule in PATTERNS:
        fine = [match.span() for match in unless.finditer(text)] if unless else []
        for match in pattern.finditer(text):
            if not any(start <= match.start() and match.end() <= end for start, end in fine):
                yield Finding(line_of(match.start()), " ".join(match[0].split()), rule.instead)


def joined(lines):
    """Lines as one text, and the line number of each of its letters; `lines` are pairs of number and text."""
    text = " ".join(text for _, text in lines)
    numbers = [number for number, line in lines for _ in range(len(line) + 1)]
    return text, numbers.__getitem__


def prose(markdown):
    """The paragraphs of a page as lists of numbered lines, without code and without the targets of links."""
    paragraph, fenced = [], False
    for number, line in enumerate(markdown.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        code = fenced or fence or line.startswith("    ")
        ends = code or not line.strip() or re.match(r"#|\||\s*[-*] |\s*\d+\. ", line)
        if ends and paragraph:
            yield paragraph
            paragraph = []
        if not code and line.strip():
            line = re.sub(r"`[^`]*`", "`", line)
            paragraph.append((number, re.sub(r"\]\([^)]*\)", "]", line).strip()))
    if paragraph:
        yield paragraph


def in_markdown(text):
    for paragraph in prose(text):
        yield from in_text(*joined(paragraph))


def in_lines(text):
    """The findings in a generated page, where help texts are code."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from in_text(line, lambda _, number=number: number)


def in_recipe(text):
    comments = [(number, line[1:].strip()) for number, line in enumerate(text.splitlines(), 1) if line.startswith("#")]
    if comments:
        yield from in_text(*joined(comments))


TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | b?r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)
      | b?"(?P<string>(?:\\.|[^"\\])*)"
      | b?'(?:\\.[^']*|[^'\\\n])'
      | (?P<test>\#\[cfg\(test\)\]\s*mod\s+\w+\s*(?=\{))
      | (?P<brace>[{}])""",
    re.DOTALL | re.VERBOSE,
)


def tokens_outside_tests(code):
    """Comments, literals and braces of a Rust file, without its modules of tests."""
    depth, test_depth = 0, None
    for token in TOKEN.finditer(code):
        if token["test"] and test_depth is None:
            test_depth = depth
        elif token["brace"] == "{":
            depth += 1
        elif token["brace"] == "}":
            depth -= 1
            if depth == test_depth:
                test_depth = None
        elif test_depth is None:
            yield token


def in_literals(code):
    for token in tokens_outside_tests(code):
        kind = "raw" if token["raw"] is not None else "string"
        if token[kind] is None:
            continue
        first = code.count("\n", 0, token.start(kind)) + 1
        # A backslash at the end of a line joins it with the next; every letter keeps its place.
        text = re.sub(r"\\n|\\\n\s*", lambda match: " " * len(match[0]), token[kind])
        spaces = re.sub(r"\s", " ", text)
        words, places = collapsed(spaces)
        yield from in_text(words, lambda place: first + token[kind].count("\n", 0, places[place]))


def collapsed(text):
    """The text with single spaces, and the place that each of its letters had."""
    places = [place for place, letter in enumerate(text) if letter != " " or place == 0 or text[place - 1] != " "]
    return "".join(text[place] for place in places), places


ERROR_ENUM = re.compile(r"#\[derive\([^)]*\bError\b[^)]*\)\](?:\s*#\[[^\n]*\])*\s*(?:pub(?:\([^)]*\))? )?enum \w+ \{")
FIELD = re.compile(r"((?:^ +///[^\n]*\n)+)(?: +#\[[^\n]*\]\n)* +(?:pub )?(\w+): ", re.MULTILINE)


def in_error_fields(code):
    for enum in ERROR_ENUM.finditer(code):
        body = code[enum.end() : code.index("\n}", enum.end())]
        for field in FIELD.finditer(body):
            doc = " ".join(field[1].replace("///", " ").split())
            if len(doc.split()) <= 3:
                line = code.count("\n", 0, enum.end() + field.start()) + 1
                yield Finding(line, f"/// {doc}", f"nothing: the name {field[2]} says it, or say more")


def pages():
    for pattern in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "assets/*.md", "docs/**/*.md"):
        yield from (path for path in sorted(ROOT.glob(pattern)) if str(path.relative_to(ROOT)) not in GENERATED)


def documents():
    for path in pages():
        yield path, in_markdown(path.read_text())
    for path in sorted(ROOT.glob("recipes/*.toml")):
        yield path, in_recipe(path.read_text())


def messages():
    for path in sorted(ROOT.glob("crates/*/src/**/*.rs")):
        code = path.read_text()
        yield path, [*in_literals(code), *in_error_fields(code)]
    for name in GENERATED:
        yield ROOT / name, in_lines((ROOT / name).read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", action="store_true", help="check the texts in the code")
    arguments = parser.parse_args()
    count = 0
    for path, findings in messages() if arguments.messages else documents():
        for finding in sorted(findings):
            count += 1
            print(f'{path.relative_to(ROOT)}:{finding.line}: "{finding.phrase}"; write: {finding.instead}')
    if count:
        print(f"{count} phrases to rewrite; CONTRIBUTING.md, Language, says why", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
