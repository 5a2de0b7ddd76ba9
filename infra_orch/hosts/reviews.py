"""Who has approved what a commit holds: the pull request that it came by, and its reviews."""

from __future__ import annotations

from infra_orch.hosts.answer import HostError
from infra_orch.hosts.host import Host, PullRequest, Reviews


def reviews(host: Host, about: str | int, *, of_any_commit: bool = False) -> Reviews:
    """Return who has approved a pull request, given its number or a commit that it made or has.

    Only approvals of the pull request's head count, unless *of_any_commit* is given. Raises UnavailableError where the
    host cannot be asked, and where no pull request, or more than one, is that of the commit: whoever asks is to go on
    only with an answer.
    """
    found = host.pull_request(about) if isinstance(about, int) else pull_request_of(host, about)
    if not found.head:
        raise HostError(f"{host.name} does not tell the head of pull request {found.number}")
    return host.reviews(found, of_any_commit=of_any_commit)


def pull_request_of(host: Host, commit: str) -> PullRequest:
    """Return the pull request by which *commit* came, or whose head it is. Raises UnavailableError as reviews() does.

    The one whose merge made it comes before those whose head it is, and these before one that merged it as one of many.
    """
    found = host.pull_requests_with(commit)
    ways = (
        [one for one in found if one.merged_as == commit],
        [one for one in found if one.head == commit],
        [one for one in found if one.merged_as],
    )
    chosen = next(filter(None, ways), [])
    if len(chosen) == 1:
        return chosen[0]
    short = commit[:12]
    if not chosen:
        raise HostError(
            f"{host.name} knows no pull request that commit {short} came by, or that it is the head of",
            hint="push it to a pull request, and have that reviewed",
        )
    numbers = ", ".join(str(one.number) for one in chosen)
    raise HostError(
        f"commit {short} is that of several pull requests: {numbers}", hint="close those that it is not meant for"
    )
