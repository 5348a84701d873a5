"""Whether links within the built site lead somewhere: ``python docs/check_links.py docs/_build``.

Sphinx checks references; this checks pages as a browser sees them: links, images, styles, scripts, and places on pages.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the places that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name == "id" or (name == "name" and tag == "a"):
                self.places.add(value or "")


def broken(site: Path) -> list[str]:
    """Links of all pages that lead nowhere, each with its page."""
    written = [path.resolve() for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path.read_text()) for path in written}
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            aim = (path.parent / unquote(target.path)).resolve() if target.path else path
            place = unquote(target.fragment)
            if not aim.is_file() or (aim in pages and place not in pages[aim].places):
                found.append(f"{path.relative_to(site.resolve())}: {link}")
    return found


def main() -> int:
    site = Path(sys.argv[1])
    found, count = broken(site), len(list(site.rglob("*.html")))
    print("\n".join(found) or f"{count} pages, no broken link")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
