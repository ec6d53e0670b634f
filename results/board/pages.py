"""The pages of single rows and of audits: no script, and no text that is not escaped."""

import html
from collections import Counter
from collections.abc import Iterable

from results.audit import LEVELS, Claim
from results.board import addresses, marks
from results.board.contents import primary_column, run_number
from results.board.entries import Board, Entry
from results.board.markup import Markup, element, joined
from results.board.standings import BoardRow, Ranking
from results.page.document import asset, fill
from results.tables.columns import COLUMNS

# Nothing runs, and nothing is fetched but the style beside it.
_POLICY = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
_UP = "../"  # from `rows` and `audits` to the board
_APART = ("rank", "model", "run_ids")  # shown on their own, not in the list of numbers


def of_row(row: BoardRow, name: str, ranking: Ranking, board: Board, bundles: bool) -> str:
    """Returns the page of a row.

    Args:
      row: the row.
      name: what it is called.
      ranking: that it is in.
      board: that this is of.
      bundles: whether the bundles lie beside the pages.
    """
    place = f"Rank {row.row.rank}" if row.row.rank is not None else "No rank"
    raised = any(record.row.row_id == row.row_id for record in ranking.history)
    accepted = row.entry.accepted
    facts = [
        ("accepted", f"{accepted.at[:10]}, and raised the record" if raised else accepted.at[:10]),
        ("submitted by", accepted.by or "nobody said"),
        ("verdict", joined(row.verdict, ": ", _report_link(row.entry, marks.line(row)))),
        ("bundle", _bundle(row.entry, bundles)),
    ]
    body = [
        element("h2", name),
        element(
            "p",
            f"{place} in the {ranking.title[0].lower()}{ranking.title[1:]}: {row.row.status}",
            class_="note",
        ),
        element("dl", [[element("dt", key), element("dd", value)] for key, value in facts]),
        element("h3", "Runs"),
        _runs(row),
        element("h3", "All numbers"),
        _numbers(row),
        element("p", marks.legend(), class_="note"),
    ]
    return _page(f"{name}, {board.rules.title}", board, joined(body))


def of_audit(entry: Entry, board: Board, bundles: bool) -> str:
    """Returns the page of what the audit said of a bundle.

    Args:
      entry: the bundle.
      board: that this is of.
      bundles: whether the bundles lie beside the pages.
    """
    body: list[Markup] = [
        element("h2", f"Audit of bundle {entry.digest[:12]}"),
        element("p", "SHA-256 ", _bundle(entry, bundles), class_="note"),
        element(
            "p",
            f"Accepted on {entry.accepted.at[:10]}",
            f", submitted by {entry.accepted.by}" if entry.accepted.by else "",
            ". The same as ",
            element("a", "JSON", href=_UP + addresses.of_audit(entry.digest, ".json")),
            ".",
            class_="note",
        ),
        element("p", marks.legend(), class_="note"),
        element("h3", "The bundle"),
        _claims(entry.claims),
    ]
    for number, (run_id, (audit, _)) in enumerate(entry.runs.items(), 1):
        counts = Counter(claim.verdict for claim in audit.claims)
        said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        body += [
            element("h3", run_id, id=f"run-{number}"),
            element("p", f"{audit.model}: {audit.verdict} ({said})", class_="note"),
            _claims(audit.claims),
        ]
    return _page(f"Audit {entry.digest[:12]}, {board.rules.title}", board, joined(body))


def _page(title: str, board: Board, body: Markup) -> str:
    parts = {
        "policy": html.escape(_POLICY),
        "title": html.escape(title),
        "style": _UP + addresses.STYLE,
        "index": _UP + addresses.INDEX,
        "board": html.escape(board.rules.title),
        "body": body,
    }
    return fill(asset("page.html", "results.board"), parts)


def _bundle(entry: Entry, bundles: bool) -> Markup:
    digest = element("code", entry.digest)
    if not bundles:
        return digest
    return element("a", digest, href=_UP + addresses.of_bundle(entry.digest))


def _report_link(entry: Entry, text: str) -> Markup:
    return element("a", text, href=_UP + addresses.of_audit(entry.digest))


def _runs(row: BoardRow) -> Markup:
    primary = primary_column(row.row.group.task)
    lines = []
    for audit, run in zip(row.audits, row.row.runs, strict=True):
        score = run.metrics.test.get(primary.metric)
        address = _UP + addresses.of_run(row.entry.digest, run_number(row, run.run_id))
        cells = [
            element("td", str(run.seed)),
            element("td", "" if score is None else f"{100 * score:.2f}"),
            element("td", element("a", audit.verdict, href=address), class_="text"),
            element("td", element("code", (run.weights_digest or "")[:12]), class_="text"),
            element("td", run.command, class_="text command"),
        ]
        lines.append(element("tr", element("th", run.run_id, scope="row", class_="text"), cells))
    heads = [
        ("run", "text"),
        ("seed", None),
        (primary.heading, None),
        ("verdict", "text"),
        ("weights", "text"),
        ("command", "text"),
    ]
    return _table(heads, lines, "Runs")


def _numbers(row: BoardRow) -> Markup:
    lines = []
    for column in COLUMNS:
        text = column.cell(row.row) if column.heading else column.number(row.row)
        if column.name in _APART or text == "":
            continue
        lines.append(
            element(
                "tr",
                element(
                    "th",
                    column.heading or column.name.replace("_", " "),
                    scope="row",
                    class_="text",
                ),
                element("td", text, class_="value"),
                element("td", column.doc, class_="text doc"),
            )
        )
    return _table([("measure", "text"), ("value", None), ("what it is", "text")], lines, "Numbers")


def _claims(claims: Iterable[Claim]) -> Markup:
    lines = [
        element(
            "tr",
            element(
                "td", marks.SIGNS.get(claim.verdict, "?"), class_=claim.verdict.partition(" ")[0]
            ),
            element("td", claim.verdict, class_="text"),
            element("td", claim.level, title=LEVELS.get(claim.level)),
            element("th", claim.name, scope="row", class_="text"),
            element("td", claim.reason, class_="text doc"),
        )
        for claim in claims
    ]
    heads = [("", None), ("verdict", "text"), ("level", None), ("claim", "text"), ("why", "text")]
    return _table(heads, lines, "Claims")


def _table(heads: list[tuple[str, str | None]], lines: list[Markup], label: str) -> Markup:
    head = element("tr", [element("th", text, scope="col", class_=kind) for text, kind in heads])
    table = element("table", element("thead", head), element("tbody", lines))
    return element("div", table, class_="scroller", role="region", aria_label=label, tabindex=0)
