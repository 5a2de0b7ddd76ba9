"""The CLI configuration that Terraform is given, and what the real Terraform makes of it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from infra_orch.engine.cli_config import CliConfig, cli_config
from infra_orch.engine.engine import Engine

TINY = "registry.terraform.io/acme/tiny"


@pytest.fixture
def make(tmp_path: Path):
    def make(env: dict[str, str], *mirrors: Path, engine: str = "terraform") -> CliConfig:
        return cli_config(env, mirrors, tmp_path / "cache", tmp_path / "cli", engine=engine)  # type: ignore[arg-type]

    return make


def package(folder: Path, address: str = TINY, version: str = "1.0.0", platform: str = "linux_amd64") -> Path:
    name = address.rsplit("/", 1)[1]
    path = folder / address / version / platform
    path.mkdir(parents=True)
    (path / f"terraform-provider-{name}_v{version}").touch(0o755)
    return folder


def init(
    terraform: Engine, folder: Path, env: dict[str, str], config: CliConfig, required: str
) -> subprocess.CompletedProcess[str]:
    """Init a unit that requires providers."""
    folder.mkdir(exist_ok=True)
    (folder / "main.tf").write_text(f"terraform {{\n  required_providers {{\n    {required}\n  }}\n}}\n")
    argv = [*terraform.program, "init", "-no-color", "-input=false"]
    return subprocess.run(
        argv, cwd=folder, env={**env, **config.env}, capture_output=True, check=False, text=True, timeout=60
    )


def test_without_anything_only_the_registry_is_named(make, base_env) -> None:
    config = make(base_env)
    assert config.unit_file.read_text().endswith("provider_installation {\n  direct {\n  }\n}\n")
    assert (config.env, config.warnings, config.origin) == (
        {"TF_CLI_CONFIG_FILE": str(config.unit_file)},
        (),
        "generated",
    )


def test_the_files_are_for_their_owner(make, base_env) -> None:
    config = make(base_env)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (config.folder, config.unit_file, config.fill_file)]
    assert modes == [0o700, 0o600, 0o600]


def test_a_mirror_is_the_only_source_of_what_it_holds(make, base_env, tmp_path: Path, terraform: Engine) -> None:
    mirror = package(tmp_path / "my mirror", platform=terraform.platform)
    config = make(base_env, mirror)
    done = init(terraform, tmp_path / "unit", base_env, config, 'tiny = { source = "acme/tiny" }')
    missing = init(
        terraform, tmp_path / "other", base_env, config, 'tiny = { source = "acme/tiny", version = "2.0.0" }'
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no available releases match" in " ".join(missing.stderr.split())
    assert (config.is_downloaded(TINY), config.is_downloaded("registry.terraform.io/acme/other")) == (False, True)


def test_what_the_cache_holds_is_asked_for_nowhere_else(make, base_env, tmp_path: Path, terraform: Engine) -> None:
    config = make(base_env)
    package(config.cached, platform=terraform.platform)
    config.write()
    done = init(terraform, tmp_path / "unit", base_env, config, 'tiny = { source = "acme/tiny" }')
    assert (done.returncode, done.stderr) == (0, "")
    link = tmp_path / "unit/.terraform/providers" / TINY / "1.0.0" / terraform.platform
    assert link.readlink() == config.cached / TINY / "1.0.0" / terraform.platform


def test_a_missing_file_is_survived_with_one_warning(make, base_env, tmp_path: Path, terraform: Engine) -> None:
    env = {**base_env, "TF_CLI_CONFIG_FILE": "/no/such/file"}
    (Path(base_env["HOME"]) / ".terraformrc").write_text("garbage {")
    config = make(env)
    version = subprocess.run(
        [*terraform.program, "version"], env={**env, **config.env}, capture_output=True, check=False, text=True
    )
    assert config.warnings == ('TF_CLI_CONFIG_FILE names "/no/such/file", which does not exist; going on without it',)
    assert (version.returncode, version.stderr) == (0, "")


def test_the_users_own_text_is_kept_but_for_the_plugin_cache(make, base_env) -> None:
    text = 'credentials "example.com" {\n  token = "t"\n}\nplugin_cache_dir = "/c"\n'
    (Path(base_env["HOME"]) / ".terraformrc").write_text(text)
    config = make(base_env)
    assert text.replace('plugin_cache_dir = "/c"\n', "") in config.unit_file.read_text()
    assert "plugin_cache_dir" not in config.unit_file.read_text()
    assert config.origin == f"generated from {base_env['HOME']}/.terraformrc"


def test_files_beside_the_main_one_are_read_as_terraform_reads_them(make, base_env) -> None:
    """Terraform leaves ~/.terraform.d/*.tfrc out as soon as TF_CLI_CONFIG_FILE is set, which we set."""
    home = Path(base_env["HOME"])
    (home / ".terraform.d").mkdir()
    (home / ".terraform.d" / "work.tfrc").write_text('host "example.com" {\n  services = {}\n}\n')
    (home / ".terraformrc").write_text("disable_checkpoint = true")
    text = make(base_env).unit_file.read_text()
    assert all(part in text for part in ('host "example.com"', "disable_checkpoint = true\n"))


def test_tofu_has_a_file_and_a_registry_of_its_own(make, base_env) -> None:
    home = Path(base_env["HOME"])
    (home / ".terraformrc").write_text("# terraform's")
    (home / ".tofurc").write_text("# tofu's")
    configs = [make(base_env, engine=engine) for engine in ("terraform", "tofu")]
    assert [config.origin.rsplit("/", 1)[1] for config in configs] == [".terraformrc", ".tofurc"]
    assert configs[1].default_host == "registry.opentofu.org"


@pytest.mark.parametrize("variable", ["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"])
def test_a_provider_installation_of_the_users_is_respected(
    make, base_env, tmp_path: Path, terraform: Engine, variable: str
) -> None:
    ours, theirs = package(tmp_path / "ours", platform=terraform.platform), tmp_path / "theirs"
    package(theirs, "registry.terraform.io/acme/small", platform=terraform.platform)
    rc = tmp_path / "user.tfrc"
    rc.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{theirs}"\n  }}\n}}\n')
    config = make({**base_env, variable: str(rc)}, ours)
    small = init(terraform, tmp_path / "a", base_env, config, 'small = { source = "acme/small" }')
    tiny = init(terraform, tmp_path / "b", base_env, config, 'tiny = { source = "acme/tiny" }')
    assert (small.returncode, tiny.returncode, config.origin) == (0, 1, str(rc))
    assert not config.is_downloaded(TINY)


def test_a_file_that_is_not_understood_is_used_as_it_is(make, base_env, tmp_path: Path, terraform: Engine) -> None:
    theirs = package(tmp_path / "theirs", platform=terraform.platform)
    rc = tmp_path / "user.tfrc"
    rc.write_text(f'{{"provider_installation": [{{"filesystem_mirror": [{{"path": "{theirs}"}}]}}]}}')
    config = make({**base_env, "TF_CLI_CONFIG_FILE": str(rc)})
    done = init(terraform, tmp_path / "unit", base_env, config, 'tiny = { source = "acme/tiny" }')
    assert (done.returncode, len(config.warnings)) == (0, 1)
    assert f"{rc} is used as it is" in config.warnings[0]


def test_different_ways_to_download_share_no_cache(make, base_env, tmp_path: Path) -> None:
    stores = []
    for number, block in enumerate(
        (
            "",
            "provider_installation {\n  direct {\n    exclude = []\n  }\n}\n",
            'provider_installation {\n  network_mirror {\n    url = "https://a/"\n  }\n}\n',
            'provider_installation {\n  network_mirror {\n    url = "https://b/"\n  }\n}\n',
        )
    ):
        rc = tmp_path / f"{number}.tfrc"
        rc.write_text(block)
        stores.append(make({**base_env, "TF_CLI_CONFIG_FILE": str(rc)}).store)
    assert stores[0] == stores[1]
    assert len({*stores}) == 3


def test_no_home_is_no_reason_to_fail(make, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert make({"PATH": "/bin"}).origin == "generated"
