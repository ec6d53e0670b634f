"""Where the pages of a board lie below its site."""

INDEX = "index.html"
STYLE = "board.css"
DOCUMENT = "board.json"
FEED = "feed.xml"


def of_row(row_id: str) -> str:
    """Returns the page of a row."""
    return f"rows/{row_id}.html"


def of_audit(digest: str, suffix: str = ".html") -> str:
    """Returns the page, or with `.json` the file, of what the audit said of a bundle."""
    return f"audits/{digest}{suffix}"


def of_run(digest: str, number: int) -> str:
    """Returns the place on that page of one of the bundle's runs, which are numbered from 1."""
    return f"{of_audit(digest)}#run-{number}"


def of_bundle(digest: str) -> str:
    """Returns the file of a bundle."""
    return f"bundles/{digest}.zip"
