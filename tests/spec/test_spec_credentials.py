"""Credentials as a spec declares them: what they come to, and what is wrong with them."""

from __future__ import annotations

import pytest

from infra_orch.spec.credentials import CommandIdentity, Identities, ProfileIdentity, RoleIdentity, WebIdentity

ARN = "arn:aws:iam::123456789012:role/deploy"


def identities(bench, credentials: str) -> Identities:
    return bench.check(f'stack = Stack("dev", credentials={credentials})').stack.credentials.identities


def test_one_identity_plans_and_applies_where_only_one_is_named(bench) -> None:
    profile = ProfileIdentity("prod")
    assert identities(bench, 'Credentials.profile("prod")') == Identities(profile, profile)
    command = CommandIdentity(("vault", "aws"))
    assert identities(bench, 'Credentials.command(["vault", "aws"])') == Identities(command, command)
    web = WebIdentity(ARN, "/run/token", "ci", 900)
    given = f'Credentials.web_identity("{ARN}", token_file="/run/token", session_name="ci", duration=900)'
    assert identities(bench, given) == Identities(web, web)
    assert identities(bench, "Credentials.environment()") == Identities(None, None)


def test_one_identity_plans_and_another_applies(bench) -> None:
    both = identities(
        bench,
        f'Credentials(plan=Credentials.profile("read"), apply=Credentials.role("{ARN}", external_id="x1", duration=3600))',
    )
    assert both == Identities(ProfileIdentity("read"), RoleIdentity(ARN, external_id="x1", duration=3600))


def test_a_role_is_assumed_by_whoever_plans_or_applies_below_it(bench) -> None:
    source = 'Credentials(plan=Credentials.profile("read"), apply=Credentials.profile("write"))'
    both = identities(bench, f'Credentials.role("{ARN}", source={source})')
    assert both == Identities(
        RoleIdentity(ARN, source=ProfileIdentity("read")), RoleIdentity(ARN, source=ProfileIdentity("write"))
    )


@pytest.mark.parametrize(
    ("given", "told", "hint"),
    [
        ('role("deploy")', '"deploy" is not the ARN of a role', "arn:aws:iam::123456789012:role/deploy"),
        ('role("arn:aws:iam::1:role/x")', "is not the ARN of a role", "like"),
        ('role("arn:aws:iam::123456789012:user/x")', "is not the ARN of a role", "like"),
        (f'role("{ARN}", duration=899)', "duration=899 of credentials is out of bounds", "900 to 43200 seconds"),
        (f'role("{ARN}", duration=43201)', "duration=43201 of credentials is out of bounds", "900 to 43200 seconds"),
        (f'role("{ARN}", session_name="a b")', 'session_name="a b" of credentials is not what AWS takes', "2 to 64"),
        (f'role("{ARN}", external_id="x")', 'external_id="x" of credentials is not what AWS takes', "2 to 1224"),
        (f'role("{ARN}", source_identity="ä1")', 'source_identity="ä1"', "2 to 64"),
        (f'role("{ARN}", duration=3601, source=Credentials.role("{ARN}"))', "more than the hour", "duration=3600"),
        (f'role("{ARN}", source=Credentials.role("x"))', '"x" is not the ARN of a role', "like"),
        (f'web_identity("{ARN}", token_file="token")', 'token_file="token" of credentials is no absolute path', "out"),
        (f'web_identity("{ARN}", duration=1)', "duration=1 of credentials is out of bounds", "900"),
        ("command([])", "the command of credentials is empty", 'Credentials.command(["'),
        ('command([" "])', "the command of credentials is empty", ""),
        ('command(["x", "a\\0b"])', r'"a\x00b" in the command of credentials', ""),
        ('profile("")', 'the profile "" of credentials: it is empty', ""),
    ],
)
def test_what_aws_would_refuse_is_found_with_its_line(bench, given: str, told: str, hint: str) -> None:
    problem = bench.problem(f'stack = Stack("dev")\n\nwhose = Credentials.{given}\nstack.credentials = whose')
    assert told in problem.message
    assert hint in problem.hint
    assert (problem.where.file, problem.where.line) == ("stacks/dev/stack.py", 4)


def test_what_is_wrong_is_told_once_however_many_units_have_it(bench) -> None:
    assert bench.problem("""
        stack = Stack("dev")
        whose = Credentials.role("x")
        for name in ("a", "b"):
            stack.unit(name, module="network", inputs={"name": "x"}, credentials=whose)
    """).where.line == 3  # fmt: skip


@pytest.mark.parametrize(
    ("given", "told", "hint"),
    [
        (f'Credentials.role("{ARN}", externalid="x1")', "unexpected keyword argument 'externalid'", '"external_id"'),
        ('Credentials.command("vault aws")', "the command takes a list of strings, the program first", ""),
        ('Credentials.command(["vault", 1])', "and 1 is in it", ""),
        (f'Credentials.role("{ARN}", duration="1h")', "duration= takes a whole number of seconds, not '1h'", ""),
        (f'Credentials.role("{ARN}", source="ci")', "source= takes Credentials.role(…), .profile(…)", ""),
        ('Credentials(plan="a", apply="b")', "plan= takes Credentials.role(…), .profile(…)", ""),
        ('"ci"', "credentials= takes Credentials.role(…) or the like, not 'ci'", ""),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_where_it_is_given(bench, given: str, told: str, hint: str) -> None:
    problem = bench.problem(f'stack = Stack("dev", credentials={given})')
    assert told in problem.message
    assert hint in problem.hint
    assert problem.where.line == 2


def test_a_reference_is_no_part_of_credentials(bench) -> None:
    problem = bench.problem("""
        stack = Stack("dev")
        network = stack.unit("network", module="network", inputs={"name": "x"})
        stack.unit("other", module="network", inputs={"name": "x"},
                   credentials=Credentials.profile(f"{network.outputs.vpc_id}"))
    """)
    assert "it can hold no reference" in problem.message
