"""What comes one to a file in a folder of this package, such as methods and figures: which there are, and what
each says about itself.

Files are read without importing them: the Snakefile asks which figures there are and what they need, and the
findings ask what a method does, in environments that have neither a plotting library nor torch.
"""

import ast
from collections.abc import Iterable, Mapping, Sized
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from retrieval_heads.errors import StudyError

_ROOT = Path(__file__).parent


def files(kind: str) -> dict[str, Path]:
    """Name → file of all there are of a kind, such as ``methods`` or ``data.documents``: a folder of this package.

    What begins with an underscore is none of them.
    """
    return {
        path.stem: path
        for path in sorted(_ROOT.joinpath(*kind.split(".")).glob("*.py"))
        if not path.stem.startswith("_")
    }


def names(kind: str) -> list[str]:
    """The names there are of a kind."""
    return list(files(kind))


def module(kind: str, name: str) -> ModuleType:
    """The one of a kind that has this name."""
    return import_module(f"{_ROOT.name}.{kind}.{name}")


def declared(path: Path) -> dict[str, Any]:
    """Literal values assigned at the top of a module, or of the first class in it, and that class's docstring.

    Returns
    -------
    Names with their values; ``"doc"`` is the first paragraph of the class's docstring (else of the module's).
    """
    module = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    scopes: list[ast.Module | ast.ClassDef] = [module, *classes[:1]]
    values: dict[str, Any] = {}
    for scope in scopes:
        if doc := ast.get_docstring(scope):
            values["doc"] = " ".join(doc.split("\n\n")[0].split())
        for node in scope.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and value is not None:
                try:
                    values[target.id] = ast.literal_eval(value)
                except ValueError:
                    continue
    return values


def describe_methods(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Label, definition and paper of methods, as their files declare them."""
    return describe("methods", names)


def describe(kind: str, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Label, definition and paper of those of a kind that have these names, as far as their files declare them."""
    described, known = {}, files(kind)
    for name in names:
        path = known.get(name)
        values = declared(path) if path is not None else {}
        described[name] = {
            key: str(values[source])
            for key, source in (("label", "label"), ("definition", "doc"), ("paper", "paper"))
            if source in values
        }
    return described


def method_parameters(method: str) -> dict[str, dict]:
    """The parameters of a method, each with the JSON schema that its values must meet.

    They are the fields of the class in its file: what is annotated there, and no ``ClassVar``. Annotations are float,
    int, bool, str, or a Literal of values.
    """
    module = ast.parse(files("methods")[method].read_text(encoding="utf-8"))
    return {
        node.target.id: _json_schema(node.annotation)
        for node in next(node for node in module.body if isinstance(node, ast.ClassDef)).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and "ClassVar" not in ast.unparse(node.annotation)
    }


_TYPES = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}


def _json_schema(annotation: ast.expr) -> dict:
    """What a value must be that a field with this annotation takes."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        choices = ast.literal_eval(annotation.slice)
        return {"enum": list(choices) if isinstance(choices, tuple) else [choices]}
    return {"type": _TYPES[ast.unparse(annotation)]}


def report_tables(values: Mapping[str, Sized]) -> dict[str, str]:
    """Name → title of the tables of the findings that have something to show, as the sections' files declare them.

    Parameters
    ----------
    values : from :func:`retrieval_heads.study.needs.available`.
    """
    found = {}
    for path in files("findings.sections").values():
        for name, table in declared(path).get("TABLES", {}).items():
            if meets(table["needs"], values, f"{path.name}: TABLES: {name}"):
                found[name] = table["title"]
    return found


def meets(needs: Mapping[str, int], values: Mapping[str, Sized], where: str) -> bool:
    """Whether a study has as many values of each dimension as something needs to show anything.

    Parameters
    ----------
    needs : the least number of values of each dimension.
    values : what the study has, from :func:`retrieval_heads.study.needs.available`.
    where : what declares the needs, for the message.

    Raises
    ------
    StudyError
        when a name is none of those that studies have values of.
    """
    for name in needs:
        if name not in values:
            raise StudyError(f"{where}: {name} is nothing that studies have values of; known are {', '.join(values)}.")
    return all(len(values[name]) >= count for name, count in needs.items())
