"""Snakemake, loaded once: it runs each command in a fork of its own, where nothing is left of the one before.

Reads one command in each line of its input, as JSON: the folder to run in, the arguments, the environment, and the file
for what is said. Answers each with the exit status.
"""

import gc
import json
import os
import sys

import jsonschema  # noqa: F401 - which the project's Snakefile loads
import snakemake.cli

snakemake.cli.get_argument_parser()  # loads the plugins
gc.freeze()  # what is loaded need not be looked through, and copied for that, in every fork

for command in sys.stdin:
    folder, arguments, environment, said = json.loads(command)
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        sys.path[0] = folder  # as of `python -m snakemake`
        sys.argv[1:] = arguments
        snakemake.cli.main(arguments)  # exits
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
