"""`preview --bundle PLACE` and `apply --bundle PLACE`: what was previewed is applied after the merge, and nothing more."""

from __future__ import annotations

import json
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cloud_account import BUCKET, with_bucket
from cryptography.fernet import Fernet
from fake_github import TOKEN, GitHubServer, github_server

if TYPE_CHECKING:
    from conftest import Begin, Desk

REFUSED = 77
MODULE = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.text
    }

    output "text" {
      value = terraform_data.it.output
    }
    """
NETWORK = """
    from infra_orch import Stack

    stack = Stack("network")
    stack.unit("vpc", module="it", inputs={"text": "v1"})
    stack.unit("old", module="it", inputs={"text": "o"})
    """
APP = """
    from infra_orch import Stack

    stack = Stack("app")
    stack.unit("web", module="it", inputs={"text": Stack.reference("network").unit("vpc").outputs.text})
    stack.unit("aside", module="it", inputs={"text": "a"})
    """


@pytest.fixture
def change(begin: Begin) -> Desk:
    """Two applied stacks, and on a branch a change: one value goes through both of them, one unit leaves the spec."""
    return begin(changed)


def changed(desk: Desk) -> None:
    desk.write({"modules/it/main.tf": MODULE, "stacks/network/stack.py": NETWORK, "stacks/app/stack.py": APP})
    desk.commit()
    assert desk.run("apply", "--all", "--auto-approve").code == 0
    desk.git("branch", "-M", "main")
    desk.git("checkout", "-q", "-b", "feature")
    fewer = re.sub(r'\n *stack.unit\("old".*', "", NETWORK).replace("v1", "v2")
    desk.write({"stacks/network/stack.py": fewer})
    assert desk.run("render", "--all").code == 0
    desk.commit()


def previewed(desk: Desk, place: str, *options: str) -> None:
    done = desk.run("preview", "--base", "main", "--prune", "--bundle", place, *options)
    assert done.code == 0, done.err


def merged(desk: Desk) -> None:
    desk.git("checkout", "-q", "main")
    desk.git("merge", "-q", "--no-ff", "-m", "Merge the change", "feature")


def states(desk: Desk) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in desk.root.glob("stacks/*/state/*.tfstate")}


def test_what_was_previewed_on_a_branch_is_applied_after_the_merge(change: Desk, tmp_path: Path):
    place = str(tmp_path / "bundles") + "/"
    previewed(change, place)
    (bundle,) = (tmp_path / "bundles").iterdir()
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    merged(change)
    change.write({"stacks/network/record/runs/20260101T000000000Z-aaaaaa.json": "{}"})
    change.commit("a record of somebody else's")
    (tmp_path / "bundles" / "0-default.bundle").write_text("of another preview")
    done = change.run("apply", "--bundle", place, "--auto-approve", "--json")
    assert done.code == 0, done.err
    assert "planned anew" not in done.err
    runs = json.loads(done.out)["stacks"]
    doing = {f"{stack}/{name}": unit["status"] for stack, run in runs.items() for name, unit in run["units"].items()}
    assert doing == {"network/vpc": "applied", "network/old": "applied", "app/web": "applied"}
    assert change.run("plan", "--all", "--detailed-exitcode", "--prune").code == 0
    # Not again: the states are others by now, so it is planned anew, and there is nothing left to do.
    again = change.run("apply", "--bundle", place, "--auto-approve")
    assert again.code == 0
    assert "planned anew" in again.err


def test_where_more_has_come_to_it_nothing_is_applied_until_that_is_approved(change: Desk, tmp_path: Path):
    place = str(tmp_path / "preview.bundle")
    previewed(change, place)
    merged(change)
    change.write({"modules/it/main.tf": MODULE.replace("input = var.text", 'input = "${var.text}!"')})
    change.commit()
    before = states(change)
    refused = change.run("apply", "--bundle", place, "--auto-approve")
    assert refused.code == REFUSED
    assert "modules/it/main.tf has changed" in refused.err
    assert (
        "network/vpc: module.vpc.terraform_data.it: input would get another value than the preview showed"
        in refused.err
    )
    assert states(change) == before
    run_ids = re.search(r"infra-orch approve ([\w -]+) says", refused.err)
    approved = change.run("approve", *run_ids[1].split(), "--note", "the exclamation mark is meant")
    assert approved.code == 0, approved.err
    done = change.run("apply", "--bundle", place, "--auto-approve", "--json")
    assert done.code == 0, done.err
    runs = json.loads(done.out)["stacks"]
    assert runs["network"]["units"]["vpc"]["status"] == "applied"
    assert [one["by"] for one in runs["network"]["approvals"]] == ["Ada <ada@example.com>"]


def test_a_plan_that_does_the_same_on_other_content_is_applied(change: Desk, tmp_path: Path):
    place = str(tmp_path / "preview.bundle")
    previewed(change, place)
    merged(change)
    change.write({"modules/it/main.tf": MODULE + "\n    # what a comment says changes no plan\n"})
    change.commit()
    done = change.run("apply", "--bundle", place, "--auto-approve")
    assert done.code == 0, done.err
    assert "planned anew" in done.err
    assert change.run("plan", "network", "--detailed-exitcode", "--prune").code == 0


def test_an_output_that_gets_another_value_goes_beyond_the_preview(change: Desk, tmp_path: Path):
    place = str(tmp_path / "preview.bundle")
    change.write({"modules/it/main.tf": MODULE.replace("terraform_data.it.output", "var.text")})
    change.commit()
    previewed(change, place)
    merged(change)
    change.write({"modules/it/main.tf": MODULE.replace("terraform_data.it.output", '"somebody else\'s"')})
    change.commit()
    before = states(change)
    refused = change.run("apply", "--bundle", place, "--auto-approve")
    assert (refused.code, states(change)) == (REFUSED, before)
    assert "network/vpc: output text would get another value than the preview showed" in refused.err


def test_a_sealed_bundle_opens_with_its_key_alone(change: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = tmp_path / "preview.bundle"
    key, other = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("INFRA_ORCH_BUNDLE_KEY", key)
    previewed(change, str(place))
    assert not zipfile.is_zipfile(place)
    merged(change)
    before = states(change)
    monkeypatch.setenv("INFRA_ORCH_BUNDLE_KEY", other)
    assert change.run("apply", "--bundle", str(place), "--auto-approve").code == REFUSED
    monkeypatch.delenv("INFRA_ORCH_BUNDLE_KEY")
    without = change.run("apply", "--bundle", str(place), "--auto-approve")
    assert (without.code, "is sealed" in without.err) == (REFUSED, True)
    assert states(change) == before
    monkeypatch.setenv("INFRA_ORCH_BUNDLE_KEY", f"{other},{key}")
    done = change.run("apply", "--bundle", str(place), "--auto-approve")
    assert done.code == 0, done.err
    assert "planned anew" not in done.err


def test_where_there_is_a_key_what_is_not_sealed_is_refused(
    change: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = str(tmp_path / "preview.bundle")
    previewed(change, place)
    monkeypatch.setenv("INFRA_ORCH_BUNDLE_KEY", Fernet.generate_key().decode())
    refused = change.run("apply", "--bundle", place, "--auto-approve")
    assert refused.code == REFUSED
    assert "is not sealed" in refused.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["network"], "does not go with network"),
        (["--all"], "does not go with --all"),
        (["--unit", "vpc"], "goes with no --unit"),
        (["--affected", "--base", "main"], "or --affected"),
    ],
)
def test_what_a_bundle_says_is_not_said_twice(desk: Desk, arguments: list[str], says: str):
    refused = desk.run("apply", "--bundle", "preview.bundle", "--auto-approve", *arguments)
    assert refused.code == 64
    assert says in refused.err


def test_a_folder_without_a_preview_of_the_commit_says_so(change: Desk, tmp_path: Path):
    (tmp_path / "bundles").mkdir()
    refused = change.run("apply", "--bundle", str(tmp_path / "bundles"), "--auto-approve")
    assert refused.code == REFUSED
    assert f"has no preview of {change.git('rev-parse', 'HEAD')[:12]}" in refused.err


def test_the_preview_of_an_earlier_change_is_not_taken_for_that_of_a_merge(change: Desk, tmp_path: Path):
    place = str(tmp_path / "bundles") + "/"
    previewed(change, place)
    merged(change)
    assert change.run("apply", "--bundle", place, "--auto-approve").code == 0
    change.git("checkout", "-q", "-b", "later")
    change.write({"stacks/app/stack.py": APP.replace('"a"', '"b"')})
    assert change.run("render", "--all").code == 0
    change.commit()
    change.git("checkout", "-q", "main")
    change.git("merge", "-q", "--no-ff", "-m", "Merge what was not previewed", "later")
    (tmp_path / "bundles" / "0-default.bundle").write_text("so that there is not only one")
    refused = change.run("apply", "--bundle", place, "--auto-approve")
    assert refused.code == REFUSED
    assert "has no preview of" in refused.err


def test_what_goes_beyond_is_found_again_once_it_is_approved(change: Desk, tmp_path: Path):
    place = str(tmp_path / "bundles") + "/"
    previewed(change, place)
    (tmp_path / "bundles" / "0-default.bundle").write_text("so that there is not only one")
    change.git("checkout", "-q", "main")
    change.write({"modules/it/main.tf": MODULE.replace("input = var.text", 'input = "${var.text}!"')})
    change.commit()
    merged(change)
    refused = change.run("apply", "--bundle", place, "--auto-approve")
    assert refused.code == REFUSED
    run_ids = re.search(r"infra-orch approve ([\w -]+) says", refused.err)
    assert change.run("approve", *run_ids[1].split()).code == 0
    done = change.run("apply", "--bundle", place, "--auto-approve")
    assert done.code == 0, done.err


def test_a_bundle_that_was_changed_is_refused(change: Desk, tmp_path: Path):
    place = tmp_path / "preview.bundle"
    previewed(change, str(place))
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    refused = change.run("apply", "--bundle", str(place), "--auto-approve")
    assert refused.code == REFUSED
    assert "damaged" in refused.err or "not all of it" in refused.err


def test_a_preview_that_fails_leaves_no_bundle(change: Desk, tmp_path: Path):
    place = tmp_path / "preview.bundle"
    change.write({"modules/it/main.tf": MODULE.replace("input = var.text", "input = nowhere.text")})
    failed = change.run("preview", "--base", "main", "--bundle", str(place))
    assert failed.code == 1
    assert "no bundle was written" in failed.err
    assert not place.exists()


def test_a_bundle_is_kept_in_s3_and_found_by_the_merge(change: Desk, emulator: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFRA_ORCH_BUNDLE_KEY", Fernet.generate_key().decode())
    client = with_bucket(emulator, monkeypatch)
    previewed(change, f"s3://{BUCKET}/previews")
    (kept,) = client("s3").list_objects_v2(Bucket=BUCKET, Prefix="previews/")["Contents"]
    assert re.fullmatch(r"previews/[0-9a-f]{64}-default\.bundle", kept["Key"])
    merged(change)
    done = change.run("apply", "--bundle", f"s3://{BUCKET}/previews", "--auto-approve")
    assert done.code == 0, done.err
    assert "planned anew" not in done.err
    other = change.run("apply", "--bundle", "s3://no-such-bucket/previews", "--auto-approve")
    assert other.code == 69
    assert "s3://no-such-bucket/previews cannot be read" in other.err


@pytest.fixture
def github(change: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """GitHub, where the branch is pull request 7 of Ada's, which Eve may review."""
    with github_server() as server:
        server.permissions = {"eve": "write"}
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/infra")
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        monkeypatch.setenv("INFRA_ORCH_REQUIRE_APPROVALS", "1")
        monkeypatch.setattr("infra_orch.hosts.http._SLEEP", lambda _: None)
        yield server


