"""What only computes can be told from its text; what may read the world, or differ from one run to the next, cannot."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from infra_orch.spec import plain
from infra_orch.spec.plain import Import, plain_imports


def imports(text: str) -> tuple[Import, ...] | None:
    return plain_imports(textwrap.dedent(text).encode())


PLAIN = [
    "x = 1",
    "from infra_orch import Stack, env\nstack = Stack('a')\nstack.unit('u', module='m', inputs={'t': env('TOKEN')})",
    "import json\nx = json.dumps({'a': 1}, sort_keys=True)",
    "import collections.abc\ndef f(x): return isinstance(x, collections.abc.Mapping)",
    "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Zone:\n    name: str\n    def long(self): return self.name",
    "class Zone:\n    def __init__(self, name):\n        super().__init__()\n        self.name = name",
    "import ipaddress as ip\nnets = list(ip.ip_network('10.0.0.0/8').subnets(new_prefix=16))",
    "x = [f'{k}-{v}' for k, v in {'a': 1}.items()]",
    "for k in sorted(set('abc') | {'d'}): pass",
    "x = 'a' in {'a', 'b'} and len({1, 2})",
    "x = list({'a': 1}.keys())",
    "x = '{}-{}'.format('a', 'b')",
    "x = getattr(object(), 'name', None)",
    "@task\ndef check(context): context.client('s3').head_bucket(Bucket='b')",
    "try:\n    x = int('a')\nexcept ValueError:\n    x = 0",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_computes_is_plain(text: str) -> None:
    assert imports(text) == ()


NOT_PLAIN = [
    "x = open('a').read()",
    "import os\nx = os.environ['A']",
    "from os import environ as e",
    "from pathlib import Path",
    "import datetime",
    "from time import time",
    "import random, uuid",
    "import secrets",
    "x = id(object())",
    "x = hash('a')",
    "x = [c for c in {'a', 'b'}]",
    "x = list(set('ab'))",
    "x = set('ab')",
    "x = sorted({'aa', 'bb'}, key=len)",
    "x = max({'aa', 'bb'}, key=len)",
    "make = set\nx = list(make('ab'))",
    "x = list({'a': 1}.keys() - {'b'})",
    "k = {'a': 1}.keys()",
    "x = [*{s for s in 'ab'}]",
    "eval('1')",
    "exec('import os')",
    "x = __import__('os')",
    "__builtins__",
    "x = __file__",
    "import infra_orch",
    "from infra_orch.project import find_project",
    "from infra_orch import Stack, project",
    "import json\nx = json.codecs.open('a')",
    "def f(): return js.codecs.open('a')\nimport json as js",
    "import json\ndef f(m): return m\nf(json).codecs",
    "import json\nlibrary = json",
    "import typing\ntyping.get_type_hints(f)",
    "from typing import get_type_hints",
    "import typing\ntyping.sys.modules",
    "x = (lambda: 0).__globals__",
    "x = [].__class__.__base__.__subclasses__()",
    "x = '{0.x}'.format(1)",
    "x = TEXT.format(1)",
    "x = map(str.format, TEXTS)",
    "x = getattr(a, name)",
    "x = getattr(a, '__dict__')",
    "from infra_orch import Stack\nStack.unit = None",
    "import json\njson.dumps = None",
    "def f(input): return input",
    "x = vars()",
    "print('x')",
    "x = stack.where.file",
    "x = (i for i in ()).gi_frame.f_back",
    "try:\n    x = 1\nexcept:\n    x = 2",
    "try:\n    import boto3\nexcept ImportError:\n    pass",
    "from names import *",
    "import subprocess",
    "match x:\n    case Zone(__class__=c): pass",
    "x = (",
    "x = 1\0",
]


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_may_do_more_than_compute_is_not(text: str) -> None:
    assert imports(text) is None


def test_the_users_own_modules_are_named() -> None:
    text = """
    import names, lib.zones as zones
    from lib import net, env
    from . import beside
    from ..above import x
    """
    assert imports(text) == (
        Import("names"),
        Import("lib.zones"),
        Import("lib", 0, ("net", "env")),
        Import("", 1, ("beside",)),
        Import("above", 2, ("x",)),
    )


def test_no_name_on_the_lists_is_a_module_or_missing() -> None:
    """Of a module that is listed, something that leads on to all of its own imports must not be taken for a function."""
    for name, members in plain._MODULES.items():
        module = __import__(name, fromlist=["x"])
        for member in members:
            value = getattr(module, member)
            assert f"{name}.{member}" in plain._MODULES or not hasattr(value, "__loader__"), (name, member)


def test_the_shipped_stacks_are_plain_or_known_not_to_be() -> None:
    """The tasks of batch read the clock, those of analytics what is in a bucket."""
    folder = Path(__file__).parents[2] / "stacks"
    specs = {spec.parent.name: plain_imports(spec.read_bytes()) for spec in folder.rglob("stack.py")}
    assert {name for name, found in specs.items() if found is None} == {"analytics", "batch"}
