"""From a card to a working link: the order of the steps, and no detail of any.

`run_pipeline` does all of it for a card; `finish_session` does what is left of a session, without one.
"""

from ghostroll import card, sharing, story
from ghostroll.adopt import adopt_originals
from ghostroll.begin import (
    check_places,
    check_room,
    choose_session,
    discard,
    has_what_it_needs,
    is_empty,
    look_closer,
    new_session,
    unrendered_again,
    working_on,
)
from ghostroll.card import Volume
from ghostroll.plan import make_plan
from ghostroll.proof import settle_accounts
from ghostroll.run import Run, Summary
from ghostroll.session import Session
from ghostroll.stages import Stages


def run_pipeline(run: Run, volume: Volume, *, session_id: str | None = None, rehash: bool = False) -> Summary:
    """Save, render and share what is new on a card.

    Raises GhostrollError for what ends the run at once: no room, a signal, a setting. What only keeps it from
    its end is in `run.problems`, what concerns single files in `run.failures`.
    """
    check_places(run.settings, volume)
    found = card.scan(volume)
    story.card_found(run, volume, found)
    begun = choose_session(run, volume, session_id)
    plan = make_plan(volume, found, run.catalog, taken=begun.names, rehash=rehash)
    plan = plan if plan.to_read else look_closer(run, volume, found, plan)
    story.planned(run, plan)
    check_room(run, plan)
    session = begun.continued(plan) or new_session(run, volume, plan)
    if session is None:
        settle_accounts(run, volume, found, plan, session)
        return story.nothing_new(run)
    may_be_empty = session_id is not None or run.settings.always_create_session
    with working_on(run, session), Stages(run, session) as stages:
        story.session_begun(run, session, volume, plan)
        stages.start_saving(volume, found, plan, lambda: settle_accounts(run, volume, found, plan, session))
        stages.wait_for_pictures()
        if stages.is_saving:
            sharing.share_early(run, session, stages)
        stages.wait_for_renders()
        came_to_nothing = not may_be_empty and is_empty(run, session)
        if came_to_nothing:
            stages.leave_uploads()
        else:
            _share(run, session, stages)
    if came_to_nothing:
        discard(run, session)
        return story.nothing_new(run)
    return story.ended(run, session)


def finish_session(run: Run, session: Session) -> Summary:
    """Render, upload and share what a session still lacks, from its originals on disk. Raises as above."""
    story.resumed(run, session)
    if not has_what_it_needs(run, session):
        return story.summary(run, session)
    with working_on(run, session), Stages(run, session) as stages:
        unrendered_again(run, session)
        adopt_originals(run, session)
        stages.nothing_to_save()
        stages.wait_for_renders()
        _share(run, session, stages)
    return story.ended(run, session)


def _share(run: Run, session: Session, stages: Stages) -> None:
    sharing.write_local(run, session)
    sharing.share(run, session, stages)
