"""The options that several commands share, each declared once. Every one is also a variable INFRA_ORCH_<OPTION>."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra_orch.cli import completion

Stack = Annotated[
    str,
    typer.Argument(metavar="STACK", help="The stack: its folder under stacks/.", autocompletion=completion.stacks),
]
Stacks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STACK…",
        help="Stacks: their folders under stacks/, or patterns like 'team-*'.",
        autocompletion=completion.stacks,
        show_default=False,
    ),
]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The run's id, the beginning of it, or `last`.", autocompletion=completion.runs),
]
All = Annotated[bool, typer.Option("--all", help="Every stack of the project.", envvar="INFRA_ORCH_ALL")]
Affected = Annotated[
    bool,
    typer.Option("--affected", help="Only what the changes since --base affect.", envvar="INFRA_ORCH_AFFECTED"),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base", metavar="REF", help="The commit to compare with.", envvar="INFRA_ORCH_BASE", show_default=False
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head",
        metavar="REF",
        help="The commit that is compared (default: the working tree).",
        envvar="INFRA_ORCH_HEAD",
        show_default=False,
    ),
]
DetailedExitcode = Annotated[
    bool,
    typer.Option(
        "--detailed-exitcode", help="Exit with 2 where there are changes.", envvar="INFRA_ORCH_DETAILED_EXITCODE"
    ),
]
Policies = Annotated[
    Path | None,
    typer.Option(
        "--policies",
        metavar="DIR",
        help="The policies to ask (default: policies/).",
        envvar="INFRA_ORCH_POLICIES",
        show_default=False,
    ),
]
NoDownstream = Annotated[
    bool,
    typer.Option(
        "--no-downstream", help="Without what comes after an affected unit.", envvar="INFRA_ORCH_NO_DOWNSTREAM"
    ),
]
Why = Annotated[bool, typer.Option("--why", help="Say why each unit is affected.", envvar="INFRA_ORCH_WHY")]
Unit = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        metavar="GLOB",
        help="Only these units (repeatable; a name or a pattern like 'web-*').",
        envvar="INFRA_ORCH_UNIT",
        autocompletion=completion.units,
    ),
]
Tag = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG",
        help="Only units with this tag (repeatable).",
        envvar="INFRA_ORCH_TAG",
        autocompletion=completion.tags,
    ),
]
WithUpstream = Annotated[
    bool, typer.Option("--with-upstream", help="Also what they depend on.", envvar="INFRA_ORCH_WITH_UPSTREAM")
]
WithDownstream = Annotated[
    bool, typer.Option("--with-downstream", help="Also what depends on them.", envvar="INFRA_ORCH_WITH_DOWNSTREAM")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.", envvar="INFRA_ORCH_JSON")
]
Sandbox = Annotated[
    bool,
    typer.Option("--sandbox", help="Run against an emulated AWS, with states of its own.", envvar="INFRA_ORCH_SANDBOX"),
]
AutoApprove = Annotated[bool, typer.Option("--auto-approve", help="Do not ask.", envvar="INFRA_ORCH_AUTO_APPROVE")]
AllowUnseen = Annotated[
    bool,
    typer.Option(
        "--allow-unseen",
        help="Also do what the preview could not show: units that it deferred, changes beyond it.",
        envvar="INFRA_ORCH_ALLOW_UNSEEN",
    ),
]
Commit = Annotated[
    bool | None,
    typer.Option(
        "--commit/--no-commit",
        help="Whether records are committed (in the sandbox: no).",
        envvar="INFRA_ORCH_COMMIT",
        show_default=False,
    ),
]
FromRendered = Annotated[
    bool,
    typer.Option(
        "--from-rendered",
        help="Run what is rendered and committed; evaluate no Python.",
        envvar="INFRA_ORCH_FROM_RENDERED",
    ),
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune",
        help="Also destroy units that left the spec, and with --affected deleted stacks.",
        envvar="INFRA_ORCH_PRUNE",
    ),
]
Parallelism = Annotated[
    int | None,
    typer.Option(
        "--parallelism",
        metavar="N",
        min=0,
        help="Units at work at once (default, and 0: one per core).",
        envvar="INFRA_ORCH_PARALLELISM",
        show_default=False,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="terraform, tofu, embedded, or the path of a binary.",
        envvar="INFRA_ORCH_ENGINE",
        autocompletion=completion.one_of("terraform", "tofu", "embedded"),
        show_default=False,
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Show Terraform's own text of each plan.", envvar="INFRA_ORCH_FULL")]
Destroy = Annotated[
    bool,
    typer.Option("--destroy", help="Plan the destruction, in reverse order.", envvar="INFRA_ORCH_DESTROY"),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the plan to a file that apply --plan takes.",
        envvar="INFRA_ORCH_OUT",
        show_default=False,
    ),
]
Plan = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="Apply the plan that plan --out wrote.",
        envvar="INFRA_ORCH_PLAN",
        show_default=False,
    ),
]
FailFast = Annotated[
    bool,
    typer.Option("--fail-fast", help="Begin nothing more once something has failed.", envvar="INFRA_ORCH_FAIL_FAST"),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        metavar="N",
        min=1,
        help="Begin nothing more once so many have failed.",
        envvar="INFRA_ORCH_MAX_FAILURES",
        show_default=False,
    ),
]
Timings = Annotated[
    bool, typer.Option("--timings", help="Say in the end where the time went.", envvar="INFRA_ORCH_TIMINGS")
]
ChangedOnly = Annotated[
    bool,
    typer.Option(
        "--changed-only",
        help="Skip units of which nothing has changed since their last apply; drift is not looked for.",
        envvar="INFRA_ORCH_CHANGED_ONLY",
    ),
]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="HOST",
        help="github or gitlab (default: the one whose CI this is).",
        envvar="INFRA_ORCH_HOST",
        autocompletion=completion.one_of("github", "gitlab"),
        show_default=False,
    ),
]
PullRequest = Annotated[
    int | None,
    typer.Option(
        "--pull-request",
        metavar="N",
        min=1,
        help="The pull or merge request that it is of (default: the CI's).",
        envvar="INFRA_ORCH_PULL_REQUEST",
        show_default=False,
    ),
]
Group = Annotated[
    str,
    typer.Option(
        "--group",
        metavar="NAME",
        help="Tells the comments of several groups of stacks apart.",
        envvar="INFRA_ORCH_GROUP",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write the report to it, one page of HTML.",
        envvar="INFRA_ORCH_REPORT",
        show_default=False,
    ),
]
NoGateway = Annotated[
    bool,
    typer.Option(
        "--no-gateway", help="Have every Terraform command start its own providers.", envvar="INFRA_ORCH_NO_GATEWAY"
    ),
]
