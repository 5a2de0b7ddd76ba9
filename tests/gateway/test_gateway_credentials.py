"""The digest of all files that credentials can come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra_orch.gateway.credentials import credentials_digest


def digest(home: Path, configuration: Any = None, **environment: str) -> str:
    return credentials_digest({"HOME": str(home), **environment}, configuration, home)


@pytest.mark.parametrize(
    "name",
    [
        ".aws/credentials",
        ".aws/config",
        ".aws/sso/cache/token.json",
        ".aws/cli/cache/role.json",
        ".config/gcloud/application_default_credentials.json",
        ".azure/msal_token_cache.json",
        ".kube/config",
    ],
)
def test_what_clouds_read_at_home_changes_the_digest_by_its_content_and_its_time(home: Path, name: str) -> None:
    path = home / name
    path.parent.mkdir(parents=True)
    found = [digest(home)]
    for text, time in (("old", 1), ("new", 1), ("new", 2)):
        path.write_text(text)
        os.utime(path, (time, time))
        found.append(digest(home))
    assert len(set(found)) == 4
    assert digest(home) == found[-1]


@pytest.mark.parametrize(
    "about",
    [
        lambda path: {"AWS_SHARED_CREDENTIALS_FILE": str(path)},
        lambda path: {"AWS_WEB_IDENTITY_TOKEN_FILE": f"~/{path.name}"},
        lambda path: {"AWS_CONFIG_FILE": f"../{path.parent.name}/{path.name}"},
        lambda path: {"configuration": {"shared_credentials_files": [str(path)]}},
        lambda path: {"configuration": {"assume_role": [{"token_file": f"~/{path.name}"}]}},
    ],
)
def test_a_file_that_a_variable_or_the_configuration_names_changes_the_digest(home: Path, about: Any) -> None:
    path = home / "token"
    missing = digest(home, **about(path))
    path.write_text("old")
    old = digest(home, **about(path))
    path.write_text("newer")
    assert len({missing, old, digest(home, **about(path))}) == 3


def test_other_files_and_odd_variables_do_not_change_the_digest(home: Path) -> None:
    odd: Mapping[str, str] = {"NAME": "/" + "x" * 5000, "LINES": "/a\nb", "LONG": "/" + "y" * 1000, "FOLDER": str(home)}
    before = digest(home, **odd)
    (home / "notes").write_text("nobody asked")
    assert digest(home, **odd) == before
