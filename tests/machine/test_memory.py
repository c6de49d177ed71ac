"""A machine that is short of memory: the kernel kills what it likes, and the run goes on."""

import pytest

from tests.machine.cardimages import CardMaker
from tests.machine.installed import Installed

# Those that have offered themselves already (proc_pid_oom_score_adj(5)): the first thing that they do.
WORKERS = """
for pid in $(pgrep -f '[g]hostroll.derivatives.worker_main'); do
    [ "$(cat /proc/$pid/oom_score_adj)" -le 0 ] || echo $pid
done
"""


@pytest.mark.core
def test_a_worker_that_the_kernel_kills_for_its_memory_costs_nothing(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(12)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(150_000)
    pi.wait_for("a worker at work", lambda: pi.machine.says(WORKERS))
    victims = set(pi.machine.run(WORKERS).split())
    # As if there were none left: the OOM killer chooses for itself (Documentation/admin-guide/sysrq.rst, "f").
    pi.machine.run("echo f > /proc/sysrq-trigger")
    killed = pi.wait_for("the kernel's word", lambda: pi.machine.says("dmesg | grep -o 'Killed process [0-9]*'"))
    assert set(killed.split()) & victims, f"it took something else: {killed}"
    assert pi.is_active("ghostroll@sda1.service")
    reader.slow_down(0)
    session = pi.wait_for_link(card)
    assert list(pi.originals()) == [session]
    pi.wait_until_idle()
    assert pi.runs_started() == 1
    assert pi.machine.run("systemctl show --property=Result --value ghostroll@sda1.service") == "success"
    pi.assert_safe(card)
