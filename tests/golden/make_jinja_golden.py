#!/usr/bin/env python3
"""Makes jinja.json: small templates and what Python's Jinja2 (set up as transformers does it) makes
of them, or that it refuses them. Needs jinja2 (3.1.6 made the file that is here).

    tests/golden/make_jinja_golden.py > tests/golden/jinja.json
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from template_contexts import render  # noqa: E402

VARIABLES = {
    "s": "Hello, World", "u": "Grüße, 日本 👍", "empty": "", "sp": "  a b\n", "n": 7, "neg": -7,
    "f": 2.5, "t": True, "no": False, "nil": None, "xs": [3, 1, 2], "ys": ["b", "a", "C"],
    "mixed": [1, "a", None, 2.0, True, [1], {"k": "v"}], "d": {"b": 1, "a": 2, "items": 3},
    "nested": {"a": {"b": [10, {"c": "deep"}]}}, "html": "<b a=\"1\">&'x'</b>",
    "lines": "one\ntwo\r\nthree\n\nfour", "es": [],
    "us": [{"n": "Bob", "age": 30, "ok": True}, {"n": "ann", "age": 25}, {"n": "Bob", "age": 20}],
}

# One template a line; ¶ stands for a line break.
SNIPPETS = r"""
plain text¶with lines¶
{{ s }}
{{ n }} {{ f }} {{ t }} {{ no }} {{ nil }} {{ missing }}|
{{ 1 }}{{ 1.0 }}{{ 1e3 }}{{ 1e16 }}{{ 1.5e-7 }}{{ 0.1 + 0.2 }}{{ 1e22 }}{{ 123456789012345680.0 }}
{{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_0.5 }} {{ 00 }}
{{ "a" 'b' "c" }}
{{ 'it\'s' }} {{ "say \"x\"" }} {{ 'tab\tnl\nx\\y\x41\u00e9\U0001F44D\101\q' }}
{{ [1, 2.0, 'a', none, true, [], {}, ()] }}
{{ (1,) }} {{ (1, 2) }} {{ () }} {{ {'a': 1, 'b': [2]} }} {{ {1: 2, none: 3, true: 4, 1.5: 5} }}
{{ ['it\'s', "q\"", 'a\nb', 'é', '\x00', '\u200b', '👍', '\\'] }}
{{ mixed }} {{ d }} {{ nested }}
{{ 1, 2 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }}
{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 1.5 * 2 }} {{ 1 / 3 }} {{ 2 ** 0.5 }} {{ -2 ** 2 }}
{{ 1 + 2 * 3 - 4 / 2 }} {{ (1 + 2) * 3 }} {{ - 3 }} {{ + 3 }} {{ -(-3) }} {{ true + 1 }} {{ 1 + true * 2 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ 'a' * 0 }} {{ 'a' * -1 }} {{ [1] + [2] }} {{ [1] * 2 }} {{ (1,) + (2,) }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (1,) }}
{{ nil + 1 }}
{{ missing + 1 }}
{{ 'a' + missing }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] ~ missing }}
{{ 1 ~ 2 + 3 }} {{ 1 + 2 ~ 3 }}
{{ 1 < 2 }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 'a' }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ none == none }} {{ none == 0 }}
{{ 1 != 2 }} {{ 2 >= 2 }} {{ 2 <= 1 }} {{ 'B' > 'a' }} {{ (1, 2) == (1, 2) }} {{ [1] == (1,) }} {{ {'a': 1} == {'a': 1.0} }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ missing < 1 }}
{{ missing == missing2 }} {{ missing == none }} {{ missing != 1 }}
{{ 1 in xs }} {{ 9 in xs }} {{ 9 not in xs }} {{ 'ell' in s }} {{ 'b' in d }} {{ 2 in d }} {{ 1 in (1, 2) }} {{ '' in '' }}
{{ 1 in 'abc' }}
{{ 1 in none }}
{{ 1 in 5 }}
{{ 1 in missing }}
{{ missing in xs }}
{{ t and no }} {{ t or no }} {{ not t }} {{ not not t }} {{ 0 or 'x' }} {{ 1 and 'x' }} {{ '' or none }} {{ [] and 1 }} {{ missing or 'd' }} {{ not missing }}
{{ 'a' if t }} {{ 'a' if no }} {{ 'a' if no else 'b' }} {{ 'a' if no else 'b' if no else 'c' }} {{ ('x' if no) is defined }}
{{ ('x' if no) ~ 'y' }}
{{ xs[0] }} {{ xs[-1] }} {{ xs[9] }} {{ xs[true] }} {{ s[0] }} {{ s[-1] }} {{ s[99] }} {{ u[7] }} {{ d['a'] }} {{ d.a }} {{ d['zz'] }} {{ xs.0 }} {{ nested.a.b[1].c }} {{ nested['a']['b'].0 }}
{{ xs['a'] }} {{ s.foo }} {{ n.foo }} {{ xs.foo }} {{ d[xs] }} {{ xs[1.0] }} {{ xs[none] }}
{{ missing.foo }}
{{ missing['foo'] }}
{{ missing[0] }}
{{ nil.foo }} {{ nil['x'] }} {{ nil[0] }}
{{ nil.foo.bar }}
{{ d.missing.more }}
{{ d.items() }} {{ d.keys() }} {{ d.values() }} {{ d['items'] }} {{ {}.items() }}
{{ d.get('a') }} {{ d.get('x') }} {{ d.get('x', 5) }} {{ d.get('x', default=5) if false }} {{ {1: 'one'}.get(1.0) }}
{{ d.get() }}
{{ d.pop('a') }}
{{ d.update({}) }}
{{ xs.append(1) }}
{{ xs.append is defined }} {{ d.update is defined }} {{ xs.append }}
{{ xs.index(2) }} {{ xs.count(3) }} {{ (1, 2).index(2) }} {{ xs.copy() }}
{{ xs.index(9) }}
{{ xs[1:] }} {{ xs[:1] }} {{ xs[::-1] }} {{ xs[-2:] }} {{ xs[5:] }} {{ xs[:-1] }} {{ xs[::2] }} {{ s[1:4] }} {{ s[::-1] }} {{ u[7:9] }} {{ s[-5:-2] }} {{ s[10:2:-3] }} {{ (1, 2, 3)[1:] }} {{ xs[none:2] }} {{ range(10)[2:5] }} {{ s[3:1] }} {{ s[:100] }} {{ s[-100:2] }}
{{ xs[::0] }}
{{ nil[1:] }}
{{ missing[1:] }}
{{ d[1:] }}
{{ xs['a':] }}
{{ 5[0] }} {{ 5[0] is defined }}
{{ s() }}
{{ missing() }}
{{ nil() }}
{{ d.nothing() }}
{{ s.nothing() }}
{% if t %}yes{% else %}no{% endif %}{% if no %}a{% elif n > 5 %}b{% elif t %}c{% else %}d{% endif %}{% if nil %}x{% endif %}
{% if missing %}a{% else %}b{% endif %}{% if empty %}a{% else %}b{% endif %}{% if es %}a{% else %}b{% endif %}{% if 0.0 %}a{% else %}b{% endif %}{% if {} %}a{% else %}b{% endif %}
{% for x in xs %}{{ x }},{% endfor %}
{% for x in xs %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.depth }}/{{ loop.depth0 }};{% endfor %}
{% for x in xs %}{{ loop.previtem }}-{{ x }}-{{ loop.nextitem }};{% endfor %}
{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}
{% for x in xs %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}
{% for x in xs if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{{ loop.length }};{% else %}none{% endfor %}
{% for x in xs if x > 100 %}{{ x }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'añb' %}{{ c }}.{% endfor %}
{% for a, b in [[1, 2], (3, 4), 'xy'] %}{{ a }}{{ b }};{% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
{% for x in missing %}x{% else %}empty{% endfor %}
{% for x in nil %}x{% endfor %}
{% for x in 5 %}x{% endfor %}
{% for x in range(3) %}{% for y in range(2) %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in [1] %}{% break %}{% else %}no{% endfor %}|{% for x in [1, 2] %}{% continue %}{% else %}no{% endfor %}|
{% break %}
{% for x in [1] %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% for x in range(5, 0, -2) %}{{ x }}{% endfor %}{{ range(5) }}{{ range(1, 5, 2) }}{{ range(3)|list }}{{ range(3)[1] }}{{ range(0)|length }}
{{ range(100001) }}
{{ range(0, 10, 0) }}
{{ range('a') }}
{{ range() }}
{% for item in [[1, [2, [3]]], [4]] recursive %}{% if item is sequence %}({{ loop(item) }}){% else %}{{ item }}@{{ loop.depth }}{% endif %}{% endfor %}
{% for x in xs %}{{ loop(xs) }}{% endfor %}
{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}
{% set ns = namespace(x=1, y='a') %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z }}{{ ns['x'] }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns }}
{% set d.x = 1 %}
{% set missing.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}{% set (a, b) = [5, 6] %}{{ a }}{{ b }}
{% set a, b = 1 %}
{% set a, b = [1, 2, 3] %}
{% set x %}captured {{ n }}{% endset %}[{{ x }}]{% set y | upper | trim %} abc {% endset %}[{{ y }}]
{% if t %}{% set z = 5 %}{% endif %}{{ z }}
{% for i in xs %}{% set z = i %}{% endfor %}{{ z }}|
{% if no %}{% set n = 5 %}{% endif %}{{ n }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}|
{% with %}x{% endwith %}
{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% macro m(a, b=2, c='x') %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 5) }}{{ m(c=3, a=2) }}{{ m() }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(a=2, b=3) }}
{% macro m(a, b=a.x) %}{{ a }}{% endmacro %}{{ m() }}
{% macro m(a=1, b) %}{{ a }}{% endmacro %}
{% macro m() %}{{ caller() }}-{{ caller() }}{% endmacro %}{% call m() %}body {{ n }}{% endcall %}
{% macro m() %}{{ caller(1, y=2) }}{% endmacro %}{% call(x, y) m() %}{{ x }}{{ y }}{% endcall %}
{% macro m() %}no caller{% endmacro %}{% call m() %}body{% endcall %}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}
{% call m %}x{% endcall %}
{% macro outer() %}{{ inner() }}{% endmacro %}{% macro inner() %}in{% endmacro %}{{ outer() }}
{% macro m() %}{{ late }}{% endmacro %}{% set late = 5 %}{{ m() }}
{% set v = 1 %}{% macro m() %}{% set v = 2 %}{{ v }}{% endmacro %}{{ m() }}{{ v }}
{% macro fact(n) %}{% if n > 1 %}{{ n }}*{{ fact(n - 1) }}{% else %}1{% endif %}{% endmacro %}{{ fact(5) }}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m }}{{ m.name }}{{ m is callable }}{{ m('a')|upper }}
{% for i in xs %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% for i in xs %}{{ m(i) }}{% macro m(a) %}{{ a }}{% endmacro %}{% endfor %}
{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a', 'b') | trim %} aaa {% endfilter %}
{% generation %}a{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}|
{% raw %}{{ x }}{% if %}{% endraw %}|{%- raw -%}  {{ y }}  {%- endraw -%}  |
{# comment #}a{# {{ x }} #}b{#- x -#} c
a {%- if t %} b {%- endif -%} c
  {% if t %}¶  x¶  {% endif %}¶y
¶¶  {%- if t -%}¶  x¶  {%- endif -%}¶y
  {%+ if t %}x{% endif +%}¶y
a  {{- ' b ' -}}  c {{ '+' }} {{+ 5 }}
{% for x in xs %}¶  {{ x }}¶{% endfor %}¶end
{% for x in xs -%}¶  {{ x }}¶{%- endfor %}¶end
line¶   {# comment #}   ¶more
line¶   {# comment #}¶more
x {% if t %}¶¶a{% endif %}
{{ s }}¶¶{{ n }}¶
  {{ s }}  ¶  {% set a = 1 %}  ¶ z
a¶{%- set a = 1 -%}¶b
{% if t %}a
{% endif %}
{% for x in %}{% endfor %}
{{ 1 +  }}
{{ (1 }}
{{ 1) }}
{{ [1, 2 }}
{{ }}
{{ 'abc }}
{{ a b }}
{{ 1 $ 2 }}
{% unknown %}
{% do xs %}
{% if %}x{% endif %}
{% set = 1 %}
{% set 1 = 1 %}
{% set true = 1 %}
{% set x.y.z = 1 %}
{% for true in xs %}{% endfor %}
{% macro %}{% endmacro %}
{# open
{% raw %} open
{{ s|nosuch }}
{{ s is nosuch }}
{% if no %}{{ s|nosuch }}{% endif %}ok
{% if t %}{{ s|nosuch }}{% endif %}ok
{% if no %}{% for x in xs %}{{ x|nosuch }}{% endfor %}{% endif %}ok
{{ (s|nosuch) if no else 'ok' }}
{{ nosuch(1) }}
{% include 'x' %}
{% extends 'x' %}
{% import 'x' as y %}
{{ raise_exception('stop here') }}
{{ raise_exception() }}
{{ s|upper }} {{ s|lower }} {{ s|title }} {{ s|capitalize }} {{ s|length }} {{ u|length }} {{ u|upper }} {{ 'ß ǆ ŉ ﬁ'|upper }} {{ 'ΑΣ ΣΑΣ'|lower }} {{ "it's a-b (c) d"|title }} {{ 'hELLO wORLD'|capitalize }}
{{ sp|trim }}|{{ 'xxaxx'|trim('x') }}|{{ missing|trim }}|{{ 5|trim }}|{{ nil|upper }}
{{ s|replace('l', 'L') }} {{ s|replace('l', 'L', 1) }} {{ 'aaa'|replace('a', 'bb') }} {{ 'abc'|replace('', '-') }} {{ 121|replace('1', 'x') }}
{{ s|replace('a') }}
{{ xs|join }} {{ xs|join(', ') }} {{ us|join('-', attribute='n') }} {{ 'abc'|join('.') }} {{ mixed|join('|') }} {{ missing|join(',') }} {{ d|join(',') }}
{{ nil|join }}
{{ xs|first }} {{ xs|last }} {{ es|first }} {{ 'abc'|first }} {{ 'abc'|last }} {{ d|first }} {{ xs|select|first }}
{{ es|first|upper }}|
{{ xs|select|last }}
{{ xs|length }} {{ d|length }} {{ missing|length }} {{ xs|count }}
{{ n|length }}
{{ nil|length }}
{{ xs|map('string')|length }}
{{ xs|sort }} {{ xs|sort(reverse=true) }} {{ ys|sort }} {{ ys|sort(case_sensitive=true) }} {{ us|sort(attribute='age')|map(attribute='n')|list }} {{ us|sort(attribute='n,age')|map(attribute='age')|join(',') }}
{{ mixed|sort }}
{{ xs|sum }} {{ us|sum(attribute='age') }} {{ es|sum }} {{ xs|sum(start=10) }} {{ [0.5, 1]|sum }}
{{ ys|sum }}
{{ xs|min }} {{ xs|max }} {{ ys|min }} {{ ys|max }} {{ us|max(attribute='age') }} {{ es|min }}
{{ xs|reverse|list }} {{ 'abc'|reverse }} {{ d|reverse|list }}
{{ xs|list }} {{ 'ab'|list }} {{ d|list }} {{ d.items()|list }} {{ missing|list }} {{ range(2)|list }}
{{ nil|list }}
{{ ['b', 'B', 'a']|unique|list }} {{ [1, 1.0, true, 2]|unique|list }} {{ us|unique(attribute='n')|map(attribute='age')|list }}
{{ d|dictsort }} {{ d|dictsort(by='value') }} {{ d|dictsort(reverse=true) }} {{ {'B': 1, 'a': 2}|dictsort }} {{ {'B': 1, 'a': 2}|dictsort(true) }}
{{ d|dictsort(by='x') }}
{{ d|items|list }} {{ missing|items|list }}
{{ xs|items|list }}
{{ xs|map('string')|list }} {{ ys|map('upper')|join }} {{ us|map(attribute='age')|list }} {{ us|map(attribute='ok', default='-')|list }} {{ us|map(attribute='zz')|list }} {{ xs|map('round', 1)|list }} {{ nil|map('upper')|list }}
{{ xs|map|list }}
{{ xs|map('nosuch')|list }}
{{ xs|select('odd')|list }} {{ xs|reject('odd')|list }} {{ mixed|select|list }} {{ xs|select('>', 1)|list }} {{ us|selectattr('ok')|list|length }} {{ us|selectattr('n', '==', 'Bob')|map(attribute='age')|list }} {{ us|rejectattr('ok', 'defined')|map(attribute='n')|list }} {{ us|selectattr('age', 'in', [20, 25])|list|length }}
{{ xs|selectattr|list }}
{% set g = xs|map('string') %}{{ g|list }}{{ g|list }}
{% for g, l in us|groupby('n') %}{{ g }}:{{ l|map(attribute='age')|list }};{% endfor %}{% for x in us|groupby('age') %}{{ x.grouper }}{{ x.list|length }}{% endfor %}
{{ [1, 2, 3, 4, 5]|batch(2)|list }} {{ [1, 2, 3]|batch(2, 0)|list }} {{ [1, 2, 3, 4, 5]|slice(2)|list }} {{ [1, 2, 3]|slice(2, 'x')|list }}
{{ missing|default('d') }} {{ nil|default('d') }} {{ nil|default('d', true) }} {{ empty|d('x', boolean=true) }} {{ missing|d }}| {{ 0|default(5) }}
{{ missing.x|default('d') }}
{{ '42'|int }} {{ '42.9'|int }} {{ 'x'|int }} {{ 'x'|int(-1) }} {{ 3.99|int }} {{ '0x1f'|int(base=16) }} {{ '1f'|int(0, 16) }} {{ ' 5 '|int }} {{ nil|int }} {{ true|int }} {{ '1_000'|int }} {{ '-5'|int }} {{ '1e3'|int }} {{ xs|int }}
{{ missing|int }}
{{ '1.5'|float }} {{ 'x'|float }} {{ 'x'|float(2.0) }} {{ 3|float }} {{ 'inf'|float }} {{ '-nan'|float }} {{ '1e400'|float }} {{ nil|float }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 2.1|round(method='ceil') }} {{ 2.9|round(method='floor') }} {{ 1234.5|round(-2) }} {{ 5|round }} {{ 2.345|round(1, 'ceil') }} {{ 1e20|round }} {{ 1234|round(-2) }}
{{ 2.5|round(method='x') }}
{{ -5|abs }} {{ neg|abs }} {{ (-2.5)|abs }} {{ 'a'|abs if no else '' }}
{{ s|string }} {{ 5|string + 'a' }} {{ none|string }} {{ xs|string }}
{{ html|escape }} {{ html|e|e }} {{ html|safe }} {{ html|forceescape }} {{ ('<'|safe) + '<' }} {{ '<' + ('<'|safe) }} {{ ('%s <'|safe) % '<' }} {{ ('<'|safe) ~ '<' }} {{ ('<'|safe)|upper is escaped }} {{ ['<'|safe] }}
{{ 'a b/c?é&'|urlencode }} {{ 'one two  three_x'|wordcount }}
{{ 'ab'|center(7) }}|{{ 'abc'|center(6) }}|{{ 'abcd'|center(2) }}
{{ 'the quick brown fox'|truncate(10) }} {{ 'the quick brown fox'|truncate(10, true) }} {{ 'the quick'|truncate(8) }} {{ 'the quick brown fox'|truncate(10, leeway=0, end='…') }}
{{ 'abc'|truncate(1) }}
{{ lines|indent }}¶{{ lines|indent(2, true) }}¶{{ lines|indent('> ', blank=true) }}¶{{ 'a'|indent }}¶{{ ''|indent(first=true) }}
{{ 5|indent }}
{{ '%s is %d' % ('a', 5) }} {{ '%5.2f|%-5s|%05d|%x|%X|%o|%e|%g|%c|%%|%r|%+d|% d' % (3.14159, 'ab', 42, 255, 255, 8, 12345.678, 0.0001, 'z', 'q', 5, 5) }} {{ '%s' % none }} {{ '%(a)s-%(b)d' % {'a': 1, 'b': 2} }} {{ '%s' % xs }} {{ '%.3s' % 'abcdef' }} {{ '%*d' % (5, 3) }} {{ '%5s|' % 'é' }} {{ '%.5d' % 42 }} {{ '%d' % 3.9 }}
{{ '%s %s' % 'a' }}
{{ '%d' % 'a' }}
{{ 'x' % 5 }}
{{ '%s' % (1, 2) }}
{{ '%y' % 1 }}
{{ '%' % 1 }}
{{ '%(a)s' % 5 }}
{{ '%s' % missing }}|
{{ '%s, %s!'|format('a', 'b') }} {{ '%(x)s'|format(x=1) }}
{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x:>5}|{y:<5}|{z:^5}|{w:*^7}'.format(x=1, y=2, z='a', w='b') }} {{ '{:.2f} {:05d} {:,} {:x} {:#x} {:b} {:e} {:%} {:+} {!r}'.format(3.14159, 42, 1234567, 255, 255, 5, 12345.0, 0.25, 5, 'q') }} {{ '{{}}'.format() }} {{ '{0[a]} {0.b}'.format(d) }} {{ '{:{}}|'.format('a', 5) }} {{ '{}'.format(none) }} {{ '{:.3}'.format('abcdef') }} {{ '{:.3}'.format(2.0) }} {{ '{:_}'.format(1234567) }} {{ '{:10.3f}|'.format(2.5) }} {{ '{:g}'.format(1e10) }}
{{ '{}'.format() }}
{{ '{x}'.format() }}
{{ '{'.format() }}
{{ '}'.format() }}
{{ '{} {0}'.format(1) }}
{{ '{:d}'.format('a') }}
{{ '{:5}'.format(none) }}
{{ '{0.__class__}'.format(s) }}|
{{ '{0.__class__.__mro__}'.format(s) }}
{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ "it's".title() }} {{ 'a1b'.title() }} {{ s.capitalize() }} {{ s.swapcase() }} {{ 'Straße'.casefold() }}
{{ sp.strip() }}|{{ sp.lstrip() }}|{{ sp.rstrip() }}|{{ 'xyaxy'.strip('xy') }}|{{ 'xa'.lstrip('x') }}|{{ 'ax'.rstrip('x') }}|{{ '\u3000a\u00a0'.strip() }}|{{ ' a '.strip(none) }}
{{ 'a,b,c'.split(',') }} {{ 'a b  c'.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a  b c '.split(none, 1) }} {{ ' a  b c '.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a,'.split(',') }} {{ 'a,b'.split(sep=',') }} {{ 'a,b,c'.split(',', maxsplit=1) }} {{ 'aaa'.split('aa') }} {{ 'aaa'.rsplit('aa') }}
{{ 'a'.split('') }}
{{ 'a'.split(1) }}
{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ 'a\n'.splitlines() }} {{ ''.splitlines() }}
{{ s.startswith('He') }} {{ s.endswith('d') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith('l', 2) }} {{ s.endswith('o', 0, 5) }} {{ s.startswith('') }}
{{ s.startswith(1) }}
{{ s.find('o') }} {{ s.find('z') }} {{ s.rfind('o') }} {{ s.index('W') }} {{ s.count('l') }} {{ s.find('o', 5) }} {{ u.find('日') }} {{ 'aaa'.count('a', 1) }} {{ 'abc'.count('') }}
{{ s.index('z') }}
{{ s.replace('l', '_') }} {{ s.replace('l', '_', 1) }} {{ 'a'.replace('a', '') }}|
{{ s.replace('l') }}
{{ ','.join(ys) }} {{ ''.join('abc') }} {{ ', '.join(d) }}
{{ ','.join(xs) }}
{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}
{{ 'abc'.ljust(5) }}|{{ 'abc'.rjust(5, '*') }}|{{ 'abc'.center(6, '-') }}|{{ '42'.zfill(5) }}|{{ '-42'.zfill(5) }}|{{ 'a\tb'.expandtabs(4) }}
{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ 'x'.removeprefix('y') }}
{{ 'abc'.isalpha() }} {{ 'ab1'.isalnum() }} {{ '12'.isdigit() }} {{ '²'.isdigit() }} {{ '½'.isnumeric() }} {{ '²'.isdecimal() }} {{ ' \t'.isspace() }} {{ 'ab'.islower() }} {{ 'AB1'.isupper() }} {{ 'Ab Cd'.istitle() }} {{ ''.isalpha() }} {{ 'é'.isascii() }} {{ 'a b'.isalpha() }} {{ 'a\n'.isprintable() }}
{{ n is number }} {{ n is integer }} {{ f is float }} {{ t is integer }} {{ t is number }} {{ t is boolean }} {{ s is string }} {{ d is mapping }} {{ xs is sequence }} {{ s is sequence }} {{ d is sequence }} {{ xs is iterable }} {{ n is iterable }} {{ nil is none }} {{ nil is defined }} {{ missing is defined }} {{ missing is undefined }} {{ missing is none }} {{ missing is iterable }} {{ missing is sequence }} {{ missing is string }}
{{ d.items() is sequence }} {{ d.items() is iterable }} {{ range(3) is sequence }} {{ xs|map('string') is iterable }} {{ xs|map('string') is sequence }} {{ nil is iterable }} {{ d is iterable }} {{ (1,) is sequence }} {{ s is mapping }} {{ namespace() is mapping }}
{{ 4 is even }} {{ 3 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is ne 1 }} {{ 1 is lt 2 }} {{ 1 is ge(2) }} {{ 2 is in [1, 2] }} {{ 'a' is in 'abc' }} {{ t is true }} {{ no is false }} {{ 1 is true }} {{ s is callable }} {{ range is callable }} {{ 'a' is lower }} {{ 'A' is upper }} {{ s is sameas s }} {{ none is sameas none }} {{ 1 is sameas true }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'zz' is filter }}
{{ s is not string }} {{ not s is string }} {{ n is number and f is float }} {{ n is defined or x }} {{ 1 is eq 1 if t else 2 }}
{{ 'a' is even }}
{{ 1 is divisibleby 0 }}
{{ n is string is string }}
{{ s is eq }}
{{ xs|tojson }} {{ d|tojson }} {{ mixed|tojson }} {{ s|tojson }} {{ u|tojson }} {{ html|tojson }} {{ nil|tojson }} {{ 1.0|tojson }} {{ 1e100|tojson }} {{ '\n\t"\\\x00\x7f/'|tojson }} {{ {}|tojson }} {{ []|tojson }} {{ (1, 2)|tojson }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}
{{ d|tojson(indent=2) }} {{ nested|tojson(indent=4) }} {{ es|tojson(indent=2) }} {{ xs|tojson(indent=0) }} {{ d|tojson(indent='->') }}
{{ u|tojson(ensure_ascii=true) }} {{ u|tojson(true) }} {{ d|tojson(sort_keys=true) }} {{ d|tojson(separators=(',', ':')) }} {{ d|tojson(indent=2, separators=(', ', ' = ')) }}
{{ missing|tojson }}
{{ range(3)|tojson }}
{{ d.items()|tojson }}
{{ namespace()|tojson }}
{{ {(1, 2): 3}|tojson }}
{{ {'b': 1, 1: 2}|tojson(sort_keys=true) }}
{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict({'a': 1}, b=3) }} {{ dict() }}
{{ dict(1) }}
{{ {[1]: 2} }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.next() }}
{% set j = joiner('; ') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}{% set k = joiner() %}{{ k() }}a{{ k() }}b
{{ cycler() }}
{{ s|attr('upper') is callable }} {{ d|attr('a') is defined }} {{ d|attr('get') is callable }}
{{ ''.__class__ }}|
{{ ''.__class__.__mro__ }}
{{ ''.__class__.__mro__[1].__subclasses__() }}
{{ ''|attr('__class__')|attr('__mro__') }}
{{ s.upper.__self__ }}|
{{ s.format.__globals__ }}|
{{ xs.__len__() }}
{{ d.__class__ is defined }} {{ range.__name__ is defined }}
{{ strftime_now('%Y') | length }} {{ strftime_now is defined }} {{ strftime_now('') }}|
{{ loop }}|
{{ xs | first + 5 }} {{ -xs | first }} {{ xs|first|string ~ 'x' }} {{ 5 - 2 - 1 }} {{ 2 * 3 % 4 }} {{ not 1 == 2 }} {{ 1 if 0 else 2 if 0 else 3 }}
{{ {'a': {'b': 1}}.a.b }} {{ [1, 2, 3][1] }} {{ 'abc'[1] }} {{ (1, 2)[0] }} {{ {'x': 1}['x'] }} {{ 'a'.upper().lower() }} {{ [[1], [2]][1][0] }}
{{ [1, 2,] }} {{ {'a': 1,} }} {{ m(1,) if no }}|{{ range(3,)|list }}
{{ s|replace('o', '0')|upper|length }} {{ (s|upper)[0] }} {{ s | upper | lower }} {{ s|default('x')|first }}
{{ range(*[1, 3])|list }} {{ dict(**{'a': 1}) }} {{ range(*(1, 6), **{})|list }}
{{ dict(**{'a': 1}, b=2) }}
{{ dict(a=1, a=2) }}
{{ dict(b=2, **{'b': 1}) }}
{{ range(stop=3) }}
{% print 1, 2 %}{% print s %}
{% if t: %}colon{% endif %}{% for x in xs: %}{{ x }}{% endfor %}
{% if t -%} a {%- else -%} b {%- endif %} c
{%if t%}a{%endif%}{%-if t-%} b {%-endif-%}
{{s}}{{-s}}{{s-}} x
{{ '{{' }} {{ '%}' }} {{ "{% raw %}" }} {{ '#}' }}
{{ {'a': {'b': {}}} }}{{ {} }}
{% set x = {'a': 1, 'b': {'c': 2}} %}{{ x.b.c }}{% set y = x.b %}{{ y }}
{{ 10000000000 * 3 }} {{ 9007199254740993 }} {{ 2 ** 62 }} {{ 1e308 * 10 }} {{ -1e308 * 10 }} {{ 5 // 0.3 }} {{ 1e15 }} {{ 1e-5 }} {{ 0.0001 }} {{ 100000.0 }} {{ 3.0 * 1.1 }}
{{ [1, [2, [3]]]|string|length }} {{ nested|string }} {{ [none, true]|string }} {{ {'a': none} }}
{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }} {{ null }}|
{{ xs == [3, 1, 2] }} {{ xs is eq([3, 1, 2]) }} {{ d == {'a': 2, 'b': 1, 'items': 3} }} {{ 'a' in ['a'] and 'b' not in ['a'] }}
{% for m in us %}{% if not loop.first %}, {% endif %}{{ m.n }}{% if m.ok is defined and m.ok %}!{% endif %}{% endfor %}
{% for m in us[1:] %}{{ m['n'] }}{% endfor %}{% for m in us|reverse %}{{ m.age }}{% endfor %}{% for i in range(us|length - 1, -1, -1) %}{{ us[i].age }}{% endfor %}
{% for x in xs if x is odd %}{% for y in xs if y > x %}{{ x }}<{{ y }} {% endfor %}{% endfor %}
{% set ns = namespace(seen=false) %}{% for x in xs if not ns.seen %}{{ x }}{% set ns.seen = true %}{% endfor %}
{% set ns = namespace(l=[]) %}{% for x in xs %}{% set ns.l = ns.l + [x * 2] %}{% endfor %}{{ ns.l }}
{% for a in xs %}{% for b in xs %}{{ loop.index }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %};{% endfor %}
{{ 'a\
b' }}
{{ 'é'.encode('utf-8') is defined if no }}|{{ 'x' 'y' ~ 'z' }}|{{ '' 'a' }}
{{ missing is defined and missing.x }} {{ missing and missing.x }}|{{ (missing.x is defined) if no else 'n' }}
{{ missing.x is defined }}
{{ lines.split('\n')[0] }} {{ (s.split(',')|last).strip() }} {{ s.split(', ')[1][0] }} {{ sp.strip().split(' ')|length }}
{{ "a" if "b" in "abc" else "c" }} {{ ("a" if n > 5 else "b") ~ "x" }} {{ [x for x in xs] }}
{{ lambda: 1 }}
{{ a = 1 }}
{{ .5 }}
{{ 5. }}
{{ 1__0 }}
{{ 012 }}
{{ xs[1, 2] }}| {{ xs[0:1, 2] }}
{{ d | dictsort | first | last }} {{ d.items() | list | first }} {{ d.keys() | list | sort | join(' ') }} {{ d.values() | sum }} {{ d.items()|length }} {{ d.keys()|first }}
{{ d.items()[0] }}|{{ d.keys()[0] is defined }}
"""


def main():
    templates = [line.replace("¶", "\n") for line in SNIPPETS.strip("\n").split("\n")]
    # A snippet whose line ends in the middle of a tag goes on in the next.
    joined, open_one = [], ""
    for template in templates:
        open_one += template
        if open_one.endswith("\\") or template.startswith("{% if t %}a") and "endif" not in template:
            open_one += "\n"
            continue
        joined.append(open_one)
        open_one = ""
    cases = []
    for template in joined:
        output, error = render(template, VARIABLES)
        case = {"template": template}
        case.update({"error": error} if output is None else {"output": output})
        cases.append(case)
    json.dump({"variables": VARIABLES, "cases": cases}, sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
