"""Pages of the site made from what is elsewhere: documents beside the code, the API's subjects, findings, gallery."""

import inspect
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import mkdocs_gen_files

from sharpdiv.checks.results import load_evidence
from sharpdiv.figures.registry import FIGURES, drawable, render
from sharpdiv.paths import RESULTS

ROOT = Path(__file__).resolve().parents[1]


def write(page: str, text: str) -> None:
    """One page of the site."""
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text)


def documents() -> None:
    """Documents that are read in the repository, too; what they link to is a page here or is named."""
    pages = {"theory/README.md": "theory.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
    pages |= {"paper_checks.md": "findings.md"}
    pages |= {str(path.relative_to(ROOT)): str(path.relative_to(ROOT)) for path in (ROOT / "paper_checks").glob("*.md")}
    for source, page in pages.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        write(page, text.replace("](../paper_checks.md", "](../findings.md"))


def api() -> None:
    """A page for every subject of the public face, in its order."""
    face = (ROOT / "sharpdiv" / "__init__.pyi").read_text(encoding="utf-8")
    navigation = mkdocs_gen_files.Nav()
    for subject, names in re.findall(r"^# (.*)\n((?:from .*\n)+)", face, flags=re.M):
        page = re.sub(r"[^a-z]+", "-", subject.lower()).strip("-") + ".md"
        found = re.findall(r"from \.([\w.]+) import (\w+)", names)
        entries = "\n\n".join(f"::: sharpdiv.{module}.{name}" for module, name in found)
        write(
            f"api/{page}",
            f"# {subject}\n\n`from sharpdiv import {', '.join(name for _, name in found)}`\n\n{entries}\n",
        )
        navigation[subject] = page
    write("api/SUMMARY.md", "".join(navigation.build_literate_nav()))


def gallery() -> None:
    """Every figure that the committed results allow, with what it shows and the code that draws it."""
    evidence = load_evidence(RESULTS)
    names = drawable(evidence)
    parts = ["# Gallery", "`sharpdiv figures --only NAME` draws each, from closed forms or from the committed results."]
    with TemporaryDirectory() as folder:
        for path in render(names, evidence, Path(folder), workers=2):
            if path.suffix == ".svg":
                with mkdocs_gen_files.open(f"gallery/{path.name}", "wb") as file:
                    file.write(path.read_bytes())
    for name in names:
        words, draw = FIGURES[name].words(evidence), FIGURES[name].draw
        code = Path(inspect.getfile(getattr(draw, "func", draw))).read_text(encoding="utf-8")
        pictures = "\n".join(f"![{words.alt}](gallery/{name}{shade}.svg#only-{mode})" for shade, mode in SHADES)
        folded = f'??? example "`{name}`: the code"\n\n{indented(code)}'
        parts += [f"## {words.finding}", pictures, words.caption, folded]
    write("gallery.md", "\n\n".join(parts) + "\n")


SHADES = (("", "light"), ("-dark", "dark"))


def indented(code: str) -> str:
    """A block of code inside of a folded box."""
    return "\n".join(f"    {line}".rstrip() for line in ["```python", *code.splitlines(), "```"])


documents()
api()
gallery()
