"""A small ``conda``, where there is none: what Snakemake asks of it, answered from a local channel of repacked wheels.

Its solver and linker are real (py-rattler), so environment files are solved, linked and activated. The channel has what
PyPI has under conda-forge's names, and the Python that runs the tests; packages under ``pip:`` are links into that
Python's own environment, so that torch is neither fetched nor copied.

Run as ``conda_stand_in.py FOLDER ARGUMENTS``, it is the ``conda`` of the installation in that folder.
"""

import asyncio
import configparser
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from importlib.metadata import distribution, distributions, version
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = f"lib/{PYTHON}/site-packages"
PLATFORM = "linux-64"
CONDA_NAMES = {"matplotlib": "matplotlib-base", "seaborn": "seaborn-base"}
"""Of packages that conda-forge calls otherwise than PyPI."""


def install(folder: Path, files: list[Path]) -> Path:
    """Make an installation whose channel has all that environment files name outside ``pip:``.

    Returns
    -------
    The folder to put on the PATH.
    """
    (folder / "bin").mkdir(parents=True)
    conda, activate = folder / "bin" / "conda", folder / "bin" / "activate"
    conda.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "{folder}" "$@"\n')
    conda.chmod(0o755)
    activate.write_text('export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n')
    _make_channel(folder / "conda-forge", {spec for file in files for spec in specs(file)[0]})
    return folder / "bin"


def specs(file: Path) -> tuple[list[str], list[str]]:
    """What an environment file takes from conda's channels, and what from pip."""
    entries = yaml.safe_load(file.read_text())["dependencies"]
    of_pip = [spec for entry in entries if isinstance(entry, dict) for spec in entry["pip"]]
    return [entry for entry in entries if isinstance(entry, str)], of_pip


# --- the channel ---------------------------------------------------------------------------------------------------


def _make_channel(channel: Path, wanted: set[str]) -> None:
    from rattler import index

    pypi_names = {conda: pypi for pypi, conda in CONDA_NAMES.items()}
    asked = []
    for spec in sorted(wanted):
        name, _, version = spec.partition(" =")
        if name != "python":
            asked.append(f"{pypi_names.get(name, name)}=={version}.*")
    (channel / "noarch").mkdir(parents=True)
    _repack_python(channel)
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", wheels]
        subprocess.run([*pip, *asked], check=True)
        for wheel in sorted(Path(wheels).glob("*.whl")):
            _repack_wheel(wheel, channel)
    asyncio.run(index.index_fs(channel))


def _repack_python(channel: Path) -> None:
    """The Python that runs the tests, without any of its packages: a virtual environment's, as venv makes them."""
    base = Path(sys.base_prefix)
    number = ".".join(map(str, sys.version_info[:3]))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "bin").mkdir()
        shutil.copy2(base / "bin" / PYTHON, root / "bin" / PYTHON)
        for link in ("python", "python3"):
            (root / "bin" / link).symlink_to(PYTHON)
        (root / PACKAGES).mkdir(parents=True)
        (root / PACKAGES / "README.txt").touch()
        for library in (base / "lib").glob(f"lib{PYTHON}*.so*"):
            shutil.copy2(library, root / "lib")
        # Without it, Debian's Python would look for packages, and pip would put them, elsewhere than all others do.
        (root / "pyvenv.cfg").write_text(
            f"home = {base / 'bin'}\ninclude-system-site-packages = false\nversion = {number}\n"
        )
        _pack(root, channel, "python", number, [])


def _repack_wheel(wheel: Path, channel: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / PACKAGES)
        (about,) = (root / PACKAGES).glob("*.dist-info")
        metadata = HeaderParser().parsestr((about / "METADATA").read_text())
        needs = [f"python {PYTHON.removeprefix('python')}.*"]
        for line in metadata.get_all("Requires-Dist") or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                needs.append(f"{_conda_name(need.name)} {need.specifier}".strip())
        _write_programs(about / "entry_points.txt", root / "bin")
        _pack(root, channel, _conda_name(metadata["Name"]), metadata["Version"], needs)


