"""Reading and writing the provider_installation block."""

from __future__ import annotations

import pytest

from infra_orch.engine.installation import (
    Method,
    UnreadableConfigError,
    filesystem_mirror,
    installation_text,
    split_config,
)

HOST = "registry.terraform.io"
WHOLE = """\
# plugin_cache_dir = "in a comment {"
plugin_cache_dir   = "/home/me/.cache" # mine
disable_checkpoint = true /* { */
credentials "app.terraform.io" {
  token = "abc}{\\"def"
}
host "example.com" { services = { "modules.v1" = "https://example.com/m/", other = "x" } }
provider_installation {
  dev_overrides {
    "hashicorp/null" = "/home/me/null"
  }
  // local first
  filesystem_mirror {
    path    = "/usr/share/my mirror"
    include = ["example.com/*/*", "acme/tiny",]
  }
  network_mirror {
    url     = "https://localhost/providers/"
    exclude = [
      "hashicorp/aws" # comes from elsewhere
    ]
  }
  direct { exclude = ["example.com/*/*"] }
}
plugin_cache_may_break_dependency_lock_file = false
"""


def test_a_whole_configuration_is_taken_apart() -> None:
    text, methods = split_config(WHOLE)
    assert methods == (
        Method("dev_overrides", '    "hashicorp/null" = "/home/me/null"\n  '),
        Method("filesystem_mirror", '    path    = "/usr/share/my mirror"', ("example.com/*/*", "acme/tiny")),
        Method("network_mirror", '    url     = "https://localhost/providers/"', (), ("hashicorp/aws",)),
        Method("direct", "", (), ("example.com/*/*",)),
    )
    assert methods[1].path == "/usr/share/my mirror"
    assert text == (
        '# plugin_cache_dir = "in a comment {"\n # mine\n'
        "disable_checkpoint = true /* { */\n"
        'credentials "app.terraform.io" {\n  token = "abc}{\\"def"\n}\n'
        'host "example.com" { services = { "modules.v1" = "https://example.com/m/", other = "x" } }\n'
        "\nplugin_cache_may_break_dependency_lock_file = false\n"
    )


def test_what_is_written_reads_as_the_same_methods() -> None:
    _, methods = split_config(WHOLE)
    assert methods is not None
    again = split_config(installation_text(methods))[1]
    assert again is not None
    assert [method.text().split() for method in again] == [method.text().split() for method in methods]


def test_no_block_is_told_from_an_empty_one() -> None:
    assert [split_config("disable_checkpoint = true\n")[1], split_config("provider_installation {}\n")[1]] == [None, ()]


@pytest.mark.parametrize(
    "text",
    [
        '{"provider_installation": [{"direct": [{}]}]}',
        "garbage {",
        "provider_installation = { direct {} }",
        "provider_installation {}\nprovider_installation {}",
        'provider_installation { direct = "x" }',
        'a = "not closed',
        "a =",
        "a = }",
        "= 3",
        "a [ }",
        "%",
    ],
)
def test_what_is_not_understood_is_said(text: str) -> None:
    with pytest.raises(UnreadableConfigError):
        split_config(text)


def test_heredocs_are_skipped_whole() -> None:
    text = "a = <<EOT\nprovider_installation {\nEOT\nb = <<-END\n  }\n  END\n"
    assert split_config(text) == (text, None)


@pytest.mark.parametrize(
    ("method", "served"),
    [
        (Method("direct"), True),
        (Method("direct", include=("hashicorp/*",)), False),
        (Method("direct", include=("acme/tiny",)), True),
        (Method("direct", include=("*/*/*",)), True),
        (Method("direct", include=("example.com/*/*",)), False),
        (Method("direct", include=(f"{HOST}/acme/*",)), True),
        (Method("direct", include=("acme/*",), exclude=("acme/tiny",)), False),
        (Method("direct", exclude=("acme/small",)), True),
        (Method("direct").without(["registry.terraform.io/acme/tiny"]), False),
    ],
)
def test_patterns_say_which_providers_a_method_serves(method: Method, served: bool) -> None:
    assert method.serves(f"{HOST}/acme/tiny", HOST) is served


def test_a_strange_path_survives() -> None:
    path = '/with "quotes" \\ and ünïcode'
    _, methods = split_config(installation_text([filesystem_mirror(path, ["a/b/c"])]))
    assert methods is not None
    assert (methods[0].path, methods[0].include) == (path, ("a/b/c",))
