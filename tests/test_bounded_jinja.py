"""A template ends and fills no memory, whatever it says; what a prompt may want of Jinja still works."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotforge.bounded_jinja import MOST_WORK, Exhausted, Sandbox, bounded_size, render_bounded
from cotforge.errors import PipelineError
from cotforge.prompts import Prompts
from cotforge.records import Fault, Picture, Sample
from cotforge.sandbox import Prompt

BIG = "x" * 100_000


def doubled(start: str, step: str, use: str) -> str:
    return f"{{% set x = {start} %}}" + f"{{% set x = {step} %}}" * 60 + f"{{{{ {use} }}}}"


ENDLESS = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops whose rounds are left out": "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "a loop that calls itself": "{% for a in [1, 2] recursive %}{{ loop([1, 2]) if loop.depth < 60 }}{% endfor %}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro that calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "callers": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}" + "{% call m() %}" * 30 + "x" * 99 + "{% endcall %}" * 30,
    "a block that holds itself": "{% block a scoped %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "itself": "{% include self %}",
    "a text twice as long each time": doubled("'aa'", "x ~ x", "x|length"),
    "the same by a sum": doubled("'aa'", "x + x", "x|length"),
    "a list twice as long each time": doubled("[1]", "x + x", "x|length"),
    "a block twice as long each time": "{% set x %}aa{% endset %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60 + "{{ x|length }}",
    "lists of one list": doubled("[1]", "[x, x]", "x"),
    "tuples of one tuple": doubled("(1,)", "(x, x)", "x == x"),
    "mappings of one mapping": doubled("{'a': 1}", "dict(a=x, b=x)", "x"),
    "namespaces of one namespace": doubled("namespace(a=1)", "namespace(a=x, b=x)", "x ~ ''"),
    "a namespace in itself": "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "a namespace that grows": "{% set n = namespace(s='aa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "numbers": doubled("9", "x * x", "x"),
    "numbers in a loop": "{% set n = namespace(x=9) %}{% for i in range(9999) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "powers": "{{ 9 ** 9 ** 9 }}",
    "a text times a number": "{{ 'a' * 9999999999 }}",
    "a list times a number": "{{ [1] * 9999999999 }}",
    "rounding": "{{ 1.5|round(999999999, 'floor') }}",
    "ljust": "{{ 'a'.ljust(9999999999) }}",
    "rjust": "{{ ('a'|attr('rjust'))(9999999999) }}",
    "zfill": "{{ 'a'.zfill(9999999999) }}",
    "center": "{{ 'a'.center(9999999999) }}",
    "the filter center": "{{ 'a'|center(9999999999) }}",
    "expandtabs": "{{ '\t'.expandtabs(9999999999) }}",
    "translate": "{{ 'a'.translate({97: question}) }}",
    "to_bytes": "{{ (1).to_bytes(9999999999, 'big') }}",
    "batch": "{{ [1]|batch(9999999999, 'x')|list }}",
    "slice": "{{ [1]|slice(9999999999)|list }}",
    "indent": "{{ 'a\nb'|indent(9999999999) }}",
    "indent by a text": "{{ ('a\n' ~ 'b\n')|indent('" + BIG + "')|indent('" + BIG + "') }}",
    "wordwrap": "{{ '" + "a " * 9_000 + "'|wordwrap(1, wrapstring='" + BIG + "') }}",
    "replace": "{% set x = 'a'|replace('', '" + BIG + "') %}{{ x|replace('x', x)|length }}",
    "the method replace": "{% set x = '" + BIG + "' %}{{ x.replace('x', x)|length }}",
    "format": "{{ '%9999999999d'|format(1) }}",
    "the method format": "{{ '{:>9999999999}'.format('a') }}",
    "the method format_map": "{{ '{a:>9999999999}'.format_map({'a': 1}) }}",
    "join": "{{ range(99999)|join('" + BIG + "') }}",
    "the method join": "{{ ('" + BIG + "').join(range(99999)|map('string')) }}",
    "tojson": "{{ [1, [2]]|tojson(indent=9999999999) }}",
    "tojson of what is deep": "{% set x = [1] %}" + "{% set x = [x] %}" * 800 + "{{ x|tojson(indent=3000) }}",
    "sums of lists": "{{ range(90000)|batch(1)|sum(start=[])|length }}",
    "looking through a list again and again": "{% set x = range(99999)|list %}{% for i in x %}{{ '' if 'z' in x }}{% endfor %}",
    "a test again and again": "{% set x = range(99999)|list %}{% for i in x %}{{ '' if x is eq(x) }}{% endfor %}",
    "copies": "{% set x = range(99999)|list %}" + "".join(f"{{% set y{i} = x[1:] %}}" for i in range(500)),
    "cycler": "{% set c = cycler(*range(99999)) %}{% for i in range(99999) %}{{ c.next() }}{% endfor %}",
    "joiner": "{% set j = joiner('" + BIG + "') %}{% for i in range(9999) %}{{ j() }}{% endfor %}",
    "lipsum": "{{ lipsum(n=9999999) }}",
    "a long text in a loop": "{% for a in range(99999) %}" + BIG + "{% endfor %}",
    "macros of much text": "{% macro m() %}" + BIG + "{% endmacro %}" + "{% set a = m() %}" * 99,
    "escapes of escapes": "{% set x = '" + "<" * 9_000 + "' %}" + "{% set x = x|string|replace('&', '&amp;&amp;') ~ x %}" * 99 + "{{ x }}",
}

DEEP = {
    "loops": "{% for a in options %}" * 40 + "{% endfor %}" * 40,
    "conditions": "{% if true %}" * 300 + "{% endif %}" * 300,
    "brackets": "{{ " + "[" * 90 + "]" * 90 + " }}",
    "filters": "{{ 1" + "|string" * 20_000 + " }}",
    "sums": "{{ 1" + " + 1" * 20_000 + " }}",
    "attributes": "{{ question" + ".a" * 20_000 + " }}",
    "numbers": "{{ " + "9" * 100_000 + " }}",
    "names": "".join(f"{{{{ n{i} }}}}" for i in range(15_000)),
    "length": "x" * 300_000,
}


def sample(question: str = "Which one?", **meta: object) -> Sample:
    return Sample("a", (Picture("0" * 64, "image/jpeg", 1, 1, 1, lambda: b""),), question, ("cat", "dog"), where="rows.jsonl:7", meta=meta)


def written(folder: Path, text: str) -> Prompt:
    (folder / "mine.jinja").write_text(text, encoding="utf-8")
    return Prompt.load("mine.jinja", folder)


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_a_template_without_end_is_an_error_of_the_file_on_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(PipelineError) as caught:
        written(tmp_path, text).render(sample())
    assert str(caught.value).startswith(str(tmp_path / "mine.jinja"))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("kind", ["solve", "vote", "student", "completion"])
def test_a_template_without_end_is_found_before_anything_is_asked(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine.jinja").write_text(ENDLESS["the same by a sum"])
    with pytest.raises(PipelineError, match=f"makes more than {MOST_WORK:,}"):
        Prompts(**{kind: "mine.jinja"}).load(tmp_path)


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_a_template_that_is_too_deep_or_too_long_to_compile_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(PipelineError) as caught:
        written(tmp_path, text)
    assert all(len(fault) < 600 and fault.startswith(str(tmp_path / "mine.jinja")) for fault in caught.value.faults[:50])


GREEDY = ("copies", "join", "the method join", "a list twice as long each time", "macros of much text", "sums of lists", "cycler")


def test_those_that_would_fill_memory_take_little_of_it(tmp_path: Path) -> None:
    program = (
        "import contextlib, pathlib, resource, sys\n"
        "from tests.test_bounded_jinja import DEEP, ENDLESS, GREEDY, PipelineError, sample, written\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for text in [*(ENDLESS[name] for name in GREEDY), *DEEP.values()]:\n"
        "    with contextlib.suppress(PipelineError):\n"
        "        written(pathlib.Path(sys.argv[1]), text).render(sample())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    limit = 8 * 2**30  # what fails this test must not take the machine with it
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300 * 1024


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ options|join(', ') }}", "cat, dog"),
        ("{% for o in options %}{{ loop.index }}{{ o.upper() }}{{ ',' if not loop.last }}{% endfor %}", "1CAT,2DOG"),
        ("{{ options|map('title')|join('\n')|indent(2) }}", "Cat\n  Dog"),
        ("{{ {'a': [1, {'b': 2}]}|tojson }}", '{"a": [1, {"b": 2}]}'),
        ("{{ meta|tojson(indent=1) }}", '{\n "k": 3\n}'),
        ("{{ question|wordwrap(5) }}", "Which\none?"),
        ("{% macro q(x) %}<{{ x }}>{% endmacro %}{{ q(1 + 2) }}{{ q('a' + 'b') }}{{ 'a' ~ 1 }}", "<3><ab>a1"),
        ("{% for k, v in meta.items() %}{{ k }}={{ v * 2 - 1 }}{% endfor %}", "k=5"),
        ("{{ options[:1]|first }} {{ options|batch(1)|list }} {{ [1] + [2] }}", "cat [['cat'], ['dog']] [1, 2]"),
        ("{% if 'one' in question and options|length > 1 %}{{ options|sort|reverse|join }}{% endif %}", "dogcat"),
        ("{% set n = namespace(x=0) %}{% for o in options %}{% set n.x = n.x + 1 %}{% endfor %}{{ n.x }}", "2"),
        ("{% for a in [[1, [2]]] recursive %}{{ a if a is number else loop(a) }}{% endfor %}", "12"),
        ("{% block b %}{{ question.split()[1].rstrip('?') }}{% endblock %}", "one"),
        ("{{ 'a'.ljust(3) }}.{{ question|replace('one', '1')|trim|truncate(7) }}{{ 7 // 2 }}{{ 7 % 4 }}", "a  .Which 1?33"),
    ],
)
def test_what_a_prompt_may_want_works(tmp_path: Path, text: str, said: str) -> None:
    assert written(tmp_path, text).render(sample(k=3)) == said


def test_a_row_of_any_length_is_a_fault_of_the_row_and_not_of_the_template(tmp_path: Path) -> None:
    for text in ("{{ question }}", "{{ question|replace('l', '12345678') }}", "{% for c in question %}{{ c }} {% endfor %}"):
        with pytest.raises(Fault) as caught:
            written(tmp_path, text).render(sample("l" * 900_000))
        assert caught.value.reason == "prompt_input"


def plain() -> st.SearchStrategy[object]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner), max_leaves=20)


@given(plain())
def test_a_value_counts_for_no_less_than_a_share_of_its_text(value: object) -> None:
    assert len(repr(value)) <= 25 * bounded_size(value)  # what is not printable takes ten characters, and a number 24


@given(st.text(st.sampled_from("{}%|'()[] abx~+*-1")), st.text())
def test_any_text_is_a_template_or_is_refused(text: str, question: str) -> None:
    from jinja2 import TemplateError

    sandbox = Sandbox()
    try:
        template = sandbox.metered(sandbox.parse(text))
        assert len(render_bounded(template, {"a": question, "b": [question], "x": 3}, longest=1000, work=1000)) <= 1000
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, SyntaxError):
        pass


def test_work_is_bounded_by_what_is_left() -> None:
    sandbox = Sandbox()
    template = sandbox.metered(sandbox.parse("{% for a in range(100) %}{{ a }}{% endfor %}"))
    assert len(render_bounded(template, {}, longest=1000)) == 190
    with pytest.raises(Exhausted, match=f"{MOST_WORK:,}"):
        render_bounded(template, {}, longest=1000, work=100)


@pytest.mark.parametrize("text", ["{{ question | dictsort }}", "{{ question | xmlattr }}", "{{ options | groupby('x') | list }}"])
def test_a_filter_that_fails_in_a_way_of_its_own_is_a_fault_of_the_row(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.jinja").write_text(text)
    with pytest.raises(Fault, match=r"own\.jinja"):
        Prompt.load("own.jinja", tmp_path).render(Sample("a", (), "Which?", ("awe", "fear"), where="rows.jsonl:1"))
