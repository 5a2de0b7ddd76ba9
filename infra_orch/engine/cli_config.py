"""The CLI configuration that Terraform is given: the user's own, with the provider cache put before its methods.

Without a `provider_installation` block Terraform asks the registry for every provider that no implied mirror has, each
init anew, and hangs where the registry cannot be reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra_orch.engine.engine import EngineName
from infra_orch.engine.installation import (
    Method,
    filesystem_mirror,
    installation_text,
    split_config,
)
from infra_orch.engine.mirror import home, providers_in
from infra_orch.files import private_folder, write_if_different

VARIABLES = ("TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG")
"""What names the CLI configuration; the second is the first's old name, which Terraform still reads."""

HEADER = "# Written by infra-orch at every start; do not edit. It may hold credentials of your CLI configuration.\n"


@dataclass(frozen=True)
class CliConfig:
    """Which CLI configuration the units' Terraform reads, and how it gets its providers.

    env: what to add to the environment of every Terraform command.
    warnings: what the user should know, one sentence each.
    origin: where it comes from, in words.
    methods: the user's installation methods, or else the mirrors and then the registry; None: the user's file is used
    as it is, because it is not understood here, and nothing is cached.
    store: the folder of the provider cache for exactly these methods; packages that came another way are not in it.
    """

    env: Mapping[str, str]
    warnings: tuple[str, ...]
    origin: str
    methods: tuple[Method, ...] | None
    store: Path
    folder: Path
    text: str
    default_host: str

    @property
    def cached(self) -> Path:
        """The cache's packages, laid out as an unpacked filesystem mirror."""
        return self.store / "mirror"

    @property
    def fill_file(self) -> Path:
        """The CLI configuration for filling the cache: what is in the cache is not downloaded, all else is."""
        return self.folder / "fill.tfrc"

    @property
    def unit_file(self) -> Path:
        """The CLI configuration for everything else: what is in the cache is asked for nowhere else."""
        return self.folder / "unit.tfrc"

    def is_downloaded(self, address: str) -> bool:
        """Whether a provider (`host/namespace/type`) may come from outside this machine."""
        return any(not method.is_local and method.serves(address, self.default_host) for method in self._methods())

    def local_mirrors(self) -> tuple[Path, ...]:
        """The filesystem mirrors among the methods."""
        return tuple(Path(method.path) for method in self._methods() if method.is_local and method.path)

    def write(self, settled: Iterable[str] = ()) -> None:
        """Write both files for what the cache holds now. They change as a whole: a Terraform may be reading them.

        *settled* are providers of which the units' versions are on this machine, if only in a mirror of the user's:
        units do not ask for them elsewhere. Raises OSError where the folder cannot be written.
        """
        if self.methods is None:
            return
        private_folder(self.folder)
        cached = sorted(address for address in providers_in(self.cached) if self.is_downloaded(address))
        own = [filesystem_mirror(str(self.cached), cached)] if cached else []
        here = {*cached, *settled}
        later = [method if method.is_local else method.without(here) for method in self._methods()]
        for file, methods in ((self.fill_file, self._methods()), (self.unit_file, later)):
            text = HEADER + self.text + installation_text([*_overrides(self.methods), *own, *methods])
            write_if_different(file, text, mode=0o600)

    def _methods(self) -> list[Method]:
        return [method for method in self.methods or () if method.kind != "dev_overrides"]


def cli_config(
    base_env: Mapping[str, str],
    mirrors: Sequence[Path],
    cache: Path,
    folder: Path,
    *,
    engine: EngineName = "terraform",
) -> CliConfig:
    """Make the CLI configuration for a run and write it into *folder* (0700, its files 0600).

    The user's is TF_CLI_CONFIG_FILE, or else `~/.terraformrc` (tofu: `~/.tofurc` first) and `~/.terraform.d/*.tfrc`.
    Its `provider_installation` block is kept; where it has none, providers come from *mirrors* (each the only source of
    what it holds, as Terraform's implied mirrors are) and else from the registry. Before that comes what was downloaded
    earlier, in *cache*. `plugin_cache_dir` is dropped: it is not safe under parallel init (hashicorp/terraform#31964).
    Raises OSError where *folder* cannot be written.
    """
    files, warnings = _user_files(base_env, engine)
    default_host = "registry.opentofu.org" if engine == "tofu" else "registry.terraform.io"
    origin = " and ".join(str(file) for file in files)
    try:
        text, methods = split_config("\n".join(file.read_text(encoding="utf-8") for file in files))
    except (OSError, ValueError) as error:
        why = f"{origin} is used as it is, and its providers are not cached: {error}"
        env = {} if len(files) > 1 else {"TF_CLI_CONFIG_FILE": str(files[0])}
        return CliConfig(env, (*warnings, why), origin, None, cache / "none", folder, "", default_host)
    if methods is None:
        methods = _default_methods(mirrors)
        origin = f"generated{' from ' if origin else ''}{origin}"
    store = cache / _store_name(methods)
    env = {"TF_CLI_CONFIG_FILE": str(folder / "unit.tfrc")}
    config = CliConfig(env, warnings, origin, methods, store, folder, text, default_host)
    config.write()
    return config


def _default_methods(mirrors: Sequence[Path]) -> tuple[Method, ...]:
    held = [(mirror, providers_in(mirror)) for mirror in mirrors]
    direct = Method("direct").without({address for _, addresses in held for address in addresses})
    return (*(filesystem_mirror(str(mirror), addresses) for mirror, addresses in held if addresses), direct)


def _store_name(methods: Sequence[Method]) -> str:
    """One name for one way to download, so that what a company's mirror serves never mixes with the registry's."""
    remote = [
        (method.kind, method.body) for method in methods if not (method.is_local or method.kind == "dev_overrides")
    ]
    if all(kind == "direct" for kind, _ in remote):
        return "registry"
    return "mirror-" + hashlib.sha256(repr(remote).encode()).hexdigest()[:12]


def _overrides(methods: Sequence[Method]) -> list[Method]:
    return [method for method in methods if method.kind == "dev_overrides"]


def _user_files(base_env: Mapping[str, str], engine: EngineName) -> tuple[list[Path], tuple[str, ...]]:
    """The files that Terraform would read, in its order, and a warning where the named one is missing."""
    for variable in VARIABLES:
        if named := base_env.get(variable):
            file = Path(named).absolute()
            if file.exists():  # /dev/null too
                return [file], ()
            return [], (f'{variable} names "{named}", which does not exist; going on without it',)
    own = home(base_env)
    if own is None:
        return [], ()
    names = (".tofurc", ".terraformrc") if engine == "tofu" else (".terraformrc",)
    main = [own / name for name in names if (own / name).is_file()][:1]
    return main + sorted((own / ".terraform.d").glob("*.tfrc")), ()
