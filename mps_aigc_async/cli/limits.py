"""`status --limits`: the store that the processes of an account share, and the members that are gone from it."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ..engine.limit_homes import forget_member, view_limits
from ..limits.shared.view import KindView, LimitsView, MemberView, PaceView, SlotView, in_words
from ..model.plain_text import visible_line
from .options import config_from
from .screen import Exit, counted, local_time, program, say, say_json

_ALONE: Final = (
    "the limits are counted inside each process (limitStore: process, the default towards loopback): "
    "there is nothing to see"
)


def show_limits(config: Path | None, *, as_json: bool = False) -> Exit:
    """Print the store that the config names: only read, and without keys."""
    view = view_limits(config_from(config))
    if as_json:
        say_json({"limit_store": None} if view is None else asdict(view))
        return Exit.WELL
    if view is None:
        say(_ALONE)
        return Exit.WELL
    for line in _lines(view):
        say(line)
    return Exit.WELL


def forget(config: Path | None, name: str) -> Exit:
    """Take a member that is gone out of the store, and free its slots."""
    freed = asyncio.run(forget_member(config_from(config), name.strip()))
    if freed is None:
        say(_ALONE)
        return Exit.WELL
    say(f"member {visible_line(name)} is forgotten: {counted(freed.slots, 'slot')} freed")
    perhaps = [
        *(
            [f"{counted(len(freed.task_ids), 'task')} ({visible_line(', '.join(freed.task_ids))})"]
            * bool(freed.task_ids)
        ),
        *([f"{counted(freed.unknown, 'create')} without an answer"] * bool(freed.unknown)),
    ]
    if perhaps:
        say(
            f"{' and '.join(perhaps)} may still run and be billed: the service counts them, so it may refuse creates "
            "until they end; their results are saved by the client that opens their ledger"
        )
    return Exit.WELL


def _lines(view: LimitsView) -> Iterator[str]:
    yield f"limit store {visible_line(view.place)}"
    yield from _members(view.members)
    yield from _paces(view.paces)
    for kind in view.kinds:
        yield from _kind(kind)
    takers = {slot.member for kind in view.kinds for slot in kind.slots}
    if gone := [view.member.id for view in view.members if view.is_gone and view.member.id in takers]:
        yield f"to free the slots of a member that is gone: {program()} status --limits --forget {gone[0]}"


def _members(members: Sequence[MemberView]) -> Iterator[str]:
    yield f"members: {len(members)}"
    for view in members:
        member = view.member
        yield visible_line(
            f"  {member.id}  {member.program}, process {member.pid} on {member.host} ({_machine(view)}), "
            f"{_state(view)}; account {in_words(view.account)}"
        )


def _machine(view: MemberView) -> str:
    if view.is_of_earlier_boot:
        return "before this machine's restart"
    return "another machine, container or user" if view.has_ended is None else "this machine"


def _state(view: MemberView) -> str:
    if view.gone_s is not None:
        return f"gone for {max(0.0, view.gone_s):.0f} s"
    return "ended" if view.has_ended else f"open for {view.open_s:.0f} s"


def _paces(paces: Sequence[PaceView]) -> Iterator[str]:
    if paces:
        yield "paces:"
    for pace in paces:
        held = f", held for {pace.held_s:.1f} s by the service" if pace.held_s else ""
        when = f"in {pace.next_s:.1f} s" if pace.next_s >= 0.05 else "now"
        region = f" in {pace.region}" if pace.region else ""
        yield visible_line(
            f"  {pace.action}{region}: {pace.rate:.3g} of {pace.limit:g} calls per second, next send {when}{held}; "
            f"account {in_words(pace.account)}"
        )


def _kind(kind: KindView) -> Iterator[str]:
    caps = [f"learned cap {cap}{_of_model(model)}" for model, cap in sorted(kind.caps.items())]
    waiting = [f"{counted(kind.waiting, 'member')} waiting"] if kind.waiting else []
    words = ", ".join([f"{len(kind.slots)} of {kind.capacity} slots taken, {kind.running} running", *waiting, *caps])
    yield visible_line(f"{kind.kind}s: {words}; account {in_words(kind.account)}")
    for slot in kind.unpolled:
        member = "" if slot.is_held else ", which has closed or is gone"
        yield visible_line(f"  {_task(slot)}, of member {slot.member}{member}{_until(slot)}")


def _of_model(model: str) -> str:
    return "" if model == "*" else f" for {model}"


def _task(slot: SlotView) -> str:
    of_model = f" ({slot.model})" if slot.model else ""
    return f"task {slot.task}{of_model}" if slot.task else f"create {slot.create}{of_model}, without an answer"


def _until(slot: SlotView) -> str:
    if slot.until is None:
        return ""
    polled = ", or until a poll shows its end" if slot.task else ""
    return f"; keeps its slot until {local_time(slot.until, '%Y-%m-%d %H:%M:%S %z')}{polled}"
