"""How a bucket for states is come to: with whose credentials, where, and what the answers of AWS mean.

Everything that AWS or its client raises becomes one sentence about the bucket, with what mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from typing import Any

from infra_orch.engine.aws_credentials import Keys, keys_of_profile, keys_of_role
from infra_orch.engine.bucket_name import BucketNameError
from infra_orch.engine.s3_backend import (
    BAD_CREDENTIALS,
    BESIDE_THE_POINT,
    FOLLOWED,
    LOG_IN,
    arguments_by,
    client_for,
    endpoint_of,
    no_answer,
    own_endpoint,
    strange_answer,
)
from infra_orch.errors import UnavailableError, UserError
from infra_orch.spec.credentials import ProfileIdentity, RoleIdentity

DENIED = frozenset({"403", "AccessDenied", "AllAccessDisabled", "Forbidden", "AccessDeniedException"})
"""What AWS says, by its service and the kind of request, of somebody who may not."""

_NOT_HAD = frozenset({"NotImplemented", "XNotImplemented", "MethodNotAllowed", "405", "501"})
_ROLE_ARGUMENTS = frozenset({"role_arn", "session_name", "external_id", "source_identity"})
_OWN_KEYS = frozenset({"profile", "access_key", "secret_key", "token"})
_SESSION = "infra-orch-bootstrap"
_THEIR_FAULT = "whoever answers there is in trouble: the same command again in a moment"
_HINTS = {
    "301": "it is in another region, or at another endpoint, than the backend says",
    "InvalidBucketName": "3 to 63 characters: small letters, digits, - and .; the backend's bucket= says it",
    "InvalidBucketAclWithObjectOwnership": "its access list lets others in: aws s3api put-bucket-acl --acl private",
    "TooManyBuckets": "the account has as many buckets as it may have: a quota of S3",
    "OperationAborted": "AWS is at work on a bucket of this name: the same command again in a few minutes",
    "IllegalLocationConstraintException": "the backend's region and the one of its endpoint are not the same",
    "InvalidLocationConstraint": "there is no such region; the backend's region= says it",
}


class NotHadError(Exception):
    """An S3 does not have what was asked for: it is not AWS's."""


