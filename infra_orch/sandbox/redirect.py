"""Point a run at the emulator: the environment of its programs, and the override file of its root module.

Two things decide where the AWS provider goes. Its environment: `AWS_ENDPOINT_URL` redirects every service, STS
included. And its `provider` block, whose own `endpoints`, keys, profile and proxies win over the environment: an
override file takes those back (https://developer.hashicorp.com/terraform/language/files/override). An `endpoints`
attribute that names services costs the provider seconds at every start, so the block stays empty.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra_orch.engine.emulated import ACCESS_KEY, SECRET_KEY
from infra_orch.render.hcl import quote

OVERRIDE_NAME = "infra_orch_sandbox_override.tf"
DEAD_PROXY = "http://127.0.0.1:1"
"""Port 1 (tcpmux) is reserved and closed everywhere that matters: whatever is sent to it is refused at once."""

_LOOPBACK = "127.0.0.1,localhost"
_REGION_NAMES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_ATTEMPTS = "3"
"""The provider's own default of 25 attempts, which AWS_MAX_ATTEMPTS does not change, makes a defect of the emulator a
wait of many minutes. The variable is for the programs that a stack's tasks start."""
_SET_ARGUMENTS = {"max_retries": _ATTEMPTS, "s3_use_path_style": "true", "skip_metadata_api_check": "true"}

NULLED_ARGUMENTS = (
    "access_key",
    "allowed_account_ids",
    "custom_ca_bundle",
    "ec2_metadata_service_endpoint",
    "ec2_metadata_service_endpoint_mode",
    "forbidden_account_ids",
    "http_proxy",
    "https_proxy",
    "insecure",
    "no_proxy",
    "profile",
    "retry_mode",
    "s3_us_east_1_regional_endpoint",
    "secret_key",
    "shared_config_files",
    "shared_credentials_files",
    "sts_region",
    "token",
    "token_bucket_rate_limiter_capacity",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
)
"""Arguments of hashicorp/aws 5.100.0 (`terraform providers schema -json`) that choose an address, a credential, an
account or a patience. `region`, `assume_role`, `default_tags` and `ignore_tags` stay: the emulator understands them."""

_WEB_IDENTITY = "assume_role_with_web_identity"
_INERT = frozenset({"archive", "aws", "cloudinit", "local", "null", "random", "template", "time", "tls"})
_HOSTS = frozenset({"registry.terraform.io", "registry.opentofu.org"})


@dataclass(frozen=True)
class Redirect:
    """What to change in an environment.

    `remove` holds names, or prefixes that end in `*`; `keep` names are spared from it. `set` is what is put in
    afterwards. `defaults` is put in only where the environment has none of the names in `keep`.
    """

    set: Mapping[str, str]
    remove: tuple[str, ...]
    keep: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProviderUse:
    """A `provider` block of a root module: its local name, its alias, and which arguments the block sets.

    `arguments` None means that nobody knows: all of NULLED_ARGUMENTS are taken back then, which needs a provider that
    has them all (hashicorp/aws from 5.70 on). Where it is known, only those that the block sets are taken back.
    """

    name: str
    alias: str | None = None
    arguments: frozenset[str] | None = None


def sandbox_environment(url: str, region_default: str = "us-east-1", *, registry: bool = False) -> Redirect:
    """What makes programs that speak to AWS speak to the emulator at *url*, with nothing real in their hands.

    Every `AWS_*` variable goes, but for the region: profiles, roles, tokens, endpoints of single services, CA bundles.
    The user's AWS files are hidden, and every proxy points at a closed port, so that what would leave is refused.
    *registry* True leaves the user's proxies as they are: for `init`, which may download modules and providers.
    *region_default* is the region where the environment names none (a profile's region is not seen).
    """
    settings = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": _ATTEMPTS,
    }
    if not registry:
        settings |= closed_proxies()
    return Redirect(
        set=settings,
        remove=("AWS_*", "BOTO_CONFIG", "TF_AWS_*", "TF_REATTACH_PROVIDERS"),
        keep=_REGION_NAMES,
        defaults={"AWS_REGION": region_default},
    )


def closed_proxies() -> dict[str, str]:
    """Variables, in both cases of letters, that let HTTP clients reach this machine's loopback and nothing else."""
    names = dict.fromkeys(_PROXY_NAMES, DEAD_PROXY) | {"NO_PROXY": _LOOPBACK}
    return names | {name.lower(): value for name, value in names.items()}


def apply_redirect(env: Mapping[str, str], redirect: Redirect) -> dict[str, str]:
    """Return *env* with *redirect* applied; *env* itself stays as it is."""
    left = {name: value for name, value in env.items() if name in redirect.keep or not _matches(name, redirect.remove)}
    if not any(left.get(name) for name in redirect.keep):
        left.update(redirect.defaults)
    return {**left, **redirect.set}


def override_file(providers: Sequence[ProviderUse], state_path: str) -> str:
    """The text of OVERRIDE_NAME for a root module that has these `provider` blocks; `terraform fmt` leaves it alone.

    State goes to *state_path*, a local file, whatever backend the module names. Providers other than `aws` get no block
    (see `unsupported`). A block that the module does not have must not be named: Terraform refuses such an override.
    """
    backend = f'terraform {{\n  backend "local" {{\n    path = {quote(state_path)}\n  }}\n}}\n'
    return "\n".join([backend, *(_provider(use) for use in providers if use.name == "aws")])


def unsupported(providers: Sequence[str]) -> list[str]:
    """Which of these provider source addresses (`hashicorp/aws`, `registry.terraform.io/hashicorp/aws`) may not run.

    Allowed are the AWS provider and those that reach nothing outside the machine. `external` and `http` reach whatever
    their user likes. Sorted, each once, as they were given.
    """
    return sorted({address for address in providers if not _inert(address)})


def _inert(address: str) -> bool:
    parts = address.lower().split("/")
    if parts == ["terraform.io", "builtin", "terraform"]:
        return True
    if len(parts) == 3 and parts[0] in _HOSTS:
        parts = parts[1:]
    if len(parts) == 1:  # the short form of Terraform 0.12 means hashicorp's; "terraform" is built in
        parts = ["hashicorp", *parts]
    return len(parts) == 2 and parts[0] == "hashicorp" and (parts[1] in _INERT or parts[1] == "terraform")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)


def _provider(use: ProviderUse) -> str:
    nulled = [name for name in NULLED_ARGUMENTS if use.arguments is None or name in use.arguments]
    arguments = dict.fromkeys(nulled, "null") | _SET_ARGUMENTS
    if use.alias is not None:
        arguments["alias"] = quote(use.alias)
    width = max(len(name) for name in arguments)
    lines = [f"  {name.ljust(width)} = {value}" for name, value in sorted(arguments.items())]
    # An empty dynamic block stands in for the original and comes to nothing: with web identity the provider would read
    # a token file, which exists only where the real role is used. A plain empty block would be refused as incomplete.
    blocks = ["  endpoints {}"]
    if use.arguments is None or _WEB_IDENTITY in use.arguments:
        blocks += ["", f'  dynamic "{_WEB_IDENTITY}" {{', "    for_each = []", "    content {}", "  }"]
    return "\n".join(['provider "aws" {', *lines, "", *blocks, "}", ""])
