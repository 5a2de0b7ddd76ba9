"""The provider cache, filled by the real Terraform from a network mirror on localhost that counts what it is asked for."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from network_mirror import NetworkMirror, package

from infra_orch.engine import command
from infra_orch.engine.cli_config import cli_config
from infra_orch.engine.engine import Engine, find_engine
from infra_orch.engine.lock_file import NAME, locked_providers, with_hashes
from infra_orch.engine.mirror import packages_in
from infra_orch.engine.providers import ProviderCache, UnitToInit, provider_cache_folder
from infra_orch.errors import InterruptedRun, UnavailableError, UserError
from infra_orch.process import Program, Supervisor

TINY = "registry.terraform.io/acme/tiny"
SMALL = "registry.terraform.io/acme/small"
RC = """
credentials "example.com" {
  token = "t"
}
provider_installation {
  network_mirror {
    url = "%s"
  }
}
"""


class Workshop:
    """A user with a network mirror in the CLI configuration, and units."""

    def __init__(self, folder: Path, env: dict[str, str], network: NetworkMirror, engine: Engine) -> None:
        self.folder, self.network, self.engine = folder, network, engine
        rc = folder / "user.tfrc"
        rc.write_text(RC % network.url)
        self.env = {**env, "SSL_CERT_FILE": str(network.certificate), "TF_CLI_CONFIG_FILE": str(rc)}
        self.supervisor = Supervisor(patience=20)

    def cache(self, name: str = "run", *mirrors: Path) -> ProviderCache:
        """What one run has: each has configuration files of its own, and all share one cache."""
        config = cli_config(self.env, mirrors, self.folder / "cache", self.folder / name)
        return ProviderCache(self.engine, config, self.supervisor)

    def unit(self, name: str, required: dict[str, str] | None = None, **options: bool) -> UnitToInit:
        required = {"acme/tiny": ""} if required is None else required
        folder = self.folder / "units" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            entries = [
                f'    {source.rsplit("/", 1)[-1]} = {{ source = "{source}"{f", version = {chr(34)}{version}{chr(34)}" if version else ""} }}'
                for source, version in required.items()
            ]
            (folder / "main.tf").write_text(
                "\n".join(["terraform {", "  required_providers {", *entries, "  }", "}", ""])
            )
        return UnitToInit(name, folder, required, self.env, self.folder / "logs" / name, **options)

    def init(self, cache: ProviderCache, unit: UnitToInit) -> int:
        """The unit's own init, as a run does it."""
        env = {**self.env, **cache.config.env}
        return self.supervisor.run(Program(command.init(self.engine), unit.name, unit.folder, env, unit.log))

    def lists_asked_for(self) -> int:
        return sum(path.endswith("/index.json") for path in self.network.asked)

    def versions(self, unit: UnitToInit) -> dict[str, str]:
        return {address: locked.version for address, locked in locked_providers(unit.lock()).items()}


