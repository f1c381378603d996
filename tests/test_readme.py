"""The README's snippets run as they stand, its links lead somewhere, its UI says if it cannot run."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.place import REPOSITORY

README = REPOSITORY / "README.md"
SNIPPETS = {
    re.search(r"import (\w+)", code)[1]: code
    for code in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
}
LINKS = re.findall(r"\]\(([^)#]+)", README.read_text())


def test_readers_are_shown() -> None:
    assert set(SNIPPETS) == {"polars", "duckdb", "pandas"}


@pytest.mark.parametrize("reader", SNIPPETS)
def test_snippet_reads_the_lake(reader: str, small_lake: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lake").symlink_to(small_lake)
    script = f"{SNIPPETS[reader]}\nassert len(vectors), 'no vectors'\nprint(vectors.shape)"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "(" in run.stdout


@pytest.mark.parametrize("link", LINKS)
def test_link_leads_somewhere(link: str) -> None:
    assert (README.parent / link).exists()


def test_make_ui_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            ["make", "-o", "install", "ui", f"PORT={port}"],
            cwd=README.parent,
            capture_output=True,
            text=True,
        )
    assert run.returncode == 2
    assert f"port {port} is taken" in run.stdout
