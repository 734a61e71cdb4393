"""MkDocs hook that shows Markdown files which are stored outside this folder."""

from pathlib import Path
from typing import Any

CARD = "skelrep/pretrained/{}/README.md"
CONTRIBUTING = "CONTRIBUTING.md"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Replaces pages that only link to such a file by its text, and links to the file by links to the page."""
    root = Path(config.config_file_path).parent
    if page.file.src_uri == "model-card.md":
        names = "i2md-small", "i2md-small-open", "i2md-stream"
        cards = [(root / CARD.format(name)).read_text(encoding="utf-8") for name in names]
        return "\n".join(card.split("\n---\n", maxsplit=1)[1] for card in cards)  # without the Hub's metadata
    if page.file.src_uri == "contributing.md":
        return (root / CONTRIBUTING).read_text(encoding="utf-8").replace("](docs/", "](")
    markdown = markdown.replace(f"../{CARD.format('i2md-small')}", "model-card.md")
    return markdown.replace(f"../{CONTRIBUTING}", "contributing.md")
