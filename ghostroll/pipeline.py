"""From a card to a working link: the order of the steps, and no detail of any.

`run_pipeline` does all of it for a card; `finish_session` does what is left of a session, without one.
"""

from ghostroll import card, sharing, story
from ghostroll.adopt import adopt_originals
from ghostroll.begin import check_places, check_room, choose_session, look_closer, new_session
from ghostroll.books import bring_books_up_to_date
from ghostroll.card import Volume
from ghostroll.claim import discard, is_empty, render_lost_again, working_on
from ghostroll.errors import on_disk
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
    begun = choose_session(run, volume, session_id)
    found = card.scan(volume, run.alive)
    story.card_found(run, volume, found)
    plan = make_plan(volume, found, run.catalog, taken=begun.names, rehash=rehash, stop=run.stop, alive=run.alive)
    plan = plan if plan.to_read else look_closer(run, begun, found, plan)
    story.planned(run, plan)
    check_room(run, plan)
    session = begun.continued(plan) or new_session(run, begun, plan)
    if session is None:
        settle_accounts(run, volume, found, plan, session)
        return story.nothing_new(run, volume)
    with working_on(run, session), Stages(run, session) as stages:
        story.session_begun(run, session, volume, plan)
        render_lost_again(run, session)
        stages.start_saving(begun, found, plan, rehash=rehash)
        stages.wait_for_pictures()
        if stages.is_saving:
            sharing.share_early(run, session, stages)
        stages.wait_for_renders()
        if is_empty(run.catalog, session) and not run.settings.always_create_session:
            stages.leave_uploads()
            discard(run, session)
            return story.nothing_new(run, volume)
        sharing.share_whole(run, session, stages)
    return story.ended(run, session)


def finish_session(run: Run, session: Session) -> Summary:
    """Render, upload and share what a session still lacks, from its originals on disk. Raises as above."""
    story.resumed(run, session)
    with working_on(run, session), Stages(run, session) as stages:
        render_lost_again(run, session)
        with on_disk():
            adopt_originals(run, session)
            bring_books_up_to_date(run.catalog, session)
        stages.nothing_to_save()
        stages.wait_for_renders()
        sharing.share_whole(run, session, stages)
    return story.ended(run, session)