def _write_programs(entry_points: Path, folder: Path) -> None:
    parser = configparser.ConfigParser(delimiters="=")
    parser.read(entry_points)
    for program, target in parser["console_scripts"].items() if "console_scripts" in parser else ():
        module, _, function = target.partition(":")
        folder.mkdir(exist_ok=True)
        file = folder / program
        file.write_text(f"#!/usr/bin/env python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        file.chmod(0o755)


def _conda_name(name: str) -> str:
    return CONDA_NAMES.get(canonicalize_name(name), canonicalize_name(name))


def _pack(root: Path, channel: Path, name: str, number: str, needs: list[str]) -> None:
    from conda_package_handling import api

    paths = []
    for path in sorted(path for path in root.rglob("*") if path.is_symlink() or not path.is_dir()):
        content = path.read_bytes()
        kind = "softlink" if path.is_symlink() else "hardlink"
        digest = hashlib.sha256(content).hexdigest()
        paths.append(
            {"_path": str(path.relative_to(root)), "path_type": kind, "sha256": digest, "size_in_bytes": len(content)}
        )
    about = {"name": name, "version": number, "build": "0", "build_number": 0, "subdir": PLATFORM, "depends": needs}
    (root / "info").mkdir()
    (root / "info" / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    (root / "info" / "files").write_text("".join(f"{path['_path']}\n" for path in paths))
    (root / "info" / "about.json").write_text("{}")
    (root / "info" / "index.json").write_text(json.dumps(about))
    files = [path["_path"] for path in paths] + [f"info/{path.name}" for path in (root / "info").iterdir()]
    (channel / PLATFORM).mkdir(exist_ok=True)
    # Level 1 takes seconds where the default takes minutes.
    api.create(str(root), files, f"{name}-{number}-0.conda", str(channel / PLATFORM), compression_level=1)


# --- what Snakemake asks -------------------------------------------------------------------------------------------


async def create(folder: Path, file: Path, prefix: Path) -> None:
    """Solve an environment file, and link its packages into a prefix."""
    import rattler

    of_conda, of_pip = specs(file)
    channel = rattler.Channel((folder / "conda-forge").as_uri())
    matches = [rattler.MatchSpec(spec) for spec in of_conda]
    records = await rattler.solve([channel], matches, platforms=[PLATFORM, "noarch"])
    await rattler.install(records, target_prefix=prefix, cache_dir=folder / "packages", show_progress=False)
    packages = prefix / PACKAGES
    present = {canonicalize_name(package.name) for package in distributions(path=[str(packages)])}
    for need in map(Requirement, of_pip):
        if not need.specifier.contains(found := version(need.name), prereleases=True):
            raise SystemExit(f"{file}: {need} is wanted, and the tests have {found}")
        _link_installed(need.name, packages, present)


def _link_installed(name: str, packages: Path, present: set[str]) -> None:
    """Link a package that the tests have, and what it depends on, unless it is present."""
    if (name := canonicalize_name(name)) in present:
        return
    present.add(name)
    found = distribution(name)
    for file in found.files:
        if ".." not in file.parts:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            (packages / file).symlink_to(found.locate_file(file))
    for need in map(Requirement, found.requires or ()):
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            _link_installed(need.name, packages, present)


def main(folder: Path, arguments: list[str]) -> None:
    """Answer one call."""
    match arguments:
        case ["--version"]:
            print("conda 26.1.0")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(folder), "platform": PLATFORM}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["clean", *_]:
            pass
        case ["env", "create", *_, "--file", file, "--prefix", prefix]:
            asyncio.run(create(folder, Path(file), Path(prefix)))
            # py-rattler may abort while the interpreter shuts down.
            sys.stdout.flush()
            os._exit(0)
        case _:
            raise SystemExit(f"this conda knows no {' '.join(arguments)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
