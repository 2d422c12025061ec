"""The report, as a browser shows it."""

import re
import shutil
import subprocess

import pytest

from tfgig.evaluation import figures, report, table
from tfgig.evaluation.experiment import run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def page(experiment, source, tmp_path_factory):
    directory = tmp_path_factory.mktemp("report")
    results = run(experiment, source, directory)
    made = table.make_table(results, experiment.metrics, resamples=20)
    drawn = figures.draw_curves(results, experiment.metrics, directory / "figures")
    report.write_report(directory / "report.html", results, experiment, source, made, drawn)
    return directory / "report.html"


def test_it_needs_nothing_else(page):
    text = page.read_text()
    sources = re.findall(r' src="([^"]*)"', text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    for other in ("http", "href", "@import", "url(", "fetch("):
        assert other not in text


def test_a_browser_draws_every_map(page, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser of {', '.join(BROWSERS)} is installed")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=20000",
        "--enable-logging=stderr",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr  # errors of the page's script
    (ready,) = re.findall(r'<body data-ready="(\d+)">', done.stdout)
    assert int(ready) == 3 * 2  # examples x methods
    assert done.stdout.count("<canvas") == 6
    assert "image02.png" in done.stdout
    assert done.stdout.count('class="best"') >= 3


def test_steps_are_drawn(tmp_path):
    columns = (("insertion", table.Column("probability")),)
    methods = [f"{name}[steps={n}]" for name in ("ig", "ig_idgi") for n in (8, 16)]
    cells = {(m, "insertion", "probability"): table.Cell(0.5, 0.4, 0.6, 3) for m in methods}
    made = table.Table((*methods, "gradient"), columns, cells)
    (file,) = figures.draw_steps(made, tmp_path)
    assert file.name == "steps.insertion.probability.png"
    assert file.stat().st_size > 5000
    assert figures.draw_steps(table.Table(("ig",), columns, {}), tmp_path) == []
