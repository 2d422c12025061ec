"""Imports go down the floors of the house, and never in a circle."""

import ast
import functools
import pathlib

import pytest

from tests.cases import ROOT

# The higher may import the lower, and its own floor where that makes no circle.
FLOORS = {
    "tfgig.arrays": 0,
    "tfgig.spec": 0,
    "tfgig.noise": 0,
    "tfgig.printing": 0,
    "tfgig.local": 0,
    "tfgig.remote": 0,
    "tfgig.temporary": 0,
    "tfgig.tracing": 0,
    "tfgig.image": 0,
    "tfgig.revealing": 0,
    "tfgig.worker": 0,
    "tfgig.workers": 0,
    "tfgig.keras_archive": 0,
    "tfgig.demonstration.scenes": 0,
    "tfgig.targets": 1,
    "tfgig.baselines": 1,
    "tfgig.quadratures": 1,
    "tfgig.rules": 1,
    "tfgig.objective": 1,
    "tfgig.paths": 2,
    "tfgig.methods.path_integral": 3,
    "tfgig.methods.base": 3,  # what it is made from
    "tfgig.methods.calls": 3,
    "tfgig.methods.error": 3,
    "tfgig.methods.sweep": 3,
    "tfgig.methods.walk": 3,
    "tfgig.methods.sampling": 3,
    "tfgig.methods": 4,
    "tfgig.presets": 4,
    "tfgig.exported": 4,  # its description, directory and names; the models read them
    "tfgig.models.graphs": 5,
    "tfgig.models": 6,
    "tfgig.scaling": 7,
    "tfgig.explaining": 7,
    "tfgig.plots": 7,
    "tfgig.layers": 8,
    "tfgig.metrics": 8,
    "tfgig.regions": 8,
    "tfgig.evaluation": 9,
    "tfgig.exported.kinds": 9,  # which build graphs of the models
    "tfgig.export": 9,
    "tfgig.demonstration": 10,
    "tfgig.serving.protocol": 10,
    "tfgig.serving.runtime": 11,
    "tfgig.serving.client": 11,
    "tfgig.serving.deployment": 12,
    "tfgig.serving.devserver": 12,
    "tfgig.serving": 12,
    "tfgig.benchmark": 12,
    "tfgig.bulk": 12,
    "tfgig_tools": 13,
}
FOLDERS = {"tfgig": ROOT / "tfgig", "tfgig_tools": ROOT / "tools"}
FILES = {
    ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for package, folder in FOLDERS.items()
    for path in sorted(folder.rglob("*.py"))
}
MODULES = [name for name in FILES if name != "tfgig"]  # which gathers the public names


def floor(module):
    """The floor of a module: that of the longest listed name that it lies in."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in FLOORS:
            return FLOORS[".".join(parts[:length])]
    return None


@functools.cache
def tree(module):
    return ast.parse(FILES[module].read_text())


def imports(module):
    """The modules of this project that a module imports, wherever in its text."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            # `from tfgig import presets` imports a module, `from tfgig.x import Y` a name.
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in FILES else node.module)
    return {name for name in found if name.split(".")[0] in FOLDERS}


def own_package(module, imported):
    """Whether a package's `__init__` gathers the names of its own modules."""
    return imported.startswith(f"{module}.")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor(module):
    assert floor(module) is not None, f"write {module} into the table of floors"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    for imported in imports(module):
        if imported == "tfgig" and floor(module) == FLOORS["tfgig_tools"]:
            continue  # a program uses the library as everyone does
        assert imported != "tfgig", f"{module} imports the whole library"
        if not own_package(module, imported):
            assert floor(imported) <= floor(module), f"{module} imports {imported} above it"


def test_no_imports_in_a_circle():
    graph = {
        module: {i for i in imports(module) if i in FILES and not own_package(module, i)}
        for module in MODULES
    }
    done, under_way = set(), []

    def visit(module):
        assert module not in under_way, f"a circle: {[*under_way, module]}"
        if module in done:
            return
        under_way.append(module)
        for imported in graph.get(module, ()):
            visit(imported)
        under_way.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("module", MODULES)
def test_errors_are_raised_and_not_asserted(module):
    lines = [node.lineno for node in ast.walk(tree(module)) if isinstance(node, ast.Assert)]
    assert not lines, f"python -O drops the asserts of {module} in lines {lines}"


@pytest.mark.parametrize("module", [module for module in MODULES if floor(module) < 5])
def test_the_lower_floors_stay_in_the_graph(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id == "print")
            assert not (isinstance(node.func, ast.Attribute) and node.func.attr == "numpy")


@pytest.mark.parametrize("module", MODULES)
def test_one_module_touches_private_names_of_tensorflow(module):
    if not module.endswith(".tensorflow_private"):
        text = FILES[module].read_text()
        for private in ("tensorflow.python", "_get_function(", "_flatten_layers("):
            assert private not in text, f"{private} belongs to tensorflow_private.py"


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_documented(module):
    assert ast.get_docstring(tree(module)) or not tree(module).body


def test_the_table_is_not_out_of_date():
    for name in FLOORS:
        assert name in FILES, f"{name} is gone"
    assert pathlib.Path(FILES["tfgig"]).is_file()
