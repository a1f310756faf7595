"""Three kills of the tiny study near its end; `make faults` has more, at all its moments and on SLURM."""

import random

import pytest
from kill_anywhere import STUDY, VICTIMS, Kill, Undisturbed, differences, holds_time, survive, table

from projects import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(finished):
    return Undisturbed(finished)


def test_one_command_goes_on_and_every_output_is_the_same(undisturbed, tmp_path):
    chance = random.Random(18)
    moments = zip((-9, -5, -1), VICTIMS, ("working", "writing", "writing"), strict=True)
    kills = [Kill(who, moment, chance.random(), undisturbed.jobs[which]) for which, who, moment in moments]
    project = undisturbed.project.copy(tmp_path / "study")
    hits = survive(project, ["--cores", "2", *TINY], kills, undisturbed)
    assert table(hits).endswith("something half written.")
    assert [hit["rule"] for hit in hits] == [kill.rule for kill in kills]


def test_every_output_is_put_in_place_by_a_rename(undisturbed):
    """So that no writer is forgotten: what is written otherwise could be half written, or written by an orphan."""
    made = {undisturbed.project.path(path) for job in undisturbed.jobs for path in job.made}
    folder = undisturbed.project.path(STUDY)
    written = [path for path in folder.rglob("*") if path.is_file() and not holds_time(path.relative_to(folder))]
    assert len(written) > 100
    assert [path for path in written if not made & {path, *path.parents}] == []


@pytest.mark.parametrize("fault", ["another byte", "lacking", "half written"])
def test_a_difference_is_noticed(study, undisturbed, fault):
    folder = study.path(STUDY)
    assert differences(undisturbed.project.path(STUDY), folder) == []
    page = folder / "findings.html"
    if fault == "another byte":
        page.write_bytes(page.read_bytes()[:-1] + b" ")
    elif fault == "lacking":
        page.unlink()
    else:
        (folder / "findings.html.0.partial").touch()
    (difference,) = differences(undisturbed.project.path(STUDY), folder)
    assert difference.startswith("findings.html")
