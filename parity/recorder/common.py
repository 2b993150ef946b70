"""What every recorder shares: checkouts, loading of reference modules with repairs at run time, and exact JSON.

A reader may question why references are repaired instead of quoted: as published, some of them do not run (a bracket
that is never closed, a list method that does not exist, imports of missing modules). Each repair is made in memory on
the user's own checkout and is listed in the vector file, so no line of their code lives in this repository.
"""

import ast
import contextlib
import importlib.metadata
import io
import json
import platform
import subprocess
import sys
import tarfile
import types
from pathlib import Path

import numpy as np


def checkout(source, scratch):
    """Return (folder, commit) of a reference.

    `source` is a bare git directory (its HEAD is unpacked into `scratch`) or a git working tree (used in place).
    """
    source = Path(source)
    bare = (source / "HEAD").is_file() and (source / "objects").is_dir()
    git = ["git", "--git-dir", str(source)] if bare else ["git", "-C", str(source)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    if not bare:
        return source, commit
    folder = Path(scratch) / source.parent.name
    folder.mkdir(parents=True)
    archive = subprocess.run([*git, "archive", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder, commit


def versions(*packages):
    """Versions of Python and of the named packages, for the provenance part of a vector file."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


class RenameAttribute(ast.NodeTransformer):
    """Repairs a call of a method that does not exist, such as `append_cluster` on a list."""

    def __init__(self, wrong, right):
        self.wrong, self.right = wrong, right

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if node.attr == self.wrong:
            node.attr = self.right
        return node


def parse_closing_brackets(text, path):
    """Parse Python source; where the parser says that a round bracket is never closed, close it at the end of that line."""
    repairs = []
    lines = text.splitlines()
    while True:
        try:
            return ast.parse("\n".join(lines), str(path)), repairs
        except SyntaxError as error:
            if error.msg is None or "was never closed" not in error.msg or len(repairs) > 3:
                raise
            lines[error.lineno - 1] += ")"
            repairs.append(f"{Path(path).name}:{error.lineno}: closed a bracket that was never closed")


def load_module(path, name, transforms=(), names=None):
    """Run a reference's file as module `name` (not as `__main__`) and return (module, list of repairs).

    `transforms` are `ast.NodeTransformer`s; `names` are put into the module's globals after it ran (missing imports).
    """
    path = Path(path)
    tree, repairs = parse_closing_brackets(path.read_text(), path)
    for transform in transforms:
        tree = ast.fix_missing_locations(transform.visit(tree))
        repairs.append(f"{path.name}: {transform.wrong} renamed to {transform.right}")
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(tree, str(path), "exec"), module.__dict__)
    for key, value in (names or {}).items():
        setattr(module, key, value)
        repairs.append(f"{path.name}: supplied the missing name {key}")
    return module, repairs


def load_function(path, function, names):
    """One function of a reference's file, run with `names` as its globals, so that the file's other imports are not needed."""
    tree, _ = parse_closing_brackets(Path(path).read_text(), path)
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    if not found:
        raise SystemExit(f"{path} has no function {function}")
    scope = dict(names)
    exec(compile(ast.Module(found, []), str(path), "exec"), scope)
    return scope[function]


@contextlib.contextmanager
def import_path(*folders):
    """Let `import utils` find the reference's own file, and forget it afterwards (each reference has its own `utils`)."""
    folders = [str(folder) for folder in folders]
    sys.path[:0] = folders
    try:
        yield
    finally:
        del sys.path[: len(folders)]
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and any(file.startswith(folder + "/") for folder in folders):
                del sys.modules[name]


def unit(rows):
    """Rows scaled to unit length in float64 and rounded once to float32."""
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def plain(value):
    """Numpy values as plain JSON values. A float32 becomes the shortest decimal that gives the same float32 when it is read back."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.float32):
        return float(str(value))
    if isinstance(value, np.generic):
        return value.item()
    return value


def write_json(path, value):
    """Write one vector file: a line per top-level key, keys in the order given, so that a diff of two recordings reads well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(plain(item), ensure_ascii=False, allow_nan=False)}" for key, item in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"wrote {path} ({path.stat().st_size} bytes)")
