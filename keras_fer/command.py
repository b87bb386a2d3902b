"""How every command of the project ends: a clean exit, or one clear line."""

import sys
from collections.abc import Callable

from keras_fer.errors import InputError


def run(main: Callable[[], None]) -> None:
    """Call `main` and exit with 0, with 2 and one line on bad input or a failing disk, or 130 when interrupted."""
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(_fail(" ".join(str(error).split())))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", code=130))


def _fail(message: str, code: int = 2) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
