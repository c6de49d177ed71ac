"""From a card to a working link: the order of the steps, and no detail of any.

`run_pipeline` does all of it for a card; `finish_session` does what is left of a session, without one.
"""

from ghostroll.base.errors import translate_disk_errors
from ghostroll.base.session_paths import Session
from ghostroll.card import scan
from ghostroll.card.volume import Volume
from ghostroll.catalog.manifests import refresh_manifests
from ghostroll.ingest.plan import make_plan
from ghostroll.pipeline import narration, share
from ghostroll.pipeline.format_check import conclude_card
from ghostroll.pipeline.run import Run, Summary
from ghostroll.pipeline.select_session import check_places, check_room, choose_session, new_session, recheck_known_files
from ghostroll.pipeline.session_work import discard, is_empty, render_lost_again, working_on
from ghostroll.pipeline.stages import Stages
from ghostroll.recovery.orphans import catalogue_orphans


def run_pipeline(run: Run, volume: Volume, *, session_id: str | None = None, rehash: bool = False) -> Summary:
    """Save, render and share what is new on a card.

    Raises GhostrollError for what ends the run at once: no room, a signal, a setting. What only keeps it from
    its end is in `run.problems`, what concerns single files in `run.failures`.
    """
    check_places(run.settings, volume)
    choice = choose_session(run, volume, session_id)
    found = scan.scan(volume, run.heartbeat)
    narration.card_found(run, volume, found)
    plan = make_plan(
        volume, found, run.catalog, taken=choice.names, rehash=rehash, stop=run.stop, heartbeat=run.heartbeat
    )
    plan = plan if plan.to_read else recheck_known_files(run, choice, found, plan)
    narration.planned(run, plan)
    check_room(run, plan)
    session = choice.continued(plan) or new_session(run, choice, plan)
    if session is None:
        conclude_card(run, volume, found, plan, session)
        return narration.nothing_new(run, volume)
    with working_on(run, session), Stages(run, session) as stages:
        narration.session_begun(run, session, volume, plan)
        render_lost_again(run, session)
        stages.start_saving(choice, found, plan, rehash=rehash)
        stages.wait_for_pictures()
        if stages.is_saving:
            share.share_early(run, session, stages)
        stages.wait_for_renders()
        if is_empty(run.catalog, session) and not run.settings.always_create_session:
            stages.leave_uploads()
            discard(run, session)
            return narration.nothing_new(run, volume)
        share.share_whole(run, session, stages)
    return narration.ended(run, session)


def finish_session(run: Run, session: Session) -> Summary:
    """Render, upload and share what a session still lacks, from its originals on disk. Raises as above."""
    narration.resumed(run, session)
    with working_on(run, session), Stages(run, session) as stages:
        render_lost_again(run, session)
        with translate_disk_errors():
            catalogue_orphans(run.catalog, session, run.heartbeat)
            refresh_manifests(run.catalog, session)
        stages.nothing_to_save()
        stages.wait_for_renders()
        share.share_whole(run, session, stages)
    return narration.ended(run, session)