@pytest.fixture(params=["terraform", "embedded"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "terraform" and shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH")
    return find_engine(request.param)


@pytest.fixture
def shop(tmp_path: Path, base_env: dict[str, str], network: NetworkMirror, terraform: Engine) -> Workshop:
    return Workshop(tmp_path, base_env, network, terraform)


def test_a_provider_is_downloaded_once_and_linked_from_the_cache(
    engine: Engine, tmp_path: Path, base_env: dict[str, str], network: NetworkMirror
) -> None:
    shop = Workshop(tmp_path, base_env, network, engine)
    cache, unit = shop.cache(), shop.unit("web")
    assert cache.prepare(unit)
    asked = list(network.asked)
    assert shop.init(cache, unit) == 0
    link = unit.folder / ".terraform/providers" / TINY / "1.1.0" / engine.platform
    assert link.readlink() == cache.config.cached / TINY / "1.1.0" / engine.platform
    assert (network.downloads(), network.asked) == (["terraform-provider-tiny_1.1.0.zip"], asked)


def test_parallel_units_ask_the_network_once(shop: Workshop) -> None:
    cache = shop.cache()
    units = [shop.unit(f"unit-{number}") for number in range(8)]

    def work(unit: UnitToInit) -> int:
        cache.prepare(unit)
        return shop.init(cache, unit)

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(work, units))
    assert codes == [0] * 8
    assert (shop.lists_asked_for(), shop.network.downloads()) == (1, ["terraform-provider-tiny_1.1.0.zip"])
    assert len({unit.lock() for unit in units}) == 1


def test_a_locked_version_that_is_there_asks_nothing(shop: Workshop) -> None:
    first = shop.cache("first")
    first.prepare(shop.unit("web"))
    shop.network.asked.clear()
    shop.network.down = True
    later = shop.cache("later")
    unit = shop.unit("web")
    assert (later.prepare(unit), shop.init(later, unit), shop.network.asked) == (False, 0, [])


def test_the_lock_file_decides_over_what_is_newest(shop: Workshop) -> None:
    old = shop.unit("old", {"acme/tiny": "1.0.0"})
    shop.cache().prepare(old)
    unit = shop.unit("web")
    (unit.folder / NAME).write_text(old.lock().replace('  constraints = "1.0.0"\n', ""))
    cache = shop.cache("later")
    assert (cache.prepare(unit), shop.init(cache, unit), shop.versions(unit)) == (False, 0, {TINY: "1.0.0"})


def test_a_locked_version_that_is_missing_is_downloaded(shop: Workshop) -> None:
    old = shop.unit("old", {"acme/tiny": "1.0.0"})
    shop.cache().prepare(old)
    shutil.rmtree(shop.folder / "cache")
    cache = shop.cache("later")
    assert (cache.prepare(old), shop.init(cache, old), shop.versions(old)) == (True, 0, {TINY: "1.0.0"})


def test_an_upgrade_finds_what_is_new_and_the_units_agree_on_it(shop: Workshop) -> None:
    units = [shop.unit(name) for name in ("a", "b")]
    cache = shop.cache()
    for unit in units:
        cache.prepare(unit)
    shop.network.versions[TINY]["1.2.0"] = package("tiny", "1.2.0")
    shop.network.asked.clear()
    later = shop.cache("later")
    ran = [later.prepare(shop.unit(unit.name, upgrade=True)) for unit in units]
    assert ran == [True, False]
    assert [shop.versions(unit) for unit in units] == [{TINY: "1.2.0"}] * 2
    assert [shop.init(later, unit) for unit in units] == [0, 0]
    assert (shop.lists_asked_for(), shop.network.downloads()) == (1, ["terraform-provider-tiny_1.2.0.zip"])


def test_different_requirements_share_what_is_the_same(shop: Workshop) -> None:
    cache = shop.cache()
    one, two = shop.unit("one"), shop.unit("two", {"acme/tiny": ">= 1.0.0", "acme/small": ""})
    assert [cache.prepare(unit) and shop.init(cache, unit) for unit in (one, two)] == [0, 0]
    assert shop.network.downloads() == ["terraform-provider-small_3.0.0.zip", "terraform-provider-tiny_1.1.0.zip"]


def test_built_in_providers_need_nothing(shop: Workshop) -> None:
    cache = shop.cache()
    assert not cache.prepare(shop.unit("none", {}))
    assert not cache.prepare(shop.unit("built-in", {"terraform.io/builtin/terraform": ""}))
    assert (shop.network.asked, (shop.folder / "cache").exists()) == ([], False)


def test_what_a_local_mirror_holds_needs_nothing(shop: Workshop, base_env: dict[str, str]) -> None:
    shop.cache("first").prepare(shop.unit("web"))
    mirror = shop.folder / "mirror"
    shutil.copytree(shop.cache().config.cached, mirror)
    shop.network.asked.clear()
    config = cli_config(base_env, [mirror], shop.folder / "other-cache", shop.folder / "local")
    cache = ProviderCache(shop.engine, config, shop.supervisor)
    unit = shop.unit("new")
    assert (cache.prepare(unit), shop.init(cache, unit), shop.network.asked) == (False, 0, [])


def test_a_mirror_beside_a_network_is_used_where_it_lies(shop: Workshop) -> None:
    """What comes from the user's own folder is not copied into the cache, and the network is not asked again for it."""
    shop.cache("first").prepare(shop.unit("web"))
    mirror = shop.folder / "mirror"
    shop.cache("first").config.cached.rename(mirror)
    rc = Path(shop.env["TF_CLI_CONFIG_FILE"])
    local = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n'
    rc.write_text(rc.read_text().replace("provider_installation {\n", local))
    shop.network.asked.clear()
    cache, unit = shop.cache("later"), shop.unit("both", {"acme/tiny": "", "acme/small": ""})
    assert cache.prepare(unit)
    asked = list(shop.network.asked)
    assert shop.init(cache, unit) == 0
    assert packages_in(cache.config.cached) == {(SMALL, "3.0.0", shop.engine.platform)}
    assert (shop.network.downloads(), shop.network.asked) == (["terraform-provider-small_3.0.0.zip"], asked)


def test_two_runs_at_once_download_once(shop: Workshop) -> None:
    """Each has its own cache object, as two processes have; the second waits for the first."""
    shop.network.slow_download = 0.3
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: shop.cache(name).prepare(shop.unit(name)), ["one", "two"]))
    assert shop.network.downloads() == ["terraform-provider-tiny_1.1.0.zip"]


