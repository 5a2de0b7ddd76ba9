"""The bucket of an S3 backend: whether it is there and lets us in, asked once, before anything is planned; and what it
keeps as a state, which takes no Terraform to read.

Terraform asks the bucket too, unit by unit, and its own client tries for minutes where nobody answers. The arguments
are those of developer.hashicorp.com/terraform/language/backend/s3.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from infra_orch.engine.aws_credentials import Keys
from infra_orch.engine.emulated import ACCESS_KEY, emulated_session
from infra_orch.errors import UnavailableError

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 10, 2

FOLLOWED = frozenset(
    {
        *("bucket", "key", "region", "profile", "access_key", "secret_key", "token"),
        *("endpoint", "endpoints", "use_path_style", "force_path_style"),
    }
)
BESIDE_THE_POINT = frozenset(
    {
        *("acl", "dynamodb_table", "encrypt", "kms_key_id", "max_retries", "retry_mode", "sse_customer_key"),
        *(
            "skip_credentials_validation",
            "skip_metadata_api_check",
            "skip_region_validation",
            "skip_requesting_account_id",
        ),
        *("skip_s3_checksum", "use_lockfile", "workspace_key_prefix"),
    }
)
_OF_WHAT_IS_READ = frozenset({"dynamodb_table", "sse_customer_key"})
"""With these a state is told by more than its object: the digest in a table, a key that it is encrypted with."""
_CONNECTIONS = 64
LOG_IN = "log in (for AWS: aws sso login, or AWS_PROFILE), then run the same command"
BAD_CREDENTIALS = {
    "ExpiredToken": "the cloud credentials have expired",
    "ExpiredTokenException": "the cloud credentials have expired",
    "TokenRefreshRequired": "the cloud credentials have expired",
    "InvalidAccessKeyId": "the cloud credentials are not valid: AWS does not know this access key",
    "InvalidToken": "the cloud credentials are not valid: AWS does not accept this session token",
    "SignatureDoesNotMatch": "the cloud credentials are not valid: the secret key does not belong to the access key",
}


def arguments_by(keys: Keys | None, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the backend's *arguments* with the credentials that Terraform is given in its environment.

    A profile or keys in the arguments go before those.
    """
    if keys is None or not {"profile", "access_key"}.isdisjoint(arguments):
        return arguments
    token = {"token": keys.token} if keys.token else {}
    return {**arguments, "access_key": keys.access_key, "secret_key": keys.secret_key, **token}


def check_bucket(arguments: Mapping[str, Any], stack: str = "STACK") -> None:
    """Ask the bucket that *arguments* (of the backend of *stack*) name for what it holds under the state's key.

    Raises UnavailableError where it does not exist or may not be read, where the credentials are not accepted, and
    where nobody answers. Where the question cannot be put as Terraform would put it (a role to be assumed, credentials
    that only Terraform knows of), there is no answer, and Terraform finds out by itself.
    """
    if not set(arguments) <= FOLLOWED | BESIDE_THE_POINT or not isinstance(arguments.get("bucket"), str):
        return
    # These take half a second to import.
    from botocore.exceptions import (  # noqa: PLC0415
        BotoCoreError,
        ClientError,
        ConnectTimeoutError,
        EndpointConnectionError,
        ReadTimeoutError,
    )
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    bucket = str(arguments["bucket"])
    try:
        _ask(arguments, bucket, str(arguments.get("key", "")))
    except ClientError as error:
        _raise_for(error.response.get("Error", {}).get("Code", ""), arguments, bucket, stack)
    except (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError) as error:
        raise no_answer(arguments, bucket) from error
    except ResponseParserError as error:
        raise strange_answer(arguments, bucket) from error
    except (BotoCoreError, ValueError):
        return


def no_answer(arguments: Mapping[str, Any], bucket: str) -> UnavailableError:
    """Return the error that says that nobody answers where the bucket lies."""
    where = endpoint_of(arguments) or f"AWS in {arguments.get('region')}"
    return UnavailableError(
        f'the S3 backend does not answer: no connection to {where} for the bucket "{bucket}"',
        hint="check the network, proxies (HTTPS_PROXY, NO_PROXY) and the backend's region and endpoints",
    )


def strange_answer(arguments: Mapping[str, Any], bucket: str) -> UnavailableError:
    """Return the error that says that something answers where the bucket lies, and not as S3 does."""
    where = endpoint_of(arguments) or f"AWS in {arguments.get('region')}"
    return UnavailableError(
        f'what answers at {where} for the bucket "{bucket}" is not S3: its answer cannot be read',
        hint="a proxy, or the log-in page of a network? Check HTTPS_PROXY and NO_PROXY, and the backend's endpoints",
    )