class BucketAccess:
    """The way to the bucket that the *arguments* of an S3 backend name, as whoever they name goes it; *keys*:
    credentials that are used where the arguments have none.

    Raises UserError where the arguments say more than can be followed, CredentialsError where a role cannot be assumed.
    """

    def __init__(self, arguments: Mapping[str, Any], keys: Keys | None = None) -> None:
        self._arguments = _settled(arguments, keys)
        self.bucket = str(arguments["bucket"])
        self.region = str(self._arguments.get("region") or self._usual_region())

    def client(self, service: str) -> Any:
        """Return what asks a service of AWS, as Terraform would."""
        return client_for(service, self._arguments)

    def _usual_region(self) -> str:
        """The region of the environment, or of a profile; without one this raises UserError."""
        with self.explained("its region", ""):
            return str(self.client("s3").meta.region_name)

    @cached_property
    def account(self) -> str:
        """The account of the credentials; empty where nobody is to be asked, or nobody says.

        Raises UnavailableError where the credentials are not accepted.
        """
        beside_aws = own_endpoint(self._arguments) and not own_endpoint(self._arguments, "sts")
        if beside_aws or self._arguments.get("skip_requesting_account_id"):
            return ""
        with self.explained("the account of the credentials", "sts:GetCallerIdentity"):
            return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def plain_endpoint(self) -> str:
        """Where we ourselves do not come by TLS; a policy that asks for it would lock us out. Empty where we do."""
        endpoint = endpoint_of(self._arguments) or ""
        return endpoint if endpoint.startswith("http://") else ""

    def ask(self, what: str, permission: str, nothing: str, question: Callable[[], Any]) -> Any:
        """Return what S3 answers; None where it says, by the code *nothing*, that nothing is set.

        Raises NotHadError where this S3 does not have that at all, and as explained() does.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415

        with self.explained(what, permission):
            try:
                return question()
            except ClientError as error:
                if code_of(error) == nothing:
                    return None
                if code_of(error) in _NOT_HAD:
                    raise NotHadError from error
                raise

    @contextmanager
    def explained(self, what: str, permission: str) -> Iterator[None]:
        """Turn what AWS and its client raise into one sentence: *what* of the bucket it was about ("it": the whole).

        Raises UserError, with the *permission* that is needed where access was denied; UnavailableError where nobody
        answers, or the credentials are not accepted.
        """
        # These take half a second to import.
        from botocore.exceptions import (  # noqa: PLC0415
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            InvalidRegionError,
            NoCredentialsError,
            ProfileNotFound,
            ReadTimeoutError,
        )
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        title = f'the bucket "{self.bucket}"' + ("" if what == "it" else f": {what}")
        try:
            yield
        except ClientError as error:
            raise _refused(error, title, permission) from error
        except (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError) as error:
            raise no_answer(self._arguments, self.bucket) from error
        except ResponseParserError as error:
            raise strange_answer(self._arguments, self.bucket) from error
        except InvalidRegionError as error:
            raise BucketNameError(
                f'there is no region "{self.region}"', hint='region= of the backend says one, such as "eu-west-1"'
            ) from error
        except ProfileNotFound as error:
            hint = "AWS_PROFILE, or profile= of the backend, names it; aws configure list-profiles says what there is"
            raise UnavailableError(f"{title}: {error}", hint=hint) from error
        except NoCredentialsError as error:
            raise UnavailableError(f"there are no credentials for {title}", hint=LOG_IN) from error
        except (BotoCoreError, ValueError) as error:
            hint = "the backend, AWS_ENDPOINT_URL and its like, or ~/.aws/config says so"
            raise UserError(f"{title}: {' '.join(str(error).split())}", hint=hint) from error


def _refused(error: Any, title: str, permission: str) -> UserError:
    """The error that says what AWS said no to."""
    code = code_of(error)
    if code in BAD_CREDENTIALS:
        return UnavailableError(f"{BAD_CREDENTIALS[code]} ({title})", hint=LOG_IN)
    words = " ".join(str(error.response.get("Error", {}).get("Message") or code).split())
    if code in DENIED:
        hint = f"{permission} is needed; aws sts get-caller-identity says whose credentials these are"
        return UserError(f"{title}: access denied: {words}", hint=hint)
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"{title}: {words} ({code})", hint=_THEIR_FAULT)
    return UserError(f"{title}: {words} ({code})", hint=_HINTS.get(code, ""))


def code_of(error: Any) -> str:
    """Return the code that AWS gave an error of its client's."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _settled(arguments: Mapping[str, Any], keys: Keys | None) -> Mapping[str, Any]:
    """*arguments* with the credentials that Terraform would come to by them.

    Raises UserError where there is more in them than is known here.
    """
    role = arguments.get("assume_role") or {}
    if "role_arn" in arguments:  # how it was written before Terraform 1.6
        role = {name: arguments[name] for name in _ROLE_ARGUMENTS & arguments.keys()}
    rest = {name: value for name, value in arguments.items() if name != "assume_role" and name not in _ROLE_ARGUMENTS}
    strange = sorted(rest.keys() - FOLLOWED - BESIDE_THE_POINT)
    if isinstance(role, Mapping):
        strange += sorted(f"assume_role.{name}" for name in role.keys() - _ROLE_ARGUMENTS - {"duration"})
    if strange:
        raise UserError(
            f'the bucket "{arguments.get("bucket")}" cannot be looked at as Terraform would: '
            f"{', '.join(strange)} in its backend",
            hint="make it with your own tools; docs/bootstrap.md says what belongs to it",
        )
    if not role:
        return arguments_by(keys, rest)
    by = keys
    if "profile" in rest:
        by = keys_of_profile(ProfileIdentity(str(rest["profile"])))
    elif "access_key" in rest:
        by = Keys(str(rest["access_key"]), str(rest.get("secret_key")), rest.get("token"))
    texts = {name: str(role[name]) for name in _ROLE_ARGUMENTS & role.keys() if role[name] is not None}
    identity = RoleIdentity(
        texts.get("role_arn", ""),
        session_name=texts.get("session_name"),
        external_id=texts.get("external_id"),
        source_identity=texts.get("source_identity"),
    )
    place = {name: value for name, value in rest.items() if name not in _OWN_KEYS}
    return arguments_by(keys_of_role(identity, _SESSION, by), place)
