"""What the site takes from outside its folder: pages of the project, and the API's reference.

MkDocs calls these functions. A reference page is made for every public module, with everything in
its `__all__`, so that a new name appears by itself.
"""

import ast
import os
import pathlib
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # of the tutorials, which run as children
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
REFERENCE = {
    "tfgig": "Export, explain and plot",
    "tfgig.methods": "Methods",
    "tfgig.paths": "Paths",
    "tfgig.rules": "Rules",
    "tfgig.quadratures": "Quadratures",
    "tfgig.baselines": "Baselines",
    "tfgig.targets": "Targets",
    "tfgig.regions": "Regions",
    "tfgig.presets": "Presets",
    "tfgig.models": "Models",
    "tfgig.image": "Images",
    "tfgig.export": "Export",
    "tfgig.bulk": "Bulk",
    "tfgig.serving": "Serving",
    "tfgig.metrics": "Metrics",
    "tfgig.demonstration": "Demonstration",
}
_OUTSIDE = re.compile(r"\]\((?:\.\./)*(README|CONTRIBUTING|SECURITY|CHANGELOG)\.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not in docs/."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = text.replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    for module, title in REFERENCE.items():
        files.append(File.generated(config, _page(module), content=_reference(module, title)))
    index = "".join(
        f"- [{title}]({pathlib.Path(_page(module)).name}): `{module}`\n"
        for module, title in REFERENCE.items()
    )
    content = f"# Reference\n\nEverything that is public, by module.\n\n{index}"
    files.append(File.generated(config, "reference/index.md", content=content))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the reference's pages into the navigation."""
    for entry in config.nav or []:
        if "Reference" in entry:
            entry["Reference"] = ["reference/index.md", *map(_page, REFERENCE)]
    return config


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Leads links out of docs/ to the pages that were added."""
    up = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(lambda found: f"]({up}{PAGES[f'{found[1]}.md']}", markdown)


def _page(module: str) -> str:
    return f"reference/{module}.md"


def _reference(module: str, title: str) -> str:
    """A page: what the module says of itself, then each of its public names."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    )
    said = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    parts = [f"# {title}\n\n`{module}`: {said}\n"]
    modules = {f"{module}.{name}" for name in names} & REFERENCE.keys()
    parts.append("\n")
    parts += [f"- [`{name}`]({name}.md)\n" for name in sorted(modules)]
    for name in names:
        if f"{module}.{name}" not in modules:
            parts.append(f"\n::: {module}.{name}\n    options:\n      heading_level: 2\n")
    return "".join(parts)
