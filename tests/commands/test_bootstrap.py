"""`infra-orch bootstrap`: the bucket for states is made safely, once, and what is there already stays as it is."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from emulated_account import Account, Answer, Request, emulated_account
from local_http import Quiet, served
from test_apply import at_a_terminal
from test_schemas import check

if TYPE_CHECKING:
    from conftest import Desk

BUCKET = "acme-state"
ONE = 'resource "terraform_data" "it" {}\n'
PARTS = ["bucket", "ownership", "versioning", "encryption", "policy", "public access", "old versions"]


@pytest.fixture(scope="module")
def lasting_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with emulated_account(tmp_path_factory.mktemp("account")) as account:
        yield account


@pytest.fixture
def account(lasting_account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account with nothing in it, and the environment of somebody who is logged in there."""
    lasting_account.begin_anew()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(lasting_account.trusted))
    monkeypatch.setenv("AWS_ENDPOINT_URL", lasting_account.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return lasting_account


def backend(more: str = "", region: str = "eu-west-1") -> str:
    return f'S3Backend(bucket="{BUCKET}", region="{region}", use_path_style=True{more})'


def keeps(desk: Desk, where: str, stack: str = "prod", more: str = "") -> Desk:
    """Let a stack of one unit keep its state there."""
    spec = f"""
        from infra_orch import Backend, Credentials, LocalBackend, S3Backend, Stack

        stack = Stack("{stack}", backend={where}{more})
        stack.unit("one", module="one")
    """
    return desk.write({"modules/one/main.tf": ONE, f"stacks/{stack}/stack.py": spec})


@pytest.fixture
def prod(desk: Desk, account: Account) -> Desk:
    """A project whose stack `prod` keeps its state in a bucket that is not there."""
    return keeps(desk, backend())


def missing(desk: Desk) -> list[str]:
    """The parts that `--check` says are missing."""
    result = desk.run("bootstrap", "prod", "--check", "--json")
    (bucket,) = json.loads(result.out)["buckets"]
    found = [part["part"] for part in bucket["parts"] if part["status"] == "missing"]
    assert result.code == (1 if found else 0), result.err
    return found


def statements(account: Account) -> list[dict[str, Any]]:
    return list(json.loads(account.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"])


def make_bucket(account: Account, region: str = "eu-west-1") -> Any:
    s3 = account.client("s3", region)
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=BUCKET, **where)
    account.asked.clear()
    return s3


def test_a_bucket_is_made_as_a_bucket_for_states_should_be(prod: Desk, account: Account) -> None:
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert result.code == 0, result.err
    s3 = account.client("s3")
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    (owner,) = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
    (refuses,) = statements(account)
    assert (refuses["Effect"], refuses["Principal"], refuses["Action"]) == ("Deny", "*", "s3:*")
    assert refuses["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert refuses["Resource"] == [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    (lifecycle,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert lifecycle["NoncurrentVersionExpiration"]["NoncurrentDays"] == 365
    assert "Days" not in lifecycle["Expiration"]


def test_a_second_run_finds_all_in_order_and_changes_nothing(prod: Desk, account: Account) -> None:
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    account.asked.clear()
    again = prod.run("bootstrap", "prod", "--auto-approve")
    assert (again.code, account.writes()) == (0, [])
    assert "all is in order" in again.err


def test_what_would_be_made_is_shown_and_nothing_is_made_where_nobody_says_yes(prod: Desk, account: Account) -> None:
    result = prod.run("bootstrap", "prod")
    assert (result.code, account.writes()) == (77, [])
    assert [line.split("  ")[1].removeprefix("+ ") for line in result.out.splitlines()[1:]] == PARTS
    assert "--auto-approve" in result.err
    assert prod.run("bootstrap", "prod", "--json").code == 77


@pytest.mark.parametrize(("answer", "code"), [("y", 77), ("yes", 0)])
def test_somebody_who_is_there_is_asked_and_only_yes_is_a_yes(
    prod: Desk, account: Account, answer: str, code: int
) -> None:
    ended, seen = at_a_terminal(prod.root, "bootstrap", "prod", answers=(answer,))
    assert (ended, bool(account.writes())) == (code, code == 0), seen
    assert seen.index("block all of it") < seen.index(f"Make what is missing of {BUCKET}?")


def test_a_check_makes_nothing_and_says_what_is_missing(prod: Desk, account: Account) -> None:
    assert missing(prod) == PARTS
    assert account.writes() == []
    assert "infra-orch bootstrap prod makes it" in prod.run("bootstrap", "prod", "--check").err


def test_a_bucket_that_lacks_something_gets_exactly_that(prod: Desk, account: Account) -> None:
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    account.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    account.client("s3").delete_public_access_block(Bucket=BUCKET)
    assert missing(prod) == ["versioning", "public access"]
    account.asked.clear()
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    assert account.writes() == ["PUT ?versioning", "PUT ?publicAccessBlock"]
    assert missing(prod) == []


def test_a_bucket_in_the_first_region_is_made_without_naming_its_place(desk: Desk, account: Account) -> None:
    keeps(desk, backend(region="us-east-1"))
    assert desk.run("bootstrap", "prod", "--auto-approve").code == 0
    (made,) = [request for request in account.asked if request.what == "PUT"]
    assert b"LocationConstraint" not in made.body
    assert missing(desk) == []


def test_a_policy_that_is_there_keeps_all_that_it_says(prod: Desk, account: Account) -> None:
    own = {
        "Sid": "TlsOnly",  # a name that ours would have
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:role/ci"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    policy = {"Version": "2012-10-17", "Id": "ours", "Statement": own}
    make_bucket(account).put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    kept = json.loads(account.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert (kept["Id"], kept["Statement"][0]) == ("ours", own)
    assert [one["Sid"] for one in kept["Statement"]] == ["TlsOnly", "TlsOnly2"]
    assert missing(prod) == []


def test_a_policy_that_cannot_be_read_is_left_alone_and_the_statement_is_shown(prod: Desk, account: Account) -> None:
    make_bucket(account).put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Statement": ["what"]}))
    account.asked.clear()
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert (result.code, account.writes()) == (1, [])
    assert '"aws:SecureTransport": "false"' in result.err


def test_a_public_bucket_is_closed_and_its_policy_named(prod: Desk, account: Account) -> None:
    anybody = {"Sid": "Web", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    make_bucket(account).put_bucket_policy(Bucket=BUCKET, Policy=policy)
    account.asked.clear()
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert result.code == 0, result.err
    assert "lets anybody in: statement Web" in result.out
    order = account.writes()
    assert order.index("PUT ?policy") < order.index("PUT ?publicAccessBlock")  # else AWS would refuse the policy
    assert missing(prod) == []


def test_a_bucket_that_holds_something_gets_no_rule_by_which_anything_goes(prod: Desk, account: Account) -> None:
    make_bucket(account).put_object(Bucket=BUCKET, Key="precious", Body=b"1")
    assert "old versions" not in missing(prod)
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    assert "PUT ?lifecycle" not in account.writes()


def test_lifecycle_rules_that_are_there_stay(prod: Desk, account: Account) -> None:
    rule = {"ID": "mine", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
    make_bucket(account).put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    rules = account.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert [one["ID"] for one in rules] == ["mine"]


def test_a_bucket_that_may_not_be_looked_at_is_of_somebody_else(prod: Desk, account: Account) -> None:
    account.denies("HEAD")
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert (result.code, account.writes()) == (1, [])
    assert f'there is a bucket "{BUCKET}"' in result.err
    assert "another account" in result.err
    assert "choose another" in result.err


def test_a_bucket_of_another_account_that_lets_us_in_is_left_alone(prod: Desk, account: Account) -> None:
    make_bucket(account)

    def foreign(request: Request) -> Answer:
        return (403, "AccessDenied") if "X_AMZ_EXPECTED_BUCKET_OWNER" in request.headers else None

    account.rules.append(foreign)
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert (result.code, account.writes()) == (1, [])
    assert "not of the account 123456789012" in result.err


def test_a_bucket_whose_owner_cannot_be_asked_for_is_left_alone(prod: Desk, account: Account) -> None:
    make_bucket(account)

    def unsure(request: Request) -> Answer:
        return (400, "BadRequest") if "X_AMZ_EXPECTED_BUCKET_OWNER" in request.headers else None

    account.rules.append(unsure)
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert (result.code, account.writes()) == (1, [])
    assert f'the bucket "{BUCKET}": its owner' in result.err


def test_a_name_that_somebody_else_took_in_the_meantime_is_said(prod: Desk, account: Account) -> None:
    account.denies("PUT", 409, "BucketAlreadyExists")
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert (result.code, account.writes()) == (1, ["PUT"])
    assert "of another account" in result.err


def test_a_bucket_in_another_region_is_left_alone(prod: Desk, account: Account) -> None:
    make_bucket(account, "us-east-1")
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert (result.code, account.writes()) == (1, [])
    assert f'the bucket "{BUCKET}" is in us-east-1, and the backend says "eu-west-1"' in result.err
    assert 'region="us-east-1" in the backend' in result.err


def test_what_is_denied_half_way_is_said_and_made_by_the_next_run(prod: Desk, account: Account) -> None:
    account.denies("PUT ?policy")
    denied = prod.run("bootstrap", "prod", "--auto-approve", "--json")
    assert denied.code == 1
    assert "s3:PutBucketPolicy is needed" in denied.err
    check("bootstrap", json.loads(denied.out))
    (bucket,) = json.loads(denied.out)["buckets"]
    assert [part["part"] for part in bucket["parts"] if part["status"] != "made"] == ["policy"]
    account.rules.clear()
    assert missing(prod) == ["policy"]
    account.asked.clear()
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    assert account.writes() == ["PUT ?policy"]


def test_ctrl_c_half_way_leaves_what_is_made_and_the_next_run_makes_the_rest(prod: Desk, account: Account) -> None:
    over = threading.Event()

    def stop(request: Request) -> Answer:
        if request.what != "PUT ?encryption":
            return None
        os.kill(os.getpid(), signal.SIGINT)
        over.wait(30)
        return 500, "InternalError"

    account.rules.append(stop)
    stopped = prod.run("bootstrap", "prod", "--auto-approve")
    over.set()
    account.rules.clear()
    assert stopped.code == 130
    assert "the same command makes the rest" in stopped.err
    assert missing(prod) == PARTS[3:]
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    assert missing(prod) == []


def test_a_bucket_that_aws_has_only_just_made_is_waited_for(prod: Desk, account: Account) -> None:
    account.denies("PUT ?versioning", 409, "OperationAborted", times=1)
    account.denies("PUT ?encryption", 404, "NoSuchBucket", times=1)
    assert prod.run("bootstrap", "prod", "--auto-approve").code == 0
    assert missing(prod) == []


def test_credentials_that_are_no_good_and_a_place_where_nobody_answers_are_said(
    prod: Desk, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bucket(account)
    account.denies("POST", 403, "ExpiredToken")
    account.denies("HEAD", 400)  # without a body: S3 says no more than that
    expired = prod.run("bootstrap", "prod", "--check")
    assert expired.code == 69
    assert "the cloud credentials have expired" in expired.err
    account.rules.clear()
    account.denies("GET ?versioning", 400, "ExpiredToken")
    meanwhile = prod.run("bootstrap", "prod", "--check")
    assert meanwhile.code == 69
    assert "the cloud credentials have expired" in meanwhile.err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    nobody = prod.run("bootstrap", "prod", "--check")
    assert nobody.code == 69
    assert "no connection to http://127.0.0.1:9" in nobody.err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    without = prod.run("bootstrap", "prod", "--check")
    assert without.code == 69
    assert "there are no credentials" in without.err


def test_the_key_and_the_lock_table_of_the_backend_are_seen_to(desk: Desk, account: Account) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/5a1b"
    keeps(desk, backend(f', use_lockfile=False, dynamodb_table="locks", kms_key_id="{key}"'))
    assert missing(desk) == [*PARTS, "lock table"]
    assert desk.run("bootstrap", "prod", "--auto-approve").code == 0
    (rule,) = account.client("s3").get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    table = account.client("dynamodb").describe_table(TableName="locks")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "LockID", "KeyType": "HASH"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert missing(desk) == []


def test_a_table_that_cannot_lock_states_is_said(desk: Desk, account: Account) -> None:
    account.client("dynamodb").create_table(
        TableName="locks",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    keeps(desk, backend(', dynamodb_table="locks"'))
    result = desk.run("bootstrap", "prod", "--check")
    assert result.code == 1
    assert 'the table "locks" cannot lock states: its key is id' in result.err


@pytest.mark.parametrize(
    ("more", "of_stack"),
    [
        (', assume_role={"role_arn": "arn:aws:iam::123456789012:role/states"}', ""),
        ("", ', credentials=Credentials.role("arn:aws:iam::123456789012:role/states")'),
    ],
    ids=["in the backend", "of the stack"],
)
def test_it_is_made_by_the_role_that_terraform_would_be(desk: Desk, account: Account, more: str, of_stack: str) -> None:
    keeps(desk, backend(more), more=of_stack)
    result = desk.run("bootstrap", "prod", "--auto-approve")
    assert result.code == 0, result.err
    mine = {request.access_key for request in account.asked if request.what == "PUT"}
    assert len(mine) == 1
    assert "AKIAIOSFODNN7EXAMPLE" not in mine


def test_a_backend_that_says_more_than_is_known_is_refused(desk: Desk, account: Account) -> None:
    keeps(desk, backend(', assume_role={"role_arn": "arn:aws:iam::1:role/x", "policy": "x"}, http_proxy="http://p"'))
    result = desk.run("bootstrap", "prod", "--auto-approve")
    assert (result.code, account.asked) == (1, []), result.err
    assert "http_proxy, assume_role.policy in its backend" in result.err


def test_an_s3_that_is_not_aws_is_asked_for_what_it_has_alone(desk: Desk, account: Account, tmp_path: Path) -> None:
    keeps(desk, backend(f', endpoints={{"s3": "{account.url}"}}'))
    for what in ("GET ?ownershipControls", "GET ?publicAccessBlock", "GET ?lifecycle"):
        account.denies(what, 501, "NotImplemented")
    make_bucket(account)
    assert missing(desk) == ["versioning", "encryption", "policy"]
    assert desk.run("bootstrap", "prod", "--auto-approve").code == 0
    assert missing(desk) == []


def test_stacks_that_share_a_bucket_are_one_question(desk: Desk, account: Account) -> None:
    keeps(keeps(desk, backend()), backend(', key="other/{unit}"'), "other")
    keeps(desk, "LocalBackend()", "local")
    keeps(desk, 'Backend("gcs", bucket="b", prefix="{unit}")', "far")
    result = desk.run("bootstrap", "--all", "--auto-approve")
    assert result.code == 0, result.err
    assert result.out.count(BUCKET) == 1
    assert "for other, prod" in result.out
    assert "local: its states are files beside it" in result.err
    assert "far: its states lie elsewhere (gcs)" in result.err


def test_a_bucket_of_each_unit_is_one_each(desk: Desk, account: Account) -> None:
    keeps(desk, 'S3Backend(bucket="acme-{stack}-{unit}", region="eu-west-1", use_path_style=True)')
    spec = desk.root / "stacks/prod/stack.py"
    spec.write_text(f'{spec.read_text()}stack.unit("two", module="one")\n')
    assert desk.run("bootstrap", "prod", "--auto-approve").code == 0
    made = [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]]
    assert made == ["acme-prod-one", "acme-prod-two"]


def test_a_stack_with_states_beside_it_needs_no_bucket_and_that_is_said(desk: Desk, account: Account) -> None:
    keeps(desk, "LocalBackend()", "dev")
    result = desk.run("bootstrap", "dev")
    assert (result.code, account.asked) == (0, [])
    assert "dev: its states are files beside it (LocalBackend)" in result.err
    assert "S3Backend(" in result.err


def test_a_spec_that_is_wrong_makes_nothing(prod: Desk, account: Account) -> None:
    prod.write({"stacks/wrong/stack.py": "from infra_orch import Stack\n"})
    result = prod.run("bootstrap", "--all", "--auto-approve")
    assert (result.code, account.writes()) == (65, [])


def test_no_secret_of_the_environment_is_said(prod: Desk, account: Account) -> None:
    account.denies("PUT ?policy")
    result = prod.run("bootstrap", "prod", "--auto-approve")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in result.out + result.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ab cd", "letters, digits"),
        ("States", "3 to 63 small letters"),
        ("192.168.0.1", "an IP address"),
        ("xn--states", "begin with xn--"),
        ("states--x-s3", "end in --x-s3"),
    ],
)
def test_a_name_that_s3_does_not_allow_is_said_before_anybody_is_asked(
    desk: Desk, account: Account, name: str, said: str
) -> None:
    keeps(desk, backend().replace(BUCKET, name))
    done = desk.run("bootstrap", "prod", "--auto-approve")
    assert (done.code, done.out, account.writes()) == (1, "", [])
    assert f'stacks/prod/stack.py: no bucket can be called "{name}": ' in done.err
    assert said in done.err


@pytest.mark.parametrize("region", ["eu west 1", "eu_west_1"])
def test_a_region_that_is_none_is_said(desk: Desk, account: Account, region: str) -> None:
    done = keeps(desk, backend(region=region)).run("bootstrap", "prod", "--check")
    assert (done.code, f'stacks/prod/stack.py: there is no region "{region}"' in done.err) == (1, True)


class _Page(Quiet):
    def do_GET(self) -> None:
        self.answer(200, b"<html><body>Log in, please")

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()


def test_a_page_of_some_network_is_not_taken_for_s3(
    prod: Desk, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(_Page) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        done = prod.run("bootstrap", "prod", "--check")
    assert (done.code, "is not S3: its answer cannot be read" in done.err) == (69, True), done.err


def test_a_server_in_trouble_is_said_to_be_so(prod: Desk, account: Account) -> None:
    make_bucket(account)
    account.denies("GET ?versioning", 503, "SlowDown")
    done = prod.run("bootstrap", "prod", "--check")
    assert (done.code, "is in trouble" in done.err) == (69, True)


def test_a_profile_that_is_not_there_is_named(prod: Desk, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    done = prod.run("bootstrap", "prod", "--check")
    assert (done.code, "(nobody)" in done.err, "AWS_PROFILE" in done.err) == (69, True, True)
