"""The S3 bucket that an S3 backend keeps states in, and the table that it locks them by: what is missing there.

What is missing is made, and what is there is never made anew: each part is asked for first, and a policy or a
configuration that somebody wrote keeps all that it says. The parts stand in the order in which they can be made: once
public access is blocked, AWS takes no policy any more that lets anybody in, be it only for a statement that we add.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra_orch.engine.aws_credentials import Keys
from infra_orch.engine.bucket_access import DENIED, BucketAccess, NotHadError, code_of
from infra_orch.engine.bucket_name import BucketNameError, refuse_name
from infra_orch.engine.bucket_policy import lets_anybody_in, refuses_plain, statements, tls_only
from infra_orch.errors import UserError

OLD_VERSION_DAYS, OLD_VERSIONS_KEPT, UPLOAD_DAYS = 365, 20, 7
"""Old versions go after so many days, and so many of each state stay for good; what was half uploaded goes, too."""

_NOT_YET = frozenset({"NoSuchBucket", "OperationAborted"})
"""What AWS says of a bucket that it has only just made."""
_ATTEMPTS, _WAIT_SECONDS = 6, 0.4
_PUBLIC = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_LIFECYCLE_TOLD = (
    f"let them go after {OLD_VERSION_DAYS} days; of each state the newest {OLD_VERSIONS_KEPT} old ones stay for good"
)


@dataclass(frozen=True)
class Part:
    """One thing that belongs to a bucket for states: what was *found*, and what is *to do* (empty: nothing).

    *warning* says what of it somebody should look at.
    """

    name: str
    found: str
    todo: str = ""
    warning: str = ""


class StateBucket:
    """The bucket that the *arguments* of an S3 backend name, as whoever they name works with it; *keys*: credentials
    that are used where the arguments have none.

    Raises UserError where the arguments say more than can be followed, CredentialsError where a role cannot be assumed.
    """

    def __init__(self, arguments: Mapping[str, Any], keys: Keys | None = None) -> None:
        self._access = BucketAccess(arguments, keys)
        self.bucket, self.region = self._access.bucket, self._access.region
        self.table = str(arguments.get("dynamodb_table") or "")
        self._kms_key = str(arguments.get("kms_key_id") or "")

    @property
    def account(self) -> str:
        """The account of the credentials; empty where nobody says. Raises UnavailableError where they are no good."""
        return self._access.account

    def parts(self) -> Sequence[Part]:
        """Return each part as it is now.

        Raises UserError for a bucket that cannot be the one: another account's, in another region; and where somebody
        may not look at it. UnavailableError where nobody answers, or the credentials are not accepted.
        """
        refuse_name(self.bucket, new=False)
        # Before the bucket: an answer to HEAD has no body, so S3 cannot say there what is wrong with the credentials.
        account = self.account
        is_there = self._is_there()
        if not is_there:
            refuse_name(self.bucket, new=True)
        place = f"{self.region}{f', account {account}' if account else ''}"
        parts = [
            Part("bucket", "it is there") if is_there else Part("bucket", "it is not there", f"make it in {place}")
        ]
        looks: Sequence[tuple[str, Callable[[], Part], str]] = (
            ("ownership", self._ownership, "its owner's alone: no access lists"),
            ("versioning", self._versioning, "keep the versions that a state had before"),
            ("encryption", self._encryption, self._wanted_encryption()),
            ("policy", self._policy, self._wanted_policy()),
            ("public access", self._public_access, "block all of it"),
            ("old versions", self._old_versions, _LIFECYCLE_TOLD),
        )
        parts += [look() if is_there or not todo else Part(name, "", todo) for name, look, todo in looks]
        return [*parts, *([self._lock_table()] if self.table else [])]

    def make(self, name: str) -> None:
        """Make the part *name*, which is not there. Raises as parts() does, saying what may not be done."""
        makes: Mapping[str, tuple[Callable[[], object], str]] = {
            "bucket": (self._make_bucket, "s3:CreateBucket"),
            "ownership": (self._own, "s3:PutBucketOwnershipControls"),
            "versioning": (self._keep_versions, "s3:PutBucketVersioning"),
            "encryption": (self._encrypt, "s3:PutEncryptionConfiguration"),
            "policy": (self._refuse_plain, "s3:PutBucketPolicy"),
            "public access": (self._block_public, "s3:PutBucketPublicAccessBlock"),
            "old versions": (self._expire, "s3:PutLifecycleConfiguration"),
            "lock table": (self._make_table, "dynamodb:CreateTable and dynamodb:DescribeTable"),
        }
        make, permission = makes[name]
        with self._access.explained(f"its {name}" if name != "bucket" else "it", permission):
            self._patiently(make)

    @property
    def _s3(self) -> Any:
        return self._access.client("s3")

    def _is_there(self) -> bool:
        """Whether the bucket is there, ours, and where it should be."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        with self._access.explained("it", "s3:ListBucket"):
            try:
                answer = self._s3.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                code = code_of(error)
                if code in ("404", "NoSuchBucket", "NotFound"):
                    return False
                if code in DENIED:
                    raise self._not_ours("these credentials may not look at it: it is of another account") from error
                raise
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = str(answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or self.region)
        if region != self.region:
            raise BucketNameError(
                f'the bucket "{self.bucket}" is in {region}, and the backend says "{self.region}"',
                hint=f'region="{region}" in the backend, or another name for the bucket',
            )
        self._refuse_foreign()
        return True

    def _refuse_foreign(self) -> None:
        """Refuse a bucket that lets us in, and is of another account."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        if not self.account:
            return
        with self._access.explained("its owner", "s3:ListBucket"):
            try:
                self._s3.head_bucket(Bucket=self.bucket, ExpectedBucketOwner=self.account)
            except ClientError as error:
                if code_of(error) in DENIED:
                    raise self._not_ours(f"it is not of the account {self.account}") from error
                raise

    def _not_ours(self, why: str) -> UserError:
        return BucketNameError(
            f'there is a bucket "{self.bucket}", and {why}'
            + ("" if "account " in why else ", or s3:ListBucket is missing"),
            hint="names of buckets are shared by all of AWS: choose another, or run this with its owner's credentials",
        )

    # What is there.

    def _ownership(self) -> Part:
        try:
            answer = self._access.ask(
                "its ownership",
                "s3:GetBucketOwnershipControls",
                "OwnershipControlsNotFoundError",
                lambda: self._s3.get_bucket_ownership_controls(Bucket=self.bucket),
            )
        except NotHadError:
            return Part("ownership", "this S3 has no such setting")
        rules = answer["OwnershipControls"]["Rules"] if answer else []
        found = next((str(rule["ObjectOwnership"]) for rule in rules), "")
        if found == "BucketOwnerEnforced":
            return Part("ownership", "its owner's alone")
        return Part(
            "ownership", f"access lists count ({found or 'not set'})", "its owner's alone: access lists count no more"
        )

    def _versioning(self) -> Part:
        try:
            answer = self._access.ask(
                "its versioning",
                "s3:GetBucketVersioning",
                "",
                lambda: self._s3.get_bucket_versioning(Bucket=self.bucket),
            )
        except NotHadError:
            return Part("versioning", "this S3 has none", warning="a state that is overwritten is lost")
        status = str(answer.get("Status") or "off")
        if status == "Enabled":
            return Part("versioning", "on")
        return Part("versioning", status.lower(), "keep the versions that a state had before")

    def _encryption(self) -> Part:
        try:
            answer = self._access.ask(
                "its encryption",
                "s3:GetEncryptionConfiguration",
                "ServerSideEncryptionConfigurationNotFoundError",
                lambda: self._s3.get_bucket_encryption(Bucket=self.bucket),
            )
        except NotHadError:
            return Part("encryption", "this S3 has no such setting")
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"] if answer else []
        defaults = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
        found = next((one for one in defaults if one.get("SSEAlgorithm")), None)
        if found is None:
            return Part("encryption", "off", self._wanted_encryption())
        algorithm, key = str(found["SSEAlgorithm"]), str(found.get("KMSMasterKeyID") or "AWS's own key")
        if algorithm == "AES256":
            # The states are encrypted with the backend's key either way; whatever else comes there is then, too.
            todo = self._wanted_encryption() if self._kms_key else ""
            return Part("encryption", "on, with keys of S3's (AES256)", todo)
        return Part("encryption", f"on, with a key of KMS ({key})")

    def _wanted_encryption(self) -> str:
        return f"encrypt with the KMS key {self._kms_key}" if self._kms_key else "encrypt with keys of S3's (AES256)"

    def _wanted_policy(self) -> str:
        return "" if self._access.plain_endpoint else "refuse whoever does not come by TLS"

    def _policy(self) -> Part:
        if plain := self._access.plain_endpoint:
            return Part("policy", f"TLS is not asked for: {plain} has none")
        try:
            policy = self._read_policy()
        except NotHadError:
            return Part("policy", "this S3 has no such setting")
        held = statements(policy)
        names = [str(one.get("Sid") or number + 1) for number, one in enumerate(held) if lets_anybody_in(one)]
        warning = f"it lets anybody in: statement {', '.join(names)}; take that out" if names else ""
        if any(refuses_plain(one, self._arn) for one in held):
            return Part("policy", "whoever does not come by TLS is refused", warning=warning)
        if policy is None:
            return Part("policy", "none", "refuse whoever does not come by TLS")
        keeps = f"its {len(held)} statement{'' if len(held) == 1 else 's'} stay"
        return Part("policy", "it does not ask for TLS", f"add that TLS is needed; {keeps}", warning)

    def _read_policy(self) -> dict[str, Any] | None:
        answer = self._access.ask(
            "its policy",
            "s3:GetBucketPolicy",
            "NoSuchBucketPolicy",
            lambda: self._s3.get_bucket_policy(Bucket=self.bucket),
        )
        if answer is None:
            return None
        try:
            policy = json.loads(answer["Policy"])
            if not isinstance(policy, dict) or not all(isinstance(one, dict) for one in statements(policy)):
                raise ValueError  # noqa: TRY301  the same as text that is no JSON
        except (ValueError, RecursionError) as error:
            raise UserError(
                f'the policy of the bucket "{self.bucket}" cannot be read, so it is left alone',
                hint=f"add this statement to it yourself: {json.dumps(tls_only(self._arn, 'TlsOnly'))}",
            ) from error
        return policy

    def _public_access(self) -> Part:
        try:
            answer = self._access.ask(
                "its public access",
                "s3:GetBucketPublicAccessBlock",
                "NoSuchPublicAccessBlockConfiguration",
                lambda: self._s3.get_public_access_block(Bucket=self.bucket),
            )
        except NotHadError:
            return Part("public access", "this S3 has no such setting")
        found = answer["PublicAccessBlockConfiguration"] if answer else {}
        missing = [name for name in _PUBLIC if found.get(name) is not True]
        if not missing:
            return Part("public access", "blocked")
        return Part("public access", f"not blocked ({', '.join(missing)} off)", "block all of it")

    def _old_versions(self) -> Part:
        try:
            answer = self._access.ask(
                "its lifecycle",
                "s3:GetLifecycleConfiguration",
                "NoSuchLifecycleConfiguration",
                lambda: self._s3.get_bucket_lifecycle_configuration(Bucket=self.bucket),
            )
            if answer and answer.get("Rules"):
                return Part("old versions", "it has lifecycle rules of its own, which are left alone")
            held = self._access.ask(
                "what it holds",
                "s3:ListBucketVersions",
                "",
                lambda: self._s3.list_object_versions(Bucket=self.bucket, MaxKeys=1),
            )
        except NotHadError:
            return Part("old versions", "this S3 has no such setting")
        if held.get("Versions") or held.get("DeleteMarkers"):
            # What lies there was put there by somebody who did not ask for anything of it to go.
            return Part("old versions", "they stay for good: it holds something already, and no rule was added")
        return Part("old versions", "no rule", _LIFECYCLE_TOLD)

    def _lock_table(self) -> Part:
        answer = self._access.ask(
            f'the lock table "{self.table}"',
            "dynamodb:DescribeTable",
            "ResourceNotFoundException",
            lambda: self._access.client("dynamodb").describe_table(TableName=self.table),
        )
        if answer is None:
            return Part("lock table", f'"{self.table}" is not there', f'make "{self.table}", paid by request')
        schema = [(key["AttributeName"], key["KeyType"]) for key in answer["Table"]["KeySchema"]]
        if schema != [("LockID", "HASH")]:
            raise UserError(
                f'the table "{self.table}" cannot lock states: its key is {", ".join(name for name, _ in schema)}',
                hint='another dynamodb_table="…"; it needs the hash key LockID, a string, and no other',
            )
        return Part("lock table", f'"{self.table}" is there')

    # What is made.

    def _make_bucket(self) -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415

        # The first region has no name here, and refuses its own.
        where = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        try:
            self._s3.create_bucket(Bucket=self.bucket, ObjectOwnership="BucketOwnerEnforced", **where)
        except ClientError as error:
            if code_of(error) == "BucketAlreadyExists":
                raise self._not_ours("it is of another account than these credentials") from error
            if code_of(error) != "BucketAlreadyOwnedByYou":  # somebody made it in the meantime
                raise

    def _own(self) -> None:
        controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        self._s3.put_bucket_ownership_controls(Bucket=self.bucket, OwnershipControls=controls)

    def _keep_versions(self) -> None:
        self._s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def _encrypt(self) -> None:
        if self._kms_key:
            default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self._kms_key}
            rule: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
        else:
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        configuration = {"Rules": [rule]}
        self._s3.put_bucket_encryption(Bucket=self.bucket, ServerSideEncryptionConfiguration=configuration)

    def _refuse_plain(self) -> None:
        policy = self._read_policy() or {"Version": "2012-10-17"}
        held = statements(policy)
        if any(refuses_plain(one, self._arn) for one in held):
            return  # somebody added it since
        taken = {one.get("Sid") for one in held}
        sid = next(name for name in ("TlsOnly", *(f"TlsOnly{n}" for n in range(2, 100))) if name not in taken)
        policy["Statement"] = [*held, tls_only(self._arn, sid)]
        self._s3.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))

    def _block_public(self) -> None:
        self._s3.put_public_access_block(
            Bucket=self.bucket, PublicAccessBlockConfiguration=dict.fromkeys(_PUBLIC, True)
        )

    def _expire(self) -> None:
        rule = {
            "ID": "old-versions-of-states",
            "Status": "Enabled",
            "Filter": {},
            "NoncurrentVersionExpiration": {
                "NoncurrentDays": OLD_VERSION_DAYS,
                "NewerNoncurrentVersions": OLD_VERSIONS_KEPT,
            },
            # Each lock leaves one behind.
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
        }
        self._s3.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": [rule]})

    def _make_table(self) -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415

        dynamodb = self._access.client("dynamodb")
        try:
            dynamodb.create_table(
                TableName=self.table,
                KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "LockID", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except ClientError as error:
            if code_of(error) != "ResourceInUseException":  # somebody made it in the meantime
                raise
        dynamodb.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig={"Delay": 2, "MaxAttempts": 60})

    @property
    def _arn(self) -> str:
        partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        beginning = self.region.rpartition("-")[0].rpartition("-")[0]
        return f"arn:{partition.get(beginning, 'aws')}:s3:::{self.bucket}"

    def _patiently(self, make: Callable[[], object]) -> None:
        """Do it, and again for a moment where AWS does not know yet that it has made the bucket."""
        from botocore.exceptions import ClientError  # noqa: PLC0415
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential  # noqa: PLC0415

        def passes(error: BaseException) -> bool:
            return isinstance(error, ClientError) and code_of(error) in _NOT_YET

        wait = wait_exponential(multiplier=_WAIT_SECONDS)
        Retrying(retry=retry_if_exception(passes), stop=stop_after_attempt(_ATTEMPTS), wait=wait, reraise=True)(make)