def _raise_for(code: str, arguments: Mapping[str, Any], bucket: str, stack: str) -> None:
    """Raise UnavailableError for an error code of S3's that says why a bucket cannot be used; others say nothing."""
    if code == "NoSuchBucket":
        raise UnavailableError(
            f'the bucket "{bucket}" of the S3 backend does not exist',
            hint=f"infra-orch bootstrap {stack} makes it, after it has shown what and asked",
        )
    if code in BAD_CREDENTIALS:
        raise UnavailableError(f'{BAD_CREDENTIALS[code]} (S3 backend, bucket "{bucket}")', hint=LOG_IN)
    if code in ("AccessDenied", "AllAccessDisabled") and not _may_list_workspaces(arguments, bucket):
        raise UnavailableError(
            f'the bucket "{bucket}" of the S3 backend may not be read with these credentials',
            hint="aws sts get-caller-identity says whose they are; s3:ListBucket on the bucket, and s3:GetObject, "
            "s3:PutObject and s3:DeleteObject on what is in it, are needed",
        )


def _may_list_workspaces(arguments: Mapping[str, Any], bucket: str) -> bool:
    """Whether the other thing that Terraform lists may be listed: a policy may allow exactly that."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        _ask(arguments, bucket, str(arguments.get("workspace_key_prefix", "env:")))
    except (BotoCoreError, ClientError, ResponseParserError):
        return False
    return True


def _ask(arguments: Mapping[str, Any], bucket: str, prefix: str) -> None:
    _client(arguments).list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)


def server_time(arguments: Mapping[str, Any]) -> datetime | None:
    """Return what time it is where the bucket of *arguments* lies, whether or not it lets us in; None: nobody says."""
    if not set(arguments) <= FOLLOWED | BESIDE_THE_POINT or not isinstance(arguments.get("bucket"), str):
        return None
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        answer = _client(arguments).list_objects_v2(Bucket=str(arguments["bucket"]), MaxKeys=1)
    except ClientError as error:
        answer = error.response
    except (BotoCoreError, ResponseParserError, ValueError):
        return None
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return None


def read_object(arguments: Mapping[str, Any]) -> bytes | None:
    """Return the state that *arguments* (of the backend) name, empty where there is none.

    None where it cannot be read as Terraform would read it: it knows more ways to a bucket, and says what is wrong.
    """
    if not set(arguments) <= (FOLLOWED | BESIDE_THE_POINT) - _OF_WHAT_IS_READ:
        return None
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        answer = _client(arguments).get_object(Bucket=str(arguments["bucket"]), Key=str(arguments["key"]))
        return bytes(answer["Body"].read())
    except ClientError as error:
        return b"" if error.response.get("Error", {}).get("Code") == "NoSuchKey" else None
    except (BotoCoreError, ResponseParserError, OSError, ValueError, KeyError):
        return None


def _client(arguments: Mapping[str, Any]) -> Any:
    return client_for("s3", arguments)


def client_for(service: str, arguments: Mapping[str, Any]) -> Any:
    """Return what asks AWS as Terraform would with *arguments*; one for all states of a bucket, and for all threads."""
    place = {name: value for name, value in arguments.items() if name != "key"}
    own = tuple(sorted(item for item in os.environ.items() if item[0].startswith(("AWS_", "HOME"))))
    with _MAKING:
        return _made(service, json.dumps(place, sort_keys=True), own)


_MAKING = threading.Lock()
"""Making a client takes a tenth of a second: those who want the same one wait for it."""


@functools.lru_cache(maxsize=1024)
def _made(service: str, place: str, _environment: tuple[tuple[str, str], ...]) -> Any:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    arguments = json.loads(place)
    if arguments.get("access_key") == ACCESS_KEY:
        session = emulated_session(arguments.get("region"))
    else:
        session = boto3.session.Session(
            profile_name=arguments.get("profile"),
            aws_access_key_id=arguments.get("access_key"),
            aws_secret_access_key=arguments.get("secret_key"),
            aws_session_token=arguments.get("token"),
            region_name=arguments.get("region"),
        )
    path_style = arguments.get("use_path_style") or arguments.get("force_path_style")
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        s3={"addressing_style": "path" if path_style else "auto"},
    )
    return session.client(service, endpoint_url=own_endpoint(arguments, service), config=config)


def own_endpoint(arguments: Mapping[str, Any], service: str = "s3") -> str | None:
    """Return where a service is that *arguments*, or a variable of Terraform's own, name; None: where AWS has it."""
    endpoints = arguments.get("endpoints")
    own = endpoints.get(service) if isinstance(endpoints, Mapping) else None
    older = arguments.get("endpoint" if service == "s3" else f"{service}_endpoint")
    # AWS_S3_ENDPOINT and its like are Terraform's own, and boto3 does not know them; both know AWS_ENDPOINT_URL.
    return own or older or os.environ.get(f"AWS_{service.upper()}_ENDPOINT") or None


def endpoint_of(arguments: Mapping[str, Any]) -> str | None:
    """Return where S3 is that *arguments*, or a variable, name; None: where AWS has it."""
    named = (os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    return own_endpoint(arguments) or next(filter(None, named), None)
