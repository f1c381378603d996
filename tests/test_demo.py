"""The first run: what it makes and says, and that what stands in its way is told in a line."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_assets import demo
from tests.conftest import DAY
from tests.place import REPOSITORY, Place


def test_a_day_is_simulated_and_made_and_shown(tmp_path: Path) -> None:
    with Place(tmp_path) as place:
        place.run("demo", f"python -m pipeline_assets.demo --events 2000 {DAY}")
        assert place.end_of("demo") == 0, place.log("demo")
        assert place.has_whole_day(DAY)
        said = place.log("demo")
        assert f"\n{DAY} ES: raw files, simulated unless they are there ...\n" in said
        ticks, bars = place.rows("clean_ticks", DAY), place.rows("bar5s", DAY)
        assert f"│ {DAY} ┆ ES   ┆ {ticks:,} ┆ {bars:,} ┆" in said
        assert f"\ntables:    {place.lake}\n" in said
        (run,) = place.instance.get_runs()
        assert (run.job_name, run.tags["dagster/partition"]) == ("trading_day", str(DAY))


def test_a_day_that_cannot_be_made_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "materialise", sys.exit)  # as a process of its own, not this one
    with pytest.raises(SystemExit, match=f"error: {DAY} was not made; see above"):
        demo.seconds_of(DAY)


@pytest.mark.parametrize(
    ("settings", "environment", "complaint"),
    [
        ("MBP10_ROOTS=ES,SI\n", {}, "MBP10_ROOTS names SI, known are ES"),
        ("", {}, "DAGSTER_HOME is not set; export DAGSTER_HOME=$PWD/dagster_home"),
        ("", {"DAGSTER_HOME": "/nowhere"}, '$DAGSTER_HOME "/nowhere" is not a directory'),
    ],
)
def test_what_is_in_the_way_is_told_in_a_line(
    settings: str, environment: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(settings)
    run = subprocess.run(
        [sys.executable, "-m", "pipeline_assets.demo"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {complaint}")
    assert run.stderr.count("\n") == 1