def test_reviews_at_the_host_count_for_what_was_previewed(
    change: Desk, github: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = str(tmp_path / "preview.bundle")
    previewed(change, place)
    head = change.git("rev-parse", "HEAD")
    merged(change)
    github.add_pull(
        head=head, state="closed", merged_at="2026-11-28T12:00:00Z", merge_commit_sha=change.git("rev-parse", "HEAD")
    )
    before = states(change)
    assert change.run("apply", "--bundle", place, "--auto-approve").code == REFUSED
    monkeypatch.setenv("INFRA_ORCH_HOST_APPROVALS", "true")
    assert change.run("apply", "--bundle", place, "--auto-approve").code == REFUSED
    github.review({"id": 5, "login": "eve"}, "APPROVED", commit=head)
    unseen = change.run("apply", "--all", "--auto-approve")
    assert (unseen.code, states(change)) == (REFUSED, before)
    done = change.run("apply", "--bundle", place, "--auto-approve", "--json")
    assert done.code == 0, done.err
    (approval,) = json.loads(done.out)["stacks"]["network"]["approvals"]
    assert (approval["id"], approval["by"]) == ("pull request 7", "eve")


def test_a_host_that_does_not_answer_approves_nothing(
    change: Desk, github: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = str(tmp_path / "preview.bundle")
    previewed(change, place)
    monkeypatch.setenv("INFRA_ORCH_HOST_APPROVALS", "true")
    monkeypatch.delenv("GITHUB_TOKEN")
    refused = change.run("apply", "--bundle", place, "--auto-approve")
    assert refused.code == REFUSED
    assert "approvals at the host do not count: there is no token for GitHub" in refused.err


def test_plans_do_not_leave_the_machine_unsealed(desk: Desk):
    refused = desk.run("preview", "--base", "main", "--bundle", "s3://plans/app")
    assert refused.code == 64
    assert "they do not leave this one unsealed" in refused.err


def test_providers_do_not_see_the_key(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    from infra_orch.engine.environment import terraform_environment

    seen = terraform_environment({"INFRA_ORCH_BUNDLE_KEY": "secret", "HOME": "/home/me"})
    assert "INFRA_ORCH_BUNDLE_KEY" not in seen.values
    assert seen.warnings == ()
