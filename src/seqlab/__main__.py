"""``seqlab COMMAND ...``: which command, its help, and what an error looks like. Nothing heavy is imported here."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

#: command: (module with a ``main(arguments) -> exit code``, what it does)
COMMANDS = {
    "train": ("seqlab.training.app", "train a model, or with -m a sweep of them, from Hydra overrides"),
    "evaluate": ("seqlab.evaluate", "score a finished run again, on its own data or other files"),
    "predict": ("seqlab.predict", "apply a finished run to a file or a text"),
    "compare": ("seqlab.compare", "set runs side by side: mean, interval, differences"),
    "report": ("seqlab.report", "write one HTML page about runs"),
    "rerun": ("seqlab.rerun", "repeat a finished run from its folder and say whether it came out the same"),
    "reproduce": ("seqlab.reproduce", "run a published result's experiment and set ours beside the paper's"),
    "list": ("seqlab.listing", "list the options of a config group: cells, data, experiments, ..."),
    "doctor": ("seqlab.doctor", "check versions, devices, threads, folders and extras of this machine"),
}
#: Objects between two rounds of Python's garbage collector. Importing torch and Lightning makes next to no garbage, and
#: with the usual 700 a sixth of the time goes into looking for it.
IMPORTS_THRESHOLD = 50_000
USAGE = """usage: seqlab COMMAND ...

{commands}

`seqlab COMMAND --help` says more.  seqlab --version prints the version.

example: seqlab train data=co2 cell=gru model.hidden_size=64 seed=1
         seqlab train -m data=co2 cell=rnn,lstm,gru seed=0,1,2
         seqlab compare outputs/co2"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 well, 1 failed, 2 wrong request, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    gc.set_threshold(IMPORTS_THRESHOLD)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(usage() + "\n")
        return 0 if arguments else 2
    command, *rest = arguments
    if command == "--version":
        from seqlab import __version__

        sys.stdout.write(f"seqlab {__version__}\n")
        return 0
    if command not in COMMANDS:
        from seqlab.errors import did_you_mean

        return _complain(f"There is no command {command!r}.{did_you_mean(command, COMMANDS)}", 2)
    from seqlab.errors import SeqlabError, refusal_of

    try:
        if command == "train" and {"-m", "--multirun"} & set(rest):
            from seqlab.sweep.early import prepare

            prepare(rest)
        code = importlib.import_module(COMMANDS[command][0]).main(rest)
    except SeqlabError as error:
        if debugging():
            raise
        return _complain(str(error), error.exit_code)
    except OSError as error:
        if debugging() or (told := refusal_of(error)) is None:
            raise
        return _complain(str(told), told.exit_code)
    except KeyboardInterrupt:
        return _complain("Interrupted. The same command goes on from the last checkpoint.", 130)
    return int(code or 0)


def usage() -> str:
    """Return the text of ``seqlab --help``."""
    width = max(map(len, COMMANDS))
    return USAGE.format(commands="\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()))


def debugging() -> bool:
    """Return whether the person asked for tracebacks."""
    return os.environ.get("SEQLAB_DEBUG") == "1" or os.environ.get("HYDRA_FULL_ERROR") == "1"


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"seqlab: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
