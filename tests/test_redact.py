"""Secrets are found in whatever form they stand, and ordinary text stays as it is."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from infra_orch.errors import UsageError
from infra_orch.redact import MASK, Redactor, secret_name

ODD = 'p&ss<w>"rd\\ \u00e9${x}'
"""A secret with whatever is escaped somewhere."""


def knowing(*values: object) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.add(value)
    return redactor


@pytest.mark.parametrize(
    "form",
    [
        ODD,
        json.dumps(ODD),
        json.dumps(ODD, ensure_ascii=False),
        f"https://host/?q={quote(ODD, safe='')}",
        base64.b64encode(ODD.encode()).decode(),
        f"before{ODD}after",
    ],
)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    assert MASK in knowing(ODD).text(form)


def test_a_secret_is_found_as_terraform_writes_it(tmp_path: Path) -> None:
    value = ODD.replace("${", "$${").replace("\\", "\\\\").replace('"', '\\"')
    (tmp_path / "main.tf").write_text(f'output "x" {{\n  value = "{value}"\n}}\n')
    subprocess.run(["terraform", "init"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        ["terraform", "apply", "-auto-approve", "-json"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    (line,) = [line for line in done.stdout.splitlines() if '"type":"outputs"' in line and '"value"' in line]
    assert json.loads(line)["outputs"]["x"]["value"] == ODD
    assert json.loads(knowing(ODD).text(line))["outputs"]["x"]["value"] == MASK


def test_every_line_of_a_secret_is_one() -> None:
    key = "-----BEGIN THING-----\nMIIEowIBAAKCAQEA7\nqT8mZ1bXw0Q9fGhJk\n-----END THING-----\n"
    assert knowing(key).text("it said: qT8mZ1bXw0Q9fGhJk.") == f"it said: {MASK}."


def test_secrets_within_lists_and_maps_are_secrets() -> None:
    redactor = knowing({"a": ["first-secret", {"b": "second-secret"}], "n": 123456})
    assert redactor.text("first-secret second-secret 123456") == f"{MASK} {MASK} 123456"


def test_of_two_secrets_within_each_other_the_longer_one_goes() -> None:
    assert knowing("abcdef-12345", "abcdef-12345-67890").text("abcdef-12345-67890") == MASK


@pytest.mark.parametrize("value", ["1", "on", "prod", "", " ", True, 5, None])
def test_short_values_and_such_that_are_no_text_hide_nothing(value: object) -> None:
    text = "1 resource in prod is on: true, 5 to add"
    assert knowing(value).text(text) == text


def test_a_secret_that_could_be_a_word_hides_no_longer_words() -> None:
    assert knowing("orange").text("oranges, an orange, orange_juice") == f"oranges, an {MASK}, {MASK}_juice"


def test_what_everybody_knows_is_no_secret() -> None:
    redactor = knowing("network", "applied", "hunter22")
    redactor.keep(["network"])
    assert redactor.text("network: applied hunter22") == f"network: applied {MASK}"


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 10,
        "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_credential_is_one(text: str) -> None:
    assert Redactor().text(f"found {text} here") == f"found {MASK} here"


def test_of_a_url_only_the_password_goes() -> None:
    assert Redactor().text("postgres://app:hunter2@db/orders") == f"postgres://app:{MASK}@db/orders"


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("clone of https://", "x" * 30, "@example.com/a.git failed"),
        ("GET https://example.com/?a=1&access_token=", "s3cr3t", "&b=2"),
        ('"url":"https://example.com/?a=1\\u0026X-Amz-Signature=', "0a1b2c", '"'),
        ("?sv=2024&sig=", "a%2Fb%3D", " is refused"),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=", "a1/b2==", ";EndpointSuffix=x"),
        ("Server=db;User Id=app;Password=", "hunter2", ";Encrypt=yes"),
        ("Authorization: Bearer ", "abc.def", ""),
        ('{"Authorization": "Basic ', "YTpi", '"}'),
    ],
)  # fmt: skip
def test_of_a_connection_only_the_secret_goes(before: str, secret: str, after: str) -> None:
    masked = Redactor().text(before + secret + after)
    assert masked == before + MASK + after
    assert Redactor().text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://ada@example.com/", "git@example.com:acme/a.git", "?ref=v1&depth=1", "password = (sensitive)",
        "PWD=/home/ada", "the token is read from /run/token", "max_password_length=12",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_connection_stays(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "token",
    [
        "AIza" + "x" * 35, "ya29." + "x" * 30, "sk_live_" + "x" * 24, "npm_" + "x" * 36, "hvs." + "x" * 24,
        "x" * 14 + ".atlasv1." + "x" * 60, "pypi-" + "x" * 60,
        "-----BEGIN PGP PRIVATE KEY" + " BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
)  # fmt: skip
def test_tokens_of_others_are_known_by_their_shape(token: str) -> None:
    assert Redactor().text(f"it is {token}.") == f"it is {MASK}."


def test_patterns_of_a_project_do_not_get_in_each_others_way() -> None:
    redactor = Redactor([r"(?i)corp-(\d)\1", r"(b)\1"])
    assert redactor.text("CORP-11 corp-12 bb") == f"{MASK} corp-12 {MASK}"


def test_the_credentials_of_the_environment_are_secrets_and_paths_to_them_are_not() -> None:
    redactor = Redactor()
    redactor.add_environment(
        {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "TOKEN_FILE": "/run/token", "EDITOR": "nanonano"}
    )
    assert redactor.text("wJalrXUtnFEMI /run/token nanonano") == f"{MASK} /run/token nanonano"


@pytest.mark.parametrize(
    "name", ["password", "db_password", "env.API_TOKEN", 'env["DB_SECRET"]', "password_hash", "a.token[0]"]
)
def test_names_of_secrets(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize(
    "name", ["password_length", "secret_arn", "token_ttl", "keyboard", "secretary", "tokens_per_day"]
)
def test_names_that_only_speak_of_secrets(name: str) -> None:
    assert not secret_name(name)


def test_a_document_keeps_its_shape() -> None:
    redactor = knowing("hunter22")
    document = {"a": ["hunter22", 1, None, True], "password": "short", "list": [{"token": "x"}], "b": "is hunter22"}
    assert redactor.value(document) == {
        "a": [MASK, 1, None, True],
        "password": MASK,
        "list": [{"token": MASK}],
        "b": f"is {MASK}",
    }


def test_settings_add_patterns() -> None:
    assert Redactor([r"cust-\d+"]).text("for cust-123") == f"for {MASK}"


def test_a_pattern_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r'"\(" is not a regular expression'):
        Redactor(["("])
