"""What the site adds to the Markdown in this folder: the model card, which lies beside the weights."""

from pathlib import Path
from typing import Any

CARD = "skelrep/pretrained/i2md-small/README.md"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Shows the card on the page that, read as a file, links to it; links to the card lead to that page."""
    if page.file.src_uri == "model-card.md":
        card = (Path(config.config_file_path).parent / CARD).read_text(encoding="utf-8")
        return card.split("\n---\n", maxsplit=1)[1]  # after the metadata for the Hub
    return markdown.replace(f"../{CARD}", "model-card.md")
