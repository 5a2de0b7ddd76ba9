"""Check that Terraform files are formatted, with whichever engine there is: python .ci/terraform_fmt.py FOLDER...

Exits with 1 and a diff where one is not; `infra-orch` itself writes what the formatter would leave alone.
"""
# ruff: noqa: INP001  a program, not a package

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from infra_orch.engine.engine import find_engine


def main(folders: Sequence[str]) -> int:
    """Check every folder, and return 1 where a file of any is not as the formatter would write it."""
    program = find_engine(os.environ.get("INFRA_ORCH_ENGINE")).program
    # The user's CLI configuration has no say in the format, and a broken one would stop it.
    env = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull}
    codes = [
        subprocess.run([*program, "fmt", "-check", "-diff", "-recursive", folder], env=env, check=False).returncode
        for folder in folders
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
