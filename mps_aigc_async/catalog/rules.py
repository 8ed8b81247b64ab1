"""The check of a request, as a flat mapping, against the facts of its model and version at its backend."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ..model.requests import ImageToVideo, Step, steps_of
from ..model.value import Value
from .facts import Fact, FlatRequest, Model, Source, Standing, fold_case
from .flat import flatten, kind_of
from .models import KIND_WIDE, MODELS
from .unlisted import Unlisted, short, unlisted_model, unlisted_version

_IN_A_SCENE: Final = frozenset({"prompt", "scene_type", "model_version"})
"""The only fields judged with a `scene_type`: a scene has abilities of its own, which the lists do not give."""

_UNITS: Final = {
    "prompt": " characters",
    "duration": " s",
    "additional_parameters.multi_prompt": " parts",
    "additional_parameters.multi_prompt.prompt": " characters",
    "additional_parameters.multi_prompt.duration": " s in all",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A value that the model cannot serve, by its documents or by reports.

    >>> from mps_aigc_async import VideoRequest
    >>> for finding in findings(VideoRequest(prompt="x", model_name="kling", model_version="2.1", duration=7)):
    ...     print(finding)
    duration: 7 s, but Kling 2.1 takes 5 or 10 s (official SDK 3.1.194, 2026-10)
    """

    field: str
    """The request's name for the field; in a chain with the step before it: `video.duration`."""
    value: str
    model: str
    """Model and version in the documents' spelling."""
    accepted: str
    """The accepted values, in words."""
    source: Source
    effect: str = ""
    """The cost in plain words, if the service accepts the value and makes something else, or lets the task fail."""
    report: str = ""
    """The report beside a document: the source of `effect`, or values beyond the document that the service took."""

    @property
    def refuses(self) -> bool:
        """Whether a strict check refuses the request."""
        return self.source.standing == "documented"

    def __str__(self) -> str:
        report = f" ({self.report})" if self.effect and self.report else self.report
        more = f"; {self.effect}{report}" if self.effect or report else ""
        return f"{self.field}: {self.value}, but {self.model} takes {self.accepted} ({self.source}){more}"


def findings(request: object, backend: str = "mps") -> tuple[Finding | Unlisted, ...]:
    """The values of a request that its model cannot serve at a backend; empty where documents and reports are silent.

    The backends are `mps`, `vod` and `relay`; any other has no facts. A model or a version that no source lists is
    never judged; a name close to a listed one is a finding of its own. For a request without a version the service
    takes a stable one, so only the facts that are true of all versions count. Letter case of names is ignored.
    """
    steps = steps_of(request) if isinstance(request, Value) else ()
    if len(steps) < 2:
        return tuple(_of_task(request, flatten(request), backend))
    from_chain = {"video": {"first_frame": "the chain's image"}} if isinstance(request, ImageToVideo) else {}
    return tuple(
        replace(finding, field=f"{step.kind}.{finding.field}")
        for step in steps
        for finding in _of_task(step, {**flatten(step), **from_chain.get(step.kind, {})}, backend)
    )


def defaults_of(step: Step, fields: Iterable[str], backend: str) -> dict[str, object]:
    """The service's values for those of the fields that a request leaves open, by documents or reports."""
    model = _BY_NAME.get((backend, step.kind.value, fold_case(step.model_name)))
    if model is None:
        return {}
    version = next((entry for entry in model.all_versions if fold_case(entry) == fold_case(step.model_version)), None)
    flat = flatten(step)
    documents, reports = (_facts_for(model, version, flat, standing) for standing in ("documented", "reported"))
    facts = ((field, documents.get(field) or reports.get(field)) for field in fields if field not in flat)
    return {field: fact.default for field, fact in facts if fact is not None and fact.default is not None}


def _of_task(request: object, flat: FlatRequest, backend: str) -> Iterator[Finding | Unlisted]:
    """The findings in the request for one task."""
    kind, name = kind_of(request), getattr(request, "model_name", None)
    if kind is None or not isinstance(name, str):
        return
    model = _BY_NAME.get((backend, kind, fold_case(name)))
    if model is None:
        yield from unlisted_model(MODELS, backend, kind, name)
        return
    spelling = getattr(request, "model_version", None) or None
    version = next((entry for entry in model.all_versions if fold_case(entry) == fold_case(spelling)), None)
    if spelling is None or version is not None or not model.all_versions:
        yield from _of_version(model, version, flat)
    else:
        yield from unlisted_version(model, spelling)


def _of_version(model: Model, version: str | None, flat: FlatRequest) -> Iterator[Finding]:
    documents, reports = (_facts_for(model, version, flat, standing) for standing in ("documented", "reported"))
    label = f"{model.name} {version}" if version else model.name
    for field in dict.fromkeys((*documents, *reports)):
        # An audio always has a scene, and the lists of audio models are those of their scenes.
        in_no_scene = model.kind == "audio" or "scene_type" not in flat
        if field in flat and (in_no_scene or field in _IN_A_SCENE):
            yield from _judged(model, label, flat[field], documents.get(field), reports.get(field))


def _judged(model: Model, label: str, value: object, document: Fact | None, report: Fact | None) -> Iterator[Finding]:
    """The finding in one value. A document decides; a report beside it adds its effect, or the values taken live."""
    document_broken = document is not None and not document.accepts.takes(value)
    report_broken = report is not None and not report.accepts.takes(value)
    broken = document if document_broken else report if report_broken else None
    if broken is None:
        return
    source = model.source_of(broken)
    finding = Finding(broken.field, _in_words(broken.field, value), label, broken.words, source, broken.effect)
    if report is None or broken is report:
        yield finding
    elif report_broken and report.effect:
        yield replace(finding, effect=report.effect, report=str(model.source_of(report)))
    elif not report_broken and report in model.facts:
        yield replace(finding, report=f"taken live: {report.words} ({model.source_of(report)})")
    else:
        yield finding


def _facts_for(model: Model, version: str | None, flat: FlatRequest, standing: Standing) -> dict[str, Fact]:
    """The facts of a standing that hold for a request, by field.

    The last one wins, so that the model's own override its kind's. A version that is only reported has the documented
    facts that name it, and no others.
    """
    own = [fact for fact in model.facts if model.source_of(fact).standing == standing]
    wide = [fact for fact in KIND_WIDE[model.backend][model.kind] if fact.source and fact.source.standing == standing]
    if standing == "documented" and _is_only_reported(model, version):
        wide = []
        own = [fact for fact in own if version in fact.versions]
    if version is None:
        open_fields = {fact.field for fact in own if fact.versions}
        candidates = [fact for fact in (*wide, *own) if fact.field not in open_fields]
    else:
        candidates = [fact for fact in (*wide, *own) if not fact.versions or version in fact.versions]
    return {fact.field: fact for fact in candidates if fact.when is None or fact.when.holds(flat)}


def _is_only_reported(model: Model, version: str | None) -> bool:
    return model.source.standing == "reported" or version in model.live_versions


_BY_NAME: Final[Mapping[tuple[str, object, object], Model]] = {
    (model.backend, model.kind, fold_case(model.name)): model for model in MODELS
}


def _in_words(field: str, value: object) -> str:
    """A value in a message: short, and on one line."""
    if value is True:
        return "true"
    if isinstance(value, tuple):
        return "x".join(str(side) for side in value)
    return short(str(value)) + _UNITS.get(field, "")
