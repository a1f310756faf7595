"""Inside each job of a run that is watched: notes what the job does, and kills at the moment that was chosen.

Python loads this by itself when it stands on PYTHONPATH. The environment variable WATCHED names the folder where notes
go, and where `kill.json` says which job is to be hit, when, and who dies. What writing a file needs is counted by
Python's audit events, so that a moment is the same on every machine.
"""

import atexit
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

_WRITING = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


class _Job:
    """The job that runs in this process, known by its log."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log: str | None = None
        self.process = os.getpid()
        self.steps = 0
        self.made: list[str] = []

    def hook(self, event: str, args: tuple) -> None:
        if event not in _WRITING or not args or not isinstance(args[0], str | bytes | os.PathLike):
            return
        path = os.fsdecode(args[0])
        if self.log is None:
            if event == "open" and path.endswith(".log") and "/logs/" in path:
                self.begin(path)
        elif ".partial" in path:
            self.steps += 1
            if event == "os.rename" and ".partial" not in (target := os.fsdecode(args[1])):
                self.made.append(os.path.relpath(target))
            if self.at_step == self.steps:
                self.strike()

    def begin(self, log: str) -> None:
        self.log, self.started, self.at_step = os.path.relpath(log), time.time(), None
        atexit.register(self.note)
        try:
            kill = json.loads((self.folder / "kill.json").read_text())
        except FileNotFoundError:
            return
        if kill["log"] == self.log:
            self.at_step = kill["step"]
            if kill["after"] is not None:
                timer = threading.Timer(kill["after"], self.strike)
                timer.daemon = True
                timer.start()
            # A job that is quicker than before is hit as it ends.
            atexit.register(self.strike)

    def strike(self) -> None:
        if os.getpid() != self.process:  # a fork that the job has made
            return
        try:
            # Whoever takes the order away carries it out, once.
            (self.folder / "kill.json").rename(self.folder / f"struck-{os.getpid()}.json")
        except FileNotFoundError:
            return
        file = self.folder / f"struck-{os.getpid()}.json"
        kill = json.loads(file.read_text())
        file.write_text(json.dumps({**kill, "seconds": time.time() - self.started, "steps": self.steps}))
        for victim in kill["victims"]:
            if victim == "job":
                # On a cluster, a Snakemake on the node runs the job.
                for nodes in os.environ.get("RETRIEVAL_HEADS_RUN", "").split(os.pathsep)[1:]:
                    os.kill(int(Path(nodes).read_text().removeprefix("process")), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                os.kill(kill["snakemake"], signal.SIGKILL)

    def note(self) -> None:
        if os.getpid() != self.process:
            return
        done = {"log": self.log, "started": self.started, "seconds": time.time() - self.started}
        with (self.folder / "jobs.jsonl").open("a") as file:
            print(json.dumps({**done, "steps": self.steps, "made": self.made}), file=file)


if "WATCHED" in os.environ and any("/.snakemake/scripts/" in word for word in sys.orig_argv):
    sys.addaudithook(_Job(Path(os.environ["WATCHED"])).hook)
