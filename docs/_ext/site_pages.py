"""What the site's pages need beyond Sphinx: the table of tissue parameters, and names that lead to the reference."""

import builtins
import os
import re
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from epgnumba.cli import main
from epgnumba.tissue_parameters import TISSUE, TissueParameter

# Functions that share their name with an argument: the bare name means that.
ARGUMENTS = {"bounds", "duration", "exchange", "hard", "limits", "positions", "sinc"}
# Pages on which bare names in lower case are commands.
COMMANDS = {"batch", "reference/command-line"}


def limits_of(row: TissueParameter) -> str:
    """From and to, in words."""
    return f"{row.limits['minimum']:g} to {row.limits['maximum']:g}" + ", or inf" * row.limits.get("infinite", False)


class TissueParameters(SphinxDirective):
    """``tissue-parameters``: the table that checks, broadcasts and differentiates them, as a table."""

    HEADS = ("Name", "What", "Unit", "Limits", "By default", "Derivative")
    WIDTHS = (14, 44, 8, 16, 9, 12)

    def run(self) -> list[nodes.Node]:
        table = nodes.table(classes=["tissue-parameters"])
        group = nodes.tgroup(cols=len(self.HEADS))
        group += [nodes.colspec(colwidth=width) for width in self.WIDTHS]
        head, body = nodes.thead(), nodes.tbody()
        head += self._row([[nodes.Text(text)] for text in self.HEADS])
        for row in TISSUE.values():
            words, _ = self.state.inline_text(row.text, self.lineno)
            default = "must be given" if row.default is None else f"{row.default:g}"
            per = f"per {row.unit}" if row.unit else "per unit"
            plain = [[nodes.Text(text)] for text in (row.unit, limits_of(row), default, per)]
            body += self._row([[nodes.literal(text=row.name)], words, *plain])
        group += [head, body]
        table += group
        return [table]

    def _row(self, cells: list[list[nodes.Node]]) -> nodes.row:
        row = nodes.row()
        for cell in cells:
            entry, paragraph = nodes.entry(), nodes.paragraph()
            paragraph += cell
            entry += paragraph
            row += entry
        return row


class CommandHelp(SphinxDirective):
    """``command-help``: what ``epgnumba [command] --help`` prints."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        before, said = os.environ.get("COLUMNS"), StringIO()
        os.environ["COLUMNS"] = "96"
        with redirect_stdout(said), suppress(SystemExit):
            main([*self.arguments, "--help"])
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
        block = nodes.literal_block(said.getvalue(), said.getvalue())
        block["language"] = "text"
        return [block]


def full_name(env: BuildEnvironment, given: str, page: str) -> str | None:
    """The name in the reference that a name in a text means; None if there is none, or it may be an argument."""
    name = given.removeprefix("epgnumba.")
    if "." not in given and (name in ARGUMENTS or (page in COMMANDS and name.islower())):
        return None
    ending = f".{name}"
    known = env.domains.python_domain.objects
    found = [full for full, entry in known.items() if full.endswith(ending) and entry.objtype != "module"]
    if "." not in name:  # an attribute of one class is no name of its own
        found = [full for full in found if known[full].objtype not in {"attribute", "method", "property"}]
    return min(found, key=lambda full: (full.count("."), full), default=None)


class NamesLeadToReference(SphinxPostTransform):
    """Code in a page's text that is a public name, or a call of one, links to its description."""

    default_priority = 5
    CALL: ClassVar = re.compile(r"([A-Za-z_][\w.]*\w)(\(.*\))?")

    def run(self, **_: Any) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            above = literal
            while above is not None and not isinstance(above, nodes.title | nodes.reference | addnodes.pending_xref):
                above = above.parent
            call = self.CALL.fullmatch(literal.astext())
            if above is not None or call is None or "xref" in literal.get("classes", ()):
                continue
            full = full_name(self.env, call[1], self.env.docname)
            if full is None:
                continue
            entry = self.env.domains.python_domain.objects[full]
            if entry.docname != self.env.docname:
                shown = literal.deepcopy()
                literal.replace_self(
                    make_refnode(self.app.builder, self.env.docname, entry.docname, entry.node_id, shown, full)
                )


def resolve_short_names(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, shown: nodes.Element
) -> nodes.Element | None:
    """What docstrings put into backticks, by whichever name."""
    if node.get("refdomain") != "py":
        return None
    page = node["refdoc"]
    full = full_name(env, node["reftarget"], page)
    if full is None:
        return None
    entry = env.domains.python_domain.objects[full]
    return make_refnode(app.builder, page, entry.docname, entry.node_id, shown, full)


def write_for_sphinx(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written to be read by `help`: pages are named by their file, shapes hold stars."""
    if isinstance(obj, UnionType):
        lines[:] = [f"Any of {', '.join(f'`{kind.__name__}`' for kind in obj.__args__)}."]
    for n, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            line = re.sub(r"\bdocs/([\w-]+)\.md", r":doc:`/\1`", line)
            lines[n] = re.sub(r"\(\*(?=[a-z]+[,)])", r"(\\*", line)


def shorten(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Defaults as they are written."""
    return signature and re.sub(r"<class 'numpy\.(\w+)'>", r"\1", signature), returns


def link_outside(app: Sphinx, page: str, text: list[str]) -> None:
    """Links from pages to files beside docs, which a checkout has: to the gallery where they are scripts of it."""
    text[0] = re.sub(r"\]\((?:\.\./)+examples(/gallery)?/?\)", "](#gallery)", text[0])
    text[0] = re.sub(r"\]\((?:\.\./)+examples/gallery/(\w+\.py)\)", r"](#sphx_glr_gallery_\1)", text[0])
    text[0] = re.sub(r"\]\((\.\./(?:\.\./)?[\w/]+\.md)\)", outside(app, page), text[0])


def outside(app: Sphinx, page: str) -> Any:
    """What replaces a link to another Markdown file that is no page."""
    folder = (Path(app.srcdir) / page).parent

    def replaced(found: re.Match[str]) -> str:
        is_page = (folder / found[1]).resolve().is_relative_to(app.srcdir)
        return found[0] if is_page else f"](path:{found[1]})"

    return replaced


def tell_scripts_where_they_are(gallery: dict[str, Any], script: str | Path | None) -> None:
    """Gallery scripts have a ``__file__``, as they have when Python runs them."""
    if script is not None:
        builtins.__file__ = str(Path(gallery["src_dir"], gallery["examples_dirs"][0], Path(script).name).resolve())


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("sphinx.ext.autodoc")
    app.add_directive("command-help", CommandHelp)
    app.add_directive("tissue-parameters", TissueParameters)
    app.add_post_transform(NamesLeadToReference)
    app.connect("missing-reference", resolve_short_names)
    app.connect("autodoc-process-docstring", write_for_sphinx)
    app.connect("autodoc-process-signature", shorten)
    app.connect("source-read", link_outside)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
