"""The report, as a browser shows it."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import pytest

from tfgig.evaluation import figures, report, table
from tfgig.evaluation.dataset import Directory
from tfgig.evaluation.results import Results
from tfgig.evaluation.running import run

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


def shown(page, folder):
    """The page's elements once its script has run; skips where there is no browser."""
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
        f"--user-data-dir={folder}/profile",
        "--virtual-time-budget=20000",
        "--enable-logging=stderr",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert "Uncaught" not in done.stderr, done.stderr  # an error of the page's script
    return done.stdout


def test_a_browser_draws_every_map(page, tmp_path):
    elements = shown(page, tmp_path)
    (ready,) = re.findall(r'<body data-ready="(\d+)">', elements)
    assert int(ready) == 3 * 2  # examples x methods
    assert elements.count("<canvas") == 6
    assert elements.count('class="best"') >= 3


# Sorts as a reader would, and writes down what is to be seen: the order, and the first map's
# brightest red with and without the heat.
CLICKS = """<script>
setTimeout(() => {
  const set = (id, value, event) => {
    const control = document.getElementById(id);
    if (typeof value === "boolean") control.checked = value; else control.value = value;
    control.dispatchEvent(new Event(event));
  };
  set("key", "insertion: probability", "change");
  set("method", "guided_ig", "change");
  set("descending", true, "change");
  const red = () => {
    const canvas = document.querySelector("canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return Math.max(...pixels.filter((_, i) => i % 4 === 0));
  };
  const hot = red();
  set("opacity", 0, "input");
  const grey = red();
  const texts = (rows, inner) =>
    [...document.querySelectorAll(rows)].map((row) => row.querySelector(inner).textContent);
  const names = texts(".example", "b");
  document.querySelectorAll("thead th")[0].click();
  document.querySelectorAll("thead th")[0].click();
  const methods = texts("tbody tr", "td");
  document.body.dataset.seen = JSON.stringify({ names, methods, hot, grey });
}, 5000);
</script></body>"""


def test_a_reader_sorts_and_fades(page, experiment, tmp_path):
    clicked = tmp_path / "clicked.html"
    clicked.write_text(page.read_text().replace("</body>", CLICKS))
    (seen,) = re.findall(r'data-seen="([^"]*)"', shown(clicked, tmp_path))
    seen = json.loads(html.unescape(seen))
    statistics = Results(page.parent).statistics("guided_ig", "insertion")
    first = [f"image{i:02d}.png" for i in range(3)]
    by_score = sorted(first, key=lambda name: -statistics[name]["probability"])
    assert seen["names"] == by_score
    assert sorted(seen["methods"]) == ["guided_ig", "ig"]
    assert seen["hot"] > 240  # the brightest colour of the heat
    assert seen["grey"] <= 0.75 * 255 + 1  # the image, dimmed to grey


def test_steps_are_drawn(tmp_path):
    columns = (("insertion", table.Column("probability")),)
    methods = [f"{name}[steps={n}]" for name in ("ig", "ig_idgi") for n in (8, 16)]
    cells = {(m, "insertion", "probability"): table.Cell(0.5, 0.4, 0.6, 3) for m in methods}
    made = table.Table((*methods, "gradient"), columns, cells)
    (file,) = figures.draw_steps(made, tmp_path)
    assert file.name == "steps.insertion.probability.png"
    assert file.stat().st_size > 5000
    assert figures.draw_steps(table.Table(("ig",), columns, {}), tmp_path) == []


def test_names_of_files_stay_in_the_data(experiment, source, folder, tmp_path):
    name = "c<!--<script>&.png"
    (tmp_path / "images").mkdir()
    shutil.copy(folder / "image00.png", tmp_path / "images" / name)
    some = dataclasses.replace(experiment, dataset=Directory(str(tmp_path / "images")))
    results = run(some, source, tmp_path / "results")
    made = table.make_table(results, some.metrics, resamples=0)
    report.write_report(tmp_path / "report.html", results, some, source, made, [])
    text = (tmp_path / "report.html").read_text()
    assert "<!--" not in text
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert not set("<>&") & set(data)
    assert json.loads(data)["examples"][0]["name"] == name
