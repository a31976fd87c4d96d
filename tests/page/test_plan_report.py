"""The table of a plan's days, and the picture of memory over the day."""

import pytest

from lessonlib.labs import deployment_plan as task
from lessonlib.page import plan_report
from lessonlib.serving import day_cases

pytestmark = pytest.mark.l16


def test_each_day_has_a_row(capsys):
    plan_report.report(task.reference_plan, 3)
    said = capsys.readouterr().out
    for case in day_cases.named(3):
        assert case.name in said
    assert said.count("nothing") == 6


def test_an_open_plan_and_a_broken_one_are_told(capsys):
    def gap(*args):
        raise NotImplementedError

    plan_report.report(gap, 3)
    assert "still open" in capsys.readouterr().out
    plan_report.report(lambda *args: 1 / 0, 3)
    assert capsys.readouterr().out.count("ZeroDivisionError") == 6
    plan_report.report({"engines": []}, 3)
    assert "A plan is a dict with 'engines'" in capsys.readouterr().out


def test_long_losses_are_shortened(capsys):
    plan_report.report(lambda *args: (_ for _ in ()).throw(ValueError("x" * 999)), 3)
    assert "x" * 250 not in capsys.readouterr().out


def test_the_picture_says_its_finding():
    case = day_cases.named(3)[0]
    fig, alt = plan_report.memory_over_day(case.execute(case.reference), case.workloads)
    assert "coding 25.3 GB on GPU 0 and 72.5 GB in RAM" in alt and "114.8 of 137.4 GB in RAM" in alt
    assert [axis.get_ylabel() for axis in fig.axes] == ["GPU 0, GB", "RAM, GB"] and fig.axes[
        1
    ].get_xlabel() == "hour of the day"