def test_what_another_run_downloaded_is_installed_from_the_cache(shop: Workshop) -> None:
    mine, other = shop.cache("mine"), shop.cache("other")
    unit = shop.unit("web")
    other.prepare(unit)
    shop.network.asked.clear()
    assert (mine.prepare(unit), shop.init(mine, unit), shop.network.asked) == (False, 0, [])


KILLED = """
import os
import sys
from pathlib import Path
from infra_orch.engine.cli_config import cli_config
from infra_orch.engine.engine import find_engine
from infra_orch.engine.providers import ProviderCache, UnitToInit
from infra_orch.process import Supervisor
folder, unit = Path(sys.argv[1]), Path(sys.argv[2])
config = cli_config(os.environ, [], folder / "cache", folder / "killed")
cache = ProviderCache(find_engine("terraform"), config, Supervisor())
cache.prepare(UnitToInit("web", unit, {"acme/tiny": ""}, os.environ, folder / "logs" / "killed"))
"""


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_run_that_is_killed_in_the_middle_costs_nothing(shop: Workshop) -> None:
    shop.network.slow_download = 1.0
    unit = shop.unit("web")
    argv = [sys.executable, "-c", KILLED, str(shop.folder), str(unit.folder)]
    with subprocess.Popen(argv, env=shop.env, stderr=subprocess.DEVNULL) as process:
        wait_until(shop.network.downloads)
        process.kill()
    shop.network.slow_download = 0
    cache = shop.cache()
    with (cache.config.store / "lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Terraform, which goes on, holds it: nobody sweeps its folder
    assert cache.prepare(unit)
    assert shop.init(cache, unit) == 0
    assert list((cache.config.store / "incoming").iterdir()) == []
    assert packages_in(cache.config.cached) == {(TINY, "1.1.0", shop.engine.platform)}


def test_a_half_written_package_never_reaches_the_cache(shop: Workshop) -> None:
    shop.network.versions[TINY]["1.1.0"] = b"PK\x03\x04 not a zip"
    cache = shop.cache()
    with pytest.raises(UnavailableError, match="providers cannot be installed: Failed to install provider"):
        cache.prepare(shop.unit("web"))
    assert packages_in(cache.config.cached) == set()


def test_a_package_in_the_cache_is_never_written_again(shop: Workshop) -> None:
    """It may be running: what an interrupted earlier run left of its lock file is no reason to touch it."""
    cache = shop.cache()
    unit = shop.unit("web")
    cache.prepare(unit)
    (binary,) = cache.config.cached.glob("*/*/*/*/*/terraform-provider-*")
    before = binary.stat()
    (unit.folder / NAME).unlink()
    assert shop.cache("later").prepare(unit)
    assert (binary.stat().st_ino, binary.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_network_that_is_down_fails_every_unit_but_is_asked_once(shop: Workshop) -> None:
    shop.network.down = True
    cache = shop.cache()
    messages = []
    for name in ("one", "two", "three"):
        with pytest.raises(UnavailableError, match="Failed to query available provider packages") as caught:
            cache.prepare(shop.unit(name))
        messages.append(caught.value.hint)
    assert shop.lists_asked_for() == 1
    assert all(str(shop.folder / "logs" / "one") in hint for hint in messages)


def test_a_unit_that_is_wrong_fails_alone(shop: Workshop) -> None:
    cache = shop.cache()
    wrong, right = shop.unit("wrong"), shop.unit("right")
    (wrong.folder / "bad.tf").write_text("resource {\n")
    with pytest.raises(UserError, match="providers cannot be installed: ") as caught:
        cache.prepare(wrong)
    assert not isinstance(caught.value, UnavailableError)
    assert cache.prepare(right)


def test_a_read_only_lock_file_is_not_changed(shop: Workshop) -> None:
    shop.cache("first").prepare(shop.unit("web"))
    shutil.rmtree(shop.folder / "cache")
    unit = shop.unit("web", lockfile_readonly=True)
    before = unit.lock()
    cache = shop.cache()
    assert (cache.prepare(unit), unit.lock(), shop.init(cache, unit)) == (True, before, 0)


def test_a_read_only_lock_file_that_lacks_a_provider_is_an_error(shop: Workshop) -> None:
    unit = shop.unit("web", lockfile_readonly=True)
    with pytest.raises(UserError, match="providers cannot be installed"):
        shop.cache().prepare(unit)
    assert not unit.lock_path.exists()


def test_the_registrys_hashes_are_remembered_for_later_lock_files(shop: Workshop) -> None:
    """An init from the cache learns this platform's hash only; the registry's are for the whole team's platforms."""
    first = shop.cache()
    first.prepare(shop.unit("web"))
    registry = {"zh:" + "1" * 64, "zh:" + "2" * 64}
    record = first.config.store / "hashes" / TINY / "1.1.0"
    record.write_text("\n".join({*record.read_text().split(), *registry}))
    unit = shop.unit("new")
    cache = shop.cache("later")
    assert cache.prepare(unit)
    assert registry < locked_providers(unit.lock())[TINY].hashes
    assert shop.init(cache, unit) == 0


def test_hashes_that_came_with_a_lock_file_are_not_passed_on(shop: Workshop) -> None:
    unit = shop.unit("web")
    shop.cache().prepare(unit)
    shutil.rmtree(shop.folder / "cache")
    planted = "h1:" + "A" * 43 + "="
    unit.lock_path.write_text(with_hashes(unit.lock(), {TINY: {planted}}))
    cache = shop.cache("later")
    cache.prepare(unit)
    cache.prepare(new := shop.unit("new"))
    assert planted in unit.lock()
    assert planted not in new.lock()


def test_credentials_of_the_users_configuration_reach_both_files(shop: Workshop) -> None:
    config = shop.cache().config
    assert all('token = "t"' in file.read_text() for file in (config.unit_file, config.fill_file))


def test_a_cache_that_cannot_be_written_is_named(shop: Workshop) -> None:
    (shop.folder / "cache").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"the provider cache .*/cache/mirror-.* cannot be filled") as caught:
        shop.cache().prepare(shop.unit("web"))
    assert "INFRA_ORCH_PROVIDER_CACHE" in caught.value.hint


def test_a_stop_ends_the_wait_for_another_run(shop: Workshop) -> None:
    shop.network.slow_download = 1
    other = ProviderCache(shop.engine, shop.cache("other").config, Supervisor(patience=20))
    holder = threading.Thread(target=other.prepare, args=[shop.unit("one")])
    holder.start()
    wait_until(shop.network.downloads)
    threading.Timer(0.2, shop.supervisor.stop).start()
    with pytest.raises(InterruptedRun, match="two: stopped while it waited for the provider cache"):
        shop.cache("mine").prepare(shop.unit("two"))
    assert holder.is_alive()
    holder.join()


def test_a_stop_ends_a_download_and_leaves_nothing(shop: Workshop) -> None:
    shop.network.slow_download = 1
    cache = shop.cache()
    stopper = threading.Thread(target=lambda: (wait_until(shop.network.downloads), shop.supervisor.stop()))
    stopper.start()
    with pytest.raises(InterruptedRun):
        cache.prepare(shop.unit("web"))
    stopper.join()
    assert (packages_in(cache.config.cached), list((cache.config.store / "incoming").iterdir())) == (set(), [])


def test_the_cache_lies_in_the_users_cache_folder(base_env: dict[str, str], tmp_path: Path) -> None:
    xdg = {**base_env, "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    assert provider_cache_folder(xdg, None, tmp_path) == tmp_path / "xdg/infra-orch/providers"
    assert provider_cache_folder(xdg, str(tmp_path / "mine"), tmp_path) == tmp_path / "mine"
    assert provider_cache_folder(base_env, None, tmp_path).is_relative_to(base_env["HOME"])
    assert provider_cache_folder({"HOME": "/no/such/home"}, None, tmp_path) == tmp_path
