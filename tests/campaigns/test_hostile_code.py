"""What the program never does, whatever a file says: unpickle, evaluate, load code, or hand text to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.conftest import REPO

PACKAGES = ("pinpoint_data", "annotation", "loaders", "training", "benchmarks")
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.unsafe_load"}
FORBIDDEN_CALLS |= {"yaml.full_load", "torch.load", "tempfile.mktemp", "os.chmod", "os.umask"}
FORBIDDEN_METHODS = {"extractall", "unsafe_load", "chmod"}
ALLOWED = {
    # A temporary file without a name, which nobody else can write.
    "annotation/label_studio/merging.py: import marshal",
    # Between processes that the program or its user started.
    "pinpoint_data/engines/ray_data.py: import cloudpickle",
    "pinpoint_data/engines/ray_worker.py: import cloudpickle",
    "pinpoint_data/engines/local.py: import pickle",
}


def faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {name.name}" for name in node.names if name.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = {part for name in node.names for part in (*(node.module or "").split("."), name.name)}
            yield from (f"import {name}" for name in sorted(names & FORBIDDEN_MODULES))
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name == "torch.load" and _is(given.get("weights_only"), True):
        return
    if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in FORBIDDEN_METHODS:
        yield name
    if name.endswith("from_pretrained") and not _is(given.get("trust_remote_code", ast.Constant(False)), False):
        yield f"{name}(trust_remote_code)"
    for argument, value in given.items():
        if argument in ("shell", "trust_remote_code", "allow_pickle") and not _is(value, False):
            yield f"{name}({argument}={ast.unparse(value)})"


def _is(value: ast.expr | None, wanted: bool) -> bool:
    return isinstance(value, ast.Constant) and value.value is wanted


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_in_a_file_becomes_code(package: str) -> None:
    found = {
        f"{path.relative_to(REPO).as_posix()}: {fault}"
        for path in (REPO / package).rglob("*.py")
        for fault in faults(path.read_text(encoding="utf-8"))
    }
    assert found <= ALLOWED, found - ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "Model.from_pretrained(path, trust_remote_code=given)",
        "zipfile.ZipFile(path).extractall()",
        "path.chmod(0o777)",
    ],
)
def test_the_look_finds_what_it_looks_for(source: str) -> None:
    assert list(faults(source))


def test_the_look_lets_sound_code_pass() -> None:
    sound = "re.compile(x)\nmodel.eval()\nyaml.safe_load(x)\ntorch.load(p, weights_only=True)\nast.literal_eval(x)"
    assert not list(faults(sound))
