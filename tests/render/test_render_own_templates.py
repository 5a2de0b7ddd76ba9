"""A stack's own template can do no more than write text, and not without an end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from infra_orch.errors import SpecError
from infra_orch.render import own_templates


@pytest.fixture
def template(everything, render, monkeypatch: pytest.MonkeyPatch):
    """Render the stack with a template of its own, and return what is wrong with that, or the text."""
    monkeypatch.setattr(own_templates, "SECONDS", 0.5)
    monkeypatch.setattr(own_templates, "MEMORY", 64 << 20)
    monkeypatch.setattr(own_templates, "LONGEST", 1 << 20)

    def of(text: str) -> str:
        everything.write({"stacks/prod/templates/main.tf.j2": text})
        try:
            return render(everything, "prod").files["web/main.tf"]
        except SpecError as error:
            (problem,) = error.problems
            assert str(problem.where).startswith("stacks/prod/templates/main.tf.j2")
            return problem.message

    return of


@pytest.mark.parametrize(
    "text",
    [
        "{{ unit.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ unit['__class__'] }}",
        "{{ unit | attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ '{0.__class__}'.format(unit) }}",
        "{{ ('{0.__cla' ~ 'ss__}').format_map({'0': unit}) }}",
        "{{ [unit] | map(attribute='__class__') | first }}",
        "{{ inputs.value.plain.encode.__self__.__class__ }}",
        "{{ unit.update({'name': 'x'}) }}",
        "{{ inputs.value.list.append(1) }}",
        "{{ unit.tags.clear() }}",
        "{% import 'os' as os %}",
        "{{ __import__('os') }}",
        "{{ open('/etc/passwd') }}",
        "{{ nothing }}",
        "{% if nothing %}{% endif %}",
        "{% include '/etc/passwd' %}",
        "{% include '../../../infra-orch.toml' %}",
    ],
)  # fmt: skip
def test_there_is_no_way_out_of_the_sandbox(template, text: str) -> None:
    assert template(text).startswith("template main.tf.j2: "), text


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{% for a in range(90000) %}{% for b in range(90000) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) ~ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% macro f(n) %}{% if n < 60 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}",
        "{{ 'x' * 10000000000 }}",
        "{{ [0] * 10000000000 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ (10 ** 200) * (10 ** 200) ** 200 }}",
        "{{ 'x' | center(10000000000) }}",
        "{{ '%9999999999d' | format(1) }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ 'x'.ljust(10000000000) }}",
        "{% set n = namespace(t='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
        "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t %}{{ n.t }}{{ n.t }}{% endset %}{% endfor %}",
        "{{ ('x' * 100000) | replace('x', 'x' * 100000) }}",
        "{{ range(100001) }}",
        "{% include 'main.tf.j2' %}",
    ],
)  # fmt: skip
def test_a_template_without_an_end_is_ended(template, text: str) -> None:
    began = time.monotonic()
    assert template(text).startswith("template main.tf.j2: "), text
    assert time.monotonic() - began < 8
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_templates_are_for_works(template) -> None:
    text = (
        "{{ header }}\n{% for name, value in inputs.items() %}{{ name }} = {{ value | hcl }}\n{% endfor %}"
        "{{ 'a' * 3 }}{{ 2 ** 10 }}{{ 3 * 4.5 }}{{ [1, 2] * 2 }}{{ '%03d' | format(7) }}{{ unit.name | center(9) }}\n"
    )
    made = template(text)
    assert "aaa102413.5[1, 2, 1, 2]007   web   " in made


def test_a_link_that_leads_out_of_the_project_is_no_template(everything, render, tmp_path: Path) -> None:
    secret = tmp_path / "credentials"
    secret.write_text("hush")
    folder = everything.root / "stacks/prod/templates"
    folder.mkdir()
    (folder / "_secret").symlink_to(secret)
    everything.write({"stacks/prod/templates/outputs.tf.j2": "{{ header }}\n{% include '_secret' %}\n"})
    with pytest.raises(SpecError) as caught:
        render(everything, "prod")
    assert "_secret is a link that leads out of the project" in str(caught.value)
    (folder / "_secret").unlink()
    (folder / "_secret").symlink_to(everything.root / "modules/bare/main.tf")
    assert "locals {" in render(everything, "prod").files["web/outputs.tf"]
