"""What may get into a file of a kind and does harm there: numbers out of range, forms that multiply, names that leave the folder."""

YAML: tuple[bytes, ...] = (
    b"null", b"true", b"-1", b"0", b"1e400", b".nan", b".inf", b"''", b"[]", b"{}", b"[[[[]]]]", b"2024-01-01", b"0x7fffffffffffffff",
    b"9" * 5_000, b"190:20:30", b"!!python/object/apply:os.system ['true']", b"!!binary aGk=", b"!!set {a, b}", b"&a [*a, *a]",
    b"*unknown", b"<<: {name: x}", b"? [a, b]\n: c", b"---\n", b"...\n", b"%YAML 9.9\n---\n", b"| \n  text\n", b"${HOME}",
    b"${NO_SUCH_VARIABLE}", b"${", b"$$", b"\t- tab",
    b"a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\n"
    b"d: &d [*c, *c, *c, *c, *c, *c, *c, *c]\n"
    b"e: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f]\n",
    b"[" * 3_000, b"{a: " * 2_000, b"- " * 2_000, b"path: /dev/zero", b"path: /etc/passwd", b"path: .", b"path: ../../..",
    b"solve: /dev/zero", b"kind: openai", b"kind: hf", b"kind: imagefolder", b"kind: webdataset", b"kind: emoset", b"kind: transformers",
    b"kind: replay", b"url: http://[::1", b"url: http://localhost:99999", b"url: file:///etc/passwd", b"body: {x: \"\\ud800\"}",
    b"question: \"\\ud800\"", b"name: ..", b"name: \"\\0\"", b"labels: [a, a]", b"labels: {a: [b], b: [a]}", b"samples: 100000000",
    b"temperature: .nan", b"limit: 0", b"measure: /bin/sh:x", b"measure: __builtins__", b"rule: sequential", b"verifier: math",
    b"kind: answer", b"max: .nan", b"min: 1\n    max: 0",
    b"&a ", b"*a", b"<<: *a\n", b"<<: [*a, *a]\n", b"!!int ", b"!!python/name:os.system ", b"!!binary ", b"!!float ", b"0x" + b"f" * 300,
    b"1" + b":59" * 90, b"]", b"{", b"}", b"? ", b": ", b"|\n", b">\n", b"'", b"\"", b"\\ud800", b"\\u0085", b"\t", b"#", b"%YAML 1.1\n",
    b"${NO_SUCH}", b"[" * 70, b"{a: " * 70, b"http://[::1", b"http://h:99999", b"kind: hf\n", b"kind: webdataset\n", b"kind: replay\n",
    b"kind: batch\n", b"kind: vllm\n", b"measure: own.py:f\n", b"~", b"=", b"0o7", b"1e999", b"1_0",
)  # fmt: skip
TEMPLATES: tuple[bytes, ...] = (
    b"{{ range(10 ** 9) | list }}", b"{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
    b"{{ 'x' | indent(10 ** 9) }}", b"{{ 'a\nb' | indent(99999999) }}", b"{{ 'x'.ljust(10 ** 9) }}", b"{{ 'x'.ljust(9999999999) }}",
    b"{{ 'x'.zfill(9999999999) }}", b"{{ '%999999999d' % 1 }}", b"{{ '{:999999999}'.format(1) }}",
    b"{{ [1] | batch(999999999, 0) | list }}", b"{{ 'x' * 10 ** 9 }}", b"{{ [0] * 999999999 }}", b"{{ meta | tojson(indent=999999999) }}",
    b"{{ 'xx' | replace('x', 'x' * 9999) }}", b"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    b"{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", b"{% include 'solve.jinja' %}",
    b"{% extends 'solve.jinja' %}", b"{% import 'os' as os %}", b"{{ ''.__class__.__mro__ }}", b"{{ question.format.__globals__ }}",
    b"{{ cycler(1, 2).next() }}", b"{{ joiner(',') }}", b"{{ namespace(a=1) }}", b"{{ dict(a=1) }}",
    b"{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | length }}",
    b"{% set ns = namespace(n=7) %}{% for i in range(40) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
    b"{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = ns.l + ns.l %}{% endfor %}", b"{{ 2 ** 9999999 }}",
    b"{{ 1 / 0 }}", b"{{ options | sum }}", b"{{ options | sort(attribute='x') }}", b"{{ options | map('upper') | join('x') }}",
    b"{{ nothing }}", b"{{ label }}", b"{{ meta.x.y }}", b"{{ options[99] }}", b"{% raw %}", b"{#", b"{%", b"{{", b"{% for %}",
    b"{% if %}", b"{{ (" + b"(" * 2_000, b"{{ 'x' | center(99999) }}", b"{{ '\\ud800' }}", b"{{ question | wordwrap(1) }}",
    b"{{ question | urlize }}", b"{{ 9 | filesizeformat }}", b"{{ options | random }}", b"{{ lipsum() }}", b"{{ self }}",
    b"{{ caller() }}", b"{{ options | slice(99999999) | list }}", b"{{ range(99999) | map('string') | join | length }}",
    b"{{ '9' * 9 | int }}", b"{{ ('9' | int) | string | list | string }}", b"{% call m() %}{% endcall %}", b"{{ options | groupby('x') }}",
    b"{{ 'x' | xmlattr }}", b"{{ meta | dictsort }}", b"{{ meta | pprint }}",
    b"}}", b"%}", b"#}", b"{% for a in range(99999) %}", b"{% endfor %}", b"{% set x = x ~ x %}", b"{% set x = [x, x] %}",
    b"{% macro m() %}", b"{% endmacro %}", b"{{ m() }}", b"{% if options %}", b"{% endif %}", b"|join('" + b"x" * 300 + b"')",
    b"|indent(99999999)", b"|batch(99999999)|list", b"|replace('', question)", b"|tojson(indent=9999)", b"|wordwrap(1)",
    b".ljust(99999999)", b"**", b"*", b"+", b"~", b"//", b"%", b"99999999999999999999", b"|map('upper')|list", b"{% block a %}",
    b"{% endblock %}", b"{{ self.a() }}", b"{% include self %}", b"[", b"]", b")", b"'", b"\"", b"namespace(a=x)", b"loop",
    b"{% for a in options recursive %}", b"{{ loop(options) }}", b"__class__", b"|attr('format')", b"{%- ", b"{% endraw %}",
    b"{% call m() %}", b"{% endcall %}", b"{% filter indent(9) %}", b"{% endfilter %}", b"meta", b"images", b"none", b"\\",
)  # fmt: skip
TABLES: tuple[bytes, ...] = (
    b"sep=;\n", b"\n\n\n", b'"', b'""', b'"\n', b",,,,,,", b";", b"\t", b"|", b"\xff\xfe", b"=cmd|' /C calc'!A0", b"id,id,id\n", b"\0",
    b"r0,", b"../../etc/passwd", b"/etc/passwd", b"/dev/zero", b"http://localhost/x.jpg", b"https://user:secret@localhost/x.jpg",
    b"file:///etc/passwd", b"data:image/png;base64,AAAA", b"data:image/jpeg;base64,/9j/", b"?", b"awe", b"null", b"nan", b"1e999",
    b"x" * 140_000, b"images", b".", "\U000e0041\u200b\u202e".encode(), "a\u0308".encode(),
)  # fmt: skip
JSON: tuple[bytes, ...] = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b"-Infinity", b"[]", b"{}", b'""', b"[" * 100_000, b'{"a":' * 2_000, b"9" * 5_000,
    b'"\\ud800"', b'"\\u0000"', b'{"bytes": "AAAA"}', b'{"path": "/etc/passwd"}', b'"/dev/zero"', b'"../../etc/passwd"', b'["a", "b"]',
    b'{"x": {"x": 1}}', b"\xff\xfe", b"\xef\xbb\xbf", b"// comment\n", b"'x'", b"<think>", b"</think>", b"<answer>", b"</answer>",
    b"\\boxed{", b'"id": 1,', b'"index": 1e30,', b'"index": "x",', b'"finish_reason": "length",', b'"usage": {"prompt_tokens": -1},',
    b'"content": null,', b'"error": {},', b'"response": [],', b'"conversations": [],', b'"label": 1,', b'"image": null,', b'"image": [],',
    b'"options": "[1",', b'"question": 3,',
)  # fmt: skip
TARS: tuple[bytes, ...] = (
    b"../../x.jpg", b"/etc/passwd", b"77777777777\0", b"00000000000\0", b"\x80\0\0\0\0\0\0\0\x7f\xff\xff\xff", b"1", b"2", b"3", b"6",
    b"x", b"L", b"ustar\0", b"ustar  \0", b"GNU.sparse.size=999999999999\n", b"30 size=999999999999999999\n", b"\0" * 512, b"\0" * 1024,
    b"\x1f\x8b\x08",
)  # fmt: skip
PICTURES: tuple[bytes, ...] = (
    b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03", b"\xff\xc2", b"\xff\xe1\xff\xff",
    b"\xff\xdd\0\x04\0\0", b"\x89PNG\r\n\x1a\n", b"IHDR\x7f\xff\xff\xff\x7f\xff\xff\xff", b"IDAT", b"IEND", b"acTL\0\0\xff\xff", b"zTXt",
    b"iCCP", b"GIF89a\xff\xff\xff\xff", b"\x21\xff\x0bNETSCAPE2.0", b"RIFF\xff\xff\xff\xffWEBPVP8X", b"II*\0\xff\xff\xff\xff",
    b"MM\0*\0\0\0\x08", b"BM\xff\xff\xff\xff", b"<svg>", b"%PDF-1.4", b"%!PS-Adobe", b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x1cftypavif",
    b"SIMPLE  =", b"icns", b"\x01\0\0\0\x58\0\0\0", b"P6 99999 99999 255\n",
)  # fmt: skip
