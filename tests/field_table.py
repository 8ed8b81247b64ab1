"""The attributes of requests and their fields at each service, as Markdown: `python -m tests.field_table`.

docs/fields.md has the table; the test compares.
"""

from collections.abc import Sequence

from mps_aigc_async.model.states import Kind
from mps_aigc_async.wire import mps, relay, vod
from mps_aigc_async.wire.fields import FieldRow

Tables = dict[str, Sequence[FieldRow]]

SERVICES: dict[Kind, Tables] = {
    Kind.IMAGE: {"mps": mps.IMAGE_FIELDS, "vod": vod.IMAGE_FIELDS, "relay": relay.IMAGE_FIELDS},
    Kind.VIDEO: {"mps": mps.VIDEO_FIELDS, "vod": vod.VIDEO_FIELDS, "relay": relay.VIDEO_FIELDS},
    Kind.AUDIO: {"mps": mps.AUDIO_FIELDS, "vod": vod.AUDIO_FIELDS},
}


def table(kind: Kind) -> str:
    """Write a kind's attributes; a dash for an attribute that a service lacks: it is refused by that name."""
    services = SERVICES[kind]
    fields = {service: {attribute: field for attribute, field, _ in rows} for service, rows in services.items()}
    attributes = dict.fromkeys(attribute for rows in services.values() for attribute, *_ in rows)
    lines = [f"| attribute | {' | '.join(services)} |", f"|{'---|' * (len(services) + 1)}"]
    for attribute in attributes:
        cells = [_cell(service, of_it.get(attribute)) for service, of_it in fields.items()]
        lines.append(f"| `{attribute}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(service: str, field: str | None) -> str:
    if field is None:
        return "—"
    return f"`{relay.in_snake_case(field)}`" if service == "relay" else f"`{field}`"


def main() -> None:
    for kind in Kind:
        print(f"\n## {kind.title()}\n\n{table(kind)}")  # noqa: T201 — what it is for


if __name__ == "__main__":
    main()
