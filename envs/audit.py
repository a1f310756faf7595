"""Asks which pinned packages have known vulnerabilities: make audit.

Where the network does not reach a service that knows, it says so and ends well: nothing was found, and nothing sought.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("requirements.txt", "requirements-dev.txt", "requirements-edgar.txt")


def told(reports: list[dict]) -> tuple[list[str], int]:
    """What reports of pip-audit come to: sentences, and the exit status, 1 where a vulnerability is known."""
    packages = [package for report in reports for package in report["dependencies"]]
    known = [package for package in packages if "skip_reason" not in package]
    lines = [f"{len(known)} of {len(packages)} pinned packages were looked up."]
    if len(known) < len(packages):
        lines.append(f"Not looked up, as the network reaches no service that knows them: {len(packages) - len(known)}.")
    for package in known:
        for one in package["vulns"]:
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}.")
    return lines, int(any(package["vulns"] for package in known))


def main() -> int:
    """Look up all packages, and print what is known."""
    reports = []
    for file in FILES:
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
        run = subprocess.run([*command, "--requirement", ROOT / file], capture_output=True, text=True)
        try:
            reports.append(json.loads(run.stdout))
        except json.JSONDecodeError:
            print(f"{file} was not looked up: {(run.stderr.strip().splitlines() or ['no answer'])[-1][:200]}")
    lines, status = told(reports)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
