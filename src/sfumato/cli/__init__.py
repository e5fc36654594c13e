"""The command line: parse, call, print. Results on stdout, everything else on stderr.

Exit codes: 0 done; 2 (3 for diverged training) with one line, when the input or the machine is at fault; 130 after
Ctrl-C; 141 when the reader of our output went away; 1 with a traceback for a defect of ours.

What a command needs is imported when it runs, so that help and bad input are answered at once.
"""

import io
import os
import re
import sys
from collections.abc import Sequence

from sfumato.cli import clock
from sfumato.cli.terminal import complain
from sfumato.errors import SfumatoError
from sfumato.runtime.threads import wait_briefly

INTERRUPTED = 130
READER_GONE = 141
BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the process's own, and return its exit code."""
    wait_briefly()
    clock.alone = arguments is None
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path is printed as the bytes that it has
    try:
        code = _dispatch(sys.argv[1:] if arguments is None else arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        if arguments is None and code == 0:
            _leave_at_once()
        return code
    except SfumatoError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        complain(f"interrupted; {str(interrupt) or 'nothing is left half-written'}")
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return READER_GONE
    except OSError as error:
        complain(_refusal(error))
        if error.filename is None:
            _silence_stdout()
        return BAD_INPUT
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        complain("out of memory; ask for a smaller size, a smaller batch or a smaller model")
        return BAD_INPUT


def _dispatch(arguments: Sequence[str]) -> int:
    """Parse and run, without the framework's own handling of errors and interrupts."""
    import typer

    from sfumato.cli.app import app

    # ClickException: typer brings its own copy of click and exports only the leaf.
    usage_error: type[Exception] = typer.BadParameter.__mro__[2]
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    command = typer.main.get_command(app)
    try:
        with command.make_context("sfumato", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except usage_error as error:
        said = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        where = getattr(getattr(error, "ctx", None), "command_path", "sfumato")
        complain(f"{said}; {_remedy(arguments, said, where)}")
        return BAD_INPUT
    return 0


def _leave_at_once() -> None:
    """End a process that has painted: its files are written, and taking torch down takes half a second."""
    from sfumato.requests import REQUESTS

    if sys.argv[1:2] and sys.argv[1] in REQUESTS:
        if sys.stderr is not None:
            sys.stderr.flush()
        os._exit(0)


def _remedy(arguments: Sequence[str], said: str, where: str) -> str:
    """What to do about arguments that cannot be parsed, of which `said` is what the framework says of a command."""
    if "--" in arguments:
        return "behind -- stands the prompt alone, and options before it"
    if any(re.match(r"-(?!-[\w-]+=).*\s", argument) for argument in arguments):
        return "a prompt that begins with a dash goes last, behind --"
    from sfumato.requests import REQUESTS

    command = next(iter(arguments), "")
    if command in REQUESTS and "extra argument" in said:
        return 'put the words of the prompt in quotes, as in "a red apple"'
    return f"see {where} --help"


def _refusal(error: OSError) -> str:
    """What the system said no to, where no one below knew better; without a file it may be our own output."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return f"{reason}; look at where the output goes"
    return f"cannot use {str(error.filename)!r}: {reason}; check the path and its permissions"


def _is_out_of_memory(error: Exception) -> bool:
    """Python's, and torch's on any device, without importing torch."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "allocate memory" in str(error))
    )


def _silence_stdout() -> None:
    """Nobody reads it: let the interpreter's last flush go nowhere rather than complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
