"""Session ids that the user has chosen (`VodOptions.session_id`), and the sessions of such a job's creates.

The client's own session ids are random: if the service refuses one, this job's create was accepted before. Another
request, ledger or program, and on a relay a stranger, can have a user's id too. So the refusal of a user's id shows
that some create of that session was accepted, and not whose.

    the job's next create                               its session
    the first one                                       the user's
    after a refusal that is certain                     the user's again: it still has to exclude a second task
    an unknown one, sent again                          the one that was sent
    an unknown one that the user makes again            the one that was sent, while it is young
    after a task of the job, or after the service       one of the client's (SPENT): the service would refuse
    refused the session, if a new task is wanted        the user's

If the service refuses the user's session, the job becomes *unknown* (SESSION_TAKEN), also at its first create. The
client never sends it again by itself, and takes no task of the account's list for its own: the user settles it. The job
is not called failed, because the accepted create may be its own, delivered twice by a gateway. No document says whether
a service remembers the session of a create that it refused. If so, the next create ends the same way and costs nothing.
"""

from dataclasses import replace

from ..ledger.record import SPENT, JobRecord
from ..model.errors import CreateOutcomeUnknown, DamagedRow
from ..model.states import JobState


def users_session(job: JobRecord) -> str:
    """The session id that the user chose for the job; empty for none, and in a damaged row."""
    try:
        options = job.sent_fields().get("vod")
    except DamagedRow:
        return ""
    session_id = options.get("session_id") if isinstance(options, dict) else None
    return session_id if isinstance(session_id, str) else ""


def has_users_session(job: JobRecord) -> bool:
    """Whether the job's present session is the one that the user chose."""
    return bool(job.session_id) and job.session_id == users_session(job)


def next_session(job: JobRecord) -> str:
    """The session of a job's row after a create that was refused for certain: empty for the one that its first create
    would have, else SPENT."""
    return SPENT if users_session(job) and not has_users_session(job) else ""


def replan(job: JobRecord) -> JobRecord:
    """Plan the job again, for a new task. Its user's session is spent if an earlier create may have used it."""
    again = job.replanned()
    is_spent = bool(users_session(job)) and (job.task_id is not None or _is_spent(job))
    return replace(again, session_id=SPENT) if is_spent else again


def replan_as(job: JobRecord, content: str) -> JobRecord:
    """Plan a job that has cost nothing again, with other content. A user's session that both contents name stays
    spent."""
    again = job if job.state is JobState.PLANNED else replan(job)
    new = job.blank(content)
    is_spent = again.session_id == SPENT and users_session(new) == users_session(job)
    return replace(new, session_id=SPENT) if is_spent else new


def _is_spent(job: JobRecord) -> bool:
    error = job.recorded_error() if job.error else None
    is_answered = isinstance(error, CreateOutcomeUnknown) and not error.repeatable
    return is_answered or (bool(job.session_id) and not has_users_session(job))
